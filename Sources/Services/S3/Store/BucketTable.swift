import Platform
import Storage

struct StoredBucket: Sendable {
    var name: String
    var account: String
    var region: String
    var created: Instant
    var notifications: NotificationConfiguration

    var arn: String { "arn:aws:s3:::\(name)" }
}

/// Buckets; their names are unique over all accounts, as in AWS.
enum BucketTable {
    private static let columns = "name, account, region, created, notifications"

    private static func read(_ row: any Row) throws -> StoredBucket {
        StoredBucket(
            name: row.text(0), account: row.text(1), region: row.text(2), created: Instant(nanoseconds: row.int(3)),
            notifications: try NotificationConfiguration(packed: row.blob(4)))
    }

    static func find(_ name: String, in transaction: any ReadTransaction) throws -> StoredBucket? {
        try transaction.first("SELECT \(columns) FROM s3_bucket WHERE name = ?", [.text(name)], read)
    }

    static func insert(_ bucket: StoredBucket, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO s3_bucket (\(columns)) VALUES (?, ?, ?, ?, ?)",
            [
                .text(bucket.name), .text(bucket.account), .text(bucket.region), .int(bucket.created.nanoseconds),
                .blob(bucket.notifications.packed()),
            ])
    }

    static func setNotifications(
        _ configuration: NotificationConfiguration, of name: String, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "UPDATE s3_bucket SET notifications = ? WHERE name = ?", [.blob(configuration.packed()), .text(name)])
    }

    static func delete(_ name: String, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM s3_bucket WHERE name = ?", [.text(name)])
    }

    static func count(account: String, in transaction: any ReadTransaction) throws -> Int {
        Int(
            try transaction.first("SELECT COUNT(*) FROM s3_bucket WHERE account = ?", [.text(account)]) { $0.int(0) }
                ?? 0)
    }

    /// Buckets of an account by name, those behind `after` that start with `prefix`; `region` empty means any.
    static func list(
        account: String, after: String, prefix: String, region: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [StoredBucket] {
        // Names are ASCII; `prefix` with the highest ASCII character behind it is above every name that starts with it.
        try transaction.query(
            """
            SELECT \(columns) FROM s3_bucket
            WHERE account = ? AND name > ? AND name >= ? AND name < ? AND (? = '' OR region = ?)
            ORDER BY name LIMIT ?
            """,
            [
                .text(account), .text(after), .text(prefix), .text(prefix + "\u{7F}"), .text(region), .text(region),
                .int(Int64(limit)),
            ], read)
    }
}
