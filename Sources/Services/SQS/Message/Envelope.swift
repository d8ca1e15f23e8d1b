import Contracts
import Platform

/// What belongs to a message besides its body and the columns that receiving changes: one blob in the store.
struct Envelope: Sendable, Hashable {
    var sender = ""
    var md5OfBody = ""
    var groupID: String?
    var deduplicationID: String?
    var traceHeader: String?
    /// The queue that this message was moved away from as a dead letter.
    var deadLetterSource: String?
    var attributes: [MessageAttribute] = []

    private enum Tag: UInt8 {
        case sender = 1
        case md5, group, deduplication, trace, source, text, binary
    }

    /// Fields as tag, length (four bytes, little-endian), bytes; an attribute is name and type, each with a length of two
    /// bytes, and the value.
    var encoded: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(96)
        func add(_ tag: Tag, _ text: String?) {
            guard let text else { return }
            out.append(tag.rawValue)
            Self.append(UInt32(truncatingIfNeeded: text.utf8.count), to: &out)
            out.append(contentsOf: text.utf8)
        }
        add(.sender, sender)
        add(.md5, md5OfBody)
        add(.group, groupID)
        add(.deduplication, deduplicationID)
        add(.trace, traceHeader)
        add(.source, deadLetterSource)
        for attribute in attributes {
            let (tag, content): (Tag, [UInt8]) =
                switch attribute.content {
                case .string(let text): (.text, Array(text.utf8))
                case .binary(let bytes): (.binary, bytes)
                }
            let (name, type) = (Array(attribute.name.utf8), Array(attribute.dataType.utf8))
            out.append(tag.rawValue)
            Self.append(UInt32(truncatingIfNeeded: 4 + name.count + type.count + content.count), to: &out)
            for part in [name, type] {
                out.append(UInt8(truncatingIfNeeded: part.count))
                out.append(UInt8(truncatingIfNeeded: part.count >> 8))
                out.append(contentsOf: part)
            }
            out.append(contentsOf: content)
        }
        return out
    }

    private static func append(_ number: UInt32, to out: inout [UInt8]) {
        for shift in [0, 8, 16, 24] as [UInt32] { out.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    init() {}

    /// Nil when the bytes are not what `encoded` makes.
    init?(encoded bytes: [UInt8]) {
        var rest = bytes[...]
        while let tag = rest.popFirst() {
            guard let length = Envelope.number(&rest, bytes: 4), length <= rest.count else { return nil }
            let content = rest.prefix(length)
            rest = rest.dropFirst(length)
            let text = { String(decoding: content, as: UTF8.self) }
            switch Tag(rawValue: tag) {
            case .sender: sender = text()
            case .md5: md5OfBody = text()
            case .group: groupID = text()
            case .deduplication: deduplicationID = text()
            case .trace: traceHeader = text()
            case .source: deadLetterSource = text()
            case .text:
                guard let attribute = Envelope.attribute(content, isBinary: false) else { return nil }
                attributes.append(attribute)
            case .binary:
                guard let attribute = Envelope.attribute(content, isBinary: true) else { return nil }
                attributes.append(attribute)
            case nil: continue
            }
        }
    }

    private static func number(_ rest: inout ArraySlice<UInt8>, bytes: Int) -> Int? {
        guard rest.count >= bytes else { return nil }
        var number = 0
        for (index, byte) in rest.prefix(bytes).enumerated() { number |= Int(byte) << (8 * index) }
        rest = rest.dropFirst(bytes)
        return number
    }

    private static func attribute(_ content: ArraySlice<UInt8>, isBinary: Bool) -> MessageAttribute? {
        var rest = content
        var parts: [String] = []
        for _ in 0..<2 {
            guard let length = number(&rest, bytes: 2), length <= rest.count else { return nil }
            parts.append(String(decoding: rest.prefix(length), as: UTF8.self))
            rest = rest.dropFirst(length)
        }
        return MessageAttribute(
            name: parts[0], dataType: parts[1],
            content: isBinary ? .binary(Array(rest)) : .string(String(decoding: rest, as: UTF8.self)))
    }
}
