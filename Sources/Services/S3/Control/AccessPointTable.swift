import Platform
import Storage

enum AccessPointTable {
    static let migrations = Migrations(
        service: "s3control",
        steps: [
            """
            CREATE TABLE s3control_access_point (
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                kind INTEGER NOT NULL,
                name TEXT NOT NULL,
                bucket TEXT NOT NULL,
                alias TEXT NOT NULL,
                created INTEGER NOT NULL,
                document BLOB NOT NULL,
                PRIMARY KEY (account, region, kind, name)
            ) WITHOUT ROWID;
            CREATE UNIQUE INDEX s3control_access_point_by_alias ON s3control_access_point (alias);
            CREATE INDEX s3control_access_point_by_bucket ON s3control_access_point (bucket, account, region, name);
            """
        ])

    private static let columns = "account, region, kind, name, bucket, alias, created, document"

    private static func read(_ row: any Row) -> AccessPoint {
        AccessPoint(
            key: AccessPoint.Key(
                scope: AccountRegion(account: row.text(0), region: row.text(1)),
                kind: AccessPoint.Kind(rawValue: row.int(2)) ?? .bucket, name: row.text(3)),
            bucket: row.text(4), alias: row.text(5), created: Instant(nanoseconds: row.int(6)),
            document: (try? JSON.parse(row.blob(7)))?.fields ?? [:])
    }

    private static func values(_ key: AccessPoint.Key) -> [SQLValue] {
        [.text(key.scope.account), .text(key.scope.region), .int(key.kind.rawValue), .text(key.name)]
    }

    static func get(_ key: AccessPoint.Key, in transaction: any ReadTransaction) throws -> AccessPoint? {
        try transaction.first(
            """
            SELECT \(columns) FROM s3control_access_point WHERE account = ? AND region = ? AND kind = ? AND name = ?
            """, values(key), read)
    }

    static func find(alias: String, in transaction: any ReadTransaction) throws -> AccessPoint? {
        try transaction.first(
            "SELECT \(columns) FROM s3control_access_point WHERE alias = ?", [.text(alias)], read)
    }

    static func put(_ point: AccessPoint, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO s3control_access_point (\(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, kind, name) DO UPDATE SET document = excluded.document
            """,
            values(point.key) + [
                .text(point.bucket), .text(point.alias), .int(point.created.nanoseconds),
                .blob(JSON.encode(.map(point.document))),
            ])
    }

    static func delete(_ key: AccessPoint.Key, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM s3control_access_point WHERE account = ? AND region = ? AND kind = ? AND name = ?",
            values(key))
    }

    static func count(_ scope: AccountRegion, _ kind: AccessPoint.Kind, in transaction: any ReadTransaction) throws
        -> Int64
    {
        try transaction.first(
            "SELECT COUNT(*) FROM s3control_access_point WHERE account = ? AND region = ? AND kind = ?",
            [.text(scope.account), .text(scope.region), .int(kind.rawValue)]
        ) { $0.int(0) } ?? 0
    }

    /// In the order of their names, those behind `name`; of one bucket when it is given.
    static func list(
        _ scope: AccountRegion, _ kind: AccessPoint.Kind, bucket: String?, after name: String, limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [AccessPoint] {
        if let bucket {
            return try transaction.query(
                """
                SELECT \(columns) FROM s3control_access_point
                WHERE bucket = ? AND account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?
                """,
                [.text(bucket), .text(scope.account), .text(scope.region), .text(name), .int(Int64(limit))], read)
        }
        return try transaction.query(
            """
            SELECT \(columns) FROM s3control_access_point
            WHERE account = ? AND region = ? AND kind = ? AND name > ? ORDER BY name LIMIT ?
            """,
            [
                .text(scope.account), .text(scope.region), .int(kind.rawValue), .text(name), .int(Int64(limit)),
            ], read)
    }

    /// Whether a bucket has access points, which keeps it from being deleted.
    static func exists(bucket: String, in transaction: any ReadTransaction) throws -> Bool {
        try transaction.first("SELECT 1 FROM s3control_access_point WHERE bucket = ? LIMIT 1", [.text(bucket)]) {
            $0.int(0)
        } != nil
    }
}
