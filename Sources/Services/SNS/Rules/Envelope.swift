import Contracts
import Platform

/// A message as it was published, after validation.
struct PublishedMessage: Sendable, Equatable {
    var id: String
    var subject: String?
    /// What every protocol gets, or with `MessageStructure` json those that have no text of their own.
    var text: String
    /// Texts for single protocols (`MessageStructure` json).
    var textByProtocol: [String: String] = [:]
    var attributes: [MessageAttribute]
    var groupID: String?
    var deduplicationID: String?
    var traceHeader: String?

    func text(for transport: SubscriptionProtocol) -> String { textByProtocol[transport.rawValue] ?? text }
}

/// What SNS writes around a message. Shapes and key orders: SNS developer guide, "HTTP/HTTPS JSON formats", and
/// lambda-semantics 6.3.
struct Envelope: Sendable {
    enum Kind: String, Sendable {
        case notification = "Notification"
        case subscriptionConfirmation = "SubscriptionConfirmation"
        case unsubscribeConfirmation = "UnsubscribeConfirmation"
    }

    struct Signature: Sendable {
        var version: SignatureVersion
        var value: String
        var keyName: String
    }

    var kind = Kind.notification
    var messageID: String
    var topicARN: String
    var subject: String?
    var message: String
    var timestamp: String
    /// Of confirmations.
    var token: String?
    /// Of FIFO topics, whose messages are not signed.
    var sequenceNumber: String?
    var attributes: [MessageAttribute] = []

    /// What is signed: names and values on lines of their own, names in the order of the alphabet.
    func textToSign(subscribeURL: String? = nil) -> String {
        var text = ""
        func add(_ name: String, _ value: String?) {
            if let value { text += "\(name)\n\(value)\n" }
        }
        add("Message", message)
        add("MessageId", messageID)
        if kind == .notification { add("Subject", subject) } else { add("SubscribeURL", subscribeURL) }
        add("Timestamp", timestamp)
        if kind != .notification { add("Token", token) }
        add("TopicArn", topicARN)
        add("Type", kind.rawValue)
        return text
    }

    func subscribeURL(server: String) -> String {
        "\(server)/?Action=ConfirmSubscription&TopicArn=\(topicARN)&Token=\(token ?? "")"
    }

    static func certificateURL(server: String, keyName: String) -> String { "\(server)\(KeyKeeper.path)\(keyName).pem" }

    /// The body for SQS and HTTP(S).
    func body(server: String, unsubscribeURL: String?, signature: Signature?) -> [UInt8] {
        var members: [(String, [UInt8])] = []
        func add(_ name: String, _ value: String?) {
            if let value { members.append((name, Self.quoted(value))) }
        }
        add("Type", kind.rawValue)
        add("MessageId", messageID)
        add("SequenceNumber", sequenceNumber)
        if kind != .notification { add("Token", token) }
        add("TopicArn", topicARN)
        if kind == .notification { add("Subject", subject) }
        add("Message", message)
        if kind != .notification { add("SubscribeURL", subscribeURL(server: server)) }
        add("Timestamp", timestamp)
        if let signature {
            add("SignatureVersion", signature.version.rawValue)
            add("Signature", signature.value)
            add("SigningCertURL", Self.certificateURL(server: server, keyName: signature.keyName))
        }
        add("UnsubscribeURL", unsubscribeURL)
        if !attributes.isEmpty { members.append(("MessageAttributes", attributesText)) }
        var out = Array("{\n".utf8)
        for (index, (name, value)) in members.enumerated() {
            out += Array("  \"\(name)\" : ".utf8)
            out += value
            out += Array((index + 1 < members.count ? ",\n" : "\n").utf8)
        }
        return out + Array("}".utf8)
    }

    private var attributesText: [UInt8] {
        var out = Array("{\n".utf8)
        for (index, attribute) in attributes.enumerated() {
            out += Array("    ".utf8) + Self.quoted(attribute.name) + Array(" : ".utf8)
            out += JSON.encode(Self.value(of: attribute))
            out += Array((index + 1 < attributes.count ? ",\n" : "\n").utf8)
        }
        return out + Array("  }".utf8)
    }

    /// The event for a function: one record.
    func event(server: String, subscription: Subscription, signature: Signature?) -> [UInt8] {
        var message: Fields = [
            "Type": .string(kind.rawValue), "MessageId": .string(messageID), "TopicArn": .string(topicARN),
            "Subject": subject.map { .string($0) } ?? .null, "Message": .string(self.message),
            "Timestamp": .string(timestamp),
        ]
        if let signature {
            message.append("SignatureVersion", .string(signature.version.rawValue))
            message.append("Signature", .string(signature.value))
            message.append(
                "SigningCertUrl", .string(Self.certificateURL(server: server, keyName: signature.keyName)))
        }
        message.append("UnsubscribeUrl", .string(subscription.unsubscribeURL))
        message.append("MessageAttributes", .map(Fields(attributes.map { ($0.name, Self.value(of: $0)) })))
        return JSON.encode([
            "Records": [
                [
                    "EventSource": "aws:sns", "EventVersion": "1.0",
                    "EventSubscriptionArn": .string(subscription.arn), "Sns": .map(message),
                ]
            ]
        ])
    }

    private static func value(of attribute: MessageAttribute) -> Value {
        let text =
            switch attribute.content {
            case .string(let text): text
            case .binary(let bytes): Base64.encode(bytes)
            }
        return ["Type": .string(attribute.dataType), "Value": .string(text)]
    }

    private static func quoted(_ text: String) -> [UInt8] { JSON.encode(.string(text)) }
}
