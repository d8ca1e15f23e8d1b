/// Quotas of EventBridge: each with its unit and source.
enum Limits {}
