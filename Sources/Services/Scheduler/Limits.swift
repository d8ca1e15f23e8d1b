/// Quotas of EventBridge Scheduler: each with its unit and source.
enum Limits {}
