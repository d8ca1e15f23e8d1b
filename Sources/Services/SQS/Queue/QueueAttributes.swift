import Platform
import Wire

/// The attributes of a queue that can be set, with AWS's defaults.
struct QueueAttributes: Sendable {
    enum DeduplicationScope: String, Sendable { case queue, messageGroup }
    enum ThroughputLimit: String, Sendable { case perQueue, perMessageGroupId }

    private(set) var isFIFO = false
    private(set) var delaySeconds = 0
    private(set) var maximumMessageSize = 1_048_576
    private(set) var retentionSeconds = 345_600
    private(set) var receiveWaitSeconds = 0
    private(set) var visibilitySeconds = 30
    private(set) var isContentBased = false
    private(set) var deduplicationScope = DeduplicationScope.queue
    private(set) var throughputLimit = ThroughputLimit.perQueue
    private(set) var redrive: RedrivePolicy?
    private(set) var redriveAllow: RedriveAllowPolicy?
    private(set) var policy: QueuePolicy?
    private(set) var keyID: String?
    private(set) var keyReuseSeconds = 300
    private(set) var isManagedEncryption = true

    /// Those that a request may set, in the order of the documentation.
    static let settable = [
        "VisibilityTimeout", "MaximumMessageSize", "MessageRetentionPeriod", "DelaySeconds",
        "ReceiveMessageWaitTimeSeconds", "Policy", "RedrivePolicy", "RedriveAllowPolicy", "FifoQueue",
        "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit", "KmsMasterKeyId",
        "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled",
    ]
    /// Those that are computed.
    static let computed = [
        "QueueArn", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed", "CreatedTimestamp", "LastModifiedTimestamp",
    ]

    init() {}

    /// A new queue's. `FifoQueue` counts first: the others depend on it.
    init(creating pairs: [(key: String, value: String)]) throws(AWSError) {
        if let value = pairs.first(where: { $0.key == "FifoQueue" })?.value {
            // AWS refuses false: a standard queue is made by leaving it out.
            guard value.lowercased() == "true" else { throw .unknownAttribute("FifoQueue") }
            isFIFO = true
        }
        for (name, value) in pairs where name != "FifoQueue" { try set(name, value) }
        try checkTogether()
    }

    /// As `SetQueueAttributes` does it.
    mutating func change(_ pairs: [(key: String, value: String)]) throws(AWSError) {
        for (name, value) in pairs {
            if name == "FifoQueue" {
                guard isFIFO else { throw .unknownAttribute(name) }
                guard value.lowercased() == "true" else {
                    throw .invalidAttribute(name, reason: "Modifying queue type is not supported.")
                }
            } else {
                try set(name, value)
            }
        }
        try checkTogether()
    }

    private func checkTogether() throws(AWSError) {
        if throughputLimit == .perMessageGroupId, deduplicationScope == .queue {
            throw AWSError(
                "InvalidAttributeValue",
                "Invalid value for the parameter FifoThroughputLimit. Reason: The perMessageGroupId value is allowed only "
                    + "when the value for DeduplicationScope is messageGroup.")
        }
    }

    private mutating func set(_ name: String, _ value: String) throws(AWSError) {
        switch name {
        case "VisibilityTimeout":
            visibilitySeconds = try Self.number(value, Limits.visibilitySeconds, name)
        case "MaximumMessageSize":
            maximumMessageSize = try Self.number(value, Limits.maximumMessageSize, name)
        case "MessageRetentionPeriod":
            retentionSeconds = try Self.number(value, Limits.retentionSeconds, name)
        case "DelaySeconds": delaySeconds = try Self.number(value, Limits.delaySeconds, name)
        case "ReceiveMessageWaitTimeSeconds":
            receiveWaitSeconds = try Self.number(value, Limits.waitSeconds, name)
        case "Policy": policy = value.isEmpty ? nil : try QueuePolicy(value)
        case "RedrivePolicy": redrive = value.isEmpty ? nil : try RedrivePolicy(value)
        case "RedriveAllowPolicy": redriveAllow = value.isEmpty ? nil : try RedriveAllowPolicy(value)
        case "ContentBasedDeduplication":
            guard isFIFO else { throw .unknownAttribute(name) }
            isContentBased = try Self.flag(value, name)
        case "DeduplicationScope":
            guard isFIFO else { throw Self.onlyForFIFO(name) }
            guard let scope = DeduplicationScope(rawValue: value) else { throw .invalidAttribute(name) }
            deduplicationScope = scope
        case "FifoThroughputLimit":
            guard isFIFO else { throw Self.onlyForFIFO(name) }
            guard let limit = ThroughputLimit(rawValue: value) else { throw .invalidAttribute(name) }
            throughputLimit = limit
        case "KmsMasterKeyId":
            keyID = value.isEmpty ? nil : value
            if keyID != nil { isManagedEncryption = false }
        case "KmsDataKeyReusePeriodSeconds":
            keyReuseSeconds = try Self.number(value, Limits.keyReuseSeconds, name)
        case "SqsManagedSseEnabled":
            isManagedEncryption = try Self.flag(value, name)
            if isManagedEncryption { keyID = nil }
        default: throw .unknownAttribute(name)
        }
    }

    private static func onlyForFIFO(_ name: String) -> AWSError {
        AWSError("InvalidAttributeName", "You can specify the \(name) only when FifoQueue is set to true.")
    }

    private static func number(_ text: String, _ range: ClosedRange<Int>, _ name: String) throws(AWSError) -> Int {
        guard let number = Int(text), range.contains(number) else { throw .invalidAttribute(name) }
        return number
    }

    private static func flag(_ text: String, _ name: String) throws(AWSError) -> Bool {
        switch text.lowercased() {
        case "true": return true
        case "false": return false
        default: throw .invalidAttribute(name)
        }
    }

    /// The value as GetQueueAttributes shows it; nil when the queue has none.
    func text(_ name: String) -> String? {
        switch name {
        case "VisibilityTimeout": String(visibilitySeconds)
        case "MaximumMessageSize": String(maximumMessageSize)
        case "MessageRetentionPeriod": String(retentionSeconds)
        case "DelaySeconds": String(delaySeconds)
        case "ReceiveMessageWaitTimeSeconds": String(receiveWaitSeconds)
        case "Policy": policy?.text
        case "RedrivePolicy": redrive?.text
        case "RedriveAllowPolicy": redriveAllow?.text
        case "FifoQueue": isFIFO ? "true" : nil
        case "ContentBasedDeduplication": isFIFO ? String(isContentBased) : nil
        case "DeduplicationScope": isFIFO ? deduplicationScope.rawValue : nil
        case "FifoThroughputLimit": isFIFO ? throughputLimit.rawValue : nil
        case "KmsMasterKeyId": keyID
        case "KmsDataKeyReusePeriodSeconds": keyID == nil ? nil : String(keyReuseSeconds)
        case "SqsManagedSseEnabled": String(isManagedEncryption)
        default: nil
        }
    }

    /// The attribute of a request to create a queue that is not as this queue's, if one differs.
    func difference(to pairs: [(key: String, value: String)]) throws(AWSError) -> String? {
        if let value = pairs.first(where: { $0.key == "FifoQueue" })?.value, value.lowercased() == "true", !isFIFO {
            return "FifoQueue"
        }
        let wanted = try QueueAttributes(creating: pairs)
        return pairs.first { pair in wanted.text(pair.key) != text(pair.key) }?.key
    }

    // MARK: Store

    /// What differs from the defaults does not matter: all that can be set is kept, as the texts that were shown.
    var stored: [UInt8] {
        JSON.encode(
            .map(
                Fields(
                    Self.settable.compactMap { name in
                        if name == "KmsDataKeyReusePeriodSeconds" { return (name, .string(String(keyReuseSeconds))) }
                        return text(name).map { (name, .string($0)) }
                    })))
    }

    /// Throws `Failure(.corrupt)` through the caller when the row is not what was written.
    init(stored bytes: [UInt8]) throws {
        guard let fields = try JSON.parse(bytes).fields else {
            throw Failure(.corrupt, "The attributes of a queue cannot be read.")
        }
        isFIFO = fields["FifoQueue"]?.string == "true"
        // A key switches managed encryption off, which may be off without a key: the flag is set last.
        for entry in fields.entries where entry.name != "FifoQueue" && entry.name != "SqsManagedSseEnabled" {
            try set(entry.name, entry.value.string ?? "")
        }
        if fields["SqsManagedSseEnabled"]?.string == "false" { isManagedEncryption = false }
    }
}
