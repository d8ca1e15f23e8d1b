import Platform
import Storage

/// Table `lambda_versions`: `$LATEST` and the published versions.
enum VersionTable {
    static func get(
        _ scope: AccountRegion, _ name: String, number: Int64, in transaction: any ReadTransaction
    ) throws -> VersionRecord? {
        try transaction.first(
            """
            SELECT \(VersionRecord.columns) FROM lambda_versions
            WHERE account = ? AND region = ? AND name = ? AND number = ?
            """, scope.sql + [.text(name), .int(number)]
        ) { try VersionRecord(row: $0) }
    }

    static func exists(
        _ scope: AccountRegion, _ name: String, number: Int64, in transaction: any ReadTransaction
    ) throws -> Bool {
        try transaction.first(
            "SELECT 1 FROM lambda_versions WHERE account = ? AND region = ? AND name = ? AND number = ?",
            scope.sql + [.text(name), .int(number)]
        ) { _ in true } ?? false
    }

    /// The newest published version.
    static func lastPublished(
        _ scope: AccountRegion, _ name: String, in transaction: any ReadTransaction
    ) throws -> VersionRecord? {
        try transaction.first(
            """
            SELECT \(VersionRecord.columns) FROM lambda_versions
            WHERE account = ? AND region = ? AND name = ? AND number > 0 ORDER BY number DESC LIMIT 1
            """, scope.sql + [.text(name)]
        ) { try VersionRecord(row: $0) }
    }

    /// Versions of one function from a number on, `$LATEST` first.
    static func list(
        _ scope: AccountRegion, _ name: String, after number: Int64, limit: Int, in transaction: any ReadTransaction
    ) throws -> [VersionRecord] {
        try transaction.query(
            """
            SELECT \(VersionRecord.columns) FROM lambda_versions
            WHERE account = ? AND region = ? AND name = ? AND number > ? ORDER BY number LIMIT ?
            """, scope.sql + [.text(name), .int(number), .int(Int64(limit))]
        ) { try VersionRecord(row: $0) }
    }

    /// `$LATEST` of the functions after a name, or with `allVersions` all versions after a name and number.
    static func list(
        _ scope: AccountRegion, after name: String, number: Int64, allVersions: Bool, limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [VersionRecord] {
        if allVersions {
            return try transaction.query(
                """
                SELECT \(VersionRecord.columns) FROM lambda_versions
                WHERE account = ? AND region = ? AND (name, number) > (?, ?) ORDER BY name, number LIMIT ?
                """, scope.sql + [.text(name), .int(number), .int(Int64(limit))]
            ) { try VersionRecord(row: $0) }
        }
        return try transaction.query(
            """
            SELECT \(VersionRecord.columns) FROM lambda_versions
            WHERE account = ? AND region = ? AND name > ? AND number = 0 ORDER BY name LIMIT ?
            """, scope.sql + [.text(name), .int(Int64(limit))]
        ) { try VersionRecord(row: $0) }
    }

    static func put(_ record: VersionRecord, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO lambda_versions
                (account, region, name, number, generation, code, layers, code_size, settling, value)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, name, number) DO UPDATE
            SET generation = excluded.generation, code = excluded.code, layers = excluded.layers,
                code_size = excluded.code_size, settling = excluded.settling, value = excluded.value
            """,
            record.scope.sql + [
                .text(record.name), .int(record.number), .text(record.generation), .text(record.code.hex),
                .optional(record.layersName), .int(record.codeSize), .bool(record.settling),
                Document.text(record.document),
            ])
    }

    static func delete(
        _ scope: AccountRegion, _ name: String, number: Int64, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "DELETE FROM lambda_versions WHERE account = ? AND region = ? AND name = ? AND number = ?",
            scope.sql + [.text(name), .int(number)])
    }

    /// The generations that may take invocations now.
    static func generations(
        _ scope: AccountRegion, _ name: String, in transaction: any ReadTransaction
    ) throws -> Set<String> {
        Set(
            try transaction.query(
                "SELECT generation FROM lambda_versions WHERE account = ? AND region = ? AND name = ?",
                scope.sql + [.text(name)]
            ) { $0.text(0) })
    }

    /// Names of all directories of the code store that some version runs from.
    static func directories(in transaction: any ReadTransaction) throws -> Set<String> {
        let code = try transaction.query("SELECT DISTINCT code FROM lambda_versions", []) { $0.text(0) }
        let layers = try transaction.query(
            "SELECT DISTINCT layers FROM lambda_versions WHERE layers IS NOT NULL", []
        ) { $0.text(0) }
        return Set(code + layers)
    }

    /// Versions whose creation or update a stop of the server interrupted.
    static func settling(limit: Int, in transaction: any ReadTransaction) throws -> [VersionRecord] {
        try transaction.query(
            "SELECT \(VersionRecord.columns) FROM lambda_versions WHERE settling = 1 LIMIT ?", [.int(Int64(limit))]
        ) { try VersionRecord(row: $0) }
    }

    static func settling(
        _ scope: AccountRegion, _ name: String, in transaction: any ReadTransaction
    ) throws -> [VersionRecord] {
        try transaction.query(
            """
            SELECT \(VersionRecord.columns) FROM lambda_versions
            WHERE account = ? AND region = ? AND name = ? AND settling = 1
            """, scope.sql + [.text(name)]
        ) { try VersionRecord(row: $0) }
    }

    /// Bytes of code of all versions of an account in a Region.
    static func codeBytes(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT COALESCE(SUM(code_size), 0) FROM lambda_versions WHERE account = ? AND region = ?", scope.sql
        ) { $0.int(0) } ?? 0
    }
}
