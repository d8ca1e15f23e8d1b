/// Every quota of the engine, with unit and source.
public enum Limits {
    /// Concurrent executions per account and Region (AWS default quota).
    public static let accountConcurrency = 1_000
    /// New environments per function in `scalingWindow` (AWS: 1,000 every 10 seconds, refilled continuously).
    public static let scalingEnvironments = 1_000
    /// Length of the scaling window.
    public static let scalingWindow: Duration = .seconds(10)
    /// An environment that has not been used for this long is shut down (AWS: "minutes", not promised).
    public static let idleEnvironmentLifetime: Duration = .seconds(300)
    /// An environment of this age takes no further invocation. Its credentials are good for 12 hours
    /// (`Execution/Limits.credentialSeconds`), and it may be idle for a while and then run for 15 minutes.
    public static let environmentLifetime: Duration = .seconds(11 * 3_600)
    /// At least so many environments (else half of the machine's) may be on their way out while others are started. Ours.
    public static let leavingEnvironments = 4
    /// Of how many idle environments, the ones used last, the one nearest to the caller is looked for. Ours.
    public static let nearnessDepth = 16
    /// Environments that one invocation is given to, when one is lost before the event has reached the function. Ours.
    public static let deliveryAttempts = 3
    /// How often idle environments are looked at.
    public static let idleSweepInterval: Duration = .seconds(30)
    /// Retries after a function error wait this long, the first and the second time (AWS, asynchronous invocation).
    public static let functionErrorWaits: [Duration] = [.seconds(60), .seconds(120)]
    /// Backoff after throttles and system errors: from here, doubling … (AWS: 1 second)
    public static let systemBackoffFirst: Duration = .seconds(1)
    /// … up to here (AWS: 5 minutes).
    public static let systemBackoffLongest: Duration = .seconds(300)
    /// Asynchronous events of one function and qualifier that run at the same time: at first for each processor, and at
    /// the most (see `BacklogConcurrency`). Ours.
    public static let asynchronousConcurrencyPerProcessor = 1
    public static let asynchronousConcurrency = 64
    /// A backlog that stays lets one more run after this time. Ours.
    public static let backlogGrowthInterval: Duration = .seconds(1)
    /// The largest record that a destination takes, in bytes, by the service of its ARN; a larger one goes without its
    /// payloads. SNS: 256 KB (AWS drops the payload so). The others: ours, since AWS does not say; each is what the service
    /// takes in one message, so that the record is not lost.
    public static let recordBytes = ["sns": 262_144, "events": 262_144, "sqs": 1_048_576, "lambda": 1_048_576]
    /// Of a function's error message, what a dead letter tells (AWS: the first 1 KB).
    public static let errorMessageBytes = 1_024
    /// A claimed event belongs to this process for a function's longest timeout (900 s) and a minute more.
    public static let asynchronousLease: Duration = .seconds(960)
    /// Between two tries to write down how an attempt ended. Ours.
    public static let asynchronousRewrite: Duration = .seconds(1)
    /// Deliveries that are handed over in their sender's transaction, for each transaction; the rest become rows. Ours: a
    /// transaction holds up the writer.
    public static let outboxHandOversAtOnce = 16
    /// Dead letters, and the records of invocations, are tried for this long while their target is not ready. Ours.
    public static let deadLetterAge: Duration = .seconds(86_400)
    /// Objects that the Outbox writes at the same time, each with its payload in memory; the others wait as rows. Ours.
    public static let outboxObjectWrites = 16
    /// Outbox rows handed over in one transaction.
    public static let outboxBatch = 64
    /// An outbox row that is not handed over by then is claimed again.
    public static let outboxLease: Duration = .seconds(60)

    // MARK: Lambda's own metrics

    /// How long counts are kept before the sink gets them. Ours.
    static let meterInterval: Duration = .seconds(1)
    /// Functions, versions and aliases counted in that time, and different values of a measure; ours.
    static let meteredFunctions = 10_000
    static let meteredValues = 1_000
}
