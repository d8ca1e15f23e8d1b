import Platform
import Storage

/// The sub-resources of buckets that are seldom asked for; those that every request needs are in the bucket's row.
enum SettingTable {
    enum Name: String, Sendable, CaseIterable {
        case accelerate, cors, lifecycle, tagging
    }

    static func find(_ name: Name, bucket: String, in transaction: any ReadTransaction) throws -> Value? {
        try transaction.first(
            "SELECT value FROM s3_setting WHERE bucket = ? AND name = ?", [.text(bucket), .text(name.rawValue)]
        ) { try Unpacker.value($0.blob(0)) }
    }

    static func put(_ name: Name, _ value: Value, bucket: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO s3_setting (bucket, name, value) VALUES (?, ?, ?)
            ON CONFLICT (bucket, name) DO UPDATE SET value = excluded.value
            """, [.text(bucket), .text(name.rawValue), .blob(Packer.pack(value))])
    }

    static func delete(_ name: Name, bucket: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM s3_setting WHERE bucket = ? AND name = ?", [.text(bucket), .text(name.rawValue)])
    }

    static func deleteAll(bucket: String, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM s3_setting WHERE bucket = ?", [.text(bucket)])
    }

    /// Buckets that have a setting, by name.
    static func buckets(
        with name: Name, after bucket: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [String] {
        try transaction.query(
            "SELECT bucket FROM s3_setting WHERE name = ? AND bucket > ? ORDER BY bucket LIMIT ?",
            [.text(name.rawValue), .text(bucket), .int(Int64(limit))]
        ) { $0.text(0) }
    }
}
