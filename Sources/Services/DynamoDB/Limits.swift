/// Quotas of DynamoDB: each with its unit and source ("Quotas in Amazon DynamoDB", unless said otherwise). Those of values
/// and expressions are in `ValueLimits` and `ExpressionLimits`.
enum Limits {
    // MARK: Requests

    /// Bytes of a request: the largest are those of BatchWriteItem, 16 MB of items.
    static let requestBytes = 17 << 20
    /// Bytes of the items of one BatchGetItem or BatchWriteItem.
    static let batchBytes = 16 << 20
    /// Items of one BatchWriteItem.
    static let batchWrites = 25
    /// Items of one BatchGetItem.
    static let batchReads = 100
    /// Items of one transaction.
    static let transactionItems = 100
    /// Bytes of the items of one transaction.
    static let transactionBytes = 4 << 20
    /// Bytes of items that one Query or Scan looks at.
    static let pageBytes = 1 << 20
    /// Bytes of items that are read for one page, also where an index gives little of each. Ours: a page may end early.
    static let bytesReadPerPage = 16 << 20
    /// Segments of a parallel scan (API reference, Scan).
    static let scanSegments = 1_000_000
    /// How long a ClientRequestToken is remembered, seconds (API reference, TransactWriteItems).
    static let tokenSeconds: Int64 = 600

    // MARK: Tables

    static let tableNameBytes = 3...255
    static let globalIndexes = 20
    static let localIndexes = 5
    /// Attributes projected into all local indexes and global ones together.
    static let projectedAttributes = 100
    /// Tables of an account in a Region.
    static let tables: Int64 = 2_500
    /// Capacity units of a table and of an account, as DescribeLimits says them.
    static let tableUnits: Int64 = 40_000
    static let accountUnits: Int64 = 80_000
    static let tags = 50
    static let tagKeyCharacters = 128
    static let tagValueCharacters = 256
    /// Bytes of a resource policy.
    static let policyBytes = 20 << 10
    /// Names of tables in one answer of ListTables.
    static let tableNamesPage = 100
    /// Tags in one answer of ListTagsOfResource.
    static let tagsPage = 10
    /// Descriptions of tables in memory: Martlet's bound.
    static let cachedTables = 4_096

    // MARK: Capacity

    /// Bytes of a read capacity unit and of a write capacity unit.
    static let readUnitBytes = 4_096
    static let writeUnitBytes = 1_024

    // MARK: Streams

    /// How long a stream's records are kept, seconds.
    static let streamSeconds: Int64 = 24 * 3600
    /// How long a shard is written to before another takes over, seconds (as observed at AWS).
    static let shardSeconds: Int64 = 4 * 3600
    /// Records of a shard before another takes over: Martlet's bound.
    static let shardRecords: Int64 = 1_000_000
    /// How long an iterator can be used, seconds.
    static let iteratorSeconds: Int64 = 15 * 60
    /// Records and bytes of one GetRecords.
    static let recordsPage = 1_000
    static let recordsBytes = 1 << 20
    static let streamsPage = 100
    static let shardsPage = 100

    // MARK: Upkeep

    /// Rows that one transaction of the background changes.
    static let rowsPerStep = 256
    /// Bytes of items that one transaction of the background reads or frees, and one item more: everything else waits for
    /// it. Ours.
    static let bytesPerStep = 4 << 20
    /// Jobs that failed are passed over, up to so many, until they are tried again.
    static let jobsPassedOver = 64
    /// Between two looks for old stream records and tokens, seconds.
    static let sweepSeconds: Int64 = 300
    /// Items whose time to live ended this long ago or longer stay, seconds: five years (developer guide, "Using TTL").
    static let oldestExpirySeconds: Int64 = 5 * 365 * 86_400
    /// Background work that failed is tried again after this, seconds.
    static let retrySeconds: Int64 = 10
}
