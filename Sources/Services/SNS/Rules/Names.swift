import Platform
import Wire

extension TopicKey {
    /// Letters, digits, `_` and `-`; FIFO topics end in `.fifo`.
    static func check(name: String, isFIFO: Bool) throws(AWSError) {
        let stem = name.hasSuffix(".fifo") ? name.dropLast(5) : name[...]
        let isName =
            !stem.isEmpty && name.utf8.count <= Limits.nameCharacters
            && stem.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
                default: false
                }
            }
        if isFIFO, !isName || !name.hasSuffix(".fifo") {
            throw .invalidParameter(
                "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII letters, "
                    + "numbers, underscores, and hyphens, and must be between 1 and 256 characters long.")
        }
        guard isName, isFIFO == name.hasSuffix(".fifo") else { throw .invalidParameter("Topic Name") }
    }

    /// Reads a topic's ARN. `parameter` is how the request calls it.
    init(arn text: String?, parameter: String = "TopicArn") throws(AWSError) {
        let parts = try arnParts(text, parameter: parameter)
        guard parts.count == 6, parts[0] == "arn", parts[2] == "sns", !parts[5].isEmpty else {
            throw .invalidParameter(parameter)
        }
        self.init(scope: AccountRegion(account: parts[4], region: parts[3]), name: parts[5])
    }
}

/// Which subscription an ARN names.
struct SubscriptionKey: Sendable {
    var topic: TopicKey
    var id: String

    init(arn text: String?) throws(AWSError) {
        let parts = try arnParts(text, parameter: "SubscriptionArn")
        guard parts.count >= 7, parts[0] == "arn", parts[2] == "sns" else { throw .invalidParameter("SubscriptionId") }
        guard parts.count == 7, Self.isUUID(parts[6]) else { throw .invalidParameter("SubscriptionId") }
        topic = TopicKey(scope: AccountRegion(account: parts[4], region: parts[3]), name: parts[5])
        id = parts[6]
    }

    private static func isUUID(_ text: String) -> Bool {
        text.utf8.count == 36
            && text.utf8.enumerated().allSatisfy { index, byte in
                switch index {
                case 8, 13, 18, 23: byte == UInt8(ascii: "-")
                default: (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) || (0x41...0x46).contains(byte)
                }
            }
    }
}

/// An ARN's parts, at least six.
private func arnParts(_ text: String?, parameter: String) throws(AWSError) -> [String] {
    guard let text, !text.isEmpty else {
        throw .invalidParameter("\(parameter) Reason: no value for required parameter")
    }
    let parts = text.split(separator: ":", maxSplits: 15, omittingEmptySubsequences: false).map { String($0) }
    guard parts.count >= 6 else {
        throw .invalidParameter("\(parameter) Reason: An ARN must have at least 6 elements, not \(parts.count)")
    }
    return parts
}

/// Where a list goes on: the parts of the last key of the page before.
enum ListToken {
    static func encode(_ parts: String...) -> String { PageToken.encode(parts.joined(separator: "\n")) }

    /// The key's parts, or none at the start.
    static func decode(_ token: String?, parts: Int) throws(AWSError) -> [String] {
        guard let token else { return [] }
        guard let text = PageToken.decodeText(token) else { throw .invalidParameter("NextToken") }
        let found = text.split(separator: "\n", omittingEmptySubsequences: false).map { String($0) }
        guard found.count == parts else { throw .invalidParameter("NextToken") }
        return found
    }
}
