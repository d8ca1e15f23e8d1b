/// Every bound of the pollers, with unit and source ("reference" is lambda-semantics.md).
enum Limits {
    // MARK: Batches

    /// Bytes of one event (reference 2.2: 6 MB, the invocation payload).
    static let payloadBytes = 6_291_456
    /// Messages of one call to the source (reference 5.2: a ReceiveMessage takes ten).
    static let messagesPerReceive = 10
    /// Messages received in one transaction, and after how many bytes it takes no more. Ours: bounds how long one mapping
    /// holds the store's writer, and what it holds in memory.
    static let messagesPerTransaction = 200
    static let bytesPerTransaction = 8 << 20
    /// Bytes of received messages that are held at the same time by all mappings together; above it mappings stop
    /// receiving. Ours.
    static let heldBytes = 192 << 20
    /// Milliseconds until a mapping that was held back by it asks again. Ours.
    static let memoryPauseMilliseconds = 50
    /// Milliseconds for which no mapping could receive for want of it, after which open and throttled batches make room. Ours.
    static let memoryReliefMilliseconds = 1_000
    /// Milliseconds before its messages are visible again in which an open batch closes at the latest; more if the function's
    /// timeout is longer, less if the visibility timeout is shorter than twice that. Ours.
    static let visibilityMarginMilliseconds = 1_000

    // MARK: Concurrency (reference 5.2)

    /// Batches at the same time of a mapping at first.
    static let startConcurrency = 5
    /// More after each second with a backlog (300 a minute).
    static let growthPerSecond = 5
    static let longestConcurrency = 1_250
    /// Where function errors and throttles lead to, at the least.
    static let leastConcurrency = 2
    /// A provisioned poller runs ten invocations; their number grows by 1,000 a minute.
    static let concurrencyPerProvisionedPoller = 10
    static let provisionedGrowthPerSecond = 17
    /// Batches that end within a second for each that runs at a time, above which more at a time would not help: they use
    /// the machine's processors rather than wait. Ours.
    static let quickBatchesPerSecond = 20

    // MARK: Waiting

    /// A throttled batch is tried again after this many milliseconds, then twice as many, up to the longest, until its
    /// messages are visible again. Ours; AWS publishes none.
    static let throttleFirstMilliseconds = 100
    static let throttleLongestMilliseconds = 5_000
    /// A mapping whose function or source cannot be used looks again after this many milliseconds, then twice as many, up to
    /// the longest. Ours.
    static let troubleFirstMilliseconds = 100
    static let troubleLongestMilliseconds = 60_000
    /// A mapping with a stream that cannot be looked at is Enabled after so many looks (some 3 s). Ours.
    static let looksBeforeEnabled = 5
    /// Mappings read at a time at start.
    static let mappingsPerPage = 500
    /// Handles that wait to be deleted while the store refuses writes; more are forgotten and come again. Ours.
    static let waitingDeletions = 10_000

    // MARK: Streams (reference 5.3)

    /// Records of one read of a shard, and its bytes. Ours, within what one GetRecords answers.
    static let leastRecordsPerRead = 100
    static let mostRecordsPerRead = 10_000
    static let bytesPerRead = 4 << 20
    /// Records of a shard that are known before no more are read, if batches are small; and bytes of them. Ours.
    static let leastRecordsPerShard = 1_000
    static let bytesPerShard = 16 << 20
    /// Bytes of an event besides its records and its window's state: names, ARNs, times.
    static let streamEventOverheadBytes = 4_096
    /// A tumbling window's state (reference 5.3: 1 MB): over it the window ends early. Its last invocation gets the state
    /// whole, up to this; more is a failed invocation. Ours.
    static let windowStateBytes = 1 << 20
    static let largestWindowStateBytes = 5 << 20
    /// Milliseconds after a window's end until it is closed: a record with a time before the end may be committed a little
    /// later. Ours; AWS may wait for two minutes.
    static let windowGraceMilliseconds = 200
    /// A failed batch is tried again after this many milliseconds, then twice as many, up to the longest. Ours; fits what
    /// was recorded on AWS (reference 5.3).
    static let retryFirstMilliseconds = 500
    static let retryLongestMilliseconds = 60_000
    /// Shards of a stream that a mapping follows; more are an error. Ours: ten times AWS's default quota.
    static let shardsPerMapping = 100_000
    /// Shards listed at a time; new shards whose beginnings are written in one transaction.
    static let shardsPerPage = 1_000
    static let shardsPerTransaction = 500
    /// Reads of shards at the same time, of all mappings. Ours: there are two to four readers.
    static let concurrentReads = 16
    /// How long the record of a given-up batch is tried to be delivered: as those of asynchronous invocations.
    static let destinationAge: Duration = .seconds(86_400)
}
