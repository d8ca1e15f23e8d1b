import Platform
import Storage

/// An item with its row.
struct StoredItem: Sendable {
    var row: Int64
    var item: Item
}

/// Rows of items and of the entries of indexes.
enum ItemStore {
    static func get(
        _ table: Int64, _ key: [UInt8], in transaction: any ReadTransaction
    ) throws -> StoredItem? {
        try transaction.first(
            "SELECT id, item FROM dynamodb_items WHERE table_id = ? AND key = ?", [.int(table), .blob(key)],
            { StoredItem(row: $0.int(0), item: try decode($0.blob(1))) })
    }

    static func decode(_ bytes: [UInt8]) throws -> Item {
        do {
            return try ItemCodec.decode(bytes)
        } catch {
            throw Failure(.corrupt, "An item of the store cannot be read.")
        }
    }

    /// The row of the new item.
    static func insert(
        _ table: Int64, _ key: [UInt8], _ item: Item, expires: Int64?, in transaction: any WriteTransaction
    ) throws -> Int64 {
        try transaction.execute(
            "INSERT INTO dynamodb_items (table_id, key, expires, item) VALUES (?, ?, ?, ?)",
            [.int(table), .blob(key), .optional(expires), .blob(ItemCodec.encode(item))])
        return transaction.lastInsertedRowID
    }

    static func update(_ row: Int64, _ item: Item, expires: Int64?, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE dynamodb_items SET expires = ?, item = ? WHERE id = ?",
            [.optional(expires), .blob(ItemCodec.encode(item)), .int(row)])
    }

    static func delete(_ row: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM dynamodb_items WHERE id = ?", [.int(row)])
    }

    // MARK: Entries of indexes

    /// Whether it was not there before.
    @discardableResult
    static func insertEntry(
        _ index: Int64, _ key: [UInt8], row: Int64, in transaction: any WriteTransaction
    ) throws -> Bool {
        try transaction.execute(
            "INSERT INTO dynamodb_entries (index_id, key, item) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [.int(index), .blob(key), .int(row)]) > 0
    }

    /// Whether it was there: an index that is being made does not have all of them.
    static func deleteEntry(_ index: Int64, _ key: [UInt8], in transaction: any WriteTransaction) throws -> Bool {
        try transaction.execute(
            "DELETE FROM dynamodb_entries WHERE index_id = ? AND key = ?", [.int(index), .blob(key)]) > 0
    }

    static func hasEntry(_ index: Int64, _ key: [UInt8], in transaction: any ReadTransaction) throws -> Bool {
        try transaction.first(
            "SELECT 1 FROM dynamodb_entries WHERE index_id = ? AND key = ?", [.int(index), .blob(key)], { _ in true })
            ?? false
    }

    // MARK: Ranges

    /// Thrown by a visitor that has seen enough.
    private struct Enough: Error {}

    /// Visits the items of a range of keys in order until `visit` answers false. `index`: of an index instead of the table.
    static func visit(
        table: Int64, index: Int64?, _ range: KeyRange, forward: Bool, in transaction: any ReadTransaction,
        _ visit: (_ item: Item) throws -> Bool
    ) throws {
        let sql =
            switch (index == nil, forward) {
            case (true, true):
                """
                SELECT item FROM dynamodb_items WHERE table_id = ? AND key >= ? AND key < ? ORDER BY key
                """
            case (true, false):
                """
                SELECT item FROM dynamodb_items WHERE table_id = ? AND key >= ? AND key < ? ORDER BY key DESC
                """
            case (false, true):
                """
                SELECT i.item FROM dynamodb_entries e JOIN dynamodb_items i ON i.id = e.item
                WHERE e.index_id = ? AND e.key >= ? AND e.key < ? ORDER BY e.key
                """
            case (false, false):
                """
                SELECT i.item FROM dynamodb_entries e JOIN dynamodb_items i ON i.id = e.item
                WHERE e.index_id = ? AND e.key >= ? AND e.key < ? ORDER BY e.key DESC
                """
            }
        do {
            _ = try transaction.query(sql, [.int(index ?? table), .blob(range.lower), .blob(range.upper)]) { row in
                if try !visit(decode(row.blob(0))) { throw Enough() }
            }
        } catch is Enough {}
    }

    // MARK: Background

    /// Items of a table by their keys, for work on all of them.
    static func page(
        _ table: Int64, after key: [UInt8], limit: Int, in transaction: any ReadTransaction
    ) throws -> [(row: Int64, key: [UInt8], item: Item)] {
        try transaction.query(
            "SELECT id, key, item FROM dynamodb_items WHERE table_id = ? AND key > ? ORDER BY key LIMIT ?",
            [.int(table), .blob(key), .int(Int64(limit))],
            { ($0.int(0), $0.blob(1), try decode($0.blob(2))) })
    }

    /// Items whose time has ended.
    static func expired(
        now: Int64, limit: Int, in transaction: any ReadTransaction
    ) throws -> [(row: Int64, table: Int64, key: [UInt8], expires: Int64, item: Item)] {
        try transaction.query(
            """
            SELECT id, table_id, key, expires, item FROM dynamodb_items
            WHERE expires IS NOT NULL AND expires <= ? ORDER BY expires LIMIT ?
            """,
            [.int(now), .int(Int64(limit))],
            { ($0.int(0), $0.int(1), $0.blob(2), $0.int(3), try decode($0.blob(4))) })
    }

    static func nextExpiry(in transaction: any ReadTransaction) throws -> Int64? {
        try transaction.first(
            "SELECT expires FROM dynamodb_items WHERE expires IS NOT NULL ORDER BY expires LIMIT 1", { $0.int(0) })
    }

    static func setExpiry(_ row: Int64, _ expires: Int64?, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE dynamodb_items SET expires = ? WHERE id = ?", [.optional(expires), .int(row)])
    }

    /// How many rows went.
    static func removeSome(table: Int64, limit: Int, in transaction: any WriteTransaction) throws -> Int {
        try transaction.execute(
            """
            DELETE FROM dynamodb_items WHERE id IN (SELECT id FROM dynamodb_items WHERE table_id = ? LIMIT ?)
            """, [.int(table), .int(Int64(limit))])
    }

    static func removeSomeEntries(index: Int64, limit: Int, in transaction: any WriteTransaction) throws -> Int {
        try transaction.execute(
            """
            DELETE FROM dynamodb_entries WHERE index_id = ? AND key IN
                (SELECT key FROM dynamodb_entries WHERE index_id = ? LIMIT ?)
            """, [.int(index), .int(index), .int(Int64(limit))])
    }
}

/// Keys from `lower` on, and below `upper`.
struct KeyRange: Sendable {
    var lower: [UInt8]
    var upper: [UInt8]

    /// Above every key: keys begin with a hash and are shorter.
    static let top = [UInt8](repeating: 0xFF, count: 8_192)

    static func end(ofPrefix prefix: [UInt8]) -> [UInt8] { KeyEncoding.end(ofPrefix: prefix) ?? top }

    /// What begins with these bytes.
    init(prefix: [UInt8]) {
        lower = prefix
        upper = Self.end(ofPrefix: prefix)
    }

    /// One of `count` segments of all keys: an equal part of the hashes in front of them.
    init(segment: Int, of count: Int) {
        func bound(_ number: Int) -> [UInt8]? {
            let hash = (UInt64(number) << 32) / UInt64(max(count, 1))
            guard hash <= UInt64(UInt32.max) else { return nil }
            return (0..<4).map { UInt8(truncatingIfNeeded: hash >> UInt64(24 - 8 * $0)) }
        }
        lower = bound(segment) ?? Self.top
        upper = bound(segment + 1) ?? Self.top
    }

    /// What a key condition asks for.
    init(_ condition: KeyCondition, _ schema: KeySchema) throws {
        let partition = try schema.prefix(condition.partition)
        func with(_ value: AttributeValue) throws -> [UInt8] {
            var bytes = partition
            try KeyEncoding.append(value, to: &bytes)
            return bytes
        }
        self.init(prefix: partition)
        switch condition.sort {
        case nil: break
        case .equal(let value): self.init(prefix: try with(value))
        case .less(let value): upper = try with(value)
        case .lessOrEqual(let value): upper = Self.end(ofPrefix: try with(value))
        case .greater(let value): lower = Self.end(ofPrefix: try with(value))
        case .greaterOrEqual(let value): lower = try with(value)
        case .between(let low, let high):
            lower = try with(low)
            upper = Self.end(ofPrefix: try with(high))
        case .beginsWith(let value):
            let beginning: [UInt8]
            switch value {
            case .string(let text): beginning = Array(text.utf8)
            case .binary(let bytes): beginning = bytes
            default: beginning = []
            }
            lower = try with(value)
            // Text and bytes are encoded alike, so the end of a text's continuations can be given as bytes.
            if let end = KeyEncoding.end(ofPrefix: beginning) { upper = try with(.binary(end)) }
        }
    }

    /// Only what lies behind `key` in the direction of reading.
    mutating func start(after key: [UInt8], forward: Bool) {
        if forward {
            let next = key + [0]
            if ByteOrder.less(lower, next) { lower = next }
        } else {
            if ByteOrder.less(key, upper) { upper = key }
        }
    }

    func contains(_ key: [UInt8]) -> Bool { !ByteOrder.less(key, lower) && ByteOrder.less(key, upper) }
}
