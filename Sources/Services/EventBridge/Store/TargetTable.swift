import Platform
import Storage

/// Targets as they were given.
enum TargetTable {
    static func list(
        _ rule: RuleKey, after id: String = "", limit: Int, in transaction: any ReadTransaction
    ) throws -> [Model.Target] {
        try transaction.query(
            """
            SELECT document FROM events_target WHERE account = ? AND region = ? AND bus = ? AND rule = ? AND id > ?
            ORDER BY id LIMIT ?
            """, rule.values + [.text(id), .int(Int64(limit))]
        ) { Model.Target(.map(Documents.fields($0.blob(0)))) }
    }

    /// Targets of all rules of a bus: rule and target.
    static func all(
        of bus: BusKey, in transaction: any ReadTransaction
    ) throws -> [(rule: String, target: Model.Target)] {
        try transaction.query(
            """
            SELECT rule, document FROM events_target WHERE account = ? AND region = ? AND bus = ? ORDER BY rule, id
            """, bus.values
        ) { ($0.text(0), Model.Target(.map(Documents.fields($0.blob(1))))) }
    }

    static func put(_ target: Model.Target, of rule: RuleKey, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO events_target (account, region, bus, rule, id, arn, document) VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, bus, rule, id) DO UPDATE SET arn = excluded.arn, document = excluded.document
            """,
            rule.values + [
                .text(target.id ?? ""), .text(target.arn ?? ""), .blob(JSON.encode(target.value)),
            ])
        try RevisionTable.change(rule.bus, in: transaction)
    }

    /// Whether it was there.
    static func delete(_ id: String, of rule: RuleKey, in transaction: any WriteTransaction) throws -> Bool {
        try RevisionTable.change(rule.bus, in: transaction)
        return try transaction.execute(
            "DELETE FROM events_target WHERE account = ? AND region = ? AND bus = ? AND rule = ? AND id = ?",
            rule.values + [.text(id)]) > 0
    }

    /// Names of the bus's rules with a target of this ARN, behind `rule`.
    static func rules(
        withTarget arn: String, of bus: BusKey, after rule: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [String] {
        try transaction.query(
            """
            SELECT DISTINCT rule FROM events_target WHERE account = ? AND region = ? AND bus = ? AND arn = ? AND rule > ?
            ORDER BY rule LIMIT ?
            """, bus.values + [.text(arn), .text(rule), .int(Int64(limit))]
        ) { $0.text(0) }
    }
}
