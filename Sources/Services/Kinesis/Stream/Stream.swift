import Contracts
import Platform
import Policies

/// What clients set on a stream beside its shards.
struct StreamSettings: Sendable, Hashable {
    enum Mode: String, Sendable {
        case provisioned = "PROVISIONED"
        case onDemand = "ON_DEMAND"
    }
    var mode = Mode.provisioned
    var retentionHours = 24
    /// `KMS`; nil: NONE.
    var encryptionType: String?
    var keyID: String?
    var metrics: [String] = []
    var recordKiB = Limits.recordKiB
    var warmMiBps: Int?
    /// When the shard count and the mode were changed, seconds since 1970, the last ones.
    var shardUpdates: [Int64] = []
    var modeUpdates: [Int64] = []

    var isEncrypted: Bool { encryptionType != nil }
    var retention: Duration { .seconds(Int64(retentionHours) * 3600) }

    init(mode: Mode) { self.mode = mode }

    // MARK: Stored as JSON

    var stored: [UInt8] {
        var value: Value = ["mode": .string(mode.rawValue), "retention": .int(Int64(retentionHours))]
        value["encryption"] = encryptionType.map { .string($0) }
        value["key"] = keyID.map { .string($0) }
        if !metrics.isEmpty { value["metrics"] = .strings(metrics) }
        value["recordKiB"] = .int(Int64(recordKiB))
        value["warm"] = warmMiBps.map { .int(Int64($0)) }
        if !shardUpdates.isEmpty { value["shardUpdates"] = .list(shardUpdates.map { .int($0) }) }
        if !modeUpdates.isEmpty { value["modeUpdates"] = .list(modeUpdates.map { .int($0) }) }
        return JSON.encode(value)
    }

    /// Throws `Failure(.corrupt)`.
    init(stored: [UInt8]) throws {
        guard let value = try? JSON.parse(stored), let mode = value["mode"]?.string.flatMap(Mode.init(rawValue:)),
            let retention = value["retention"]?.int, (1...100_000).contains(retention)
        else { throw Failure(.corrupt, "The settings of a Kinesis stream cannot be read.") }
        self.mode = mode
        retentionHours = Int(retention)
        encryptionType = value["encryption"]?.string
        keyID = value["key"]?.string
        metrics = value["metrics"]?.list?.compactMap(\.string) ?? []
        recordKiB = value["recordKiB"]?.int.flatMap { Int(exactly: $0) } ?? Limits.recordKiB
        warmMiBps = value["warm"]?.int.flatMap { Int(exactly: $0) }
        shardUpdates = value["shardUpdates"]?.list?.compactMap(\.int) ?? []
        modeUpdates = value["modeUpdates"]?.list?.compactMap(\.int) ?? []
    }
}

/// A resource policy, of a stream or consumer.
struct ResourcePolicy: Sendable {
    /// As given: GetResourcePolicy answers it so.
    let text: String
    let document: PolicyDocument

    /// Nil for what is no policy, or has operators that are not known.
    init?(_ text: String) {
        guard text.utf8.count <= Limits.policyBytes, let value = try? JSON.parse(text),
            let document = try? PolicyDocument(value), !document.hasUnknownOperators
        else { return nil }
        self.text = text
        self.document = document
    }
}

/// A stream with its shards, as its rows say it; a value that requests share through `StreamDirectory`.
struct Stream: Sendable {
    /// Of its row; never used again.
    var id: Int64
    var scope: AccountRegion
    var name: String
    /// AWS's `StreamId`.
    var streamID: String
    var created: Instant
    var settings: StreamSettings
    var policy: ResourcePolicy?
    var shards: ShardMap

    var arn: String { Stream.arn(scope, name) }

    static func arn(_ scope: AccountRegion, _ name: String) -> String {
        "arn:aws:kinesis:\(scope.region):\(scope.account):stream/\(name)"
    }

    /// Records before this are over their retention.
    func horizon(now: Instant) -> Position { .first(at: now - settings.retention) }

    /// Shards that may still have records, and open ones.
    func isReadable(_ shard: Shard, now: Instant) -> Bool {
        shard.end.map { $0.at > now - settings.retention } ?? true
    }
}

/// A consumer with enhanced fan-out.
struct Consumer: Sendable {
    var id: Int64
    var stream: Int64
    var name: String
    var created: Instant
    var policy: ResourcePolicy?

    func arn(of stream: String) -> String { "\(stream)/consumer/\(name):\(created.seconds)" }
}

/// What an ARN of this service means.
struct ResourceAddress: Sendable, Hashable {
    var scope: AccountRegion
    var stream: String
    var consumer: ConsumerKey?

    struct ConsumerKey: Sendable, Hashable {
        var name: String
        var createdSeconds: Int64
    }

    /// Nil for ARNs of others.
    init?(_ text: String) {
        guard let arn = ARN(text), arn.service == "kinesis" else { return nil }
        let parts = arn.resource.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 4, parts[0] == "stream", !parts[1].isEmpty else { return nil }
        scope = AccountRegion(account: arn.account, region: arn.region)
        stream = String(parts[1])
        guard parts.count == 4 else { return }
        guard parts[2] == "consumer", let colon = parts[3].lastIndex(of: ":"),
            let seconds = Int64(parts[3][parts[3].index(after: colon)...]), colon != parts[3].startIndex
        else { return nil }
        consumer = ConsumerKey(name: String(parts[3][..<colon]), createdSeconds: seconds)
    }
}
