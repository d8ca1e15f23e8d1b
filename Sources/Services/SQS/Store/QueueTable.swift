import Platform
import Storage

/// Rows of queues. Cached by `QueueDirectory`: read there, not here, where only the queue itself is wanted.
enum QueueTable {
    private static let columns = "id, account, region, name, created, modified, attributes"

    static func get(
        _ scope: AccountRegion, _ name: String, in transaction: any ReadTransaction
    ) throws -> Queue? {
        try transaction.first(
            "SELECT \(columns) FROM sqs_queues WHERE account = ? AND region = ? AND name = ?",
            [.text(scope.account), .text(scope.region), .text(name)], queue)
    }

    private static func queue(_ row: any Row) throws -> Queue {
        Queue(
            id: row.int(0), scope: AccountRegion(account: row.text(1), region: row.text(2)), name: row.text(3),
            created: Instant(nanoseconds: row.int(4)), modified: Instant(nanoseconds: row.int(5)),
            attributes: try QueueAttributes(stored: row.blob(6)))
    }

    static func insert(
        _ scope: AccountRegion, _ name: String, _ attributes: QueueAttributes, tags: Value, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO sqs_queues (account, region, name, created, modified, attributes, tags, dead_letters)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(scope.account), .text(scope.region), .text(name), .int(now.nanoseconds), .int(now.nanoseconds),
                .blob(attributes.stored), .blob(JSON.encode(tags)), .optional(attributes.redrive?.targetARN),
            ])
    }

    static func update(
        _ id: Int64, _ attributes: QueueAttributes, now: Instant, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "UPDATE sqs_queues SET attributes = ?, dead_letters = ?, modified = ? WHERE id = ?",
            [
                .blob(attributes.stored), .optional(attributes.redrive?.targetARN), .int(now.nanoseconds), .int(id),
            ])
    }

    /// The queue goes at once; its messages later (`sqs_garbage`).
    static func delete(_ id: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM sqs_queues WHERE id = ?", [.int(id)])
        for garbage in [id, Unreadable.aside(id)] {
            try transaction.execute("INSERT INTO sqs_garbage (queue) VALUES (?)", [.int(garbage)])
        }
    }

    static func list(
        _ scope: AccountRegion, prefix: String, after: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [String] {
        try transaction.query(
            """
            SELECT name FROM sqs_queues
            WHERE account = ? AND region = ? AND name > ? AND name >= ? AND substr(name, 1, length(?)) = ?
            ORDER BY name LIMIT ?
            """,
            [
                .text(scope.account), .text(scope.region), .text(after), .text(prefix), .text(prefix), .text(prefix),
                .int(Int64(limit)),
            ], { $0.text(0) })
    }

    /// Queues whose redrive policy names this one.
    static func sources(
        of target: String, _ scope: AccountRegion, after: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [String] {
        try transaction.query(
            """
            SELECT name FROM sqs_queues
            WHERE dead_letters = ? AND name > ? AND account = ? AND region = ? ORDER BY name LIMIT ?
            """,
            [.text(target), .text(after), .text(scope.account), .text(scope.region), .int(Int64(limit))],
            { $0.text(0) })
    }

    static func tags(_ id: Int64, in transaction: any ReadTransaction) throws -> Fields {
        try transaction.first("SELECT tags FROM sqs_queues WHERE id = ?", [.int(id)]) { row in
            try JSON.parse(row.blob(0)).fields ?? Fields()
        } ?? Fields()
    }

    static func setTags(_ id: Int64, _ tags: Fields, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE sqs_queues SET tags = ? WHERE id = ?", [.blob(JSON.encode(.map(tags))), .int(id)])
    }

    static func purged(_ id: Int64, in transaction: any ReadTransaction) throws -> Instant {
        try transaction.first("SELECT purged FROM sqs_queues WHERE id = ?", [.int(id)]) {
            Instant(nanoseconds: $0.int(0))
        } ?? Instant(nanoseconds: 0)
    }

    static func setPurged(_ id: Int64, _ now: Instant, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE sqs_queues SET purged = ? WHERE id = ?", [.int(now.nanoseconds), .int(id)])
    }

    /// Ids and retention of all queues, a page at a time, for the sweep. A row that cannot be read has no queue: the others must
    /// not wait for it.
    static func page(
        after: Int64, limit: Int, in transaction: any ReadTransaction
    ) throws -> [(id: Int64, queue: Queue?)] {
        try transaction.query(
            "SELECT \(columns) FROM sqs_queues WHERE id > ? ORDER BY id LIMIT ?",
            [.int(after), .int(Int64(limit))], { (id: $0.int(0), queue: try? queue($0)) })
    }
}
