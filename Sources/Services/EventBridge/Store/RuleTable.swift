import Platform
import Storage
import Wire

struct Rule: Sendable {
    var key: RuleKey
    /// EventPattern, ScheduleExpression, State, Description, RoleArn, CreatedBy, Tags, Anchor.
    var document: Fields
    /// When the schedule fires next.
    var due: Instant?

    func text(_ name: String) -> String? { document[name]?.string }
    var state: String { text("State") ?? "ENABLED" }
    var isEnabled: Bool { state != "DISABLED" }
    var tags: Fields {
        get { document["Tags"]?.fields ?? [:] }
        set { document["Tags"] = newValue.isEmpty ? nil : .map(newValue) }
    }
    /// Where a rate counts from.
    var anchor: Instant? {
        get { document["Anchor"]?.int.map { Instant(nanoseconds: $0) } }
        set { document["Anchor"] = newValue.map { .int($0.nanoseconds) } }
    }
}

enum RuleTable {
    private static let columns = "account, region, bus, name, document, due"

    static func get(_ key: RuleKey, in transaction: any ReadTransaction) throws -> Rule? {
        try transaction.first(
            "SELECT \(columns) FROM events_rule WHERE account = ? AND region = ? AND bus = ? AND name = ?", key.values,
            rule)
    }

    /// Throws ResourceNotFoundException.
    static func require(_ key: RuleKey, in transaction: any ReadTransaction) throws -> Rule {
        guard let rule = try get(key, in: transaction) else { throw AWSError.noRule(key) }
        return rule
    }

    static func put(_ rule: Rule, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO events_rule (account, region, bus, name, document, due) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, bus, name) DO UPDATE SET document = excluded.document, due = excluded.due
            """,
            rule.key.values + [.blob(JSON.encode(.map(rule.document))), .optional(rule.due?.nanoseconds)])
        try RevisionTable.change(rule.key.bus, in: transaction)
    }

    static func setDue(_ due: Instant?, of key: RuleKey, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE events_rule SET due = ? WHERE account = ? AND region = ? AND bus = ? AND name = ?",
            [.optional(due?.nanoseconds)] + key.values)
    }

    static func delete(_ key: RuleKey, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM events_rule WHERE account = ? AND region = ? AND bus = ? AND name = ?", key.values)
        try RevisionTable.change(key.bus, in: transaction)
    }

    /// Rules behind `name`, in the order of their names.
    static func list(
        _ bus: BusKey, prefix: String = "", after name: String = "", limit: Int, in transaction: any ReadTransaction
    ) throws -> [Rule] {
        try transaction.query(
            """
            SELECT \(columns) FROM events_rule
            WHERE account = ? AND region = ? AND bus = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?
            """,
            bus.values + [
                .text(name), .int(Int64(prefix.unicodeScalars.count)), .text(prefix), .int(Int64(limit)),
            ], rule)
    }

    static func count(_ bus: BusKey, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT COUNT(*) FROM events_rule WHERE account = ? AND region = ? AND bus = ?", bus.values,
            { $0.int(0) }) ?? 0
    }

    /// Rules whose schedules are due, the earliest first.
    static func due(_ now: Instant, limit: Int, in transaction: any ReadTransaction) throws -> [Rule] {
        try transaction.query(
            "SELECT \(columns) FROM events_rule WHERE due IS NOT NULL AND due <= ? ORDER BY due LIMIT ?",
            [.int(now.nanoseconds), .int(Int64(limit))], rule)
    }

    static func nextDue(in transaction: any ReadTransaction) throws -> Instant? {
        try transaction.first("SELECT due FROM events_rule WHERE due IS NOT NULL ORDER BY due LIMIT 1", []) {
            Instant(nanoseconds: $0.int(0))
        }
    }

    private static func rule(_ row: any Row) -> Rule {
        let bus = BusKey(scope: AccountRegion(account: row.text(0), region: row.text(1)), name: row.text(2))
        return Rule(
            key: RuleKey(bus: bus, name: row.text(3)), document: Documents.fields(row.blob(4)),
            due: row.optionalInt(5).map { Instant(nanoseconds: $0) })
    }
}

enum RevisionTable {
    /// Makes compiled rules of the bus stale. A random number: one that was rolled back never comes again.
    static func change(_ bus: BusKey, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO events_revision (account, region, bus, revision) VALUES (?, ?, ?, ?)
            ON CONFLICT (account, region, bus) DO UPDATE SET revision = excluded.revision
            """, bus.values + [.int(Int64.random(in: 1...Int64.max))])
    }

    /// Nil: the bus never had a rule.
    static func get(_ bus: BusKey, in transaction: any ReadTransaction) throws -> Int64? {
        try transaction.first(
            "SELECT revision FROM events_revision WHERE account = ? AND region = ? AND bus = ?", bus.values
        ) { $0.int(0) }
    }
}
