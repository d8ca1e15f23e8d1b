/// CloudWatch Logs quotas, with unit and source (service quotas page and PutLogEvents reference).
enum Limits {
    /// Events of one PutLogEvents.
    static let eventsPerPut = 10_000
    /// Bytes of one PutLogEvents: UTF-8 of all messages and 26 for each event.
    static let bytesPerPut = 1_048_576
    static let overheadPerEvent = 26
    /// Milliseconds between the first and the last event of one PutLogEvents (24 hours).
    static let putSpan: Int64 = 86_400_000
    /// Milliseconds that an event may lie in the future (2 hours) and in the past (14 days).
    static let newest: Int64 = 7_200_000
    static let oldest: Int64 = 14 * 86_400_000
    /// Events and bytes of one answer of GetLogEvents and FilterLogEvents.
    static let eventsPerPage = 10_000
    static let bytesPerPage = 1_048_576
    /// Rows that one FilterLogEvents looks at; then it answers what it has and a token, as AWS does.
    static let rowsPerFilter = 20_000
    /// Log streams named in one FilterLogEvents.
    static let streamsPerFilter = 100
    /// Groups or streams of one Describe answer.
    static let describePage = 50
    static let groupsPerAccount = 1_000_000
    static let tags = 50
    static let nameLength = 512
    /// Days that a retention policy may name (PutRetentionPolicy reference).
    static let retentionDays: Set<Int> = [
        1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
    ]
    /// Functions' log lines that wait to be written; past either, new ones are dropped and counted. Ours.
    static let bufferedEvents = 100_000
    static let bufferedBytes = 8 << 20
    /// How long a line waits for company before it is written, after a pause and in a steady stream. Ours.
    static let bufferDelay: Duration = .milliseconds(20)
    static let steadyBufferDelay: Duration = .milliseconds(100)
    /// Before lines that could not be written are written once more. Ours.
    static let rewriteDelay: Duration = .seconds(1)
    /// Events written by one statement. Ours.
    static let eventsPerStatement = 8

    // MARK: Filters

    /// Characters and depth of a filter pattern (1,024: PutMetricFilter reference; depth is ours).
    static let patternCharacters = 1_024
    static let patternDepth = 32
    /// Regular expressions of one pattern, and patterns with any of one group (user guide, filter pattern syntax).
    static let regexesPerPattern = 2
    static let regexPatternsPerGroup = 5
    /// Characters that one expression may come to with its repetitions written out. Ours.
    static let regexPlaces = 512
    /// Wildcard selectors of one pattern (user guide).
    static let wildcardsPerPattern = 3
    /// Fields of a space-delimited event that are told apart; longer lines match no such pattern. Ours.
    static let fieldsPerEvent = 1_000
    /// Subscription and metric filters of one group (quotas page).
    static let subscriptionsPerGroup: Int64 = 2
    static let metricFiltersPerGroup: Int64 = 100
    static let dimensionsPerFilter = 3
    static let filtersPerPage = 50
    /// Groups whose compiled filters are kept in memory. Ours.
    static let compiledGroups = 256

    // MARK: Subscriptions

    /// What a subscription's target takes in one piece: a function an event of 1 MB, a stream a record of 1 MiB.
    static let deliveryBytes = 1_000_000
    /// Bytes of a document before it is compressed, so that mostly what comes of it is no larger than that. Ours.
    static let documentBytes = 1 << 20
    /// How long a delivery is tried (reference, section 6: 24 hours).
    static let deliveryAge: Duration = .seconds(86_400)
    /// Batches of events, and about as many bytes, that one round of the subscriptions' worker takes. Ours.
    static let piecesPerRound = 64
    static let bytesPerRound = 4 << 20
    /// Before a round that failed is tried again. Ours.
    static let roundDelay: Duration = .seconds(1)

    // MARK: Metrics and live tails

    /// Bytes of events that wait to be searched for metrics and shown in live tails; past it they are not, and counted. Ours.
    static let tappedBytes = 8 << 20
    /// Of one document in the embedded metric format (specification).
    static let embeddedMetricsPerDirective = 100
    static let embeddedDimensions = 30
    static let embeddedValues = 100
    static let embeddedBytes = 1 << 20
    /// Metrics that one document may come to, dimension sets included. Ours.
    static let embeddedSamples = 3_000
    /// Characters of a namespace, and of metric and dimension names (PutMetricData reference).
    static let metricNameCharacters = 255
    static let dimensionValueCharacters = 1_024
    /// Metrics may lie two weeks back and two hours ahead (PutMetricData reference), milliseconds.
    static let metricOldest: Int64 = 14 * 86_400_000
    static let metricNewest: Int64 = 2 * 3_600_000
    /// Live tails of an account and Region at a time (quotas page), and groups of one.
    static let liveTails = 15
    static let groupsPerTail = 10
    static let streamsPerTail = 10
    /// Seconds between updates, events of one update, and seconds that a session lasts (StartLiveTail reference).
    static let tailUpdate: Duration = .seconds(1)
    static let tailEvents = 500
    static let tailLifetime: Duration = .seconds(3 * 3_600)
    /// Bytes of one update. Ours.
    static let tailBytes = 1 << 20

    // MARK: Upkeep

    /// How often expired events are looked for, and how many rows go in one transaction (some 50 ms of the only writer).
    /// Ours.
    static let sweepInterval: Duration = .seconds(3_600)
    static let sweepBatch = 5_000
}
