import Platform
import Wire

/// Which events of a bucket go where; kept whole in the bucket's row.
struct NotificationConfiguration: Sendable, Hashable {
    enum Kind: Int64, Sendable, Hashable, CaseIterable {
        case topic = 0
        case queue = 1
        case lambda = 2

        /// The service part of the ARNs that it takes.
        var service: String {
            switch self {
            case .topic: "sns"
            case .queue: "sqs"
            case .lambda: "lambda"
            }
        }

        /// How error texts call it.
        var noun: String {
            switch self {
            case .topic: "topic"
            case .queue: "queue"
            case .lambda: "Lambda"
            }
        }

        var arnMember: String {
            switch self {
            case .topic: "TopicArn"
            case .queue: "QueueArn"
            case .lambda: "LambdaFunctionArn"
            }
        }
    }

    struct Rule: Sendable, Hashable {
        var id: String
        var kind: Kind
        var target: String
        /// With `s3:` in front, `*` at the end perhaps.
        var events: [String]
        var prefix: String?
        var suffix: String?
        /// The order in which the filter rules were given, to return them so.
        var suffixFirst = false
    }

    var rules: [Rule] = []
    /// Whether every event goes to the account's default event bus too.
    var sendsToEventBridge = false

    init() {}

    func packed() -> [UInt8] {
        guard !rules.isEmpty || sendsToEventBridge else { return [] }
        var packer = Packer()
        // The version of this layout: 2 is 1 with EventBridge.
        packer.int(sendsToEventBridge ? 2 : 1)
        packer.int(Int64(rules.count))
        for rule in rules {
            packer.text(rule.id)
            packer.int(rule.kind.rawValue)
            packer.text(rule.target)
            packer.int(Int64(rule.events.count))
            for event in rule.events { packer.text(event) }
            packer.optionalText(rule.prefix)
            packer.optionalText(rule.suffix)
            packer.int(rule.suffixFirst ? 1 : 0)
        }
        return packer.bytes
    }

    init(packed bytes: [UInt8]) throws {
        guard !bytes.isEmpty else { return }
        let corrupt = Failure(.corrupt, "a bucket's notification configuration cannot be read")
        var unpacker = Unpacker(bytes)
        let version = try unpacker.int()
        guard version == 1 || version == 2 else { throw corrupt }
        sendsToEventBridge = version == 2
        for _ in 0..<(try unpacker.count()) {
            let id = try unpacker.text()
            guard let kind = Kind(rawValue: try unpacker.int()) else { throw corrupt }
            var rule = Rule(id: id, kind: kind, target: try unpacker.text(), events: [])
            for _ in 0..<(try unpacker.count()) { rule.events.append(try unpacker.text()) }
            rule.prefix = try unpacker.optionalText()
            rule.suffix = try unpacker.optionalText()
            rule.suffixFirst = try unpacker.int() != 0
            rules.append(rule)
        }
    }

    /// The rules that an event (with `s3:`) of a key fires.
    func matching(event: String, key: ObjectKey) -> [Rule] {
        rules.filter { rule in
            rule.events.contains { EventName.pattern($0, matches: event) }
                && key.bytes.starts(with: (rule.prefix ?? "").utf8)
                && key.bytes.reversed().starts(with: (rule.suffix ?? "").utf8.reversed())
        }
    }

    /// Two rules may not both fire for one event. Throws InvalidArgument with S3's texts.
    func checkOverlaps() throws(AWSError) {
        for (index, a) in rules.enumerated() {
            for b in rules[(index + 1)...] {
                let common = a.events.filter { event in b.events.contains { EventName.overlap(event, $0) } }
                guard !common.isEmpty, overlaps(a.prefix, b.prefix, reversed: false),
                    overlaps(a.suffix, b.suffix, reversed: true)
                else { continue }
                if a.prefix == nil, a.suffix == nil, b.prefix == nil, b.suffix == nil {
                    throw S3Error.invalidArgument(
                        "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
                        name: "Event", value: (a.events + b.events).joined(separator: ", "))
                }
                throw AWSError(
                    "InvalidArgument", status: 400,
                    "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the "
                        + "prefixes are overlapping for the same event type.")
            }
        }
    }

    private func overlaps(_ a: String?, _ b: String?, reversed: Bool) -> Bool {
        let x = reversed ? Array((a ?? "").utf8.reversed()) : Array((a ?? "").utf8)
        let y = reversed ? Array((b ?? "").utf8.reversed()) : Array((b ?? "").utf8)
        return x.starts(with: y) || y.starts(with: x)
    }
}

/// Event names as configurations write them.
enum EventName {
    static let put = "s3:ObjectCreated:Put"
    static let copy = "s3:ObjectCreated:Copy"
    static let complete = "s3:ObjectCreated:CompleteMultipartUpload"
    static let delete = "s3:ObjectRemoved:Delete"
    static let deleteMarker = "s3:ObjectRemoved:DeleteMarkerCreated"
    static let tagged = "s3:ObjectTagging:Put"
    static let untagged = "s3:ObjectTagging:Delete"
    static let acl = "s3:ObjectAcl:Put"
    static let expired = "s3:LifecycleExpiration:Delete"
    static let expiredToMarker = "s3:LifecycleExpiration:DeleteMarkerCreated"
    static let restoring = "s3:ObjectRestore:Post"
    static let restored = "s3:ObjectRestore:Completed"
    static let restoreEnded = "s3:ObjectRestore:Delete"

    /// The model's list; patterns that end in `*` are among them.
    static let all: Set<String> = [
        "s3:ReducedRedundancyLostObject",
        "s3:ObjectCreated:*", put, "s3:ObjectCreated:Post", copy, complete,
        "s3:ObjectRemoved:*", delete, deleteMarker,
        "s3:ObjectRestore:*", restoring, restored, restoreEnded,
        "s3:Replication:*", "s3:Replication:OperationFailedReplication", "s3:Replication:OperationNotTracked",
        "s3:Replication:OperationMissedThreshold", "s3:Replication:OperationReplicatedAfterThreshold",
        "s3:IntelligentTiering", acl, "s3:LifecycleTransition",
        "s3:LifecycleExpiration:*", expired, expiredToMarker, "s3:ObjectTagging:*", tagged, untagged,
        "s3:ObjectAnnotation:*", "s3:ObjectAnnotation:Put", "s3:ObjectAnnotation:Delete", "s3:ObjectRetention:Put",
    ]

    static func pattern(_ pattern: String, matches event: String) -> Bool {
        pattern == event || (pattern.hasSuffix(":*") && event.hasPrefix(pattern.dropLast()))
    }

    static func overlap(_ a: String, _ b: String) -> Bool { pattern(a, matches: b) || pattern(b, matches: a) }
}
