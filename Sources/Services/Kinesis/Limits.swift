/// Quotas of Kinesis Data Streams: each with its unit and source.
enum Limits {}
