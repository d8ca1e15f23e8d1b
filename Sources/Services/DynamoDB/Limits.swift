/// Quotas of DynamoDB: each with its unit and source.
enum Limits {}
