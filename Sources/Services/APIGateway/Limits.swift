/// Quotas of API Gateway: each with its unit and source.
enum Limits {}
