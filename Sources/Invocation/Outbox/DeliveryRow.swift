import Contracts
import Platform

/// A delivery as it lies in the Outbox.
struct DeliveryRow {
    var delivery: Delivery
    /// Tries that its target refused for the time being.
    var tries: Int

    init(_ delivery: Delivery, tries: Int = 0) {
        self.delivery = delivery
        self.tries = tries
    }

    /// What must be handed over in order is one partition; the rest is the partition without a name.
    static func partition(of delivery: Delivery) -> String {
        delivery.attributes.messageGroupID.map { "\(delivery.target)#\($0)" } ?? ""
    }

    /// A JSON head, a newline, and the payload's bytes as they are.
    func encoded() -> [UInt8] {
        var head: Fields = [
            "id": .string(delivery.id), "target": .string(delivery.target),
            "created": .int(delivery.createdAt.nanoseconds),
        ]
        head.append(delivery.principal)
        let attributes = Self.fields(of: delivery.attributes)
        if !attributes.isEmpty { head.append("attributes", .map(attributes)) }
        if let retries = delivery.retry.maximumRetries { head.append("retries", .int(Int64(retries))) }
        if let age = delivery.retry.maximumAge { head.append("age", .int(age.clampedNanoseconds)) }
        if let letter = delivery.deadLetter {
            var fields: Fields = ["target": .string(letter.target)]
            fields.append(letter.principal)
            if let rule = letter.ruleARN { fields.append("rule", .string(rule)) }
            if !letter.source.isEmpty { fields.append("source", .list(letter.source.map(Self.value))) }
            if let payload = letter.payload { fields.append("payload", .string(Base64.encode(payload))) }
            head.append("deadLetter", .map(fields))
        }
        if delivery.purpose != .event { head.append("purpose", .string(delivery.purpose.rawValue)) }
        if tries > 0 { head.append("tries", .int(Int64(tries))) }
        return JSON.encode(.map(head)) + [UInt8(ascii: "\n")] + delivery.payload
    }

    /// Also rows of versions that knew less; nil when it is not a row.
    init?(encoded bytes: [UInt8]) {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")), let head = try? JSON.parse(bytes[..<end]),
            let id = head["id"]?.string, let target = head["target"]?.string, let created = head["created"]?.int
        else { return nil }
        delivery = Delivery(
            id: id, target: target, principal: Principal(row: head), payload: Array(bytes[(end + 1)...]),
            createdAt: Instant(nanoseconds: created))
        if let attributes = head["attributes"] { delivery.attributes = Self.attributes(of: attributes) }
        delivery.retry = DeliveryRetry(
            maximumRetries: head["retries"]?.int.map { Int(clamping: $0) },
            maximumAge: head["age"]?.int.map { .nanoseconds($0) })
        if let letter = head["deadLetter"], let target = letter["target"]?.string {
            delivery.deadLetter = DeadLetter(
                target: target, principal: Principal(row: letter), ruleARN: letter["rule"]?.string,
                payload: letter["payload"]?.string.flatMap { Base64.decode($0) })
            delivery.deadLetter?.source = (letter["source"]?.list ?? []).compactMap(Self.messageAttribute)
        }
        delivery.purpose = head["purpose"]?.string.flatMap { Delivery.Purpose(rawValue: $0) } ?? .event
        // A count that can be added to, whatever is on the disk.
        tries = Int(min(max(head["tries"]?.int ?? 0, 0), 1_000_000))
    }

    // MARK: Attributes

    private static func fields(of attributes: DeliveryAttributes) -> Fields {
        var fields: Fields = [:]
        if !attributes.message.isEmpty { fields.append("message", .list(attributes.message.map(value))) }
        fields["group"] = attributes.messageGroupID.map { .string($0) }
        fields["deduplication"] = attributes.messageDeduplicationID.map { .string($0) }
        fields["subject"] = attributes.subject.map { .string($0) }
        fields["trace"] = attributes.traceHeader.map { .string($0) }
        fields["key"] = attributes.objectKey.map { .string($0) }
        fields["region"] = attributes.region.map { .string($0) }
        fields["partitionKey"] = attributes.partitionKey.map { .string($0) }
        fields["forwards"] = attributes.forwards.map { .int(Int64($0)) }
        if let event = attributes.event {
            fields["event"] = [
                "source": .string(event.source), "detailType": .string(event.detailType),
                "resources": .strings(event.resources),
            ]
        }
        return fields
    }

    private static func value(of attribute: MessageAttribute) -> Value {
        var fields: Fields = ["name": .string(attribute.name), "type": .string(attribute.dataType)]
        switch attribute.content {
        case .string(let text): fields.append("text", .string(text))
        case .binary(let bytes): fields.append("bytes", .string(Base64.encode(bytes)))
        }
        return .map(fields)
    }

    private static func messageAttribute(_ item: Value) -> MessageAttribute? {
        guard let name = item["name"]?.string, let type = item["type"]?.string else { return nil }
        if let text = item["text"]?.string {
            return MessageAttribute(name: name, dataType: type, content: .string(text))
        }
        guard let bytes = item["bytes"]?.string.flatMap({ Base64.decode($0) }) else { return nil }
        return MessageAttribute(name: name, dataType: type, content: .binary(bytes))
    }

    private static func attributes(of value: Value) -> DeliveryAttributes {
        var attributes = DeliveryAttributes(
            message: (value["message"]?.list ?? []).compactMap(messageAttribute),
            messageGroupID: value["group"]?.string,
            messageDeduplicationID: value["deduplication"]?.string, subject: value["subject"]?.string,
            traceHeader: value["trace"]?.string)
        attributes.objectKey = value["key"]?.string
        attributes.region = value["region"]?.string
        attributes.partitionKey = value["partitionKey"]?.string
        attributes.forwards = value["forwards"]?.int.map { Int(clamping: $0) }
        if let event = value["event"], let source = event["source"]?.string, let type = event["detailType"]?.string {
            attributes.event = DeliveryAttributes.EventKind(
                source: source, detailType: type, resources: (event["resources"]?.list ?? []).compactMap(\.string))
        }
        return attributes
    }
}

extension Fields {
    fileprivate mutating func append(_ principal: Principal) {
        switch principal {
        case .account(let account):
            append("account", .string(account))
        case .roleSession(let role, let session, let account):
            append("role", .string(role))
            append("session", .string(session))
            append("account", .string(account))
        case .service(let name, let sourceARN, let sourceAccount):
            append("service", .string(name))
            append("sourceArn", .string(sourceARN))
            append("account", .string(sourceAccount))
        case .anonymous: break
        }
    }
}

extension Principal {
    fileprivate init(row: Value) {
        let account = row["account"]?.string
        if let service = row["service"]?.string, let source = row["sourceArn"]?.string, let account {
            self = .service(name: service, sourceARN: source, sourceAccount: account)
        } else if let role = row["role"]?.string, let session = row["session"]?.string, let account {
            self = .roleSession(roleARN: role, sessionName: session, account: account)
        } else if let account {
            self = .account(account)
        } else {
            self = .anonymous
        }
    }
}
