import Platform

/// Every bound of SNS, with its unit and its source: AWS's quotas page and API reference unless it says otherwise.
enum Limits {
    // MARK: Messages

    /// Bytes of a message and its attributes, where the topic has no `MaximumMessageSize` of its own; also of a batch.
    static let messageBytes = 262_144
    /// What `MaximumMessageSize` may be.
    static let maximumMessageBytes = 1_024...1_048_576
    /// Subscriptions of a topic that takes more than `messageBytes`.
    static let largeMessageSubscriptions = 100
    static let batchEntries = 10
    static let batchEntryIDCharacters = 80
    /// A subject is shorter than this.
    static let subjectCharacters = 100
    /// Of message group and deduplication ids.
    static let fifoIDCharacters = 128
    /// A message attribute's name is shorter than this, in bytes.
    static let attributeNameBytes = 256
    static let deduplicationInterval = Duration.seconds(300)
    /// Old deduplication ids that one publish clears away. Ours: the table stays as small as its traffic.
    static let deduplicationSweep = 64

    // MARK: Topics and subscriptions

    static let nameCharacters = 256
    static let topics = 100_000
    /// Ours (AWS: 12,500,000).
    static let subscriptions = 10_000
    static let fifoTopics = 1_000
    static let fifoSubscriptions = 100
    static let filterPoliciesPerTopic = 200
    static let tags = 50
    static let displayNameCharacters = 100
    static let policyBytes = 30_720
    static let endpointBytes = 2_048
    static let filterPolicyBytes = 262_144
    /// Of attributes that name something (keys, roles, dead-letter queues). Ours: AWS names no number.
    static let attributeBytes = 2_048
    /// Message attributes of a raw delivery to a queue: a queue takes no more, and the message is discarded.
    static let rawMessageAttributes = 10
    static let page = 100
    /// How long a token confirms a subscription, and how long an unconfirmed subscription is kept.
    static let tokenLifetime = Duration.seconds(2 * 86_400)
    /// Characters of a token, hexadecimal.
    static let tokenCharacters = 288
    /// Unconfirmed subscriptions that one call clears away. Ours.
    static let tokenSweep = 64
    /// Compiled filter policies that are kept in memory. Ours.
    static let filterCache = 1_024

    // MARK: Delivery

    /// To SQS and Lambda: 100,015 attempts over 23 days (reference 6, overview).
    static let managedRetries = 100_014
    static let managedAge = Duration.seconds(23 * 86_400)
    /// What one transaction of a fan-out writes at most: copies of the message (bytes, without what is written around
    /// them), and subscriptions. More goes out page by page, from one row that the publish commits. Ours.
    static let fanOutBytes = 8 << 20
    static let fanOutSubscriptions = 256
    /// Messages of one topic that are read, signed and sent on together. Ours.
    static let fanOutBatch = 16
    /// Topics whose messages are sent on at the same time. Ours.
    static let fanOutTopics = 4
    /// Held longer than a page takes.
    static let fanOutLease = Duration.seconds(60)
    /// Before what could not be written is tried again. Ours.
    static let fanOutPause = Duration.seconds(1)
    /// How long an HTTP(S) subscriber may take to answer.
    static let httpTimeout = Duration.seconds(15)
    /// Requests under way to one subscription, to one host, and to all: each holds its message in memory. Ours.
    static let httpConcurrencyPerSubscription = 4
    static let httpConcurrencyPerHost = 32
    static let httpConcurrency = 128
    /// The same for hosts that have not answered (yet, or the last time): each request may take `httpTimeout`, and the others
    /// keep the rest of the places. Ours.
    static let httpUnprovenPerSubscription = 1
    static let httpUnprovenPerHost = 4
    static let httpUnproven = 64
    /// Hosts of which it is remembered whether they answer. Ours.
    static let httpHosts = 4_096
    /// Rates of throttled subscriptions that are remembered. Ours.
    static let httpRates = 1_024
    /// Held longer than any request takes.
    static let httpLease = Duration.seconds(60)
    /// By how much of itself a wait between two attempts is shortened at most, by chance: AWS documents that there is jitter, not
    /// how much. Never longer: the waits of a policy have a longest total.
    static let httpJitter = 0.2
    /// Retries and seconds that a delivery policy may ask for.
    static let policyRetries = 100
    static let policyDelaySeconds = 3_600
    static let policyTotalSeconds = 3_600.0
}
