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
    /// Characters and depth of a filter pattern (1,024: PutMetricFilter reference; depth is ours).
    static let patternCharacters = 1_024
    static let patternDepth = 32
    /// How often expired events are looked for, and how many rows go in one transaction (some 50 ms of the only writer).
    /// Ours.
    static let sweepInterval: Duration = .seconds(3_600)
    static let sweepBatch = 5_000
}
