import Platform
import Storage
import Wire

/// What a listing shows of an object.
struct ListedObject: Sendable, ListingEntry {
    var keyBytes: [UInt8]
    var size: Int64
    var etag: String
    var modified: Instant
    var storageClass: String
    var checksumAlgorithm: String?
    var checksumType: String?
    var tie: String { "" }
}

/// Current versions that are objects. The others, and delete markers, are in `VersionTable`, so that listings of a bucket's
/// objects never walk over them.
enum ObjectTable {
    static let columns =
        "key, id, size, etag, modified, storage_class, checksum_algorithm, checksum_type, checksum, multipart, upload, "
        + "metadata, parts, version, rank"

    static func read(_ row: any Row) throws -> StoredObject {
        StoredObject(
            key: ObjectKey(stored: row.blob(0)), id: row.text(1), size: row.int(2), etag: row.text(3),
            modified: Instant(nanoseconds: row.int(4)), storageClass: row.text(5), checksum: checksum(row),
            isMultipart: row.bool(9), uploadID: row.optionalText(10),
            metadata: try ObjectMetadata(packed: row.blob(11)), parts: try StoredPart.unpack(row.blob(12)),
            version: row.optionalText(13), rank: row.int(14))
    }

    private static func checksum(_ row: any Row) -> StoredChecksum? {
        guard let algorithm = row.optionalText(6).flatMap({ ChecksumAlgorithm(rawValue: $0) }),
            let kind = row.optionalText(7).flatMap({ ChecksumKind(rawValue: $0) }), let value = row.optionalText(8)
        else { return nil }
        return StoredChecksum(algorithm: algorithm, kind: kind, value: value)
    }

    static func find(_ key: ObjectKey, bucket: String, in transaction: any ReadTransaction) throws -> StoredObject? {
        try transaction.first(
            "SELECT \(columns) FROM s3_object WHERE bucket = ? AND key = ?", [.text(bucket), .blob(key.bytes)], read)
    }

    /// Inserts or replaces; the caller looks after blob references.
    static func put(_ object: StoredObject, bucket: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO s3_object (bucket, \(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (bucket, key) DO UPDATE SET
                id = excluded.id, size = excluded.size, etag = excluded.etag, modified = excluded.modified,
                storage_class = excluded.storage_class, checksum_algorithm = excluded.checksum_algorithm,
                checksum_type = excluded.checksum_type, checksum = excluded.checksum, multipart = excluded.multipart,
                upload = excluded.upload, metadata = excluded.metadata, parts = excluded.parts,
                version = excluded.version, rank = excluded.rank
            """, [.text(bucket)] + values(object))
    }

    /// By `columns`.
    static func values(_ object: StoredObject) -> [SQLValue] {
        [
            .blob(object.key.bytes), .text(object.id), .int(object.size), .text(object.etag),
            .int(object.modified.nanoseconds), .text(object.storageClass),
            .optional(object.checksum?.algorithm.rawValue), .optional(object.checksum?.kind.rawValue),
            .optional(object.checksum?.value), .bool(object.isMultipart), .optional(object.uploadID),
            .blob(object.metadata.packed()), .blob(StoredPart.pack(object.parts)), .optional(object.version),
            .int(object.rank),
        ]
    }

    /// Changes tags and access control list alone.
    static func setMetadata(_ object: StoredObject, bucket: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE s3_object SET metadata = ? WHERE bucket = ? AND key = ?",
            [.blob(object.metadata.packed()), .text(bucket), .blob(object.key.bytes)])
    }

    static func delete(_ key: ObjectKey, bucket: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM s3_object WHERE bucket = ? AND key = ?", [.text(bucket), .blob(key.bytes)])
    }

    static func isEmpty(bucket: String, in transaction: any ReadTransaction) throws -> Bool {
        try transaction.first("SELECT 1 FROM s3_object WHERE bucket = ? LIMIT 1", [.text(bucket)]) { _ in true } == nil
    }

    /// Rows from `start` on, below `end`, by key.
    static func list(
        bucket: String, from start: [UInt8], end: [UInt8], limit: Int, in transaction: any ReadTransaction
    ) throws -> [ListedObject] {
        try transaction.query(
            """
            SELECT key, size, etag, modified, storage_class, checksum_algorithm, checksum_type FROM s3_object
            WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?
            """, [.text(bucket), .blob(start), .blob(end), .int(Int64(limit))]
        ) { row in
            ListedObject(
                keyBytes: row.blob(0), size: row.int(1), etag: row.text(2), modified: Instant(nanoseconds: row.int(3)),
                storageClass: row.text(4), checksumAlgorithm: row.optionalText(5), checksumType: row.optionalText(6))
        }
    }
}

/// The numbers that order the events of a key: each greater than all before, also over restarts and clock steps.
enum Sequencer {
    /// Also what orders versions.
    static func advance(now: Instant, in transaction: any WriteTransaction) throws -> Int64 {
        try transaction.execute(
            "UPDATE s3_sequencer SET value = CASE WHEN value >= ? THEN value + 1 ELSE ? END WHERE id = 1",
            [.int(now.nanoseconds), .int(now.nanoseconds)])
        return try transaction.first("SELECT value FROM s3_sequencer WHERE id = 1") { $0.int(0) } ?? now.nanoseconds
    }

    static func next(now: Instant, in transaction: any WriteTransaction) throws -> String {
        text(try advance(now: now, in: transaction))
    }

    /// 18 hexadecimal digits, as S3 sends them: equal lengths, so that text order is number order.
    static func text(_ value: Int64) -> String {
        let digits = String(UInt64(bitPattern: value), radix: 16, uppercase: true)
        return String(repeating: "0", count: 18 - digits.count) + digits
    }
}
