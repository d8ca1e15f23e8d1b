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

    /// Some rows, as many as one step of the background takes.
    struct Step<Row: Sendable>: Sendable {
        var rows: [Row] = []
        /// Rows whose items cannot be read.
        var unreadable: [Int64] = []
        /// The key of the last row, readable or not.
        var lastKey: [UInt8] = []
        /// Whether there are rows that it did not take.
        var hasMore = false
        private var count = 0
        private var bytes = 0

        /// Reads a row, if there is room for it. Throws `Enough` when there is none.
        fileprivate mutating func take(
            id: Int64, key: [UInt8], item: [UInt8], _ make: (Item) -> Row
        ) throws {
            guard count < Limits.rowsPerStep, bytes < Limits.bytesPerStep else {
                hasMore = true
                throw Enough()
            }
            count += 1
            bytes += item.count
            lastKey = key
            if let item = try? ItemStore.decode(item) { rows.append(make(item)) } else { unreadable.append(id) }
        }
    }

    /// Items of a table by their keys, for work on all of them.
    static func page(
        _ table: Int64, after key: [UInt8], in transaction: any ReadTransaction
    ) throws -> Step<(row: Int64, key: [UInt8], item: Item)> {
        var step = Step<(row: Int64, key: [UInt8], item: Item)>()
        do {
            _ = try transaction.query(
                "SELECT id, key, item FROM dynamodb_items WHERE table_id = ? AND key > ? ORDER BY key LIMIT ?",
                [.int(table), .blob(key), .int(Int64(Limits.rowsPerStep + 1))]
            ) { row in
                let (id, key) = (row.int(0), row.blob(1))
                try step.take(id: id, key: key, item: row.blob(2)) { (id, key, $0) }
            }
        } catch is Enough {}
        return step
    }

    /// An item whose time has ended.
    struct Expired: Sendable {
        var row: Int64
        var table: Int64
        var key: [UInt8]
        var expires: Int64
        var item: Item
    }

    static func expired(now: Int64, in transaction: any ReadTransaction) throws -> Step<Expired> {
        var step = Step<Expired>()
        do {
            _ = try transaction.query(
                """
                SELECT id, table_id, key, expires, item FROM dynamodb_items
                WHERE expires IS NOT NULL AND expires <= ? ORDER BY expires LIMIT ?
                """,
                [.int(now), .int(Int64(Limits.rowsPerStep + 1))]
            ) { row in
                let (id, table, key, expires) = (row.int(0), row.int(1), row.blob(2), row.int(3))
                try step.take(id: id, key: key, item: row.blob(4)) {
                    Expired(row: id, table: table, key: key, expires: expires, item: $0)
                }
            }
        } catch is Enough {}
        return step
    }

    static func nextExpiry(in transaction: any ReadTransaction) throws -> Int64? {
        try transaction.first(
            "SELECT expires FROM dynamodb_items WHERE expires IS NOT NULL ORDER BY expires LIMIT 1", { $0.int(0) })
    }

    static func setExpiry(_ row: Int64, _ expires: Int64?, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE dynamodb_items SET expires = ? WHERE id = ?", [.optional(expires), .int(row)])
    }

    /// Whether there may be more.
    static func removeSome(table: Int64, in transaction: any WriteTransaction) throws -> Bool {
        let rows = try transaction.query(
            "SELECT id, length(item) FROM dynamodb_items WHERE table_id = ? LIMIT ?",
            [.int(table), .int(Int64(Limits.rowsPerStep))]
        ) { (id: $0.int(0), bytes: Int($0.int(1))) }
        var bytes = 0
        for (count, row) in rows.enumerated() {
            guard bytes < Limits.bytesPerStep || count == 0 else { return true }
            bytes += row.bytes
            try delete(row.id, in: transaction)
        }
        return rows.count == Limits.rowsPerStep
    }

    /// How many rows went.
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
