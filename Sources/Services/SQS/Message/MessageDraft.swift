import Contracts
import Platform
import Wire

/// A message to be sent: what can be checked without knowing the queue has been.
struct MessageDraft: Sendable {
    var messageID: String
    var body: String
    var envelope: Envelope
    var delaySeconds: Int?
    /// Body and attributes, in bytes, as limits count them.
    var size: Int
    var md5OfAttributes: String?
    var md5OfSystemAttributes: String?

    /// Throws AWS's errors for what is missing or malformed.
    init(_ input: Model.SendMessageRequest, sender: String) throws(AWSError) {
        try self.init(
            body: input.messageBody, delaySeconds: input.delaySeconds, attributes: input.messageAttributes,
            systemAttributes: input.messageSystemAttributes, groupID: input.messageGroupId,
            deduplicationID: input.messageDeduplicationId, sender: sender)
    }

    init(_ entry: Model.SendMessageBatchRequestEntry, sender: String) throws(AWSError) {
        try self.init(
            body: entry.messageBody, delaySeconds: entry.delaySeconds, attributes: entry.messageAttributes,
            systemAttributes: entry.messageSystemAttributes, groupID: entry.messageGroupId,
            deduplicationID: entry.messageDeduplicationId, sender: sender)
    }

    /// A message of ours (a delivery): the attributes are as the contract has them.
    init(body: String, attributes: [MessageAttribute], traceHeader: String?, sender: String) throws(AWSError) {
        try self.init(
            body: body, delaySeconds: nil, attributes: nil, systemAttributes: nil, groupID: nil, deduplicationID: nil,
            sender: sender)
        envelope.attributes = attributes
        envelope.traceHeader = traceHeader
        size += attributes.reduce(0) { $0 + $1.countedBytes }
        md5OfAttributes = MessageDigest.attributes(attributes)
    }

    private init(
        body: String?, delaySeconds: Int?, attributes: [(key: String, value: Model.MessageAttributeValue)]?,
        systemAttributes: [(key: String, value: Model.MessageSystemAttributeValue)]?, groupID: String?,
        deduplicationID: String?, sender: String
    ) throws(AWSError) {
        guard let body, !body.isEmpty else { throw .missing("MessageBody") }
        guard MessageText.isValid(body) else { throw .invalidCharacters }
        if let delaySeconds, !Limits.delaySeconds.contains(delaySeconds) {
            throw .invalid(String(delaySeconds), for: "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
        }
        if let groupID { try MessageText.check(identifier: groupID, "MessageGroupId") }
        if let deduplicationID { try MessageText.check(identifier: deduplicationID, "MessageDeduplicationId") }
        messageID = Identifier.uuid()
        self.body = body
        self.delaySeconds = delaySeconds
        envelope = Envelope()
        envelope.sender = sender
        envelope.md5OfBody = MessageDigest.body(body)
        envelope.groupID = groupID
        envelope.deduplicationID = deduplicationID
        size = body.utf8.count
        if let attributes, !attributes.isEmpty {
            guard attributes.count <= Limits.attributesPerMessage else {
                throw .tooManyAttributes(attributes.count)
            }
            for (name, value) in attributes {
                let attribute = try MessageText.attribute(name, value)
                size += attribute.countedBytes
                envelope.attributes.append(attribute)
            }
            md5OfAttributes = MessageDigest.attributes(envelope.attributes)
        }
        if let systemAttributes, !systemAttributes.isEmpty {
            let trace = try MessageText.traceHeader(systemAttributes)
            envelope.traceHeader = trace
            md5OfSystemAttributes = MessageDigest.attributes(
                [MessageAttribute(name: "AWSTraceHeader", dataType: "String", content: .string(trace))])
        }
    }
}

extension MessageAttribute {
    /// Name, type and value count towards a message's size [D].
    var countedBytes: Int {
        let content =
            switch self.content {
            case .string(let text): text.utf8.count
            case .binary(let bytes): bytes.count
            }
        return name.utf8.count + dataType.utf8.count + content
    }
}

/// The rules for texts in messages.
enum MessageText {
    /// `#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF` [D]. In UTF-8 what is left out are the
    /// other bytes below 0x20, and EF BF BE and EF BF BF.
    static func isValid(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var index = 0
            while index < bytes.count {
                let byte = bytes[index]
                if byte < 0x20 {
                    guard byte == 0x09 || byte == 0x0A || byte == 0x0D else { return false }
                } else if byte == 0xEF, index + 2 < bytes.count, bytes[index + 1] == 0xBF, bytes[index + 2] >= 0xBE {
                    return false
                }
                index += 1
            }
            return true
        }
    }

    static func check(identifier: String, _ name: String) throws(AWSError) {
        let isValid =
            (1...Limits.identifierCharacters).contains(identifier.utf8.count)
            && identifier.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard !isValid else { return }
        throw .invalid(
            "Value \(identifier) for parameter \(name) is invalid. Reason: \(name) can only include alphanumeric and "
                + "punctuation characters. 1 to 128 in length.")
    }

    static func attribute(_ name: String, _ value: Model.MessageAttributeValue) throws(AWSError) -> MessageAttribute {
        try check(attributeName: name)
        guard let type = value.dataType, !type.isEmpty else {
            throw .invalid("The message attribute '\(name)' must contain non-empty message attribute type.")
        }
        let base = type.prefix { $0 != "." }
        guard type.utf8.count <= Limits.attributeNameCharacters, isValid(type) else {
            throw .invalid("The type of message (user) attribute '\(name)' is too long or has invalid characters.")
        }
        switch base {
        case "String", "Number":
            guard let text = value.stringValue, !text.isEmpty else { throw empty(name, String(base)) }
            guard isValid(text) else { throw .invalidCharacters }
            if base == "Number", !isNumber(text) {
                throw .invalid(
                    "Can't cast the value of message (user) attribute '\(name)' to a number.")
            }
            return MessageAttribute(name: name, dataType: type, content: .string(text))
        case "Binary":
            guard let bytes = value.binaryValue, !bytes.isEmpty else { throw empty(name, "Binary") }
            return MessageAttribute(name: name, dataType: type, content: .binary(bytes))
        default:
            throw .invalid(
                "The type of message (user) attribute '\(name)' is invalid. You must use only the following supported "
                    + "type prefixes: Binary, Number, String.")
        }
    }

    /// Decimal, possibly with an exponent; neither `nan` nor `0x10`, which Swift would read too.
    private static func isNumber(_ text: String) -> Bool {
        Double(text) != nil && text.utf8.allSatisfy { (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }
    }

    private static func empty(_ name: String, _ type: String) -> AWSError {
        .invalid("Message (user) attribute '\(name)' must contain a non-empty value of type '\(type)'.")
    }

    private static func check(attributeName name: String) throws(AWSError) {
        let isPlain = name.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == 0x2D || byte == 0x2E || byte == 0x5F
        }
        let lower = name.lowercased()
        let isReserved = lower.hasPrefix("aws.") || lower.hasPrefix("amazon.")
        let dots = name.hasPrefix(".") || name.hasSuffix(".") || hasDoubleDot(name)
        guard isPlain, !isReserved, !dots, (1...Limits.attributeNameCharacters).contains(name.utf8.count) else {
            throw .invalid(
                "The message attribute name '\(name.prefix(256))' is invalid. Attribute name can contain A-Z, a-z, 0-9, "
                    + "underscore (_), hyphen (-), and period (.) characters, must not start or end with a period, and "
                    + "must not start with a reserved prefix (AWS. or Amazon.).")
        }
    }

    private static func hasDoubleDot(_ name: String) -> Bool {
        zip(name.utf8, name.utf8.dropFirst()).contains { $0 == 0x2E && $1 == 0x2E }
    }

    static func traceHeader(
        _ attributes: [(key: String, value: Model.MessageSystemAttributeValue)]
    ) throws(AWSError) -> String {
        for (name, value) in attributes {
            guard name == "AWSTraceHeader" else {
                throw .invalid(
                    "Message system attribute name '\(name.prefix(256))' is invalid. The allowed name is AWSTraceHeader."
                )
            }
            guard value.dataType == "String", let text = value.stringValue, !text.isEmpty, isValid(text) else {
                throw .invalid(
                    "Message system attribute 'AWSTraceHeader' must contain a non-empty value of type 'String'.")
            }
            return text
        }
        return ""
    }
}
