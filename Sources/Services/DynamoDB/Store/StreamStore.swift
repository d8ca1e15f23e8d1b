import Platform
import Storage

/// A stream's row.
struct StreamRow: Sendable {
    var id: Int64
    var scope: AccountRegion
    var table: String
    var label: String
    var view: TableStream.View
    /// Names of the partition key and the sort key.
    var key: [String]
    var created: Instant
    /// When it was switched off, with its table or alone.
    var ended: Instant?

    var arn: String { Self.arn(scope, table, label) }

    static func arn(_ scope: AccountRegion, _ table: String, _ label: String) -> String {
        Table.arn(scope, table) + "/stream/" + label
    }
}

/// A shard's row.
struct ShardRow: Sendable {
    var row: Int64
    var stream: Int64
    var parent: String?
    var created: Instant
    /// No record of it has a lower sequence number.
    var first: Int64
    var closed: Instant?
    /// Of a closed shard: no record of it has a higher sequence number.
    var last: Int64?

    var name: String { Self.name(row, created) }

    static func name(_ row: Int64, _ created: Instant) -> String {
        "shardId-" + padded(created.milliseconds, 20) + "-" + hex(row)
    }

    /// The row that a shard's name speaks of; whether there is one with this name must be checked.
    static func row(of name: String) -> Int64? {
        guard name.utf8.count <= 65, let last = name.split(separator: "-").last, last.utf8.count >= 8 else {
            return nil
        }
        return Int64(last, radix: 16)
    }

    private static func hex(_ number: Int64) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: max(8 - text.utf8.count, 0)) + text
    }

    static func padded(_ number: Int64, _ count: Int) -> String {
        let text = String(max(number, 0))
        return String(repeating: "0", count: max(count - text.utf8.count, 0)) + text
    }
}

/// Sequence numbers: the ids of records, in the length that AWS's have, so that they sort as text too.
enum SequenceNumber {
    private static let prefix = "1000"
    private static let digits = 20

    static func text(_ id: Int64) -> String { prefix + ShardRow.padded(id, digits) }

    /// Nil for what is none of ours.
    static func id(_ text: String) -> Int64? {
        guard text.utf8.count == prefix.utf8.count + digits, text.hasPrefix(prefix),
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return Int64(text.dropFirst(prefix.count))
    }
}

/// A record with its place.
struct StoredRecord: Sendable {
    var id: Int64
    var created: Instant
    var record: ChangeRecord
}

/// Rows of streams, shards and records.
enum StreamStore {
    private static let columns = "id, account, region, table_name, label, view, key, created, ended"

    private static func stream(_ row: any Row) throws -> StreamRow {
        StreamRow(
            id: row.int(0), scope: AccountRegion(account: row.text(1), region: row.text(2)), table: row.text(3),
            label: row.text(4), view: TableStream.View(rawValue: row.text(5)) ?? .both,
            key: ((try? JSON.parse(row.blob(6)))?.list ?? []).compactMap(\.string),
            created: Instant(nanoseconds: row.int(7)), ended: row.optionalInt(8).map { Instant(nanoseconds: $0) })
    }

    /// Makes a stream with its first shard; its id.
    static func create(_ stream: StreamRow, in transaction: any WriteTransaction) throws -> Int64 {
        try transaction.execute(
            """
            INSERT INTO dynamodb_streams (account, region, table_name, label, view, key, created)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(stream.scope.account), .text(stream.scope.region), .text(stream.table), .text(stream.label),
                .text(stream.view.rawValue), .blob(JSON.encode(.list(stream.key.map { .string($0) }))),
                .int(stream.created.nanoseconds),
            ])
        let id = transaction.lastInsertedRowID
        _ = try insertShard(id, parent: nil, now: stream.created, in: transaction)
        return id
    }

    static func find(arn text: String, in transaction: any ReadTransaction) throws -> StreamRow? {
        guard let arn = ARN(text), arn.service == "dynamodb" else { return nil }
        let parts = arn.resource.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "table", parts[2] == "stream" else { return nil }
        return try transaction.first(
            """
            SELECT \(columns) FROM dynamodb_streams WHERE account = ? AND region = ? AND table_name = ? AND label = ?
            """, [.text(arn.account), .text(arn.region), .text(String(parts[1])), .text(String(parts[3]))], stream)
    }

    static func get(_ id: Int64, in transaction: any ReadTransaction) throws -> StreamRow? {
        try transaction.first("SELECT \(columns) FROM dynamodb_streams WHERE id = ?", [.int(id)], stream)
    }

    /// By table and label. `table`: of this one only.
    static func list(
        _ scope: AccountRegion, table: String?, after: (table: String, label: String), limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [StreamRow] {
        let place: [SQLValue] = [
            .text(scope.account), .text(scope.region), .text(after.table), .text(after.table), .text(after.label),
        ]
        let condition = "account = ? AND region = ? AND (table_name > ? OR (table_name = ? AND label > ?))"
        if let table {
            return try transaction.query(
                """
                SELECT \(columns) FROM dynamodb_streams
                WHERE \(condition) AND table_name = ? ORDER BY table_name, label LIMIT ?
                """, place + [.text(table), .int(Int64(limit))], stream)
        }
        return try transaction.query(
            "SELECT \(columns) FROM dynamodb_streams WHERE \(condition) ORDER BY table_name, label LIMIT ?",
            place + [.int(Int64(limit))], stream)
    }

    /// Takes no more records; those it has stay for their time.
    static func end(_ id: Int64, now: Instant, in transaction: any WriteTransaction) throws {
        if let shard = try lastShard(id, in: transaction), shard.closed == nil {
            try close(shard, now: now, in: transaction)
        }
        try transaction.execute(
            "UPDATE dynamodb_streams SET ended = ? WHERE id = ?", [.int(now.nanoseconds), .int(id)])
    }

    // MARK: Shards

    private static let shardColumns = "id, stream, parent, created, first, closed, last"

    private static func shard(_ row: any Row) -> ShardRow {
        ShardRow(
            row: row.int(0), stream: row.int(1), parent: row.optionalText(2),
            created: Instant(nanoseconds: row.int(3)), first: row.int(4),
            closed: row.optionalInt(5).map { Instant(nanoseconds: $0) }, last: row.optionalInt(6))
    }

    private static func lastShard(_ stream: Int64, in transaction: any ReadTransaction) throws -> ShardRow? {
        try transaction.first(
            "SELECT \(shardColumns) FROM dynamodb_shards WHERE stream = ? ORDER BY id DESC LIMIT 1", [.int(stream)],
            shard)
    }

    /// The shard that takes records, and whether it was made for it: one that is old or full makes way for its child.
    static func openShard(
        _ stream: Int64, now: Instant, in transaction: any WriteTransaction
    ) throws -> (shard: ShardRow, isNew: Bool) {
        guard let shard = try lastShard(stream, in: transaction) else {
            return (try insertShard(stream, parent: nil, now: now, in: transaction), true)
        }
        if shard.closed == nil, now < shard.created + .seconds(Limits.shardSeconds),
            try lastID(in: transaction) - shard.first < Limits.shardRecords
        {
            return (shard, false)
        }
        if shard.closed == nil { try close(shard, now: now, in: transaction) }
        return (try insertShard(stream, parent: shard.name, now: now, in: transaction), true)
    }

    private static func insertShard(
        _ stream: Int64, parent: String?, now: Instant, in transaction: any WriteTransaction
    ) throws -> ShardRow {
        let first = try lastID(in: transaction) + 1
        try transaction.execute(
            "INSERT INTO dynamodb_shards (stream, parent, created, first) VALUES (?, ?, ?, ?)",
            [.int(stream), .optional(parent), .int(now.nanoseconds), .int(first)])
        return ShardRow(
            row: transaction.lastInsertedRowID, stream: stream, parent: parent, created: now, first: first)
    }

    private static func close(_ shard: ShardRow, now: Instant, in transaction: any WriteTransaction) throws {
        let last = max(try lastID(in: transaction), shard.first)
        try transaction.execute(
            "UPDATE dynamodb_shards SET closed = ?, last = ? WHERE id = ?",
            [.int(now.nanoseconds), .int(last), .int(shard.row)])
    }

    /// Of the newest record that is kept, of whatever stream.
    private static func lastID(in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first("SELECT id FROM dynamodb_records ORDER BY id DESC LIMIT 1", { $0.int(0) }) ?? 0
    }

    /// A shard of this stream by its name.
    static func shard(
        _ name: String, of stream: Int64, in transaction: any ReadTransaction
    ) throws -> ShardRow? {
        guard let row = ShardRow.row(of: name),
            let shard = try shard(row: row, in: transaction), shard.stream == stream, shard.name == name
        else { return nil }
        return shard
    }

    static func shard(row: Int64, in transaction: any ReadTransaction) throws -> ShardRow? {
        try transaction.first("SELECT \(shardColumns) FROM dynamodb_shards WHERE id = ?", [.int(row)], shard)
    }

    /// Oldest first.
    static func shards(
        _ stream: Int64, after row: Int64, parent: String? = nil, limit: Int, in transaction: any ReadTransaction
    ) throws -> [ShardRow] {
        let parent: SQLValue = parent.map { .text($0) } ?? .null
        return try transaction.query(
            """
            SELECT \(shardColumns) FROM dynamodb_shards
            WHERE stream = ? AND id > ? AND (? IS NULL OR parent = ?) ORDER BY id LIMIT ?
            """,
            [.int(stream), .int(row), parent, parent, .int(Int64(limit))], shard)
    }

    // MARK: Records

    static func append(
        _ record: ChangeRecord, shard: Int64, now: Instant, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO dynamodb_records (shard, created, event, by_service, size, keys, old, new)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .int(shard), .int(now.nanoseconds), .int(record.event.rawValue), .bool(record.byService),
                .int(Int64(record.size)), .blob(ItemCodec.encode(record.keys)),
                record.old.map { .blob(ItemCodec.encode($0)) } ?? .null,
                record.new.map { .blob(ItemCodec.encode($0)) } ?? .null,
            ])
    }

    private struct Enough: Error {}

    /// The records behind `id`, up to `limit` and about `bytes`, but at least one; and whether there are more. `since`:
    /// older ones have expired.
    static func records(
        shard: Int64, after id: Int64, limit: Int, bytes: Int, since: Instant, in transaction: any ReadTransaction
    ) throws -> (records: [StoredRecord], hasMore: Bool) {
        var records: [StoredRecord] = []
        var size = 0
        var hasMore = false
        do {
            _ = try transaction.query(
                """
                SELECT id, created, event, by_service, size, keys, old, new FROM dynamodb_records
                WHERE shard = ? AND id > ? AND created > ? ORDER BY id
                """, [.int(shard), .int(id), .int(since.nanoseconds)]
            ) { row in
                if records.count >= limit || (size >= bytes && !records.isEmpty) {
                    hasMore = true
                    throw Enough()
                }
                records.append(try record(row))
                size += Int(row.int(4))
            }
        } catch is Enough {}
        return (records, hasMore)
    }

    private static func record(_ row: any Row) throws -> StoredRecord {
        StoredRecord(
            id: row.int(0), created: Instant(nanoseconds: row.int(1)),
            record: ChangeRecord(
                event: ChangeRecord.Event(rawValue: row.int(2)) ?? .modify, byService: row.bool(3),
                size: Int(row.int(4)), keys: try ItemStore.decode(row.blob(5)),
                old: try row.optionalBlob(6).map(ItemStore.decode), new: try row.optionalBlob(7).map(ItemStore.decode)))
    }

    /// The newest record's id of a shard, nil when it has none.
    static func newest(_ shard: Int64, in transaction: any ReadTransaction) throws -> Int64? {
        try transaction.first(
            "SELECT id FROM dynamodb_records WHERE shard = ? ORDER BY id DESC LIMIT 1", [.int(shard)], { $0.int(0) })
    }

    /// The last record's id before a time, nil when there is none.
    static func lastBefore(
        _ instant: Instant, shard: Int64, in transaction: any ReadTransaction
    ) throws -> Int64? {
        try transaction.first(
            "SELECT id FROM dynamodb_records WHERE shard = ? AND created < ? ORDER BY id DESC LIMIT 1",
            [.int(shard), .int(instant.nanoseconds)], { $0.int(0) })
    }

    /// Whether a sequence number of this shard lies before everything that is kept, so that something may be missing
    /// behind it.
    static func isTrimmed(
        _ id: Int64, _ shard: ShardRow, horizon: Instant, in transaction: any ReadTransaction
    ) throws -> Bool {
        guard shard.created <= horizon else { return false }
        let oldest = try transaction.first(
            "SELECT id FROM dynamodb_records WHERE shard = ? AND created > ? ORDER BY id LIMIT 1",
            [.int(shard.row), .int(horizon.nanoseconds)], { $0.int(0) })
        return id < oldest ?? .max
    }

    // MARK: Expiry

    /// Removes some of what is older than `cutoff`: records, then closed shards and ended streams. Whether there is more.
    static func trim(before cutoff: Instant, limit: Int, in transaction: any WriteTransaction) throws -> Bool {
        let records = try transaction.query(
            "SELECT id, created, size FROM dynamodb_records ORDER BY id LIMIT ?", [.int(Int64(limit))],
            { (id: $0.int(0), created: $0.int(1), size: Int($0.int(2))) })
        let newest = try lastID(in: transaction)
        var bytes = 0
        // The newest one stays, so that sequence numbers of new shards begin above those of old ones.
        let old = records.prefix { record in
            guard bytes < Limits.bytesPerStep else { return false }
            bytes += max(record.size, 0)
            return record.created <= cutoff.nanoseconds && record.id < newest
        }
        if let last = old.last {
            try transaction.execute("DELETE FROM dynamodb_records WHERE id <= ?", [.int(last.id)])
        }
        if old.count == limit || bytes >= Limits.bytesPerStep { return !old.isEmpty }
        let bound: [SQLValue] = [.int(cutoff.nanoseconds), .int(Int64(limit))]
        let shards = try transaction.execute(
            """
            DELETE FROM dynamodb_shards WHERE id IN
                (SELECT id FROM dynamodb_shards WHERE closed IS NOT NULL AND closed <= ? LIMIT ?)
            """, bound)
        let streams = try transaction.execute(
            """
            DELETE FROM dynamodb_streams WHERE id IN
                (SELECT id FROM dynamodb_streams WHERE ended IS NOT NULL AND ended <= ? LIMIT ?)
            """, bound)
        return shards == limit || streams == limit
    }
}
