import Crypto
import FoundationEssentials
import Platform

/// What a shard iterator says: the place where reading goes on.
struct ShardIterator: Sendable, Hashable {
    var stream: Int64
    var shard: Int64
    var from: Position
    var created: Instant
}

/// What a NextToken of ListShards says.
struct ShardListToken: Sendable, Hashable {
    var stream: Int64
    /// The last shard's number that was answered.
    var after: Int64
    var filter: ShardFilter
    var created: Instant
}

/// What a NextToken of ListStreamConsumers says.
struct ConsumerListToken: Sendable, Hashable {
    var stream: Int64
    /// Id of the last consumer's row that was answered.
    var after: String
    var created: Instant
}

/// Makes and reads iterators and tokens. They are authenticated with the server's key, so that nobody can guess or change one.
struct Tokens: Sendable {
    private let key: SymmetricKey
    private static let sumBytes = 16

    enum Kind: UInt8 {
        case iterator = 1
        case shards = 2
        case consumers = 3
    }

    init(serverKey: [UInt8]) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: serverKey), info: Array("kinesis-iterator".utf8), outputByteCount: 32)
    }

    func text(_ iterator: ShardIterator) -> String {
        seal(
            .iterator,
            [iterator.stream, iterator.shard, iterator.from.number, iterator.created.nanoseconds])
    }

    func iterator(_ text: String) -> ShardIterator? {
        guard let (numbers, _) = open(.iterator, text), numbers.count == 4 else { return nil }
        return ShardIterator(
            stream: numbers[0], shard: numbers[1], from: Position(numbers[2]),
            created: Instant(nanoseconds: numbers[3]))
    }

    func text(_ token: ShardListToken) -> String {
        seal(
            .shards,
            [token.stream, token.after, token.created.nanoseconds, token.filter.code, token.filter.argument])
    }

    func shardList(_ text: String) -> ShardListToken? {
        guard let (numbers, _) = open(.shards, text), numbers.count == 5,
            let filter = ShardFilter(code: numbers[3], argument: numbers[4])
        else { return nil }
        return ShardListToken(
            stream: numbers[0], after: numbers[1], filter: filter, created: Instant(nanoseconds: numbers[2]))
    }

    func text(_ token: ConsumerListToken) -> String {
        seal(.consumers, [token.stream, token.created.nanoseconds], Array(token.after.utf8))
    }

    func consumerList(_ text: String) -> ConsumerListToken? {
        guard let (numbers, rest) = open(.consumers, text), numbers.count == 2 else { return nil }
        return ConsumerListToken(
            stream: numbers[0], after: String(decoding: rest, as: UTF8.self), created: Instant(nanoseconds: numbers[1])
        )
    }

    // MARK: Bytes

    /// Seven zeros, the kind, how many numbers, the numbers, the rest, the sum. It starts as AWS's do (`AAAAAAAAA`).
    private func seal(_ kind: Kind, _ numbers: [Int64], _ rest: [UInt8] = []) -> String {
        var out = [UInt8](repeating: 0, count: 7) + [kind.rawValue, UInt8(clamping: numbers.count)]
        for number in numbers { withUnsafeBytes(of: number.bigEndian) { out.append(contentsOf: $0) } }
        out += rest
        out += sum(out)
        return Base64.encode(out)
    }

    private func open(_ kind: Kind, _ text: String) -> (numbers: [Int64], rest: [UInt8])? {
        guard text.utf8.count <= 512, let bytes = Base64.decode(text), bytes.count >= 9 + Self.sumBytes,
            bytes[7] == kind.rawValue
        else { return nil }
        let content = Array(bytes.dropLast(Self.sumBytes))
        guard sum(content).elementsEqual(bytes.suffix(Self.sumBytes)) else { return nil }
        let count = Int(content[8])
        guard content.count >= 9 + count * 8 else { return nil }
        let numbers = (0..<count).map { index in
            content[(9 + index * 8)..<(17 + index * 8)].reduce(0) { $0 << 8 | Int64($1) }
        }
        return (numbers, Array(content[(9 + count * 8)...]))
    }

    private func sum(_ content: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: content, using: key).prefix(Self.sumBytes))
    }
}

/// Which shards ListShards answers.
enum ShardFilter: Sendable, Hashable {
    case all
    case afterShard(Int64)
    case atTrimHorizon
    case fromTrimHorizon
    case atLatest
    case atTimestamp(Instant)
    case fromTimestamp(Instant)

    var code: Int64 {
        switch self {
        case .all: 0
        case .afterShard: 1
        case .atTrimHorizon: 2
        case .fromTrimHorizon: 3
        case .atLatest: 4
        case .atTimestamp: 5
        case .fromTimestamp: 6
        }
    }

    var argument: Int64 {
        switch self {
        case .afterShard(let number): number
        case .atTimestamp(let time), .fromTimestamp(let time): time.nanoseconds
        default: 0
        }
    }

    init?(code: Int64, argument: Int64) {
        switch code {
        case 0: self = .all
        case 1: self = .afterShard(argument)
        case 2: self = .atTrimHorizon
        case 3: self = .fromTrimHorizon
        case 4: self = .atLatest
        case 5: self = .atTimestamp(Instant(nanoseconds: argument))
        case 6: self = .fromTimestamp(Instant(nanoseconds: argument))
        default: return nil
        }
    }

    /// Whether a readable shard passes. Open at a time: made then or before, and not yet closed.
    func passes(_ shard: Shard, stream: Stream, now: Instant) -> Bool {
        switch self {
        case .all, .fromTrimHorizon: return true
        case .afterShard(let number): return shard.number > number
        case .atLatest: return shard.isOpen
        case .atTrimHorizon:
            return Self.isOpen(shard, at: max(now - stream.settings.retention, stream.created))
        case .atTimestamp(let time): return Self.isOpen(shard, at: max(time, stream.created))
        case .fromTimestamp(let time): return shard.end.map { $0.at >= time } ?? true
        }
    }

    /// Whole milliseconds, because that is what clients can ask for.
    private static func isOpen(_ shard: Shard, at time: Instant) -> Bool {
        shard.created.milliseconds <= time.milliseconds
            && shard.end.map { $0.at.milliseconds > time.milliseconds } ?? true
    }
}
