import Platform
import Storage
import Wire

struct Bus: Sendable {
    var key: BusKey
    /// Description, KmsKeyIdentifier, DeadLetterConfig, LogConfig, Policy, Tags, and the times in nanoseconds.
    var document: Fields

    var policy: String? {
        get { document["Policy"]?.string }
        set { document["Policy"] = newValue.map { .string($0) } }
    }
    var tags: Fields {
        get { document["Tags"]?.fields ?? [:] }
        set { document["Tags"] = newValue.isEmpty ? nil : .map(newValue) }
    }
    var created: Instant? { document["Created"]?.int.map { Instant(nanoseconds: $0) } }
    var modified: Instant? { document["Modified"]?.int.map { Instant(nanoseconds: $0) } }
}

enum BusTable {
    /// The default bus is always there.
    static func get(_ key: BusKey, in transaction: any ReadTransaction) throws -> Bus? {
        let bus = try transaction.first(
            "SELECT document FROM events_bus WHERE account = ? AND region = ? AND name = ?", key.values
        ) { Bus(key: key, document: Documents.fields($0.blob(0))) }
        return bus ?? (key.isDefault ? Bus(key: key, document: [:]) : nil)
    }

    /// Throws ResourceNotFoundException.
    static func require(_ key: BusKey, in transaction: any ReadTransaction) throws -> Bus {
        guard let bus = try get(key, in: transaction) else { throw AWSError.noBus(key.name) }
        return bus
    }

    static func put(_ bus: Bus, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO events_bus (account, region, name, document) VALUES (?, ?, ?, ?)
            ON CONFLICT (account, region, name) DO UPDATE SET document = excluded.document
            """, bus.key.values + [.blob(JSON.encode(.map(bus.document)))])
    }

    static func delete(_ key: BusKey, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM events_bus WHERE account = ? AND region = ? AND name = ?", key.values)
    }

    /// Buses other than the default one, behind `name`, in the order of their names.
    static func list(
        _ scope: AccountRegion, prefix: String, after name: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [Bus] {
        try transaction.query(
            """
            SELECT name, document FROM events_bus
            WHERE account = ? AND region = ? AND name > ? AND substr(name, 1, ?) = ? AND name <> 'default'
            ORDER BY name LIMIT ?
            """,
            [
                .text(scope.account), .text(scope.region), .text(name), .int(Int64(prefix.unicodeScalars.count)),
                .text(prefix), .int(Int64(limit)),
            ]
        ) { Bus(key: BusKey(scope: scope, name: $0.text(0)), document: Documents.fields($0.blob(1))) }
    }

    static func count(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT COUNT(*) FROM events_bus WHERE account = ? AND region = ?",
            [.text(scope.account), .text(scope.region)], { $0.int(0) }) ?? 0
    }
}

enum Documents {
    /// A document that cannot be read counts as empty.
    static func fields(_ bytes: [UInt8]) -> Fields { (try? JSON.parse(bytes))?.fields ?? [:] }
}
