import Platform

/// A message to an HTTP(S) subscriber, as it lies in the queue: all that is needed to send it, so that an attempt reads nothing
/// else. A JSON head, a newline, and the body's bytes.
struct HTTPItem: Sendable {
    var kind: Envelope.Kind
    var messageID: String
    var topicARN: String
    var account: String
    /// Nil for subscription confirmations, which do not name it in a header.
    var subscriptionARN: String?
    var url: String
    var isRaw: Bool
    var policy: HTTPDeliveryPolicy
    /// A queue's ARN.
    var deadLetterTarget: String?
    /// How often it was tried.
    var attempts = 0
    var body: [UInt8]

    func encoded() -> [UInt8] {
        var head: Fields = [
            "type": .string(kind.rawValue), "id": .string(messageID), "topic": .string(topicARN),
            "account": .string(account), "url": .string(url), "raw": .bool(isRaw), "attempts": .int(Int64(attempts)),
            "policy": policy.effective,
        ]
        if let subscriptionARN { head.append("subscription", .string(subscriptionARN)) }
        if let deadLetterTarget { head.append("dead", .string(deadLetterTarget)) }
        return JSON.encode(.map(head)) + [UInt8(ascii: "\n")] + body
    }

    /// Nil when the bytes are none that `encoded` made.
    init?(encoded bytes: [UInt8]) {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")), let head = try? JSON.parse(bytes[..<end]),
            let kind = head["type"]?.string.flatMap(Envelope.Kind.init), let id = head["id"]?.string,
            let topic = head["topic"]?.string, let account = head["account"]?.string, let url = head["url"]?.string
        else { return nil }
        self.init(
            kind: kind, messageID: id, topicARN: topic, account: account,
            subscriptionARN: head["subscription"]?.string, url: url, isRaw: head["raw"]?.bool ?? false,
            policy: .effective(topic: nil, subscription: head["policy"].map { JSON.encodeString($0) }),
            deadLetterTarget: head["dead"]?.string, attempts: Int(clamping: head["attempts"]?.int ?? 0),
            body: Array(bytes[(end + 1)...]))
    }

    init(
        kind: Envelope.Kind, messageID: String, topicARN: String, account: String, subscriptionARN: String?,
        url: String, isRaw: Bool, policy: HTTPDeliveryPolicy, deadLetterTarget: String?, attempts: Int = 0,
        body: [UInt8]
    ) {
        self.kind = kind
        self.messageID = messageID
        self.topicARN = topicARN
        self.account = account
        self.subscriptionARN = subscriptionARN
        self.url = url
        self.isRaw = isRaw
        self.policy = policy
        self.deadLetterTarget = deadLetterTarget
        self.attempts = attempts
        self.body = body
    }

    /// SNS developer guide, "HTTP/HTTPS headers".
    var headers: [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = [
            ("x-amz-sns-message-type", kind.rawValue), ("x-amz-sns-message-id", messageID),
            ("x-amz-sns-topic-arn", topicARN),
        ]
        if let subscriptionARN { headers.append(("x-amz-sns-subscription-arn", subscriptionARN)) }
        if isRaw { headers.append(("x-amz-sns-rawdelivery", "true")) }
        headers.append(("Content-Type", policy.contentType))
        headers.append(("User-Agent", "Amazon Simple Notification Service Agent"))
        return headers
    }
}

/// What an attempt came to.
enum HTTPOutcome: Sendable, Equatable {
    case status(Int)
    /// No answer: refused, unknown name, TLS, timeout.
    case noAnswer
}

/// What becomes of a message after an attempt; pure.
enum HTTPRetry {
    enum Decision: Equatable {
        case delivered
        case again(after: Duration)
        /// To the dead-letter queue, if there is one.
        case giveUp
    }

    /// AWS tries again after 5xx, 429 and no answer; everything else is final. `attempts` counts this one.
    static func decide(_ outcome: HTTPOutcome, attempts: Int, policy: HTTPDeliveryPolicy) -> Decision {
        if case .status(let status) = outcome {
            if (200...299).contains(status) { return .delivered }
            guard status == 429 || status >= 500 || status < 200 else { return .giveUp }
        }
        return policy.wait(afterAttempt: attempts).map { .again(after: $0) } ?? .giveUp
    }
}

/// How many deliveries a second may go to one subscriber (`maxReceivesPerSecond`): a bucket that fills evenly.
struct ReceiveRate: Sendable {
    let perSecond: Int
    private var tokens: Double
    private var filledAt: Instant

    init(perSecond: Int, now: Instant) {
        self.perSecond = max(perSecond, 1)
        tokens = Double(self.perSecond)
        filledAt = now
    }

    /// How many of `wanted` may go now, and when the next may if that was not all.
    mutating func take(_ wanted: Int, now: Instant) -> (granted: Int, next: Instant?) {
        tokens = min(Double(perSecond), tokens + max((now - filledAt).fractionalSeconds, 0) * Double(perSecond))
        filledAt = max(now, filledAt)
        let granted = min(wanted, Int(tokens))
        tokens -= Double(granted)
        guard granted < wanted else { return (granted, nil) }
        let wait = (1 - tokens) / Double(perSecond)
        return (granted, now + .nanoseconds(Int64(max(wait, 0.001) * 1e9)))
    }

    /// Whether nothing went for so long that it need not be remembered.
    func isFull(now: Instant) -> Bool {
        tokens + max((now - filledAt).fractionalSeconds, 0) * Double(perSecond) >= Double(perSecond)
    }

    /// Gives back what was granted and not used.
    mutating func giveBack(_ count: Int) { tokens = min(Double(perSecond), tokens + Double(max(count, 0))) }
}
