import Contracts
import Crypto
import Platform
import Wire

/// What a publish may say; pure. Texts: lambda-semantics 7.3.
enum MessageRules {
    /// One message of Publish or PublishBatch, as the request has it.
    struct Draft: Sendable {
        var text: String?
        var subject: String?
        var structure: String?
        var attributes: [(key: String, value: Model.MessageAttributeValue)]
        var groupID: String?
        var deduplicationID: String?
    }

    /// The ids that the kind of topic asks for, and those that it has no use for.
    static func checkIDs(_ draft: Draft, topic: Topic) throws(AWSError) {
        try check(id: draft.groupID, "MessageGroupId")
        try check(id: draft.deduplicationID, "MessageDeduplicationId")
        if topic.key.isFIFO {
            guard draft.groupID != nil else {
                throw .invalidParameter("The MessageGroupId parameter is required for FIFO topics")
            }
            guard draft.deduplicationID != nil || topic.isContentDeduplicated else {
                throw .invalidParameter(
                    "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                        + "explicitly")
            }
        } else if draft.deduplicationID != nil {
            throw .invalidParameter(
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid "
                    + "for this topic type")
        }
    }

    /// The message, checked, with an id; and its size in bytes.
    static func message(
        _ draft: Draft, topic: Topic, traceHeader: String?
    ) throws(AWSError) -> (message: PublishedMessage, bytes: Int) {
        if let subject = draft.subject { try check(subject: subject) }
        guard let text = draft.text, !text.isEmpty else { throw .invalidParameter("Empty message") }
        let attributes = try self.attributes(draft.attributes)
        let bytes = size(text, attributes)
        guard bytes <= topic.messageBytes else { throw .invalidParameter("Message too long") }
        var message = PublishedMessage(
            id: Identifier.uuid(), subject: draft.subject, text: text, attributes: attributes, groupID: draft.groupID,
            deduplicationID: draft.deduplicationID, traceHeader: traceHeader)
        switch draft.structure {
        case nil: break
        case "json": try split(text, into: &message)
        default: throw .invalidParameter("MessageStructure")
        }
        if topic.key.isFIFO, message.deduplicationID == nil {
            message.deduplicationID = hexEncoded(SHA256.hash(data: Array(message.text.utf8)))
        }
        return (message, bytes)
    }

    static func size(_ text: String, _ attributes: [MessageAttribute]) -> Int {
        attributes.reduce(text.utf8.count) { sum, attribute in
            let content =
                switch attribute.content {
                case .string(let text): text.utf8.count
                case .binary(let bytes): bytes.count
                }
            return sum + attribute.name.utf8.count + attribute.dataType.utf8.count + content
        }
    }

    static func check(subject: String) throws(AWSError) {
        let isFine =
            !subject.isEmpty && subject.unicodeScalars.count < Limits.subjectCharacters
            && subject.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }
        guard isFine else { throw .invalidParameter("Subject") }
    }

    private static func check(id: String?, _ parameter: String) throws(AWSError) {
        guard let id else { return }
        let isFine =
            !id.isEmpty && id.utf8.count <= Limits.fifoIDCharacters && id.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard isFine else {
            throw .invalidParameter(
                "\(parameter) Reason: \(parameter) can only include alphanumeric and punctuation characters. "
                    + "1 to 128 in length")
        }
    }

    /// `MessageStructure` json: a text for each protocol.
    private static func split(_ text: String, into message: inout PublishedMessage) throws(AWSError) {
        guard let fields = (try? JSON.parse(text))?.fields else {
            throw .invalidParameter("Message Structure - JSON message body failed to parse")
        }
        guard let standard = fields["default"]?.string else {
            throw .invalidParameter("Message Structure - No default entry in JSON message body")
        }
        message.text = standard
        for entry in fields.entries where entry.name != "default" {
            if let text = entry.value.string { message.textByProtocol[entry.name] = text }
        }
    }

    // MARK: Attributes

    static func attributes(
        _ pairs: [(key: String, value: Model.MessageAttributeValue)]
    ) throws(AWSError) -> [MessageAttribute] {
        var attributes: [MessageAttribute] = []
        for (name, value) in pairs {
            try check(attributeName: name)
            attributes.append(
                MessageAttribute(name: name, dataType: value.dataType ?? "", content: try content(name, value)))
        }
        return attributes
    }

    private static func check(attributeName name: String) throws(AWSError) {
        guard !name.isEmpty, name.utf8.count < Limits.attributeNameBytes else {
            throw .invalidValue("Length of message attribute name must be less than 256 bytes.")
        }
        for scalar in name.unicodeScalars {
            switch scalar {
            case "0"..."9", "A"..."Z", "a"..."z", "-", "_", ".": continue
            default:
                let hex = String(scalar.value, radix: 16, uppercase: true)
                throw .invalidValue(
                    "Invalid non-alphanumeric character '#x\(hex)' was found in the message attribute name. Can only "
                        + "include alphanumeric characters, hyphens, underscores, or dots.")
            }
        }
        if name.hasPrefix(".") {
            throw .invalidValue("Invalid message attribute name starting with character '.' was found.")
        }
        if name.hasSuffix(".") {
            throw .invalidValue("Invalid message attribute name ending with character '.' was found.")
        }
        if hasDoubledDot(name) {
            throw .invalidValue("Message attribute name can not have successive '.' character.")
        }
    }

    private static func hasDoubledDot(_ name: String) -> Bool {
        zip(name.utf8, name.utf8.dropFirst()).contains { $0 == UInt8(ascii: ".") && $1 == UInt8(ascii: ".") }
    }

    private static func content(
        _ name: String, _ value: Model.MessageAttributeValue
    ) throws(AWSError) -> MessageAttribute.Content {
        let type = value.dataType ?? ""
        guard ["String", "Number", "Binary"].contains(where: { type == $0 || type.hasPrefix($0 + ".") }) else {
            throw .invalidValue(
                "The message attribute '\(name)' has an invalid message attribute type, the set of supported type "
                    + "prefixes is Binary, Number, and String.")
        }
        let isBinary = type.hasPrefix("Binary")
        let empty = AWSError.invalidValue(
            "The message attribute '\(name)' must contain non-empty message attribute value for message attribute type "
                + "'\(type)'.")
        if value.stringValue == nil, value.binaryValue == nil { throw empty }
        guard isBinary ? value.binaryValue != nil : value.stringValue != nil else {
            throw .invalidValue(
                "The message attribute '\(name)' with type '\(type)' must use field "
                    + "'\(isBinary ? "Binary" : "String")'.")
        }
        if isBinary {
            guard let bytes = value.binaryValue, !bytes.isEmpty else { throw empty }
            return .binary(bytes)
        }
        guard let text = value.stringValue, !text.isEmpty else { throw empty }
        if type.hasPrefix("Number"), Double(text)?.isFinite != true {
            throw .invalidValue("Could not cast message attribute '\(name)' value to number.")
        }
        return .string(text)
    }
}
