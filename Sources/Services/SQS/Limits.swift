/// Every quota of SQS, with unit and source. [D] is AWS's documentation, [R] the reference's recorded answers.
enum Limits {
    // MARK: Messages

    /// Body with attributes, in bytes; also of a batch together [D, R: since 2025-08].
    static let messageBytes = 1 << 20
    /// Message attributes of one message [D].
    static let attributesPerMessage = 10
    /// Characters of an attribute's name and of its type [D].
    static let attributeNameCharacters = 256
    /// Characters of group ids, deduplication ids and attempt ids [R].
    static let identifierCharacters = 128
    static let batchEntries = 10
    /// Of a trace header that comes with a request, as Lambda takes it.
    static let traceHeaderBytes = 1_024
    /// Letters of a batch entry's id [R].
    static let entryIDCharacters = 80
    /// Bytes of a request: a message of 1 MiB with every byte escaped in JSON (`\u0000`) or in a form, and some room.
    static let requestBytes = 8 << 20

    // MARK: Queues

    static let queueNameCharacters = 80
    static let delaySeconds = 0...900
    static let maximumMessageSize = 1_024...1_048_576
    static let retentionSeconds = 60...1_209_600
    static let waitSeconds = 0...20
    static let visibilitySeconds = 0...43_200
    static let keyReuseSeconds = 60...86_400
    static let maximumReceives = 1...1_000
    /// Queues that a redrive-allow policy may name [D].
    static let allowedSources = 10
    /// Characters of a policy, as for IAM's largest documents: SQS documents 8 KB [D].
    static let policyBytes = 8_192
    static let tagsPerQueue = 50
    static let tagKeyCharacters = 128
    static let tagValueCharacters = 256
    static let listPage = 1_000
    /// Statements that AddPermission makes, actions in one [D].
    static let permissions = 20
    static let actionsPerPermission = 7

    // MARK: Receiving

    static let messagesPerReceive = 10
    /// Most messages that one `QueueSource.receive` takes (a mapping's largest batch, reference 5.1).
    static let messagesPerPoll = 10_000
    /// A message can be hidden so long after its receive altogether, in seconds [D].
    static let totalVisibilitySeconds: Int64 = 43_200
    /// Messages in flight of one queue [D: both kinds since 2024-11].
    static let inFlight = 120_000
    /// Duplicates are recognised for so long, and receive attempts can be repeated, in seconds [D].
    static let deduplicationSeconds: Int64 = 300
    /// Receives that may wait for messages at the same time; one more is answered empty at once. A waiting one is an open
    /// connection, and the front door allows fewer.
    static let waitingReceives = 20_000
    /// A receive that waits and found nothing although there may be something tries again after so many milliseconds.
    static let retryMilliseconds = 100
    /// As above, with as many messages in flight as may be, in seconds: each attempt counts them.
    static let retryAtLimitSeconds = 1
    /// Messages that one receive may move to the dead-letter queue or drop as expired before it answers.
    static let passedOverPerReceive = 1_000

    /// Groups that a receive from a FIFO queue looks up at a time.
    static let lanesPerLook = 100

    // MARK: Store

    /// Bodies up to this many bytes are in the message's own row, which every receive rewrites; larger ones apart.
    static let inlineBodyBytes = 2_048
    /// Rows that one transaction of a purge or a sweep removes.
    static let removalsPerTransaction = 2_000
    /// Expired deduplication ids that each send to a FIFO queue clears away.
    static let deduplicationsCleared: Int64 = 4
    /// Between two looks for messages that are over their retention, in seconds. AWS: within 15 minutes.
    static let sweepSeconds: Int64 = 60
    static let queuesPerSweep = 1_000
    static let purgeSeconds: Int64 = 60
    /// Queues whose attributes are kept in memory.
    static let cachedQueues = 10_000

    // MARK: Move tasks

    static let moveRate = 1...500
    static let moveTasksListed = 1...10
    /// Messages that one transaction of a move task without a rate moves.
    static let movesPerTransaction = 200
    /// Finished tasks kept for listing, per source queue.
    static let moveTasksKept = 10
}
