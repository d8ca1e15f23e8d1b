import Platform
import Storage

/// Parts of objects and uploads that are gone, and whose references are still to be let go of: a few at a time, so that an
/// object of ten thousand parts does not hold up the one writer. Until then their blobs stay.
enum LeftoverTable {
    enum Leftover: Sendable {
        /// Each holds a reference.
        case parts([StoredPart])
        /// The rows of an upload's parts; `holds`: they hold references, which an object did not take over.
        case upload(String, holds: Bool)
        case unreadable
    }

    static func add(_ parts: [StoredPart], id: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO s3_leftover (id, parts) VALUES (?, ?)", [.int(id), .blob(StoredPart.pack(parts))])
    }

    static func add(upload: String, holds: Bool, id: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO s3_leftover (id, upload, holds) VALUES (?, ?, ?)", [.int(id), .text(upload), .bool(holds)])
    }

    static func isEmpty(in transaction: any ReadTransaction) throws -> Bool {
        try transaction.first("SELECT 1 FROM s3_leftover LIMIT 1") { _ in true } == nil
    }

    /// The oldest; nil when there is none.
    static func first(in transaction: any ReadTransaction) throws -> (id: Int64, leftover: Leftover)? {
        try transaction.first("SELECT id, upload, holds, parts FROM s3_leftover ORDER BY id LIMIT 1") { row in
            if let upload = row.optionalText(1) { return (row.int(0), .upload(upload, holds: row.bool(2))) }
            return (row.int(0), (try? StoredPart.unpack(row.blob(3))).map { .parts($0) } ?? .unreadable)
        }
    }

    static func delete(_ id: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM s3_leftover WHERE id = ?", [.int(id)])
    }
}
