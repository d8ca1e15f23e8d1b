/// Bounds of schedules, each with its unit and source.
enum Limits {
    /// Years that a cron expression may name (EventBridge user guide, "Cron expressions").
    static let years: ClosedRange<Int> = 1970...2199
    /// Seconds from 1970 to the ends of what an `Instant` can say (the years 1677 and 2262), roughly.
    static let secondsOfInstants: Int64 = 9_223_000_000
    /// Digits of a number in an expression. Ours.
    static let digits = 9
    /// Characters of an expression (the model's `ScheduleExpression`).
    static let expressionBytes = 256
    /// Elements of one field's list. Ours: as many as there are minutes.
    static let listElements = 60
    /// Local times that are passed over because a change of the clocks left them out or repeated them, before a search
    /// gives up. Ours: the longest gap, a day, has 1,440 minutes, and a date in a gap may come up once a year.
    static let skippedTimes = 4_096
    /// Transitions in a file of a time zone; the longest has about 250. Ours.
    static let transitions = 4_096
    /// Bytes of a file of a time zone. Ours: the largest are 4 KB.
    static let zoneFileBytes = 65_536
}
