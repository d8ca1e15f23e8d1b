import Platform

/// Quotas of EventBridge Scheduler, each with its unit and source: AWS's quotas page and API reference unless it says otherwise.
enum Limits {
    static let groups: Int64 = 500
    static let tags = 50
    static let page = 100
    /// Bytes of a target's input.
    static let inputBytes = 262_144
    /// Of targets without a retry policy.
    static let retries = 185
    static let eventAge = Duration.seconds(86_400)
    /// How far back a start date may lie.
    static let startDateAge = Duration.seconds(300)
    /// Later than this a firing counts as missed (the precision that AWS promises).
    static let precision = Duration.seconds(60)
    /// Characters of a role session's name.
    static let sessionCharacters = 64

    // MARK: Ours

    /// Schedules that one transaction fires: more follow in the next, so that nobody waits long behind them.
    static let firingsPerTransaction = 64
    /// Schedules of a deleted group that one transaction removes.
    static let removalsPerTransaction = 1_000
    /// How long a schedule waits whose time zone cannot be read. Ours.
    static let zoneRetry = Duration.seconds(60)
    /// Time zones that are kept in memory: all that there are, of a few kilobytes each.
    static let zones = 600
}
