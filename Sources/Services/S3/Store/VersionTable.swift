import Platform
import Storage

/// A delete marker: what a delete leaves in a bucket with versions.
struct DeleteMarker: Sendable, Hashable {
    var key: ObjectKey
    /// Nil: the null version.
    var version: String?
    var rank: Int64
    /// Whole seconds.
    var modified: Instant
    /// When something newer was stored; nil while the marker is the current version.
    var superseded: Instant?

    var versionText: String { version ?? "null" }
}

/// One version of a key.
enum KeyVersion: Sendable {
    /// `isCurrent`: its row is in `ObjectTable`, otherwise in `VersionTable`.
    case object(StoredObject, isCurrent: Bool)
    case marker(DeleteMarker)
}

/// One line of a listing of versions, and what the lifecycle asks of it.
struct VersionEntry: Sendable, ListingEntry {
    var keyBytes: [UInt8]
    var rank: Int64
    var version: String?
    var isMarker: Bool
    var isLatest: Bool
    var superseded: Instant?
    var id: String
    var size: Int64
    var etag: String
    var modified: Instant
    var storageClass: String
    var checksumAlgorithm: String?
    var checksumType: String?
    /// Packed; only when asked for.
    var metadata: [UInt8] = []

    var tie: String { VersionEntry.tie(rank: rank) }
    var versionText: String { version ?? "null" }

    /// Ranks as text that sorts as they do.
    static func tie(rank: Int64) -> String {
        let digits = String(max(rank, 0))
        return String(repeating: "0", count: max(0, 19 - digits.count)) + digits
    }

    static func comesBefore(_ a: VersionEntry, _ b: VersionEntry) -> Bool {
        if a.keyBytes == b.keyBytes { return a.rank < b.rank }
        return KeyOrder.isLess(a.keyBytes, b.keyBytes)
    }
}

/// Versions that are not current, and all delete markers. Of a key whose current version is no object, the row of the least
/// rank is a delete marker, and is current.
enum VersionTable {
    private static let markerColumn = 15
    private static let columns = ObjectTable.columns + ", marker, superseded"

    private static func read(_ row: any Row) throws -> KeyVersion {
        guard row.bool(markerColumn) else { return .object(try ObjectTable.read(row), isCurrent: false) }
        return .marker(
            DeleteMarker(
                key: ObjectKey(stored: row.blob(0)), version: row.optionalText(13), rank: row.int(14),
                modified: Instant(nanoseconds: row.int(4)),
                superseded: row.optionalInt(16).map { Instant(nanoseconds: $0) }))
    }

    /// The newest of a key.
    static func newest(_ key: ObjectKey, bucket: String, in transaction: any ReadTransaction) throws -> KeyVersion? {
        try transaction.first(
            "SELECT \(columns) FROM s3_version WHERE bucket = ? AND key = ? ORDER BY rank LIMIT 1",
            [.text(bucket), .blob(key.bytes)], read)
    }

    static func find(
        _ key: ObjectKey, _ choice: VersionChoice, bucket: String, in transaction: any ReadTransaction
    ) throws -> KeyVersion? {
        switch choice {
        case .current:
            return nil
        case .null:
            return try transaction.first(
                "SELECT \(columns) FROM s3_version WHERE bucket = ? AND key = ? AND version IS NULL",
                [.text(bucket), .blob(key.bytes)], read)
        case .id(let id, let rank):
            return try transaction.first(
                "SELECT \(columns) FROM s3_version WHERE bucket = ? AND key = ? AND rank = ? AND version = ?",
                [.text(bucket), .blob(key.bytes), .int(rank), .text(id)], read)
        }
    }

    /// An object that something newer has superseded.
    static func archive(
        _ object: StoredObject, at superseded: Instant, bucket: String, in transaction: any WriteTransaction
    ) throws {
        try insert(
            [.text(bucket)] + ObjectTable.values(object) + [.bool(false), .int(superseded.nanoseconds)],
            in: transaction)
    }

    static func insert(_ marker: DeleteMarker, bucket: String, in transaction: any WriteTransaction) throws {
        let empty = StoredObject(
            key: marker.key, id: "", size: 0, etag: "", modified: marker.modified, storageClass: "", checksum: nil,
            isMultipart: false, uploadID: nil, metadata: ObjectMetadata(), parts: [], version: marker.version,
            rank: marker.rank)
        try insert(
            [.text(bucket)] + ObjectTable.values(empty)
                + [.bool(true), .optional(marker.superseded?.nanoseconds)], in: transaction)
    }

    private static func insert(_ values: [SQLValue], in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO s3_version (bucket, \(columns))
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, values)
    }

    static func setSuperseded(
        _ time: Instant?, key: ObjectKey, rank: Int64, bucket: String, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "UPDATE s3_version SET superseded = ? WHERE bucket = ? AND key = ? AND rank = ?",
            [.optional(time?.nanoseconds), .text(bucket), .blob(key.bytes), .int(rank)])
    }

    static func setMetadata(_ object: StoredObject, bucket: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE s3_version SET metadata = ? WHERE bucket = ? AND key = ? AND rank = ?",
            [.blob(object.metadata.packed()), .text(bucket), .blob(object.key.bytes), .int(object.rank)])
    }

    static func delete(
        _ key: ObjectKey, rank: Int64, bucket: String, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "DELETE FROM s3_version WHERE bucket = ? AND key = ? AND rank = ?",
            [.text(bucket), .blob(key.bytes), .int(rank)])
    }

    static func isEmpty(bucket: String, in transaction: any ReadTransaction) throws -> Bool {
        try transaction.first("SELECT 1 FROM s3_version WHERE bucket = ? LIMIT 1", [.text(bucket)]) { _ in true }
            == nil
    }

    // MARK: Listings

    /// All versions behind a place, below `end`, by key and rank: both tables merged.
    static func list(
        bucket: String, at position: ListingMachine<VersionEntry>.Position, end: [UInt8], limit: Int,
        withMetadata: Bool = false, in transaction: any ReadTransaction
    ) throws -> [VersionEntry] {
        let (start, rank): ([UInt8], Int64) =
            switch position {
            case .from(let key): (key, -1)
            case .after(let key, let tie): (key, Int64(tie) ?? -1)
            }
        let metadata = withMetadata ? "metadata" : "NULL"
        let shown = "key, rank, version, id, size, etag, modified, storage_class, checksum_algorithm, checksum_type"
        let current = try transaction.query(
            """
            SELECT \(shown), \(metadata) FROM s3_object
            WHERE bucket = ? AND key >= ? AND key < ? AND (key > ? OR rank > ?) ORDER BY key LIMIT ?
            """, [.text(bucket), .blob(start), .blob(end), .blob(start), .int(rank), .int(Int64(limit))]
        ) { entry($0, isMarker: false, isLatest: true, superseded: nil) }
        let others = try transaction.query(
            """
            SELECT \(shown), \(metadata), marker, superseded FROM s3_version
            WHERE bucket = ? AND (key, rank) > (?, ?) AND key < ? ORDER BY key, rank LIMIT ?
            """, [.text(bucket), .blob(start), .int(rank), .blob(end), .int(Int64(limit))]
        ) { row in
            let superseded = row.optionalInt(12).map { Instant(nanoseconds: $0) }
            return entry(row, isMarker: row.bool(11), isLatest: superseded == nil, superseded: superseded)
        }
        guard !others.isEmpty else { return current }
        return Array(merged(current, others).prefix(limit))
    }

    private static func entry(
        _ row: any Row, isMarker: Bool, isLatest: Bool, superseded: Instant?
    ) -> VersionEntry {
        VersionEntry(
            keyBytes: row.blob(0), rank: row.int(1), version: row.optionalText(2), isMarker: isMarker,
            isLatest: isLatest, superseded: superseded, id: row.text(3), size: row.int(4), etag: row.text(5),
            modified: Instant(nanoseconds: row.int(6)), storageClass: row.text(7),
            checksumAlgorithm: row.optionalText(8), checksumType: row.optionalText(9),
            metadata: row.optionalBlob(10) ?? [])
    }

    private static func merged(_ a: [VersionEntry], _ b: [VersionEntry]) -> [VersionEntry] {
        var (x, y) = (a[...], b[...])
        var out: [VersionEntry] = []
        out.reserveCapacity(a.count + b.count)
        while let first = x.first, let second = y.first {
            if VersionEntry.comesBefore(first, second) {
                out.append(first)
                x.removeFirst()
            } else {
                out.append(second)
                y.removeFirst()
            }
        }
        return out + x + y
    }
}
