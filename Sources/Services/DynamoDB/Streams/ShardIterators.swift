import Crypto
import FoundationEssentials
import Platform

/// Where a reader of a shard goes on, as GetShardIterator and GetRecords hand it out.
struct ShardIterator: Sendable, Hashable {
    var shard: Int64
    /// Reading goes on behind this sequence number.
    var after: Int64
    /// Nanoseconds since 1970.
    var issued: Instant
}

/// Makes and reads iterators. They are authenticated with the server's key, so that nobody can guess one.
struct ShardIterators: Sendable {
    private let key: SymmetricKey
    private static let sumBytes = 16
    private static let contentBytes = 1 + 8 + 8 + 8
    private static let version: UInt8 = 2

    init(serverKey: [UInt8]) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: serverKey), info: Array("dynamodb-shard-iterator".utf8),
            outputByteCount: 32)
    }

    /// AWS's begin with the stream's ARN and a bar.
    func text(_ iterator: ShardIterator, stream arn: String) -> String {
        var bytes: [UInt8] = [Self.version]
        for number in [iterator.shard, iterator.after, iterator.issued.nanoseconds] {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: number >> Int64(shift)))
            }
        }
        bytes += sum(bytes, arn)
        return arn + "|1|" + Base64.encode(bytes)
    }

    /// Nil when it is not one of ours.
    func read(_ text: String) -> (iterator: ShardIterator, arn: String)? {
        let parts = text.split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[1] == "1", let bytes = Base64.decode(String(parts[2])),
            bytes.count == Self.contentBytes + Self.sumBytes, bytes[0] == Self.version
        else { return nil }
        let arn = String(parts[0])
        let content = Array(bytes.prefix(Self.contentBytes))
        guard sum(content, arn).elementsEqual(bytes.suffix(Self.sumBytes)) else { return nil }
        func number(_ start: Int) -> Int64 {
            content[start..<start + 8].reduce(0) { $0 << 8 | Int64($1) }
        }
        return (
            ShardIterator(
                shard: number(1), after: number(9), issued: Instant(nanoseconds: number(17))), arn
        )
    }

    private func sum(_ content: [UInt8], _ arn: String) -> [UInt8] {
        var code = HMAC<SHA256>(key: key)
        code.update(data: Array(arn.utf8))
        code.update(data: content)
        return Array(code.finalize().prefix(Self.sumBytes))
    }
}
