import Platform
import Storage

enum ShardTable {
    static func all(of stream: Int64, in transaction: any ReadTransaction) throws -> [Shard] {
        try transaction.query(
            """
            SELECT id, number, low, high, created, created_seconds, parent, adjacent, ended, ended_at
            FROM kinesis_shards WHERE stream = ? ORDER BY number
            """, [.int(stream)]
        ) { row in
            let (low, high) = (HashKey.stored(row.blob(2)), HashKey.stored(row.blob(3)))
            guard low <= high else { throw Failure(.corrupt, "The shards of a Kinesis stream cannot be read.") }
            return Shard(
                id: row.int(0), number: row.int(1), range: low...high, created: Instant(nanoseconds: row.int(4)),
                createdSeconds: row.int(5), parent: row.optionalInt(6), adjacentParent: row.optionalInt(7),
                end: row.optionalInt(8).map {
                    Shard.End(position: Position($0), at: Instant(nanoseconds: row.int(9)))
                })
        }
    }

    /// Answers the row's id.
    @discardableResult
    static func insert(
        _ shard: Shard, stream: Int64, end: Shard.End? = nil, in transaction: any WriteTransaction
    ) throws -> Int64 {
        try transaction.execute(
            """
            INSERT INTO kinesis_shards
                (stream, number, low, high, created, created_seconds, parent, adjacent, ended, ended_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .int(stream), .int(shard.number), .blob(HashKey.bytes(shard.range.lowerBound)),
                .blob(HashKey.bytes(shard.range.upperBound)), .int(shard.created.nanoseconds),
                .int(shard.createdSeconds), .optional(shard.parent), .optional(shard.adjacentParent),
                .optional(end?.position.number), .optional(end?.at.nanoseconds),
            ])
        return transaction.lastInsertedRowID
    }

    static func close(_ id: Int64, _ end: Shard.End, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE kinesis_shards SET ended = ?, ended_at = ? WHERE id = ?",
            [.int(end.position.number), .int(end.at.nanoseconds), .int(id)])
    }

    static func isClosed(_ id: Int64, in transaction: any ReadTransaction) throws -> Bool {
        try transaction.first(
            "SELECT ended FROM kinesis_shards WHERE id = ?", [.int(id)]
        ) { !$0.isNull(0) } ?? false
    }

    static func floor(_ id: Int64, in transaction: any ReadTransaction) throws -> Position {
        Position(
            try transaction.first("SELECT floor FROM kinesis_shards WHERE id = ?", [.int(id)]) { $0.int(0) } ?? 0)
    }

    static func setFloor(_ id: Int64, _ floor: Position, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE kinesis_shards SET floor = ? WHERE id = ? AND floor < ?",
            [.int(floor.number), .int(id), .int(floor.number)])
    }

    /// Of a stream: shards with a record that is over its retention, and closed shards that have none any more.
    static func due(
        stream: Int64, horizon: Position, limit: Int, in transaction: any ReadTransaction
    ) throws -> [Int64] {
        try transaction.query(
            """
            SELECT id FROM kinesis_shards s WHERE stream = ? AND (
                (SELECT last FROM kinesis_segments g WHERE g.shard = s.id ORDER BY first LIMIT 1) < ?
                OR (ended < ? AND NOT EXISTS (SELECT 1 FROM kinesis_segments g WHERE g.shard = s.id)))
            ORDER BY number LIMIT ?
            """, [.int(stream), .int(horizon.number), .int(horizon.number), .int(Int64(limit))]
        ) { $0.int(0) }
    }

    /// Removes a closed shard that is over its retention and empty; whether it did.
    static func removeEnded(_ id: Int64, horizon: Position, in transaction: any WriteTransaction) throws -> Bool {
        try transaction.execute(
            """
            DELETE FROM kinesis_shards WHERE id = ? AND ended < ?
                AND NOT EXISTS (SELECT 1 FROM kinesis_segments g WHERE g.shard = kinesis_shards.id)
            """, [.int(id), .int(horizon.number)]) > 0
    }
}
