import Platform
import Storage

/// What belongs to a function as a whole, whatever its versions.
struct FunctionRecord: Sendable {
    var scope: AccountRegion
    var name: String
    /// The number that the next published version gets; numbers are never reused.
    var nextVersion: Int64
    var reservedConcurrency: Int?
    var tags: Fields
    /// `Allow` or `Terminate`; nil when never set.
    var recursiveLoop: String?
    /// Runtime management by qualifier.
    var runtimeManagement: Fields

    init(scope: AccountRegion, name: String) {
        self.scope = scope
        self.name = name
        nextVersion = 1
        tags = [:]
        runtimeManagement = [:]
    }

    fileprivate init(row: any Row) throws {
        let document = try Document.value(row.text(5))
        scope = AccountRegion(account: row.text(0), region: row.text(1))
        name = row.text(2)
        nextVersion = row.int(3)
        reservedConcurrency = row.optionalInt(4).map { Int($0) }
        tags = document["Tags"]?.fields ?? [:]
        recursiveLoop = document["RecursiveLoop"]?.string
        runtimeManagement = document["RuntimeManagement"]?.fields ?? [:]
    }

    fileprivate var document: Value {
        var fields: Fields = ["Tags": .map(tags)]
        if let recursiveLoop { fields.append("RecursiveLoop", .string(recursiveLoop)) }
        if !runtimeManagement.isEmpty { fields.append("RuntimeManagement", .map(runtimeManagement)) }
        return .map(fields)
    }
}

/// Table `lambda_functions`.
enum FunctionTable {
    static func get(_ scope: AccountRegion, _ name: String, in transaction: any ReadTransaction) throws
        -> FunctionRecord?
    {
        try transaction.first(
            """
            SELECT account, region, name, next_version, reserved, value FROM lambda_functions
            WHERE account = ? AND region = ? AND name = ?
            """, scope.sql + [.text(name)]
        ) { try FunctionRecord(row: $0) }
    }

    static func put(_ record: FunctionRecord, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO lambda_functions (account, region, name, next_version, reserved, value)
            VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, name) DO UPDATE
            SET next_version = excluded.next_version, reserved = excluded.reserved, value = excluded.value
            """,
            record.scope.sql + [
                .text(record.name), .int(record.nextVersion), .optional(record.reservedConcurrency.map { Int64($0) }),
                Document.text(record.document),
            ])
    }

    static func delete(_ scope: AccountRegion, _ name: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM lambda_functions WHERE account = ? AND region = ? AND name = ?", scope.sql + [.text(name)])
    }

    static func count(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT COUNT(*) FROM lambda_functions WHERE account = ? AND region = ?", scope.sql
        ) { $0.int(0) } ?? 0
    }

    /// The sum of all reservations of an account in a Region, but for one function.
    static func reservedConcurrency(
        _ scope: AccountRegion, except name: String, in transaction: any ReadTransaction
    ) throws -> Int {
        let sum = try transaction.first(
            """
            SELECT COALESCE(SUM(reserved), 0) FROM lambda_functions
            WHERE account = ? AND region = ? AND reserved IS NOT NULL AND name <> ?
            """, scope.sql + [.text(name)]
        ) { $0.int(0) }
        return Int(sum ?? 0)
    }

    /// All reservations there are, for the engine at start.
    static func allReservations(in transaction: any ReadTransaction) throws -> [FunctionRecord] {
        try transaction.query(
            """
            SELECT account, region, name, next_version, reserved, value FROM lambda_functions
            WHERE reserved IS NOT NULL
            """, []
        ) { try FunctionRecord(row: $0) }
    }
}
