import Platform
import Storage

/// What happened to alarms. Stays when they are deleted; bounded by age and for each alarm in number.
enum HistoryTable {
    struct Item: Sendable {
        var number: Int64 = 0
        var alarm: String
        var time: Instant
        /// ConfigurationUpdate, StateUpdate or Action.
        var type: String
        var summary: String
        var data: String
    }

    static func append(_ item: Item, _ scope: AccountRegion, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO cloudwatch_history (account, region, alarm, time, type, summary, data)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(scope.account), .text(scope.region), .text(item.alarm), .int(item.time.milliseconds),
                .text(item.type), .text(String(item.summary.prefix(255))),
                .text(item.data.utf8.count > Limits.historyDataCharacters ? "{}" : item.data),
            ])
        try transaction.execute(
            """
            DELETE FROM cloudwatch_history WHERE id IN (
                SELECT id FROM cloudwatch_history WHERE account = ? AND region = ? AND alarm = ?
                ORDER BY time DESC, id DESC LIMIT 10 OFFSET ?)
            """,
            [.text(scope.account), .text(scope.region), .text(item.alarm), .int(Limits.historyItems)])
    }

    /// Where an answer goes on: the time in milliseconds and the number of the last item.
    struct Place: Sendable {
        var time: Int64
        var number: Int64
    }

    /// Items from a time to another (milliseconds), of one alarm or all, behind a place.
    static func list(
        _ scope: AccountRegion, alarm: String?, from: Int64, to: Int64, after place: Place?, ascending: Bool,
        limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [Item] {
        let columns =
            "SELECT id, alarm, time, type, summary, data FROM cloudwatch_history WHERE account = ? AND region = ? "
        let start: [SQLValue] = [.text(scope.account), .text(scope.region)]
        let bounds: [SQLValue] = [.int(from), .int(to)]
        let first = place ?? (ascending ? Place(time: .min, number: 0) : Place(time: .max, number: 0))
        let end: [SQLValue] = [.int(first.time), .int(first.number), .int(Int64(limit))]
        let order =
            ascending
            ? "AND time >= ? AND time <= ? AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?"
            : "AND time >= ? AND time <= ? AND (time, id) < (?, ?) ORDER BY time DESC, id DESC LIMIT ?"
        if let alarm {
            return try transaction.query(
                columns + "AND alarm = ? " + order, start + [.text(alarm)] + bounds + end, item)
        }
        return try transaction.query(columns + order, start + bounds + end, item)
    }

    /// Removes items from before a time (seconds); whether there may be more.
    static func expire(before seconds: Int64, in transaction: any WriteTransaction) throws -> Bool {
        let removed = try transaction.execute(
            """
            DELETE FROM cloudwatch_history WHERE id IN (
                SELECT id FROM cloudwatch_history WHERE time < ? ORDER BY time LIMIT ?)
            """, [.int(seconds * 1_000), .int(Int64(Limits.rowsPerSweep))])
        return removed == Limits.rowsPerSweep
    }

    private static func item(_ row: any Row) -> Item {
        Item(
            number: row.int(0), alarm: row.text(1), time: Instant(milliseconds: row.int(2)), type: row.text(3),
            summary: row.text(4), data: row.text(5))
    }
}
