/// Quotas of Kinesis Data Streams, each with its unit and source. [D] is AWS's documentation, [B] the model.
enum Limits {
    // MARK: Streams and shards

    /// Shards open at once in an account and Region [D: the larger of AWS's default quotas].
    static let shards = 20_000
    /// Shards that UpdateShardCount may lead to [D].
    static let shardsByUpdate = 10_000
    /// On-demand streams in an account and Region [D].
    static let onDemandStreams = 50
    /// Open shards of a new on-demand stream [D: 4 MB/s].
    static let onDemandShards = 4
    /// Shards of one stream that are kept, with closed ones that have records: what a stream costs in memory. Ours.
    static let shardsKept = 40_000
    static let streamNames = 1...128
    static let retentionHours = 24...8_760
    /// Tags of a stream [D].
    static let tags = 50
    /// Consumers of a stream [D].
    static let consumers = 20
    /// Bytes of a resource policy [D].
    static let policyBytes = 20_480
    /// Changes of the shard count in 24 hours, and of the mode [D]; checked with the throughput limits.
    static let shardUpdatesPerDay = 10
    static let modeUpdatesPerDay = 2

    // MARK: Records

    /// KiB of a record, data and partition key, unless the stream says otherwise [D, B].
    static let recordKiB = 1_024
    static let recordKiBRange = 1_024...10_240
    static let recordsPerPut = 500
    /// Bytes of the records of one PutRecords, keys included [D].
    static let putBytes = 10 << 20
    /// Bytes of a request's body: 10 MiB in base64, 500 keys and some room.
    static let requestBytes = 16 << 20
    static let partitionKeyCharacters = 1...256
    /// Records of one put to one shard are kept together in rows of about so many bytes: a row costs a few microseconds,
    /// and a reader that wants one record reads a row.
    static let segmentBytes = 64 << 10

    // MARK: Reading

    static let recordsPerGet = 10_000
    /// Bytes of records that one GetRecords answers [D].
    static let getBytes = 10 << 20
    /// Seconds that an iterator and a list's token live [D].
    static let iteratorSeconds: Int64 = 300
    static let tokenSeconds: Int64 = 300
    /// Rows that are looked up in the index at a time.
    static let segmentsPerLook = 64
    static let shardsPerList = 10_000
    static let shardsPerDescription = 1...10_000
    static let defaultShardsPerList = 1_000
    static let defaultShardsPerDescription = 100
    static let streamsPerList = 100
    static let consumersPerList = 100

    // MARK: Subscriptions

    /// Seconds that one lasts [D].
    static let subscriptionSeconds: Int64 = 300
    /// Within so many seconds the same consumer cannot subscribe to the same shard again [D].
    static let resubscribeSeconds: Int64 = 5
    /// Seconds after which an event without records is sent [D: so that the continuation stays fresh].
    static let heartbeatSeconds: Int64 = 5
    /// Bytes of records in one event: a record of 10 MiB in base64 still fits into one message of the stream.
    static let eventBytes = 1 << 20
    /// Subscriptions at once; one more is refused. Each is an open connection. Ours.
    static let subscriptions = 10_000

    // MARK: Throughput [D], for each shard and second; only with `throughputLimits`

    static let writtenBytesPerSecond = 1 << 20
    static let writtenRecordsPerSecond = 1_000
    static let readBytesPerSecond = 2 << 20
    static let readsPerSecond = 5

    // MARK: Upkeep

    /// Seconds between two looks for expired records.
    static let sweepSeconds: Int64 = 60
    /// Rows, and bytes of them, that one clean-up transaction removes: some milliseconds of the writer.
    static let removalsPerTransaction = 256
    static let removedBytesPerTransaction = 16 << 20
    /// Streams that one look takes at a time.
    static let streamsPerLook = 64
    /// Streams and shards kept in memory, so that a put reads no row of them.
    static let cachedStreams = 10_000
    static let cachedShards = 200_000
    static let cachedPositions = 200_000
    static let meters = 100_000
}
