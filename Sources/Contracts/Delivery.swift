public import Platform
public import Storage

/// One push of an event to a target that is named by ARN; a row of the Outbox until the target has taken it over.
public struct Delivery: Sendable, Hashable {
    /// Keeps its value over repeats, so that a target can recognise one.
    public var id: String
    public var target: String
    public var principal: Principal
    public var payload: [UInt8]
    public var createdAt: Instant
    /// What goes beside the payload; a target takes what it knows and passes over the rest.
    public var attributes: DeliveryAttributes
    public var retry: DeliveryRetry
    /// Where the payload goes when the target never takes it; nil: it is dropped, and logged.
    public var deadLetter: DeadLetter?
    /// What it is for: decides how its loss is counted.
    public var purpose = Purpose.event

    public enum Purpose: String, Sendable, Hashable {
        case event
        /// The record of an invocation, for a function's destination.
        case destination
        /// An event that its consumer could not handle, for a dead-letter queue.
        case deadLetter
    }

    public init(
        id: String, target: String, principal: Principal, payload: [UInt8], createdAt: Instant,
        attributes: DeliveryAttributes = DeliveryAttributes(), retry: DeliveryRetry = DeliveryRetry(),
        deadLetter: DeadLetter? = nil
    ) {
        self.id = id
        self.target = target
        self.principal = principal
        self.payload = payload
        self.createdAt = createdAt
        self.attributes = attributes
        self.retry = retry
        self.deadLetter = deadLetter
    }
}

/// What a queue, topic or bus can take beside the payload.
public struct DeliveryAttributes: Sendable, Hashable {
    public var message: [MessageAttribute]
    public var messageGroupID: String?
    public var messageDeduplicationID: String?
    /// SNS: the subject of a message.
    public var subject: String?
    /// `X-Amzn-Trace-Id` of the cause: SQS keeps it as `AWSTraceHeader`; a function's lineage is in it.
    public var traceHeader: String?
    /// EventBridge: the payload is the `detail` of an event of this kind.
    public var event: EventKind?
    /// EventBridge: the payload is a whole event, which so many buses have sent on, and not the `detail` of one.
    public var forwards: Int?
    /// Kinesis: the key that chooses the shard.
    public var partitionKey: String?
    /// S3: the key that the object gets.
    public var objectKey: String?
    /// S3, whose ARNs name no Region: that of the sender.
    public var region: String?

    public struct EventKind: Sendable, Hashable {
        public var source: String
        public var detailType: String
        public var resources: [String]
        public init(source: String, detailType: String, resources: [String]) {
            self.source = source
            self.detailType = detailType
            self.resources = resources
        }
    }

    public init(
        message: [MessageAttribute] = [], messageGroupID: String? = nil, messageDeduplicationID: String? = nil,
        subject: String? = nil, traceHeader: String? = nil, event: EventKind? = nil
    ) {
        self.message = message
        self.messageGroupID = messageGroupID
        self.messageDeduplicationID = messageDeduplicationID
        self.subject = subject
        self.traceHeader = traceHeader
        self.event = event
    }
}

/// A message attribute of SQS and SNS.
public struct MessageAttribute: Sendable, Hashable {
    public enum Content: Sendable, Hashable {
        case string(String)
        case binary([UInt8])
    }
    public var name: String
    /// `String`, `Number` or `Binary`, possibly with a custom label: `Number.int`; SNS also `String.Array`.
    public var dataType: String
    public var content: Content

    public init(name: String, dataType: String, content: Content) {
        self.name = name
        self.dataType = dataType
        self.content = content
    }
}

/// How long a delivery is tried again after temporary refusals; nil is without that limit.
public struct DeliveryRetry: Sendable, Hashable {
    /// Tries after the first.
    public var maximumRetries: Int?
    /// Counted from `Delivery.createdAt`.
    public var maximumAge: Duration?
    public init(maximumRetries: Int? = nil, maximumAge: Duration? = nil) {
        self.maximumRetries = maximumRetries
        self.maximumAge = maximumAge
    }
}

/// The queue for what a target never took.
public struct DeadLetter: Sendable, Hashable {
    /// A queue's ARN.
    public var target: String
    public var principal: Principal
    /// Whether the message gets the attributes that EventBridge adds (RULE_ARN, TARGET_ARN, ERROR_CODE, ERROR_MESSAGE,
    /// EXHAUSTED_RETRY_CONDITION, RETRY_ATTEMPTS); the rule's ARN.
    public var ruleARN: String?
    /// What the message tells of where it came from (Scheduler: SCHEDULE_ARN, EXECUTION_ID). With any, it gets EventBridge's
    /// other attributes too.
    public var source: [MessageAttribute] = []
    /// What goes there, where it is not what the target was to get (SNS: the notification, not the function's event).
    public var payload: [UInt8]?
    public init(target: String, principal: Principal, ruleARN: String? = nil, payload: [UInt8]? = nil) {
        self.target = target
        self.principal = principal
        self.ruleARN = ruleARN
        self.payload = payload
    }
}

/// Why a target does not take a delivery.
public enum DeliveryRefusal: Error, Sendable, Hashable {
    /// It never will as things stand (gone, or no permission); AWS's error code and text.
    case permanent(code: String, message: String)
    /// It may later (throttled, starting).
    case temporary(code: String, message: String)
}

/// A service whose resources can be pushed to: Lambda functions, and later queues, topics, buses.
public protocol DeliveryTarget: Sendable {
    /// The service part of the target ARNs that it takes, e.g. `lambda`.
    var arnService: String { get }

    /// Takes the delivery over inside the transaction that also removes it from the Outbox, so that it is handed over
    /// exactly once. Checks that the principal may. Throws `DeliveryRefusal`.
    func accept(_ delivery: Delivery, in transaction: any WriteTransaction, now: Instant) throws

    /// Whether the target exists and the principal may push to it, for a configuration that names it.
    /// Throws `DeliveryRefusal.permanent`.
    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws
}

/// Appends to the Outbox inside the caller's transaction; implemented by the engine's dispatcher, which wakes after commit.
public protocol DeliveryOutbox: Sendable {
    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws
    /// Validates a target through its `DeliveryTarget`. Throws `DeliveryRefusal.permanent`, also for unknown ARNs.
    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws
}
