import Platform
import Storage

/// Rows of tables. Cached by `TableDirectory`: read there, not here, where only the table itself is wanted.
enum TableStore {
    private static let columns = "id, account, region, name, uuid, created, definition"

    static func get(_ scope: AccountRegion, _ name: String, in transaction: any ReadTransaction) throws -> Table? {
        try transaction.first(
            "SELECT \(columns) FROM dynamodb_tables WHERE account = ? AND region = ? AND name = ?",
            [.text(scope.account), .text(scope.region), .text(name)], table)
    }

    static func get(id: Int64, in transaction: any ReadTransaction) throws -> Table? {
        try transaction.first("SELECT \(columns) FROM dynamodb_tables WHERE id = ?", [.int(id)], table)
    }

    private static func table(_ row: any Row) throws -> Table {
        Table(
            id: row.int(0), scope: AccountRegion(account: row.text(1), region: row.text(2)), name: row.text(3),
            uuid: row.text(4), created: Instant(nanoseconds: row.int(5)),
            definition: try TableDefinition(stored: row.blob(6)))
    }

    static func insert(_ table: Table, tags: Value, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO dynamodb_tables (id, account, region, name, uuid, created, definition, tags)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .int(table.id), .text(table.scope.account), .text(table.scope.region), .text(table.name),
                .text(table.uuid), .int(table.created.nanoseconds), .blob(table.definition.stored),
                .blob(JSON.encode(tags)),
            ])
    }

    static func update(_ table: Table, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE dynamodb_tables SET definition = ? WHERE id = ?",
            [.blob(table.definition.stored), .int(table.id)])
    }

    static func delete(_ table: Table, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM dynamodb_tables WHERE id = ?", [.int(table.id)])
    }

    static func list(
        _ scope: AccountRegion, after: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [String] {
        try transaction.query(
            """
            SELECT name FROM dynamodb_tables WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?
            """,
            [.text(scope.account), .text(scope.region), .text(after), .int(Int64(limit))], { $0.text(0) })
    }

    static func count(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT count(*) FROM dynamodb_tables WHERE account = ? AND region = ?",
            [.text(scope.account), .text(scope.region)], { $0.int(0) }) ?? 0
    }

    static func tags(_ id: Int64, in transaction: any ReadTransaction) throws -> Fields {
        let bytes = try transaction.first("SELECT tags FROM dynamodb_tables WHERE id = ?", [.int(id)], { $0.blob(0) })
        return bytes.flatMap { try? JSON.parse($0).fields } ?? [:]
    }

    static func setTags(_ id: Int64, _ tags: Fields, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE dynamodb_tables SET tags = ? WHERE id = ?", [.blob(JSON.encode(.map(tags))), .int(id)])
    }

    // MARK: Ids and counts

    /// A new id for a table or an index.
    static func newID(in transaction: any WriteTransaction) throws -> Int64 {
        try transaction.execute("INSERT INTO dynamodb_counts (items, bytes) VALUES (0, 0)", [])
        return transaction.lastInsertedRowID
    }

    static func counts(_ id: Int64, in transaction: any ReadTransaction) throws -> (items: Int64, bytes: Int64) {
        try transaction.first(
            "SELECT items, bytes FROM dynamodb_counts WHERE id = ?", [.int(id)], { ($0.int(0), $0.int(1)) }) ?? (0, 0)
    }

    static func count(_ id: Int64, items: Int, bytes: Int, in transaction: any WriteTransaction) throws {
        if items == 0, bytes == 0 { return }
        try transaction.execute(
            "UPDATE dynamodb_counts SET items = items + ?, bytes = bytes + ? WHERE id = ?",
            [.int(Int64(items)), .int(Int64(bytes)), .int(id)])
    }

    static func removeCounts(_ id: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM dynamodb_counts WHERE id = ?", [.int(id)])
    }
}
