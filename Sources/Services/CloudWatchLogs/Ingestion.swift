import Platform
import Storage

/// The one way by which events come into a group: rows, and what filters and live tails make of them.
struct Ingestion: Sendable {
    let subscriptions: SubscriptionWorker
    let taps: EventTaps

    /// Writes events, and in the same transaction what the group's subscriptions have to look at. `hasMetrics`: whether some
    /// may be in the embedded metric format, which is looked for before the transaction.
    func append(
        _ events: [NewEvent], to group: GroupRow, stream: (id: Int64, name: String), now: Int64, hasMetrics: Bool,
        in transaction: any WriteTransaction
    ) throws {
        guard !events.isEmpty else { return }
        let first = try EventRow.append(
            events, stream: stream.id, group: group.id, ingested: now, in: transaction)
        if group.subscriptions > 0 {
            try PendingRow.append(events, from: first, stream: stream.id, group: group.id, in: transaction)
            transaction.afterCommit { [subscriptions] in subscriptions.wake() }
        }
        guard hasMetrics || group.metricFilters > 0 || taps.tails.isWatched(group.id) else { return }
        let batch = TappedBatch(
            scope: group.scope, group: group.id, groupARN: group.arn, stream: stream.name, ingested: now,
            hasMetrics: hasMetrics, metricFilters: group.metricFilters > 0 ? group.filtersVersion : nil,
            events: events)
        transaction.afterCommit { [taps] in taps.offer(batch) }
    }
}

/// Events that the subscriptions of a group have not seen: a range of ids.
struct PendingRow: Sendable {
    var id: Int64
    var group: Int64
    var stream: Int64
    var first: Int64
    var last: Int64
    var lineage: String?

    init(_ row: any Row) {
        id = row.int(0)
        group = row.int(1)
        stream = row.int(2)
        first = row.int(3)
        last = row.int(4)
        lineage = row.optionalText(5)
    }

    /// One row for each run of events of one lineage.
    static func append(
        _ events: [NewEvent], from first: Int64, stream: Int64, group: Int64, in transaction: any WriteTransaction
    ) throws {
        var start = 0
        while start < events.count {
            let lineage = events[start].lineage
            let end = events[start...].firstIndex { $0.lineage != lineage } ?? events.count
            try transaction.execute(
                "INSERT INTO logs_pending (group_id, stream_id, first_event, last_event, lineage) VALUES (?, ?, ?, ?, ?)",
                [
                    .int(group), .int(stream), .int(first + Int64(start)), .int(first + Int64(end) - 1),
                    .optional(lineage),
                ])
            start = end
        }
    }

    static func next(_ limit: Int, in transaction: any ReadTransaction) throws -> [PendingRow] {
        try transaction.query(
            """
            SELECT id, group_id, stream_id, first_event, last_event, lineage FROM logs_pending ORDER BY id LIMIT ?
            """, [.int(Int64(limit))], PendingRow.init)
    }

    func events(in transaction: any ReadTransaction) throws -> [EventRow] {
        // Ids of events that were deleted may have been given out again.
        try transaction.query(
            "SELECT \(EventRow.columns) FROM logs_event WHERE id >= ? AND id <= ? ORDER BY id",
            [.int(first), .int(last)], EventRow.init
        ).filter { $0.stream == stream }
    }
}
