import Platform
import Storage

enum MetricTable {
    struct Row: Sendable {
        var number: Int64
        var id: MetricID
        /// Seconds since 1970 of the minute of its newest datum.
        var last: Int64
    }

    static func find(_ id: MetricID, _ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64? {
        try row(id, scope, in: transaction)?.number
    }

    private static func row(
        _ id: MetricID, _ scope: AccountRegion, in transaction: any ReadTransaction
    ) throws -> (number: Int64, last: Int64)? {
        try transaction.first(
            """
            SELECT id, last FROM cloudwatch_metric
            WHERE account = ? AND region = ? AND namespace = ? AND name = ? AND dimensions = ?
            """,
            [
                .text(scope.account), .text(scope.region), .text(id.namespace), .text(id.name),
                .text(id.dimensionText),
            ]
        ) { ($0.int(0), $0.int(1)) }
    }

    /// The metric's number; it is made when it is new. `time` is when its datum was measured, in seconds.
    static func touch(
        _ id: MetricID, _ scope: AccountRegion, time: Int64, in transaction: any WriteTransaction
    ) throws -> Int64 {
        let minute = time.flooredDivision(by: 60) * 60
        if let row = try row(id, scope, in: transaction) {
            if row.last < minute {
                try transaction.execute(
                    "UPDATE cloudwatch_metric SET last = ? WHERE id = ?", [.int(minute), .int(row.number)])
            }
            return row.number
        }
        try transaction.execute(
            """
            INSERT INTO cloudwatch_metric (account, region, namespace, name, dimensions, last)
            VALUES (?, ?, ?, ?, ?, ?)
            """,
            [
                .text(scope.account), .text(scope.region), .text(id.namespace), .text(id.name),
                .text(id.dimensionText), .int(minute),
            ])
        return transaction.lastInsertedRowID
    }

    /// A place in the order of metrics: namespace, name, dimensions.
    struct Place: Sendable {
        var namespace = ""
        var name = ""
        var dimensions = ""
    }

    /// Metrics behind a place, in order; of one namespace, of one name there, or all.
    static func list(
        _ scope: AccountRegion, namespace: String?, name: String?, after place: Place, limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [Row] {
        let columns =
            "SELECT id, namespace, name, dimensions, last FROM cloudwatch_metric WHERE account = ? AND region = ? "
        let order = " ORDER BY namespace, name, dimensions LIMIT ?"
        let start: [SQLValue] = [.text(scope.account), .text(scope.region)]
        switch (namespace, name) {
        case (let namespace?, let name?):
            return try transaction.query(
                columns + "AND namespace = ? AND name = ? AND dimensions > ?" + order,
                start + [.text(namespace), .text(name), .text(place.dimensions), .int(Int64(limit))], row)
        case (let namespace?, nil):
            return try transaction.query(
                columns + "AND namespace = ? AND (name, dimensions) > (?, ?)" + order,
                start + [.text(namespace), .text(place.name), .text(place.dimensions), .int(Int64(limit))], row)
        case (nil, _):
            return try transaction.query(
                columns + "AND (namespace, name, dimensions) > (?, ?, ?)" + order,
                start + [
                    .text(place.namespace), .text(place.name), .text(place.dimensions), .int(Int64(limit)),
                ], row)
        }
    }

    /// Metrics of whatever account with numbers above `number`, for upkeep.
    static func all(after number: Int64, limit: Int, in transaction: any ReadTransaction) throws -> [(Int64, Int64)] {
        try transaction.query(
            "SELECT id, last FROM cloudwatch_metric WHERE id > ? ORDER BY id LIMIT ?",
            [.int(number), .int(Int64(limit))]
        ) { ($0.int(0), $0.int(1)) }
    }

    static func delete(_ number: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM cloudwatch_metric WHERE id = ?", [.int(number)])
    }

    private static func row(_ row: any Storage.Row) -> Row {
        Row(
            number: row.int(0),
            id: MetricID(
                namespace: row.text(1), name: row.text(2), dimensions: MetricID.dimensions(row.text(3))),
            last: row.int(4))
    }
}
