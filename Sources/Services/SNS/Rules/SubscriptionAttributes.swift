import Platform
import Wire

/// Which attributes a subscription has, and what they may be.
enum SubscriptionAttributes {
    /// Checks one attribute against the subscription that it is for, and sets it. Subscribe says "Attributes Reason: " before
    /// its complaints.
    static func set(
        _ name: String, _ value: String, on subscription: inout Subscription, isSubscribe: Bool
    ) throws(AWSError) {
        let prefix = isSubscribe ? "Attributes Reason: " : ""
        var kept: String? = value
        let most = mostBytes(name)
        guard value.utf8.count <= most else {
            throw .invalidParameter("\(prefix)\(name): must be at most \(most) bytes")
        }
        switch name {
        case "RawMessageDelivery":
            let folded = value.lowercased()
            guard folded == "true" || folded == "false" else {
                throw .invalidParameter("\(prefix)RawMessageDelivery: Invalid value [\(value)]. Must be true or false.")
            }
            if folded == "true", subscription.transport == .lambda {
                throw .invalidParameter(
                    "\(prefix)Delivery protocol [lambda] does not support raw message delivery.")
            }
            kept = folded
        case "FilterPolicy":
            // `{}` and nothing take the filter away.
            let text = value.filter { !$0.isWhitespace }
            if text.isEmpty || text == "{}" { kept = nil }
        case "FilterPolicyScope":
            guard value == "MessageAttributes" || value == "MessageBody" else {
                throw .invalidParameter(
                    "\(prefix)FilterPolicyScope: Invalid value [\(value)]. Please use either MessageBody or "
                        + "MessageAttributes")
            }
        case "RedrivePolicy": kept = try redrivePolicy(value, subscription, prefix)
        case "DeliveryPolicy":
            guard subscription.transport.isHTTP else {
                throw .invalidParameter(
                    "\(prefix)Delivery policies are only supported by HTTP and HTTPS subscriptions")
            }
            if value.isEmpty { kept = nil } else { try HTTPDeliveryPolicy.check(subscription: value) }
        case "ReplayPolicy":
            throw .invalidParameter("\(prefix)ReplayPolicy: Martlet does not archive and replay messages")
        case "SubscriptionRoleArn": break
        default: throw .invalidParameter("AttributeName")
        }
        subscription.attributes[name] = kept.map { .string($0) }
        if name == "FilterPolicy" || name == "FilterPolicyScope" { try checkFilter(subscription, prefix) }
    }

    /// Every publish reads the attributes of all subscriptions, so none is without a bound.
    private static func mostBytes(_ name: String) -> Int {
        switch name {
        case "FilterPolicy": Limits.filterPolicyBytes
        case "DeliveryPolicy": Limits.policyBytes
        default: Limits.attributeBytes
        }
    }

    /// Sets several in an order in which each finds what it depends on.
    static func set(_ all: Fields, on subscription: inout Subscription) throws(AWSError) {
        let last = all.entries.filter { $0.name == "FilterPolicy" }
        for entry in all.entries.filter({ $0.name != "FilterPolicy" }) + last {
            try set(entry.name, entry.value.string ?? "", on: &subscription, isSubscribe: true)
        }
    }

    private static func checkFilter(_ subscription: Subscription, _ prefix: String) throws(AWSError) {
        guard let text = subscription.filterPolicy else { return }
        _ = try SubscriptionFilter(text, matchesBody: subscription.filtersBody, prefix: prefix)
    }

    private static func redrivePolicy(
        _ text: String, _ subscription: Subscription, _ prefix: String
    ) throws(AWSError) -> String? {
        if text.isEmpty { return nil }
        let value: Value
        do {
            value = try JSON.parse(text)
        } catch {
            throw .invalidParameter("\(prefix)RedrivePolicy: failed to parse JSON. \(error.jacksonText)")
        }
        guard let fields = value.fields else {
            throw .invalidParameter("\(prefix)RedrivePolicy: must be a JSON object")
        }
        if fields.isEmpty { return nil }
        guard let target = value["deadLetterTargetArn"]?.string, let arn = ARN(target), arn.service == "sqs" else {
            throw .invalidParameter("\(prefix)RedrivePolicy: deadLetterTargetArn is an invalid arn")
        }
        // A standard queue that gets a FIFO topic's messages has a standard dead-letter queue.
        let isFIFO = subscription.topic.isFIFO && subscription.endpoint.hasSuffix(".fifo")
        if isFIFO, !arn.resource.hasSuffix(".fifo") {
            throw .invalidParameter(
                "\(prefix)RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")
        }
        if !isFIFO, arn.resource.hasSuffix(".fifo") {
            throw .invalidParameter(
                "\(prefix)RedrivePolicy: must use a standard queue as DLQ for a standard subscription.")
        }
        return text
    }

    /// Whether a subscription that is there has what Subscribe asks for.
    static func agree(_ subscription: Subscription, with asked: Fields) -> Bool {
        asked.entries.allSatisfy { entry in
            let value = entry.value.string ?? ""
            let there = subscription.attribute(entry.name) ?? standard(entry.name)
            return there == value || entry.name == "RawMessageDelivery" && there == value.lowercased()
        }
    }

    private static func standard(_ name: String) -> String {
        switch name {
        case "RawMessageDelivery": "false"
        case "FilterPolicyScope": "MessageAttributes"
        default: ""
        }
    }

    /// As GetSubscriptionAttributes shows them.
    static func shown(_ subscription: Subscription, topic: Topic) -> [(key: String, value: String)] {
        var shown: [(key: String, value: String)] = [
            ("SubscriptionPrincipal", subscription.principal), ("Owner", subscription.owner),
            ("RawMessageDelivery", subscription.attribute("RawMessageDelivery") ?? "false"),
            ("TopicArn", subscription.topic.arn), ("Endpoint", subscription.endpoint),
            ("Protocol", subscription.transport.rawValue),
            ("PendingConfirmation", subscription.state == .pending ? "true" : "false"),
            ("ConfirmationWasAuthenticated", subscription.isAuthenticated ? "true" : "false"),
            ("SubscriptionArn", subscription.arn),
        ]
        if let filter = subscription.filterPolicy {
            shown.append(("FilterPolicy", filter))
            shown.append(("FilterPolicyScope", subscription.attribute("FilterPolicyScope") ?? "MessageAttributes"))
        }
        for name in ["RedrivePolicy", "DeliveryPolicy", "SubscriptionRoleArn"] {
            if let value = subscription.attribute(name) { shown.append((name, value)) }
        }
        if subscription.transport.isHTTP {
            let policy = HTTPDeliveryPolicy.effective(
                topic: topic.attribute("DeliveryPolicy"), subscription: subscription.attribute("DeliveryPolicy"))
            shown.append(("EffectiveDeliveryPolicy", JSON.encodeString(policy.effective)))
        }
        return shown
    }
}
