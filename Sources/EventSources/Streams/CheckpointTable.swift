import Contracts
import Platform
import Storage

/// Tables `eventsources_streams` (mappings whose beginning is settled), `eventsources_shards` (how far each shard is done) and
/// `eventsources_windows` (open tumbling windows, apart because their states are large).
enum CheckpointTable {
    static let migration = """
        CREATE TABLE eventsources_streams (mapping TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
        CREATE TABLE eventsources_shards (
            mapping TEXT NOT NULL, shard TEXT NOT NULL, created BIGINT NOT NULL,
            position TEXT, anchor TEXT, ahead BLOB, ended BIGINT NOT NULL,
            PRIMARY KEY (mapping, shard, created)
        ) WITHOUT ROWID;
        CREATE TABLE eventsources_windows (
            mapping TEXT NOT NULL, shard TEXT NOT NULL, created BIGINT NOT NULL,
            starts BIGINT NOT NULL, ends BIGINT NOT NULL, state BLOB NOT NULL,
            PRIMARY KEY (mapping, shard, created)
        );
        """

    /// Whether the mapping's starting position has been applied to the shards that there were.
    static func isBegun(_ mapping: String, in transaction: any ReadTransaction) throws -> Bool {
        try transaction.first("SELECT 1 FROM eventsources_streams WHERE mapping = ?", [.text(mapping)]) { _ in true }
            ?? false
    }

    static func begin(_ mapping: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO eventsources_streams (mapping) VALUES (?) ON CONFLICT (mapping) DO NOTHING", [.text(mapping)])
    }

    /// All of a mapping.
    static func checkpoints(
        _ mapping: String, in transaction: any ReadTransaction
    ) throws -> [StreamShardKey: Checkpoint] {
        let rows = try transaction.query(
            "SELECT shard, created, position, anchor, ahead, ended FROM eventsources_shards WHERE mapping = ?",
            [.text(mapping)]
        ) { row in
            (
                StreamShardKey(id: row.text(0), createdAt: Instant(nanoseconds: row.int(1))),
                Checkpoint(
                    position: row.optionalText(2),
                    ahead: row.optionalText(3).map { Checkpoint.Ahead(anchor: $0, bits: row.blob(4)) },
                    isEnded: row.bool(5))
            )
        }
        return Dictionary(rows, uniquingKeysWith: { first, _ in first })
    }

    /// Open windows of a mapping.
    static func windows(
        _ mapping: String, in transaction: any ReadTransaction
    ) throws -> [StreamShardKey: TumblingWindow] {
        let rows = try transaction.query(
            "SELECT shard, created, starts, ends, state FROM eventsources_windows WHERE mapping = ?", [.text(mapping)]
        ) { row in
            (
                StreamShardKey(id: row.text(0), createdAt: Instant(nanoseconds: row.int(1))),
                TumblingWindow(
                    start: Instant(nanoseconds: row.int(2)), end: Instant(nanoseconds: row.int(3)), state: row.blob(4))
            )
        }
        return Dictionary(rows, uniquingKeysWith: { first, _ in first })
    }

    /// Where a shard begins; one that is there stays as it is.
    static func insert(
        _ mapping: String, _ shard: StreamShardKey, _ checkpoint: Checkpoint, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO eventsources_shards (mapping, shard, created, position, anchor, ahead, ended)
            VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (mapping, shard, created) DO NOTHING
            """, key(mapping, shard) + values(checkpoint))
    }

    /// Moves a checkpoint. Answers whether there is one: not when the mapping or the shard has been deleted.
    static func update(
        _ mapping: String, _ shard: StreamShardKey, _ checkpoint: Checkpoint, window: TumblingWindow?,
        in transaction: any WriteTransaction
    ) throws -> Bool {
        let count = try transaction.execute(
            """
            UPDATE eventsources_shards SET position = ?, anchor = ?, ahead = ?, ended = ?
            WHERE mapping = ? AND shard = ? AND created = ?
            """, values(checkpoint) + key(mapping, shard))
        guard count > 0 else { return false }
        guard let window else { return true }
        try transaction.execute(
            """
            INSERT INTO eventsources_windows (mapping, shard, created, starts, ends, state) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (mapping, shard, created) DO UPDATE
            SET starts = excluded.starts, ends = excluded.ends, state = excluded.state
            """,
            key(mapping, shard) + [
                .int(window.start.nanoseconds), .int(window.end.nanoseconds), .blob(window.state),
            ])
        return true
    }

    static func deleteWindow(
        _ mapping: String, _ shard: StreamShardKey, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "DELETE FROM eventsources_windows WHERE mapping = ? AND shard = ? AND created = ?", key(mapping, shard))
    }

    static func delete(
        _ mapping: String, _ shard: StreamShardKey, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "DELETE FROM eventsources_shards WHERE mapping = ? AND shard = ? AND created = ?", key(mapping, shard))
        try deleteWindow(mapping, shard, in: transaction)
    }

    /// Everything of a mapping.
    static func delete(_ mapping: String, in transaction: any WriteTransaction) throws {
        for sql in [
            "DELETE FROM eventsources_shards WHERE mapping = ?", "DELETE FROM eventsources_windows WHERE mapping = ?",
            "DELETE FROM eventsources_streams WHERE mapping = ?",
        ] {
            try transaction.execute(sql, [.text(mapping)])
        }
    }

    private static func key(_ mapping: String, _ shard: StreamShardKey) -> [SQLValue] {
        [.text(mapping), .text(shard.id), .int(shard.createdAt.nanoseconds)]
    }

    private static func values(_ checkpoint: Checkpoint) -> [SQLValue] {
        [
            .optional(checkpoint.position), .optional(checkpoint.ahead?.anchor),
            checkpoint.ahead.map { .blob($0.bits) } ?? .null, .bool(checkpoint.isEnded),
        ]
    }
}
