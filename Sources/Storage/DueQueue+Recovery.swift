public import Platform

extension DueQueue {
    /// Gives back every item that somebody holds, claimable when it was due. Only for the single process that owns the
    /// store, at its start: whoever held an item is dead.
    public func releaseLeases(in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE duequeue_items SET claimable = due, is_held = 0 WHERE queue = ? AND is_held = 1", [.text(name)])
    }

    /// The partitions that have items, in order. Skips from one to the next through the index.
    public func partitions(in transaction: any ReadTransaction) throws -> [String] {
        var found: [String] = []
        var next = try transaction.first(
            "SELECT part FROM duequeue_items WHERE queue = ? ORDER BY part LIMIT 1", [.text(name)]
        ) { $0.text(0) }
        while let partition = next {
            found.append(partition)
            next = try transaction.first(
                "SELECT part FROM duequeue_items WHERE queue = ? AND part > ? ORDER BY part LIMIT 1",
                [.text(name), .text(partition)]
            ) { $0.text(0) }
        }
        return found
    }

    /// When the next item of a partition that nobody holds becomes claimable; nil when there is none. For a consumer that
    /// knows of itself when what it holds is done.
    public func nextClaimable(partition: String, in transaction: any ReadTransaction) throws -> Instant? {
        try transaction.first(
            """
            SELECT claimable FROM duequeue_items WHERE queue = ? AND part = ? AND is_held = 0 ORDER BY claimable LIMIT 1
            """,
            [.text(name), .text(partition)]
        ) { Instant(nanoseconds: $0.int(0)) }
    }

    /// When the last item of a partition becomes claimable; nil when it is empty.
    public func lastClaimable(partition: String, in transaction: any ReadTransaction) throws -> Instant? {
        try transaction.first(
            "SELECT claimable FROM duequeue_items WHERE queue = ? AND part = ? ORDER BY claimable DESC LIMIT 1",
            [.text(name), .text(partition)]
        ) { Instant(nanoseconds: $0.int(0)) }
    }

    /// Lets no item of a partition that nobody holds be claimed before `due`: where the first must not be overtaken. Items
    /// that fall together keep the order in which they came.
    public func postpone(partition: String, until due: Instant, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            UPDATE duequeue_items SET due = ?, claimable = ?
            WHERE queue = ? AND part = ? AND claimable < ? AND is_held = 0
            """,
            [
                .int(due.nanoseconds), .int(due.nanoseconds), .text(name), .text(partition), .int(due.nanoseconds),
            ])
    }

    /// Where a queue's unreadable items lie.
    public var asideName: String { name + "!unreadable" }

    /// Sets a held item aside that cannot be read: it stays on the disk, in a queue of its own (`asideName`), where nobody
    /// claims it, and the queue goes on. False as `complete`.
    public func setAside(_ item: DueItem, in transaction: any WriteTransaction) throws -> Bool {
        let changed = try transaction.execute(
            "UPDATE duequeue_items SET queue = ?, is_held = 0 WHERE id = ? AND queue = ? AND claims = ? AND is_held = 1",
            [.text(asideName), .int(item.id), .text(name), .int(item.token)])
        return changed > 0
    }

    /// Items that were set aside.
    public func countAside(in transaction: any ReadTransaction) throws -> Int {
        try DueQueue(name: asideName).count(in: transaction)
    }
}
