import Platform
import Storage
import Wire

/// A multipart upload that is under way.
struct StoredUpload: Sendable, ListingEntry {
    var key: ObjectKey
    /// Sorts by the time of initiation.
    var id: String
    var initiated: Instant
    /// The initiator's ARN.
    var initiator: String
    var storageClass: String
    var plan: UploadChecksumPlan
    /// Counts part uploads: a completion that was prepared outside a transaction sees whether a part came in between.
    var changes: Int64
    var metadata: ObjectMetadata

    var keyBytes: [UInt8] { key.bytes }
    var tie: String { id }
}

/// A part as uploaded.
struct UploadedPart: Sendable {
    var size: Int64
    var etag: String
    var modified: Instant
    var part: StoredPart
    var number: Int { part.number }
}

enum UploadTable {
    private static let columns =
        "key, id, initiated, initiator, storage_class, checksum_algorithm, checksum_type, checksum_explicit, changes, "
        + "metadata"

    private static func read(_ row: any Row) throws -> StoredUpload {
        guard let algorithm = ChecksumAlgorithm(rawValue: row.text(5)), let kind = ChecksumKind(rawValue: row.text(6))
        else { throw Failure(.corrupt, "an upload's checksum columns cannot be read") }
        return StoredUpload(
            key: ObjectKey(stored: row.blob(0)), id: row.text(1), initiated: Instant(nanoseconds: row.int(2)),
            initiator: row.text(3), storageClass: row.text(4),
            plan: UploadChecksumPlan(algorithm: algorithm, kind: kind, isExplicit: row.bool(7)), changes: row.int(8),
            metadata: try ObjectMetadata(packed: row.blob(9)))
    }

    static func find(_ id: String, key: ObjectKey, bucket: String, in transaction: any ReadTransaction) throws
        -> StoredUpload?
    {
        try transaction.first(
            "SELECT \(columns) FROM s3_upload WHERE bucket = ? AND key = ? AND id = ?",
            [.text(bucket), .blob(key.bytes), .text(id)], read)
    }

    static func insert(_ upload: StoredUpload, bucket: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO s3_upload (bucket, \(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                .text(bucket), .blob(upload.key.bytes), .text(upload.id), .int(upload.initiated.nanoseconds),
                .text(upload.initiator), .text(upload.storageClass), .text(upload.plan.algorithm.rawValue),
                .text(upload.plan.kind.rawValue), .bool(upload.plan.isExplicit), .int(upload.changes),
                .blob(upload.metadata.packed()),
            ])
    }

    /// Removes the upload's row; the caller looks after its parts.
    static func delete(_ upload: StoredUpload, bucket: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM s3_upload WHERE bucket = ? AND key = ? AND id = ?",
            [.text(bucket), .blob(upload.key.bytes), .text(upload.id)])
    }

    /// Uploads by key and initiation.
    static func list(
        bucket: String, at position: ListingMachine<StoredUpload>.Position, end: [UInt8], limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [StoredUpload] {
        switch position {
        case .from(let start):
            return try transaction.query(
                """
                SELECT \(columns) FROM s3_upload
                WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key, id LIMIT ?
                """, [.text(bucket), .blob(start), .blob(end), .int(Int64(limit))], read)
        case .after(let key, let tie):
            return try transaction.query(
                """
                SELECT \(columns) FROM s3_upload
                WHERE bucket = ? AND (key, id) > (?, ?) AND key < ? ORDER BY key, id LIMIT ?
                """, [.text(bucket), .blob(key), .text(tie), .blob(end), .int(Int64(limit))], read)
        }
    }
}

enum PartTable {
    private static let columns = "size, etag, modified, part"

    private static func read(_ row: any Row) throws -> UploadedPart {
        guard let part = try StoredPart.unpack(row.blob(3)).first else {
            throw Failure(.corrupt, "an uploaded part's row is empty")
        }
        return UploadedPart(
            size: row.int(0), etag: row.text(1), modified: Instant(nanoseconds: row.int(2)), part: part)
    }

    static func find(_ number: Int, upload: String, in transaction: any ReadTransaction) throws -> UploadedPart? {
        try transaction.first(
            "SELECT \(columns) FROM s3_part WHERE upload = ? AND number = ?", [.text(upload), .int(Int64(number))], read
        )
    }

    /// Parts behind a number, by number.
    static func list(upload: String, after: Int, limit: Int, in transaction: any ReadTransaction) throws
        -> [UploadedPart]
    {
        try transaction.query(
            "SELECT \(columns) FROM s3_part WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",
            [.text(upload), .int(Int64(after)), .int(Int64(limit))], read)
    }

    /// The first parts by number, whatever their rows are like: nil for what cannot be read.
    static func contents(upload: String, limit: Int, in transaction: any ReadTransaction) throws
        -> [(number: Int, part: StoredPart?)]
    {
        try transaction.query(
            "SELECT number, part FROM s3_part WHERE upload = ? ORDER BY number LIMIT ?",
            [.text(upload), .int(Int64(limit))]
        ) { (Int($0.int(0)), (try? StoredPart.unpack($0.blob(1)))?.first) }
    }

    /// Removes parts up to a number; the caller looks after blob references.
    static func delete(upload: String, through number: Int, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM s3_part WHERE upload = ? AND number <= ?", [.text(upload), .int(Int64(number))])
    }

    static func put(
        _ part: UploadedPart, of upload: StoredUpload, bucket: String, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO s3_part (upload, number, \(columns)) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (upload, number) DO UPDATE SET
                size = excluded.size, etag = excluded.etag, modified = excluded.modified, part = excluded.part
            """,
            [
                .text(upload.id), .int(Int64(part.number)), .int(part.size), .text(part.etag),
                .int(part.modified.nanoseconds), .blob(StoredPart.pack([part.part])),
            ])
        try transaction.execute(
            "UPDATE s3_upload SET changes = changes + 1 WHERE bucket = ? AND key = ? AND id = ?",
            [.text(bucket), .blob(upload.key.bytes), .text(upload.id)])
    }
}
