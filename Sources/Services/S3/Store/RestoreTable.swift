import Platform
import Storage

/// Until when archived objects are restored. A row belongs to one write of a key (`StoredObject.id`): what replaces the
/// object is not restored. A row goes with its object, or when it expires.
enum RestoreTable {
    struct Entry: Sendable {
        var bucket: String
        var key: ObjectKey
        var id: String
        /// Nil: the null version.
        var version: String?
    }

    static func expiry(of object: StoredObject, bucket: String, in transaction: any ReadTransaction) throws -> Instant?
    {
        try transaction.first(
            "SELECT expires FROM s3_restore WHERE bucket = ? AND key = ? AND id = ?",
            [.text(bucket), .blob(object.key.bytes), .text(object.id)]
        ) { Instant(nanoseconds: $0.int(0)) }
    }

    static func put(
        _ object: StoredObject, until expiry: Instant, bucket: String, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO s3_restore (bucket, key, id, version, expires) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (bucket, key, id) DO UPDATE SET expires = excluded.expires
            """,
            [
                .text(bucket), .blob(object.key.bytes), .text(object.id), .optional(object.version),
                .int(expiry.nanoseconds),
            ])
    }

    /// Those that end at `now` or before, the earliest first.
    static func expired(by now: Instant, limit: Int, in transaction: any ReadTransaction) throws -> [Entry] {
        try transaction.query(
            "SELECT bucket, key, id, version FROM s3_restore WHERE expires <= ? ORDER BY expires LIMIT ?",
            [.int(now.nanoseconds), .int(Int64(limit))]
        ) {
            Entry(
                bucket: $0.text(0), key: ObjectKey(stored: $0.blob(1)), id: $0.text(2), version: $0.optionalText(3))
        }
    }

    static func delete(_ key: ObjectKey, id: String, bucket: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM s3_restore WHERE bucket = ? AND key = ? AND id = ?",
            [.text(bucket), .blob(key.bytes), .text(id)])
    }
}
