import Contracts
import Platform

/// A published message on its way to its topic's subscribers, as it lies in the queue of those that go out page by page: all
/// that is needed but the subscribers themselves.
struct Publication: Sendable, Equatable {
    var message: PublishedMessage
    /// The `Timestamp` that subscribers see.
    var publishedAt: Instant
    /// From when its deliveries are due.
    var createdAt: Instant
    /// Of FIFO topics.
    var sequence: String?
    /// The id of the last subscription that got it; empty: none has.
    var after = ""

    var timestamp: String { publishedAt.iso8601(fractionDigits: 3) }

    func encoded() -> [UInt8] {
        var fields: Fields = [
            "id": .string(message.id), "text": .string(message.text), "published": .int(publishedAt.nanoseconds),
            "created": .int(createdAt.nanoseconds),
        ]
        fields["subject"] = message.subject.map { .string($0) }
        fields["group"] = message.groupID.map { .string($0) }
        fields["deduplication"] = message.deduplicationID.map { .string($0) }
        fields["trace"] = message.traceHeader.map { .string($0) }
        fields["sequence"] = sequence.map { .string($0) }
        if !after.isEmpty { fields["after"] = .string(after) }
        if !message.textByProtocol.isEmpty {
            fields["texts"] = .map(Fields(message.textByProtocol.map { ($0.key, .string($0.value)) }))
        }
        if !message.attributes.isEmpty { fields["attributes"] = .list(message.attributes.map(Self.value)) }
        return JSON.encode(.map(fields))
    }

    /// Nil when the bytes are none that `encoded` made.
    init?(encoded bytes: [UInt8]) {
        guard let value = try? JSON.parse(bytes), let id = value["id"]?.string, let text = value["text"]?.string,
            let published = value["published"]?.int, let created = value["created"]?.int
        else { return nil }
        var texts: [String: String] = [:]
        for entry in value["texts"]?.fields?.entries ?? [] { texts[entry.name] = entry.value.string }
        var attributes: [MessageAttribute] = []
        for item in value["attributes"]?.list ?? [] {
            guard let attribute = Self.attribute(item) else { return nil }
            attributes.append(attribute)
        }
        message = PublishedMessage(
            id: id, subject: value["subject"]?.string, text: text, textByProtocol: texts, attributes: attributes,
            groupID: value["group"]?.string, deduplicationID: value["deduplication"]?.string,
            traceHeader: value["trace"]?.string)
        publishedAt = Instant(nanoseconds: published)
        createdAt = Instant(nanoseconds: created)
        sequence = value["sequence"]?.string
        after = value["after"]?.string ?? ""
    }

    init(message: PublishedMessage, publishedAt: Instant, createdAt: Instant, sequence: String?) {
        self.message = message
        self.publishedAt = publishedAt
        self.createdAt = createdAt
        self.sequence = sequence
    }

    private static func value(of attribute: MessageAttribute) -> Value {
        var fields: Fields = ["name": .string(attribute.name), "type": .string(attribute.dataType)]
        switch attribute.content {
        case .string(let text): fields.append("text", .string(text))
        case .binary(let bytes): fields.append("bytes", .string(Base64.encode(bytes)))
        }
        return .map(fields)
    }

    private static func attribute(_ value: Value) -> MessageAttribute? {
        guard let name = value["name"]?.string, let type = value["type"]?.string else { return nil }
        if let text = value["text"]?.string {
            return MessageAttribute(name: name, dataType: type, content: .string(text))
        }
        guard let bytes = value["bytes"]?.string.flatMap({ Base64.decode($0) }) else { return nil }
        return MessageAttribute(name: name, dataType: type, content: .binary(bytes))
    }
}

extension Publication {
    /// Subscriptions that get it in one transaction: bounded in number, and in the bytes of the copies that they get.
    var pageSize: Int { pageSize(sharing: 1) }

    /// The same where the transaction is for several messages.
    func pageSize(sharing messages: Int) -> Int {
        let longest = message.textByProtocol.values.reduce(message.text.utf8.count) { max($0, $1.utf8.count) }
        let bytes = longest + MessageRules.size("", message.attributes)
        let most = min(Limits.fanOutBytes / max(bytes, 1), Limits.fanOutSubscriptions)
        return max(most / max(messages, 1), 1)
    }
}
