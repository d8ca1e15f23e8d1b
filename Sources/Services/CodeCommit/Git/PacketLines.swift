import NIOCore

/// Reads the commands at the beginning of a push (`git-receive-pack-request`), as its bytes pass by. What is malformed is git's
/// to refuse; here it only ends the reading.
struct PushCommands: Sendable {
    /// Full names of the references that the push would change.
    private(set) var references: [String] = []
    /// More of them than a push may have.
    private(set) var isOverLimit = false
    /// A name that is no UTF-8, which git would take and nobody here could say.
    private(set) var hasUnspeakableName = false
    private(set) var isDone = false
    /// It ended before its end, or has lines that are no commands: git may make something of them that `references` does not name.
    private(set) var isCutShort = false
    /// A certificate (`git push --signed`). Its text holds commands, which git carries out although it has not offered to take one.
    private(set) var hasCertificate = false
    private var pending: [UInt8] = []
    private let limit: Int

    /// The longest packet line (gitprotocol-common).
    static let lineBytes = 65_520

    init(limit: Int = Limits.pushedReferences) { self.limit = limit }

    mutating func feed(_ bytes: ByteBuffer) {
        guard !isDone else { return }
        pending += bytes.readableBytesView
        var start = 0
        while !isDone, pending.count - start >= 4 {
            guard let length = PushCommands.length(pending[start..<start + 4]), length == 0 || length >= 4 else {
                isCutShort = true
                return finish()
            }
            if length == 0 { return finish() }
            guard pending.count - start >= length else { break }
            take(pending[start + 4..<start + length])
            start += length
        }
        if isDone { pending = [] } else { pending.removeFirst(start) }
    }

    private mutating func finish() {
        isDone = true
        pending = []
    }

    /// `OLD NEW NAME`, the first followed by NUL and capabilities; `shallow ID` may stand before.
    private mutating func take(_ line: ArraySlice<UInt8>) {
        let command = line.prefix { $0 != 0 && $0 != 0x0A }
        if command.elementsEqual("push-cert".utf8) {
            hasCertificate = true
            return finish()
        }
        let parts = command.split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
        // git makes no reference of a longer name: it is the path of a file.
        guard parts.count == 3, parts[0].count == 40, parts[1].count == 40, parts[2].count <= Limits.pathBytes else {
            isCutShort = isCutShort || !command.starts(with: "shallow ".utf8)
            return
        }
        guard references.count < limit else {
            isOverLimit = true
            return finish()
        }
        guard let name = String(validating: parts[2], as: UTF8.self) else {
            hasUnspeakableName = true
            return finish()
        }
        references.append(name)
    }

    private static func length(_ digits: ArraySlice<UInt8>) -> Int? {
        Int(String(decoding: digits, as: UTF8.self), radix: 16).flatMap { $0 <= lineBytes ? $0 : nil }
    }

    /// One packet line.
    static func line(_ text: String) -> String {
        let length = String(text.utf8.count + 4, radix: 16)
        return String(repeating: "0", count: max(4 - length.count, 0)) + length + text
    }
}
