public import Platform
public import Storage

/// A stream whose shards pollers read (Kinesis, DynamoDB Streams).
public struct StreamDescription: Sendable, Hashable {
    /// The stream's own ARN, also when a consumer's was asked for.
    public var arn: String
    /// Of an enhanced fan-out consumer: its ARN.
    public var consumerARN: String?
    /// Whether it can be read now; a stream that is being made is not yet.
    public var isActive: Bool
    /// How long records are kept.
    public var retention: Duration

    public init(arn: String, consumerARN: String? = nil, isActive: Bool, retention: Duration) {
        self.arn = arn
        self.consumerARN = consumerARN
        self.isActive = isActive
        self.retention = retention
    }
}

/// One shard of a stream, open or closed, with records that may still be read.
public struct StreamShard: Sendable, Hashable {
    public var id: String
    /// The shards that must be read to their ends before this one: one after a split, two after a merge. May name shards that
    /// are gone.
    public var parents: [String]
    public var createdAt: Instant
    /// Takes no more records.
    public var isClosed: Bool

    public init(id: String, parents: [String], createdAt: Instant, isClosed: Bool) {
        self.id = id
        self.parents = parents
        self.createdAt = createdAt
        self.isClosed = isClosed
    }
}

/// Where reading of a shard begins.
public enum StreamStart: Sendable, Hashable {
    case trimHorizon
    /// Behind the newest record.
    case latest
    /// At the first record that arrived then or later.
    case timestamp(Instant)
}

/// One record as a poller needs it.
public struct StreamRecord: Sendable {
    /// Sorts as the shard's order does when compared with `StreamSource.isBefore`.
    public var sequenceNumber: String
    /// What keeps its order: Kinesis' partition key; of DynamoDB the item's key, as text.
    public var orderingKey: String
    public var arrivedAt: Instant
    /// As it counts for the 6 MB of a batch, bytes.
    public var size: Int
    public var content: Content

    public enum Content: Sendable {
        /// Kinesis: the record's bytes.
        case data([UInt8])
        /// DynamoDB: `eventID`, `eventName`, `userIdentity` if any, and the JSON of the member `dynamodb`.
        case change(eventID: String, eventName: String, userIdentity: UserIdentity?, dynamodb: [UInt8])
    }

    /// Who deleted an item: the service itself, for TTL.
    public struct UserIdentity: Sendable, Hashable {
        public var type: String
        public var principalID: String
        public init(type: String, principalID: String) {
            self.type = type
            self.principalID = principalID
        }
    }

    public init(sequenceNumber: String, orderingKey: String, arrivedAt: Instant, size: Int, content: Content) {
        self.sequenceNumber = sequenceNumber
        self.orderingKey = orderingKey
        self.arrivedAt = arrivedAt
        self.size = size
        self.content = content
    }
}

/// The answer to one read of a shard.
public struct StreamPage: Sendable {
    public var records: [StreamRecord]
    /// The shard is closed and nothing lies behind these records.
    public var isEnd: Bool
    /// There is more behind these records now.
    public var hasMore: Bool

    public init(records: [StreamRecord], isEnd: Bool, hasMore: Bool) {
        self.records = records
        self.isEnd = isEnd
        self.hasMore = hasMore
    }
}

/// Streams that pollers read. Reads happen on snapshots and never hold up the writer. Every call is made as a principal, whose
/// permission is checked; throws `AWSError` with the service's codes (`ResourceNotFoundException`,
/// `AccessDeniedException`).
public protocol StreamSource: Sendable {
    /// The service part of its ARNs: `kinesis`, `dynamodb`.
    var arnService: String { get }

    /// `arn`: of a stream, or of an enhanced fan-out consumer.
    func describe(stream arn: String, as principal: Principal, in transaction: any ReadTransaction) throws
        -> StreamDescription

    /// Shards with records that can still be read, and open ones, oldest first; `after` a shard's id.
    func shards(
        stream arn: String, after: String?, limit: Int, as principal: Principal, in transaction: any ReadTransaction
    ) throws -> [StreamShard]

    /// The sequence number behind which reading begins, so that `start` means the same after a restart; nil for the oldest
    /// record kept.
    func position(
        stream arn: String, shard: String, at start: StreamStart, as principal: Principal,
        in transaction: any ReadTransaction
    ) throws -> String?

    /// The records behind the sequence number `after` (nil: from the oldest kept), up to `limit` and about `byteLimit` bytes,
    /// but at least one if there is one. Expired records are never given.
    func read(
        stream arn: String, shard: String, after: String?, limit: Int, byteLimit: Int, as principal: Principal,
        now: Instant, in transaction: any ReadTransaction
    ) throws -> StreamPage

    /// Whether the first sequence number comes before the second, in a shard.
    func isBefore(_ first: String, _ second: String) -> Bool

    /// Calls `wake` after every commit that appended to a shard (its id), and with nil after one that changed the shards
    /// (a split, a merge, a deletion). On the store's writer thread: it must not block. Ends when the answer is called. The stream need
    /// not exist.
    func observe(stream arn: String, _ wake: @escaping @Sendable (_ shard: String?) -> Void) -> @Sendable () -> Void
}
