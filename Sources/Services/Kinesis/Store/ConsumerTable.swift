import Platform
import Storage

enum ConsumerTable {
    private static let columns = "id, stream, name, created, policy"

    static func get(_ stream: Int64, _ name: String, in transaction: any ReadTransaction) throws -> Consumer? {
        try transaction.first(
            "SELECT \(columns) FROM kinesis_consumers WHERE stream = ? AND name = ?", [.int(stream), .text(name)],
            consumer)
    }

    static func list(
        _ stream: Int64, after: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [Consumer] {
        try transaction.query(
            "SELECT \(columns) FROM kinesis_consumers WHERE stream = ? AND name > ? ORDER BY name LIMIT ?",
            [.int(stream), .text(after), .int(Int64(limit))], consumer)
    }

    private static func consumer(_ row: any Row) -> Consumer {
        Consumer(
            id: row.int(0), stream: row.int(1), name: row.text(2), created: Instant(nanoseconds: row.int(3)),
            policy: row.optionalText(4).flatMap { ResourcePolicy($0) })
    }

    static func count(_ stream: Int64, in transaction: any ReadTransaction) throws -> Int {
        Int(
            try transaction.first(
                "SELECT COUNT(*) FROM kinesis_consumers WHERE stream = ?", [.int(stream)]
            ) { $0.int(0) } ?? 0)
    }

    static func insert(
        _ stream: Int64, _ name: String, tags: Fields, now: Instant, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "INSERT INTO kinesis_consumers (stream, name, created, tags) VALUES (?, ?, ?, ?)",
            [.int(stream), .text(name), .int(now.nanoseconds), .blob(JSON.encode(.map(tags)))])
    }

    static func delete(_ id: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM kinesis_consumers WHERE id = ?", [.int(id)])
    }

    static func setPolicy(_ id: Int64, _ policy: String?, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE kinesis_consumers SET policy = ? WHERE id = ?", [.optional(policy), .int(id)])
    }

    static func tags(_ id: Int64, in transaction: any ReadTransaction) throws -> Fields {
        try transaction.first("SELECT tags FROM kinesis_consumers WHERE id = ?", [.int(id)]) { row in
            try JSON.parse(row.blob(0)).fields ?? Fields()
        } ?? Fields()
    }

    static func setTags(_ id: Int64, _ tags: Fields, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE kinesis_consumers SET tags = ? WHERE id = ?", [.blob(JSON.encode(.map(tags))), .int(id)])
    }
}
