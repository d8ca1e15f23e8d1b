import Platform

/// Quotas of EventBridge, each with its unit and source: AWS's quotas page and API reference unless it says otherwise.
enum Limits {
    /// AWS: 100, adjustable. Ours.
    static let buses: Int64 = 1_000
    /// Of one bus. AWS: 300, adjustable. Ours.
    static let rules: Int64 = 2_000
    static let targetsPerRule = 5
    /// Bytes of all entries of one PutEvents (1 MiB since January 2026; reference, section 0).
    static let putEventsBytes = 1_048_576
    /// Bytes that a time counts in an entry (user guide, "Calculating PutEvents event entry size").
    static let timeBytes = 14
    /// Bytes of a bus's policy.
    static let policyBytes = 10_240
    static let tags = 50
    static let page = 100
    /// Buses that an event may come through before it is stopped: loops of rules end. Ours (AWS forwards across accounts once).
    static let forwards = 5
    /// Of targets without a retry policy.
    static let retries = 185
    static let eventAge = Duration.seconds(86_400)
    /// Characters of a role session's name.
    static let sessionCharacters = 64

    // MARK: Ours

    /// API calls that changed nothing and wait to be recorded; more are dropped, and counted.
    static let waitingCalls = 4_096
    /// Deliveries, and bytes of them, that one transaction writes; the rest of a big fan-out follows in others.
    static let deliveriesPerTransaction = 256
    static let bytesPerTransaction = 8 << 20
    /// The same for one event that is handed to a bus in somebody else's transaction, with others like it.
    static let deliveriesPerHandOver = 16
    static let bytesPerHandOver = 1 << 20
    /// How long a piece of a fan-out is held by the transaction that works on it.
    static let fanOutLease = Duration.seconds(60)
    /// Buses whose compiled rules are kept in memory.
    static let compiledBuses = 64
    /// Combinations of source and detail-type under which one rule is looked up.
    static let keysPerRule = 64
    /// Bytes that an input template may make of an event; more goes to the dead-letter queue. As large as events are.
    static let renderedBytes = 1_048_576
    /// Steps of a JSON path.
    static let pathSteps = 64
    /// Schedules that one transaction fires.
    static let schedulesPerTransaction = 64
    /// A rule's time that was missed by more, because no server ran, is not made up for.
    static let scheduleGrace = Duration.seconds(60)
}
