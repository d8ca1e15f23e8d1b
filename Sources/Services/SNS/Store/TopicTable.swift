import Platform
import Storage
import Wire

/// A topic's name in its account and Region.
struct TopicKey: Sendable, Hashable {
    var scope: AccountRegion
    var name: String

    var arn: String { "arn:aws:sns:\(scope.region):\(scope.account):\(name)" }
    var isFIFO: Bool { name.hasSuffix(".fifo") }
    /// As the first parameters of every statement.
    var values: [SQLValue] { [.text(scope.account), .text(scope.region), .text(name)] }
}

struct Topic: Sendable {
    var key: TopicKey
    /// What was set; defaults are added when it is shown.
    var attributes: Fields
    var tags: Fields
    var protectionPolicy: String?
    /// Subscriptions that were removed: AWS shows the number.
    var deletedSubscriptions: Int64 = 0

    func attribute(_ name: String) -> String? { attributes[name]?.string }
    var isContentDeduplicated: Bool { attribute("ContentBasedDeduplication") == "true" }
    /// Whether messages are told apart within their group, not in the whole topic.
    var deduplicatesByGroup: Bool { attribute("FifoThroughputScope") == "MessageGroup" }
    var signatureVersion: SignatureVersion { attribute("SignatureVersion") == "2" ? .two : .one }
    var messageBytes: Int { attribute("MaximumMessageSize").flatMap { Int($0) } ?? Limits.messageBytes }
    var policy: String { attribute("Policy") ?? TopicPolicy.standard(key) }
}

enum TopicTable {
    private static let columns = "account, region, name, attributes, tags, protection, deleted"

    static func get(_ key: TopicKey, in transaction: any ReadTransaction) throws -> Topic? {
        try transaction.first(
            "SELECT \(columns) FROM sns_topic WHERE account = ? AND region = ? AND name = ?", key.values, topic)
    }

    /// Throws NotFound.
    static func require(_ key: TopicKey, in transaction: any ReadTransaction) throws -> Topic {
        guard let topic = try get(key, in: transaction) else { throw AWSError.topicNotFound }
        return topic
    }

    static func put(_ topic: Topic, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO sns_topic (account, region, name, attributes, tags, protection, deleted)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, name) DO UPDATE SET attributes = excluded.attributes, tags = excluded.tags,
            protection = excluded.protection, deleted = excluded.deleted
            """,
            topic.key.values + [
                .blob(JSON.encode(.map(topic.attributes))), .blob(JSON.encode(.map(topic.tags))),
                .optional(topic.protectionPolicy), .int(topic.deletedSubscriptions),
            ])
    }

    static func countDeleted(_ key: TopicKey, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE sns_topic SET deleted = deleted + 1 WHERE account = ? AND region = ? AND name = ?", key.values)
    }

    /// Removes the topic and all that hangs on it.
    static func delete(_ key: TopicKey, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM sns_topic WHERE account = ? AND region = ? AND name = ?", key.values)
        try transaction.execute("DELETE FROM sns_sequence WHERE account = ? AND region = ? AND topic = ?", key.values)
        try transaction.execute(
            "DELETE FROM sns_deduplication WHERE account = ? AND region = ? AND topic = ?", key.values)
        try transaction.execute(
            "DELETE FROM sns_subscription WHERE account = ? AND region = ? AND topic = ?", key.values)
    }

    /// Names after `name`, in order.
    static func names(
        _ scope: AccountRegion, after name: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [String] {
        try transaction.query(
            "SELECT name FROM sns_topic WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?",
            [.text(scope.account), .text(scope.region), .text(name), .int(Int64(limit))], { $0.text(0) })
    }

    static func count(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT COUNT(*) FROM sns_topic WHERE account = ? AND region = ?",
            [.text(scope.account), .text(scope.region)], { $0.int(0) }) ?? 0
    }

    /// FIFO topics of an account in a Region; the index is of these only.
    static func countFIFO(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT COUNT(*) FROM sns_topic WHERE account = ? AND region = ? AND name LIKE '%.fifo'",
            [.text(scope.account), .text(scope.region)], { $0.int(0) }) ?? 0
    }

    private static func topic(_ row: any Row) -> Topic {
        Topic(
            key: TopicKey(scope: AccountRegion(account: row.text(0), region: row.text(1)), name: row.text(2)),
            attributes: fields(row.blob(3)), tags: fields(row.blob(4)), protectionPolicy: row.optionalText(5),
            deletedSubscriptions: row.int(6))
    }

    static func fields(_ bytes: [UInt8]) -> Fields { (try? JSON.parse(bytes))?.fields ?? [:] }
}

/// What a FIFO topic remembers of its messages.
enum FIFOTable {
    /// The next sequence number, and a time for the deliveries that is later than that of the message before: the Outbox
    /// goes by time, and a clock may stand still or go back.
    static func next(
        _ topic: TopicKey, now: Instant, in transaction: any WriteTransaction
    ) throws -> (sequence: Int64, published: Instant) {
        let last = try transaction.first(
            "SELECT last, published FROM sns_sequence WHERE account = ? AND region = ? AND topic = ?", topic.values,
            { ($0.int(0), $0.int(1)) })
        let sequence = (last?.0 ?? 0) &+ 1
        let published = max(now.nanoseconds, (last?.1 ?? 0) &+ 1)
        try transaction.execute(
            """
            INSERT INTO sns_sequence (account, region, topic, last, published) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (account, region, topic) DO UPDATE SET last = excluded.last, published = excluded.published
            """, topic.values + [.int(sequence), .int(published)])
        return (sequence, Instant(nanoseconds: published))
    }

    /// The message that was published under this deduplication id within the interval.
    static func duplicate(
        of id: String, scope: String, _ topic: TopicKey, now: Instant, in transaction: any ReadTransaction
    ) throws -> (message: String, sequence: Int64)? {
        try transaction.first(
            """
            SELECT message, sequence FROM sns_deduplication
            WHERE account = ? AND region = ? AND topic = ? AND scope = ? AND id = ? AND expires > ?
            """, topic.values + [.text(scope), .text(id), .int(now.nanoseconds)], { ($0.text(0), $0.int(1)) })
    }

    static func remember(
        _ id: String, scope: String, message: String, sequence: Int64, _ topic: TopicKey, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        let old = try transaction.query(
            """
            SELECT account, region, topic, scope, id FROM sns_deduplication WHERE expires <= ? ORDER BY expires LIMIT ?
            """, [.int(now.nanoseconds), .int(Int64(Limits.deduplicationSweep))],
            { row in (0..<5).map { SQLValue.text(row.text($0)) } })
        for key in old {
            try transaction.execute(
                """
                DELETE FROM sns_deduplication
                WHERE account = ? AND region = ? AND topic = ? AND scope = ? AND id = ?
                """, key)
        }
        try transaction.execute(
            """
            INSERT INTO sns_deduplication (account, region, topic, scope, id, message, sequence, expires)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, topic, scope, id) DO UPDATE SET message = excluded.message,
            sequence = excluded.sequence, expires = excluded.expires
            """,
            topic.values + [
                .text(scope), .text(id), .text(message), .int(sequence),
                .int((now + Limits.deduplicationInterval).nanoseconds),
            ])
    }
}
