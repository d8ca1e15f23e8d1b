import Platform
import Storage

enum SegmentTable {
    static func insert(
        _ segment: Segment, shard: Int64, first: Position, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "INSERT INTO kinesis_segments (shard, first, last, bytes, data) VALUES (?, ?, ?, ?, ?)",
            [
                .int(shard), .int(first.number), .int(first.advanced(by: segment.count - 1).number),
                .int(Int64(segment.bytes.count)), .blob(segment.bytes),
            ])
    }

    struct Entry: Sendable {
        var id: Int64
        var first: Position
        var last: Position
    }

    /// Position of the newest record; nil when there is none.
    static func newest(_ shard: Int64, in transaction: any ReadTransaction) throws -> Position? {
        try transaction.first(
            "SELECT last FROM kinesis_segments WHERE shard = ? ORDER BY first DESC LIMIT 1", [.int(shard)]
        ) { Position($0.int(0)) }
    }

    /// The row that `position` lies in, or lies behind.
    static func at(_ position: Position, shard: Int64, in transaction: any ReadTransaction) throws -> Entry? {
        try transaction.first(
            "SELECT id, first, last FROM kinesis_segments WHERE shard = ? AND first <= ? ORDER BY first DESC LIMIT 1",
            [.int(shard), .int(position.number)], entry)
    }

    /// The next rows that begin behind `position`.
    static func after(
        _ position: Position, shard: Int64, limit: Int, in transaction: any ReadTransaction
    ) throws -> [Entry] {
        try transaction.query(
            "SELECT id, first, last FROM kinesis_segments WHERE shard = ? AND first > ? ORDER BY first LIMIT ?",
            [.int(shard), .int(position.number), .int(Int64(limit))], entry)
    }

    private static func entry(_ row: any Row) -> Entry {
        Entry(id: row.int(0), first: Position(row.int(1)), last: Position(row.int(2)))
    }

    static func data(_ id: Int64, in transaction: any ReadTransaction) throws -> [UInt8] {
        try transaction.first("SELECT data FROM kinesis_segments WHERE id = ?", [.int(id)]) { $0.blob(0) } ?? []
    }

    /// What one transaction may still remove.
    struct RemovalBudget {
        var rows = Limits.removalsPerTransaction
        var bytes = Limits.removedBytesPerTransaction
        var isSpent: Bool { rows <= 0 || bytes <= 0 }
    }

    /// Removes the oldest rows, all of whose records are before `horizon`, as far as the budget goes; the last position of them,
    /// nil when there were none.
    static func remove(
        shard: Int64, before horizon: Position, _ budget: inout RemovalBudget, in transaction: any WriteTransaction
    ) throws -> Position? {
        let rows = try transaction.query(
            "SELECT id, last, bytes FROM kinesis_segments WHERE shard = ? AND first < ? ORDER BY first LIMIT ?",
            [.int(shard), .int(horizon.number), .int(Int64(max(budget.rows, 0)))]
        ) { (id: $0.int(0), last: Position($0.int(1)), bytes: Int($0.int(2))) }
        var last: Position?
        for row in rows where row.last < horizon {
            if budget.isSpent { break }
            try transaction.execute("DELETE FROM kinesis_segments WHERE id = ?", [.int(row.id)])
            budget.rows -= 1
            budget.bytes -= row.bytes
            last = row.last
        }
        return last
    }
}
