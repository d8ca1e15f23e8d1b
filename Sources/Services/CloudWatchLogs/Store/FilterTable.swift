import Platform
import Storage
import Wire

/// A subscription or metric filter of a group, as it was put.
struct FilterRow: Sendable {
    enum Kind: String, Sendable {
        case subscription
        case metric
    }

    var group: String
    var name: String
    var created: Int64
    /// Members of the request but group and name.
    var document: Value

    init(group: String, name: String, created: Int64, document: Value) {
        (self.group, self.name, self.created, self.document) = (group, name, created, document)
    }

    init(_ row: any Row) throws {
        self.init(group: row.text(0), name: row.text(1), created: row.int(2), document: try JSON.parse(row.blob(3)))
    }
}

enum FilterTable {
    private static let columns = "g.name, f.name, f.created, f.document"
    private static let source = "logs_group g JOIN logs_filter f ON f.group_id = g.id"

    static func list(
        _ kind: FilterRow.Kind, of group: Int64, after: String = "", prefix: String = "", limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [FilterRow] {
        try transaction.query(
            """
            SELECT \(columns) FROM \(source) WHERE g.id = ? AND f.kind = ? AND f.name > ? AND f.name >= ?
            AND substr(f.name, 1, length(?)) = ? ORDER BY f.name LIMIT ?
            """,
            [
                .int(group), .text(kind.rawValue), .text(after), .text(prefix), .text(prefix), .text(prefix),
                .int(Int64(limit)),
            ], FilterRow.init)
    }

    /// Metric filters of all groups, by group and name, behind a place.
    static func listMetric(
        _ scope: AccountRegion, after: (group: String, name: String), limit: Int, in transaction: any ReadTransaction
    ) throws -> [FilterRow] {
        try transaction.query(
            """
            SELECT \(columns) FROM \(source) WHERE g.account = ? AND g.region = ? AND g.metric_filters > 0
            AND f.kind = 'metric' AND g.name >= ? AND (g.name, f.name) > (?, ?) ORDER BY g.name, f.name LIMIT ?
            """,
            [
                .text(scope.account), .text(scope.region), .text(after.group), .text(after.group), .text(after.name),
                .int(Int64(limit)),
            ], FilterRow.init)
    }

    static func find(
        _ kind: FilterRow.Kind, _ name: String, of group: Int64, in transaction: any ReadTransaction
    ) throws -> FilterRow? {
        try transaction.first(
            "SELECT \(columns) FROM \(source) WHERE g.id = ? AND f.kind = ? AND f.name = ?",
            [.int(group), .text(kind.rawValue), .text(name)], FilterRow.init)
    }

    static func put(
        _ kind: FilterRow.Kind, _ row: FilterRow, of group: GroupRow, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "INSERT OR REPLACE INTO logs_filter (group_id, kind, name, created, document) VALUES (?, ?, ?, ?, ?)",
            [
                .int(group.id), .text(kind.rawValue), .text(row.name), .int(row.created),
                .blob(JSON.encode(row.document)),
            ])
        try count(group, now: now, in: transaction)
    }

    /// False when there is none of the name.
    static func delete(
        _ kind: FilterRow.Kind, _ name: String, of group: GroupRow, now: Instant,
        in transaction: any WriteTransaction
    ) throws -> Bool {
        let removed = try transaction.execute(
            "DELETE FROM logs_filter WHERE group_id = ? AND kind = ? AND name = ?",
            [.int(group.id), .text(kind.rawValue), .text(name)])
        guard removed > 0 else { return false }
        try count(group, now: now, in: transaction)
        return true
    }

    /// A version is never one that another group of the same id had.
    private static func count(_ group: GroupRow, now: Instant, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            UPDATE logs_group SET filters_version = ?,
                subscriptions = (SELECT COUNT(*) FROM logs_filter WHERE group_id = ? AND kind = 'subscription'),
                metric_filters = (SELECT COUNT(*) FROM logs_filter WHERE group_id = ? AND kind = 'metric')
            WHERE id = ?
            """,
            [.int(max(group.filtersVersion + 1, now.nanoseconds)), .int(group.id), .int(group.id), .int(group.id)])
    }
}
