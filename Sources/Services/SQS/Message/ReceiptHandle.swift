import Crypto
import FoundationEssentials
import Platform
import Wire

/// What a receipt handle says: which message, and which of its receives.
struct ReceiptHandle: Sendable, Hashable {
    var queue: Int64
    var message: Int64
    /// The message's receive count of that receive: a stale handle has a lower one.
    var receive: Int64
    /// Whether the body is in a row of its own.
    var isLarge: Bool
}

/// Makes and reads receipt handles. They are authenticated with the server's key, so that nobody can guess one.
struct ReceiptHandles: Sendable {
    private let key: SymmetricKey
    /// Makes handles start as AWS's do (`AQEB`).
    private static let version: [UInt8] = [1, 1, 1]
    private static let sumBytes = 12
    /// 3 bytes of version, one of flags, three numbers of 8, 8 and 4 bytes, the sum: 36 bytes, 48 characters.
    private static let bytes = 3 + 1 + 8 + 8 + 4 + sumBytes

    init(serverKey: [UInt8]) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: serverKey), info: Array("sqs-receipt-handle".utf8),
            outputByteCount: 32)
    }

    func text(_ handle: ReceiptHandle) -> String {
        var out = Self.version
        out.reserveCapacity(Self.bytes)
        out.append(handle.isLarge ? 1 : 0)
        Self.append(UInt64(bitPattern: handle.queue), 8, to: &out)
        Self.append(UInt64(bitPattern: handle.message), 8, to: &out)
        Self.append(UInt64(bitPattern: handle.receive), 4, to: &out)
        out.append(contentsOf: sum(out))
        return Base64.encode(out)
    }

    /// Nil when it is not one of ours.
    func read(_ text: String) -> ReceiptHandle? {
        guard text.utf8.count == Self.bytes / 3 * 4, let bytes = Base64.decode(text), bytes.count == Self.bytes,
            bytes.starts(with: Self.version)
        else { return nil }
        let content = Array(bytes.dropLast(Self.sumBytes))
        guard sum(content).elementsEqual(bytes.suffix(Self.sumBytes)) else { return nil }
        return ReceiptHandle(
            queue: Int64(bitPattern: Self.number(content[4..<12])),
            message: Int64(bitPattern: Self.number(content[12..<20])),
            receive: Int64(bitPattern: Self.number(content[20..<24])), isLarge: content[3] & 1 == 1)
    }

    private func sum(_ content: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: content, using: key).prefix(Self.sumBytes))
    }

    private static func append(_ number: UInt64, _ count: UInt64, to out: inout [UInt8]) {
        for index in (0..<count).reversed() { out.append(UInt8(truncatingIfNeeded: number >> (8 * index))) }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}
