import Platform
import Wire

/// Which attributes a topic has, and what they may be.
enum TopicAttributes {
    private static let deliveryStatus: Set<String> = Set(
        ["HTTP", "Firehose", "Lambda", "Application", "SQS"].flatMap { target in
            ["SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate", "FailureFeedbackRoleArn"].map { target + $0 }
        })

    /// Checks one attribute and answers what is kept. Throws for names that no topic has.
    static func checked(
        _ name: String, _ value: String, isFIFO: Bool, isCreation: Bool, prefix: String = ""
    ) throws(AWSError) -> String {
        func refuse() -> AWSError { .invalidParameter("\(prefix)\(name)") }
        // A policy says so itself, in its own words.
        let most = name == "DeliveryPolicy" ? Limits.policyBytes : Limits.attributeBytes
        guard name == "Policy" || value.utf8.count <= most else {
            throw .invalidParameter("\(prefix)\(name): must be at most \(most) bytes")
        }
        switch name {
        case "DisplayName":
            guard value.unicodeScalars.count <= Limits.displayNameCharacters else { throw refuse() }
        case "Policy": try TopicPolicy.check(value)
        case "DeliveryPolicy": try HTTPDeliveryPolicy.check(topic: value)
        case "FifoTopic":
            guard isCreation else { throw .invalidParameter("AttributeName") }
            return try boolean(value, name, prefix)
        case "ContentBasedDeduplication":
            guard isFIFO else {
                throw .invalidParameter("\(prefix)Content-based deduplication can only be set for FIFO topics")
            }
            return try boolean(value, name, prefix)
        case "FifoThroughputScope":
            guard isFIFO, value == "Topic" || value == "MessageGroup" else { throw refuse() }
        case "SignatureVersion":
            guard value == "1" || value == "2" else { throw refuse() }
        case "TracingConfig":
            guard value == "PassThrough" || value == "Active" else { throw refuse() }
        case "MaximumMessageSize":
            guard let bytes = Int(value), Limits.maximumMessageBytes.contains(bytes) else { throw refuse() }
        case "KmsMasterKeyId": break
        case "ArchivePolicy":
            guard value.isEmpty else {
                throw .invalidParameter("\(prefix)ArchivePolicy: Martlet does not archive and replay messages")
            }
        default:
            guard deliveryStatus.contains(name) else { throw .invalidParameter("AttributeName") }
        }
        return value
    }

    private static func boolean(_ value: String, _ name: String, _ prefix: String) throws(AWSError) -> String {
        let folded = value.lowercased()
        guard folded == "true" || folded == "false" else {
            throw .invalidParameter("\(prefix)\(name): Invalid value [\(value)]. Must be true or false.")
        }
        return folded
    }

    /// Whether a topic that is there is what CreateTopic asks for.
    static func agree(_ topic: Topic, with asked: Fields) -> Bool {
        asked.entries.allSatisfy { entry in
            let value = entry.value.string ?? ""
            return (topic.attribute(entry.name) ?? standard(entry.name, topic.key)) == value
        }
    }

    private static func standard(_ name: String, _ key: TopicKey) -> String {
        switch name {
        case "FifoTopic": key.isFIFO ? "true" : "false"
        case "ContentBasedDeduplication": "false"
        case "FifoThroughputScope": "Topic"
        case "SignatureVersion": "1"
        case "TracingConfig": "PassThrough"
        case "MaximumMessageSize": String(Limits.messageBytes)
        case "Policy": TopicPolicy.standard(key)
        default: ""
        }
    }

    /// As GetTopicAttributes shows them.
    static func shown(_ topic: Topic, _ counts: SubscriptionTable.Counts) -> [(key: String, value: String)] {
        var shown: [(key: String, value: String)] = [
            ("Policy", topic.policy), ("Owner", topic.key.scope.account),
            ("SubscriptionsPending", String(counts.pending)), ("TopicArn", topic.key.arn),
            ("EffectiveDeliveryPolicy", JSON.encodeString(effectivePolicy(topic))),
            ("SubscriptionsConfirmed", String(counts.confirmed)),
            ("DisplayName", topic.attribute("DisplayName") ?? ""),
            ("SubscriptionsDeleted", String(topic.deletedSubscriptions)),
        ]
        if topic.key.isFIFO {
            shown.append(("FifoTopic", "true"))
            shown.append(("ContentBasedDeduplication", topic.isContentDeduplicated ? "true" : "false"))
            shown.append(("FifoThroughputScope", topic.attribute("FifoThroughputScope") ?? "Topic"))
        }
        let there = Set(shown.map(\.key))
        for entry in topic.attributes.entries where !there.contains(entry.name) && entry.name != "FifoTopic" {
            shown.append((entry.name, entry.value.string ?? ""))
        }
        return shown
    }

    private static func effectivePolicy(_ topic: Topic) -> Value {
        let text = topic.attribute("DeliveryPolicy")
        let disables = text.flatMap { try? JSON.parse($0) }?["http"]?["disableSubscriptionOverrides"]?.bool ?? false
        return HTTPDeliveryPolicy.effective(topic: text, subscription: nil)
            .effectiveOfTopic(disablesOverrides: disables)
    }
}
