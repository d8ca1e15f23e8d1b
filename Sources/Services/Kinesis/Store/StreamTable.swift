import Platform
import Storage

/// Rows of streams. Cached by `StreamDirectory`: read there where only the stream itself is wanted.
enum StreamTable {
    private static let columns =
        "id, account, region, name, stream_id, created, shards_made, settings, policy"

    static func get(_ scope: AccountRegion, _ name: String, in transaction: any ReadTransaction) throws -> Stream? {
        let stream = try transaction.first(
            "SELECT \(columns) FROM kinesis_streams WHERE account = ? AND region = ? AND name = ?",
            [.text(scope.account), .text(scope.region), .text(name)], stream)
        return try stream.map { try withShards($0, in: transaction) }
    }

    static func get(_ id: Int64, in transaction: any ReadTransaction) throws -> Stream? {
        let stream = try transaction.first(
            "SELECT \(columns) FROM kinesis_streams WHERE id = ?", [.int(id)], stream)
        return try stream.map { try withShards($0, in: transaction) }
    }

    /// By AWS's `StreamId`: the stream's name.
    static func name(
        _ scope: AccountRegion, streamID: String, in transaction: any ReadTransaction
    ) throws -> String? {
        try transaction.first(
            "SELECT name FROM kinesis_streams WHERE stream_id = ? AND account = ? AND region = ?",
            [.text(streamID), .text(scope.account), .text(scope.region)]
        ) { $0.text(0) }
    }

    private static func stream(_ row: any Row) throws -> Stream {
        Stream(
            id: row.int(0), scope: AccountRegion(account: row.text(1), region: row.text(2)), name: row.text(3),
            streamID: row.text(4), created: Instant(nanoseconds: row.int(5)),
            settings: try StreamSettings(stored: row.blob(7)),
            policy: row.optionalText(8).flatMap { ResourcePolicy($0) },
            shards: ShardMap([], nextNumber: row.int(6)))
    }

    private static func withShards(_ stream: Stream, in transaction: any ReadTransaction) throws -> Stream {
        var stream = stream
        stream.shards = ShardMap(
            try ShardTable.all(of: stream.id, in: transaction), nextNumber: stream.shards.nextNumber)
        return stream
    }

    /// Answers the row's id.
    static func insert(
        _ scope: AccountRegion, _ name: String, streamID: String, _ settings: StreamSettings, tags: Fields,
        shards: Int, now: Instant, in transaction: any WriteTransaction
    ) throws -> Int64 {
        try transaction.execute(
            """
            INSERT INTO kinesis_streams (account, region, name, stream_id, created, shards_made, open, mode, settings, tags)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(scope.account), .text(scope.region), .text(name), .text(streamID), .int(now.nanoseconds),
                .int(Int64(shards)), .int(Int64(shards)), .text(settings.mode.rawValue), .blob(settings.stored),
                .blob(JSON.encode(.map(tags))),
            ])
        return transaction.lastInsertedRowID
    }

    static func update(_ id: Int64, _ settings: StreamSettings, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE kinesis_streams SET settings = ?, mode = ? WHERE id = ?",
            [.blob(settings.stored), .text(settings.mode.rawValue), .int(id)])
    }

    static func setShards(_ id: Int64, made: Int64, open: Int, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE kinesis_streams SET shards_made = ?, open = ? WHERE id = ?",
            [.int(made), .int(Int64(open)), .int(id)])
    }

    static func setPolicy(_ id: Int64, _ policy: String?, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE kinesis_streams SET policy = ? WHERE id = ?", [.optional(policy), .int(id)])
    }

    static func tags(_ id: Int64, in transaction: any ReadTransaction) throws -> Fields {
        try transaction.first("SELECT tags FROM kinesis_streams WHERE id = ?", [.int(id)]) { row in
            try JSON.parse(row.blob(0)).fields ?? Fields()
        } ?? Fields()
    }

    static func setTags(_ id: Int64, _ tags: Fields, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE kinesis_streams SET tags = ? WHERE id = ?", [.blob(JSON.encode(.map(tags))), .int(id)])
    }

    /// The stream goes at once; its records later (`kinesis_garbage`).
    static func delete(_ id: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO kinesis_garbage (shard) SELECT id FROM kinesis_shards WHERE stream = ?", [.int(id)])
        try transaction.execute("DELETE FROM kinesis_shards WHERE stream = ?", [.int(id)])
        try transaction.execute("DELETE FROM kinesis_consumers WHERE stream = ?", [.int(id)])
        try transaction.execute("DELETE FROM kinesis_streams WHERE id = ?", [.int(id)])
    }

    struct Summary: Sendable {
        var name: String
        var created: Instant
        var mode: String
    }

    static func list(
        _ scope: AccountRegion, after: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [Summary] {
        try transaction.query(
            """
            SELECT name, created, mode FROM kinesis_streams WHERE account = ? AND region = ? AND name > ?
            ORDER BY name LIMIT ?
            """,
            [.text(scope.account), .text(scope.region), .text(after), .int(Int64(limit))]
        ) { Summary(name: $0.text(0), created: Instant(nanoseconds: $0.int(1)), mode: $0.text(2)) }
    }

    /// Open shards, and on-demand streams, of an account and Region.
    static func usage(
        _ scope: AccountRegion, in transaction: any ReadTransaction
    ) throws -> (openShards: Int, onDemandStreams: Int) {
        try transaction.first(
            """
            SELECT COALESCE(SUM(open), 0), COALESCE(SUM(CASE WHEN mode = 'ON_DEMAND' THEN 1 ELSE 0 END), 0)
            FROM kinesis_streams WHERE account = ? AND region = ?
            """, [.text(scope.account), .text(scope.region)]
        ) { (Int($0.int(0)), Int($0.int(1))) } ?? (0, 0)
    }

    /// Ids and retention of all streams, a page at a time, for the sweep.
    static func page(
        after: Int64, limit: Int, in transaction: any ReadTransaction
    ) throws -> [(id: Int64, scope: AccountRegion, name: String, retention: Duration)] {
        try transaction.query(
            "SELECT id, account, region, name, settings FROM kinesis_streams WHERE id > ? ORDER BY id LIMIT ?",
            [.int(after), .int(Int64(limit))]
        ) { row in
            (
                row.int(0), AccountRegion(account: row.text(1), region: row.text(2)), row.text(3),
                try StreamSettings(stored: row.blob(4)).retention
            )
        }
    }
}
