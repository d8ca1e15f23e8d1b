import Platform
import Storage
import Wire

struct Group: Sendable {
    var key: GroupKey
    /// Tags, and the times in nanoseconds.
    var document: Fields
    var isDeleting = false

    var tags: Fields {
        get { document["Tags"]?.fields ?? [:] }
        set { document["Tags"] = newValue.isEmpty ? nil : .map(newValue) }
    }
    var created: Instant? { document["Created"]?.int.map { Instant(nanoseconds: $0) } }
    var modified: Instant? { document["Modified"]?.int.map { Instant(nanoseconds: $0) } }
    var state: String { isDeleting ? "DELETING" : "ACTIVE" }
}

enum GroupTable {
    /// The default group is always there.
    static func get(_ key: GroupKey, in transaction: any ReadTransaction) throws -> Group? {
        let group = try transaction.first(
            "SELECT document, deleting FROM scheduler_group WHERE account = ? AND region = ? AND name = ?", key.values
        ) { Group(key: key, document: Documents.fields($0.blob(0)), isDeleting: !$0.isNull(1)) }
        return group ?? (key.name == GroupKey.defaultName ? Group(key: key, document: [:]) : nil)
    }

    /// Throws ResourceNotFoundException.
    static func require(_ key: GroupKey, in transaction: any ReadTransaction) throws -> Group {
        guard let group = try get(key, in: transaction) else { throw AWSError.noGroup(key.name) }
        return group
    }

    /// `require`; the default group, which nobody makes, comes to be with the first call that asks this. Throws
    /// ResourceNotFoundException.
    static func begin(_ key: GroupKey, now: Instant, in transaction: any WriteTransaction) throws -> Group {
        var group = try require(key, in: transaction)
        guard key.name == GroupKey.defaultName, group.created == nil else { return group }
        group.document["Created"] = .int(now.nanoseconds)
        group.document["Modified"] = .int(now.nanoseconds)
        try put(group, in: transaction)
        return group
    }

    static func put(_ group: Group, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO scheduler_group (account, region, name, document, deleting) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (account, region, name) DO UPDATE SET document = excluded.document, deleting = excluded.deleting
            """,
            group.key.values + [.blob(JSON.encode(.map(group.document))), group.isDeleting ? .int(1) : .null])
    }

    static func delete(_ key: GroupKey, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM scheduler_group WHERE account = ? AND region = ? AND name = ?", key.values)
    }

    /// A group that is being deleted.
    static func deleting(in transaction: any ReadTransaction) throws -> GroupKey? {
        try transaction.first(
            "SELECT account, region, name FROM scheduler_group WHERE deleting IS NOT NULL LIMIT 1", []
        ) { GroupKey(scope: AccountRegion(account: $0.text(0), region: $0.text(1)), name: $0.text(2)) }
    }

    static func count(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT COUNT(*) FROM scheduler_group WHERE account = ? AND region = ?",
            [.text(scope.account), .text(scope.region)], { $0.int(0) }) ?? 0
    }

    /// Groups behind `name`, in the order of their names; the default group only if somebody has changed it.
    static func list(
        _ scope: AccountRegion, prefix: String, after name: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [Group] {
        try transaction.query(
            """
            SELECT name, document, deleting FROM scheduler_group
            WHERE account = ? AND region = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?
            """,
            [
                .text(scope.account), .text(scope.region), .text(name), .int(Int64(prefix.unicodeScalars.count)),
                .text(prefix), .int(Int64(limit)),
            ]
        ) {
            Group(
                key: GroupKey(scope: scope, name: $0.text(0)), document: Documents.fields($0.blob(1)),
                isDeleting: !$0.isNull(2))
        }
    }
}

enum Documents {
    /// A document that cannot be read counts as empty.
    static func fields(_ bytes: [UInt8]) -> Fields { (try? JSON.parse(bytes))?.fields ?? [:] }
}
