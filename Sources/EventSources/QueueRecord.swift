import Contracts
import Platform

/// A message as it stands in an event, and what is needed to conclude it.
struct QueueRecord: BatchRecord, Equatable {
    var messageID: String
    var receiptHandle: String
    var json: [UInt8]
    /// The trace header for an invocation with this message: its own, with this invocation in its lineage.
    var traceHeader: String?
    /// Which invocation of the function in the message's chain that would be, from 1; 0 when it names no chain.
    var lineage = 0
}

extension QueueRecord {
    /// What an event has around its records.
    static let eventHead = Array(#"{"Records":["#.utf8)
    static let eventTail = Array("]}".utf8)

    /// Source and Region must be what the mapping's ARN says: they are written into the record.
    init(_ message: QueueMessage, source: String, region: String) {
        messageID = message.messageID
        receiptHandle = message.receiptHandle
        json = QueueRecord.encode(message, source: source, region: region)
    }

    /// The record, members in AWS's order (reference 5.2); the body is escaped once.
    private static func encode(_ message: QueueMessage, source: String, region: String) -> [UInt8] {
        var writer = JSONWriter(capacity: message.body.utf8.count + 768)
        writer.raw(#"{"messageId":"#)
        writer.string(message.messageID)
        writer.raw(#","receiptHandle":"#)
        writer.string(message.receiptHandle)
        writer.raw(#","body":"#)
        writer.string(message.body)
        writer.raw(#","attributes":{"#)
        for (index, attribute) in message.attributes.enumerated() {
            if index > 0 { writer.raw(",") }
            writer.string(attribute.name)
            writer.raw(":")
            writer.string(attribute.value)
        }
        writer.raw(#"},"messageAttributes":{"#)
        for (index, attribute) in message.messageAttributes.enumerated() {
            if index > 0 { writer.raw(",") }
            writer.string(attribute.name)
            switch attribute.content {
            case .string(let text):
                writer.raw(#":{"stringValue":"#)
                writer.string(text)
            case .binary(let bytes):
                writer.raw(#":{"binaryValue":"#)
                writer.base64(bytes)
            }
            writer.raw(#","stringListValues":[],"binaryListValues":[],"dataType":"#)
            writer.string(attribute.dataType)
            writer.raw("}")
        }
        writer.raw("}")
        if let sum = message.md5OfMessageAttributes {
            writer.raw(#","md5OfMessageAttributes":"#)
            writer.string(sum)
        }
        writer.raw(#","md5OfBody":"#)
        writer.string(message.md5OfBody)
        writer.raw(#","eventSource":"aws:sqs","eventSourceARN":"#)
        writer.string(source)
        writer.raw(#","awsRegion":"#)
        writer.string(region)
        writer.raw("}")
        return writer.bytes
    }

    /// About as many bytes as a message's record has: what it carries, and the members that each has.
    static func size(_ message: QueueMessage) -> Int {
        message.messageAttributes.reduce(message.body.utf8.count + 512) { size, attribute in
            switch attribute.content {
            case .string(let text): size + attribute.name.utf8.count + text.utf8.count
            case .binary(let bytes): size + attribute.name.utf8.count + bytes.count
            }
        }
    }

    /// The whole event.
    static func event(_ records: [QueueRecord]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(records.reduce(eventHead.count + eventTail.count) { $0 + $1.json.count + 1 })
        bytes += eventHead
        for (index, record) in records.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += record.json
        }
        bytes += eventTail
        return bytes
    }

    /// The record as filters see it: a body that is a JSON object or array is data, any other text is a string
    /// (reference 5.5).
    static func filterable(_ message: QueueMessage, source: String, region: String) -> Value {
        var record: Fields = [:]
        record.append("messageId", .string(message.messageID))
        record.append("receiptHandle", .string(message.receiptHandle))
        record.append("body", body(message.body))
        record.append("attributes", .stringMap(message.attributes.map { ($0.name, $0.value) }))
        var attributes: Fields = [:]
        for attribute in message.messageAttributes {
            let member: (String, Value) =
                switch attribute.content {
                case .string(let text): ("stringValue", .string(text))
                case .binary(let bytes): ("binaryValue", .string(Base64.encode(bytes)))
                }
            attributes[attribute.name] = .map(Fields([member, ("dataType", .string(attribute.dataType))]))
        }
        record.append("messageAttributes", .map(attributes))
        record.append("md5OfBody", .string(message.md5OfBody))
        record.append("eventSource", "aws:sqs")
        record.append("eventSourceARN", .string(source))
        record.append("awsRegion", .string(region))
        return .map(record)
    }

    private static func body(_ text: String) -> Value {
        let first = text.utf8.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0a && $0 != 0x0d }
        guard first == UInt8(ascii: "{") || first == UInt8(ascii: "["), let value = try? JSON.parse(text) else {
            return .string(text)
        }
        return value
    }
}
