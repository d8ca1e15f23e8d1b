public import Platform

/// An item to be put into a `DueQueue`.
public struct NewDueItem: Sendable {
    /// Groups items for claims by partition (a function, a target); indexed.
    public var partition: String
    public var due: Instant
    public var payload: [UInt8]
    public init(partition: String, due: Instant, payload: [UInt8]) {
        self.partition = partition
        self.due = due
        self.payload = payload
    }
}

/// An item that this process holds until its lease ends.
public struct DueItem: Sendable {
    public var id: Int64
    public var partition: String
    public var payload: [UInt8]
    public var due: Instant
    public var enqueuedAt: Instant
    /// How often it was claimed, this time included.
    public var claims: Int
    /// Fences late answers: an item whose lease ended and that was claimed anew has another token.
    public var token: Int64
}

/// A durable queue ordered by due time: claim with a lease, then complete or reschedule. A holder that dies loses its
/// lease and the item becomes claimable again: at least once, never zero times.
public struct DueQueue: Sendable {
    /// The queue's name; many queues share one table.
    public let name: String

    public init(name: String) { self.name = name }

    /// `claimable` is when an item can be claimed: its due time, or the end of its lease. Ids are never used again
    /// (AUTOINCREMENT), so that id and number of claims together fence late answers.
    public static var migrations: Migrations {
        Migrations(
            service: "duequeue",
            steps: [
                """
                CREATE TABLE duequeue_items (
                    id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, part TEXT NOT NULL,
                    due INTEGER NOT NULL, claimable INTEGER NOT NULL, enqueued INTEGER NOT NULL,
                    claims INTEGER NOT NULL DEFAULT 0, is_held INTEGER NOT NULL DEFAULT 0, payload BLOB
                );
                CREATE INDEX duequeue_items_claimable ON duequeue_items (queue, claimable, id);
                CREATE INDEX duequeue_items_part ON duequeue_items (queue, part, claimable, id);
                CREATE TABLE duequeue_payloads (id INTEGER PRIMARY KEY, payload BLOB NOT NULL);
                """,
                "CREATE INDEX duequeue_items_held ON duequeue_items (queue) WHERE is_held = 1;",
            ])
    }

    @discardableResult
    public func enqueue(_ item: NewDueItem, now: Instant, in transaction: any WriteTransaction) throws -> Int64 {
        try insert(item, claimable: item.due, claims: 0, now: now, in: transaction)
    }

    /// Puts an item in that the caller holds from the beginning, as if it had claimed it: saves the claim's commit where the
    /// work begins at once. It may begin when the transaction has committed, not before.
    public func enqueueHeld(
        _ item: NewDueItem, now: Instant, lease: Duration, in transaction: any WriteTransaction
    ) throws -> DueItem {
        let id = try insert(item, claimable: now + lease, claims: 1, now: now, in: transaction)
        return DueItem(
            id: id, partition: item.partition, payload: item.payload, due: item.due, enqueuedAt: now, claims: 1,
            token: 1)
    }

    private func insert(
        _ item: NewDueItem, claimable: Instant, claims: Int64, now: Instant, in transaction: any WriteTransaction
    ) throws -> Int64 {
        let isInline = item.payload.count <= StorageLimits.inlinePayloadBytes
        try transaction.execute(
            """
            INSERT INTO duequeue_items (queue, part, due, claimable, enqueued, claims, is_held, payload)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(name), .text(item.partition), .int(item.due.nanoseconds), .int(claimable.nanoseconds),
                .int(now.nanoseconds), .int(claims), .bool(claims > 0), isInline ? .blob(item.payload) : .null,
            ])
        let id = transaction.lastInsertedRowID
        if !isInline { try insertPayload(item.payload, id, transaction) }
        return id
    }

    /// Claims up to `limit` items (at most 1,000) that are due and unleased, earliest first, optionally of one partition.
    public func claim(
        limit: Int, partition: String? = nil, now: Instant, lease: Duration, in transaction: any WriteTransaction
    ) throws -> [DueItem] {
        let limit = Int64(min(max(limit, 0), StorageLimits.itemsPerClaim))
        let columns = "i.id, i.part, i.due, i.enqueued, i.claims, COALESCE(i.payload, p.payload)"
        let source = "duequeue_items i LEFT JOIN duequeue_payloads p ON p.id = i.id"
        let map: (any Row) -> DueItem = { row in
            DueItem(
                id: row.int(0), partition: row.text(1), payload: row.blob(5),
                due: Instant(nanoseconds: row.int(2)), enqueuedAt: Instant(nanoseconds: row.int(3)),
                claims: Int(row.int(4)) &+ 1, token: row.int(4) &+ 1)
        }
        let items: [DueItem]
        if let partition {
            items = try transaction.query(
                """
                SELECT \(columns) FROM \(source) WHERE i.queue = ? AND i.part = ? AND i.claimable <= ?
                ORDER BY i.claimable, i.id LIMIT ?
                """,
                [.text(name), .text(partition), .int(now.nanoseconds), .int(limit)], map)
        } else {
            items = try transaction.query(
                """
                SELECT \(columns) FROM \(source) WHERE i.queue = ? AND i.claimable <= ?
                ORDER BY i.claimable, i.id LIMIT ?
                """,
                [.text(name), .int(now.nanoseconds), .int(limit)], map)
        }
        let end = (now + lease).nanoseconds
        for item in items {
            try transaction.execute(
                "UPDATE duequeue_items SET claimable = ?, claims = ?, is_held = 1 WHERE id = ?",
                [.int(end), .int(item.token), .int(item.id)])
        }
        return items
    }

    /// Removes a held item; false when it is no longer held under this token.
    public func complete(_ item: DueItem, in transaction: any WriteTransaction) throws -> Bool {
        let removed = try transaction.execute(
            "DELETE FROM duequeue_items WHERE id = ? AND queue = ? AND claims = ? AND is_held = 1",
            [.int(item.id), .text(name), .int(item.token)])
        guard removed > 0 else { return false }
        if item.payload.count > StorageLimits.inlinePayloadBytes { try removePayload(item.id, transaction) }
        return true
    }

    /// Gives a held item back, due later, with a new payload if given; false as `complete`.
    public func reschedule(
        _ item: DueItem, due: Instant, payload: [UInt8]? = nil, in transaction: any WriteTransaction
    ) throws -> Bool {
        let changed = try transaction.execute(
            """
            UPDATE duequeue_items SET due = ?, claimable = ?, is_held = 0
            WHERE id = ? AND queue = ? AND claims = ? AND is_held = 1
            """,
            [
                .int(due.nanoseconds), .int(due.nanoseconds), .int(item.id), .text(name), .int(item.token),
            ])
        guard changed > 0 else { return false }
        if let payload {
            let isInline = payload.count <= StorageLimits.inlinePayloadBytes
            try removePayload(item.id, transaction)
            try transaction.execute(
                "UPDATE duequeue_items SET payload = ? WHERE id = ?",
                [isInline ? .blob(payload) : .null, .int(item.id)])
            if !isInline { try insertPayload(payload, item.id, transaction) }
        }
        return true
    }

    /// When the next item becomes claimable (due, or its lease ends); nil when empty.
    public func nextClaimable(in transaction: any ReadTransaction) throws -> Instant? {
        try transaction.first(
            "SELECT claimable FROM duequeue_items WHERE queue = ? ORDER BY claimable LIMIT 1", [.text(name)]
        ) { Instant(nanoseconds: $0.int(0)) }
    }

    /// Items of the queue or of one partition, held ones included.
    public func count(partition: String? = nil, in transaction: any ReadTransaction) throws -> Int {
        let count =
            if let partition {
                try transaction.first(
                    "SELECT COUNT(*) FROM duequeue_items WHERE queue = ? AND part = ?",
                    [.text(name), .text(partition)]
                ) { $0.int(0) }
            } else {
                try transaction.first("SELECT COUNT(*) FROM duequeue_items WHERE queue = ?", [.text(name)]) {
                    $0.int(0)
                }
            }
        return Int(count ?? 0)
    }

    private func insertPayload(_ payload: [UInt8], _ id: Int64, _ transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO duequeue_payloads (id, payload) VALUES (?, ?)", [.int(id), .blob(payload)])
    }

    private func removePayload(_ id: Int64, _ transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM duequeue_payloads WHERE id = ?", [.int(id)])
    }
}
