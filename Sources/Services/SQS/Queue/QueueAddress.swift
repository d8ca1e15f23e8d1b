import Contracts
import Platform
import Wire

/// Which queue a request means: the account and name at the end of its URL.
struct QueueAddress: Sendable, Hashable {
    var account: String
    var name: String

    /// From a QueueUrl with any scheme, host and leading path, or a bare path: its last two components count.
    init(url: String) throws(AWSError) {
        let path = QueueAddress.path(of: url)
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        guard parts.count >= 2, let name = parts.last, QueueAddress.isAccount(parts[parts.count - 2]) else {
            throw .invalidAddress(url)
        }
        self.init(account: String(parts[parts.count - 2]), name: String(name))
    }

    init(account: String, name: String) {
        self.account = account
        self.name = name
    }

    /// The QueueUrl parameter, or the path that the request was sent to (the query protocol's older form).
    init(_ url: String?, _ context: OperationContext) throws(AWSError) {
        if let url, !url.isEmpty {
            try self.init(url: url)
            return
        }
        let path = context.uri.prefix { $0 != "?" }
        guard path.split(separator: "/").count >= 2 else { throw .missing("QueueUrl") }
        try self.init(url: String(path))
    }

    private static func path(of url: String) -> Substring {
        let text = url.prefix { $0 != "?" && $0 != "#" }
        // `scheme://host` goes; a bare path has no colon before its first slash.
        guard let colon = text.utf8.firstIndex(where: { $0 == 0x3A || $0 == 0x2F }), text.utf8[colon] == 0x3A,
            text[colon...].utf8.starts(with: "://".utf8)
        else { return text }
        let host = text[colon...].utf8.dropFirst(3)
        guard let slash = host.firstIndex(of: 0x2F) else { return "" }
        return text[slash...]
    }

    static func isAccount(_ text: some StringProtocol) -> Bool {
        text.utf8.count == 12 && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    /// Checks a name for a new queue [R where recorded].
    static func check(name: String, isFIFO: Bool) throws(AWSError) {
        let hasSuffix = name.hasSuffix(".fifo")
        let stem = hasSuffix && isFIFO ? name.dropLast(5) : name[...]
        let isPlain = stem.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == 0x2D || byte == 0x5F
        }
        let fits = !stem.isEmpty && name.utf8.count <= Limits.queueNameCharacters
        if isFIFO {
            guard hasSuffix, isPlain, fits else {
                throw .invalid(
                    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must "
                        + "end with .fifo suffix and be 1 to 80 in length.")
            }
        } else if !isPlain || !fits {
            throw .invalid(
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
        }
    }
}
