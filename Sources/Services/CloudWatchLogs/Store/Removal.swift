import Platform
import Storage

/// Deleting groups and streams, which may have millions of events, without stopping everybody else's writes: the deletion
/// itself only takes the row out of sight; the events go a bounded number at a time (`Sweeper`).
///
/// A deleted group keeps its id, so that no new group gets its events, under no account. A deleted stream belongs to
/// group 0, which does not exist.
enum Removal {
    static func hide(_ group: GroupRow, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            UPDATE logs_group SET account = '', region = '', name = ?, retention = NULL, subscriptions = 0,
                metric_filters = 0 WHERE id = ?
            """, [.text(String(group.id)), .int(group.id)])
        // At most as many as a group may have filters.
        try transaction.execute("DELETE FROM logs_filter WHERE group_id = ?", [.int(group.id)])
    }

    static func hide(_ stream: StreamRow, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE logs_stream SET group_id = 0, name = ?, is_own = 0 WHERE id = ?",
            [.text(String(stream.id)), .int(stream.id)])
    }

    /// Removes at most `limit` rows of what was deleted; false when nothing is left.
    static func step(limit: Int, in transaction: any WriteTransaction) throws -> Bool {
        if let group = try transaction.first(
            "SELECT id FROM logs_group WHERE account = '' ORDER BY account, region, name LIMIT 1", { $0.int(0) })
        {
            try remove(group: group, limit: limit, in: transaction)
            return true
        }
        if let stream = try transaction.first(
            "SELECT id FROM logs_stream WHERE group_id = 0 ORDER BY name LIMIT 1", { $0.int(0) })
        {
            try remove(stream: stream, limit: limit, in: transaction)
            return true
        }
        return false
    }

    private static func remove(group: Int64, limit: Int, in transaction: any WriteTransaction) throws {
        let bound: [SQLValue] = [.int(group), .int(Int64(limit))]
        let events = try transaction.execute(
            "DELETE FROM logs_event WHERE id IN (SELECT id FROM logs_event WHERE group_id = ? LIMIT ?)", bound)
        guard events == 0 else { return }
        let streams = try transaction.execute(
            "DELETE FROM logs_stream WHERE id IN (SELECT id FROM logs_stream WHERE group_id = ? LIMIT ?)", bound)
        guard streams == 0 else { return }
        try transaction.execute("DELETE FROM logs_group WHERE id = ?", [.int(group)])
    }

    private static func remove(stream: Int64, limit: Int, in transaction: any WriteTransaction) throws {
        let events = try transaction.query(
            "SELECT id, group_id, length(CAST(message AS BLOB)) FROM logs_event WHERE stream_id = ? LIMIT ?",
            [.int(stream), .int(Int64(limit))], { (id: $0.int(0), group: $0.int(1), bytes: $0.int(2)) })
        guard let group = events.first?.group else {
            try transaction.execute("DELETE FROM logs_stream WHERE id = ?", [.int(stream)])
            return
        }
        try remove(events.map { ($0.id, $0.bytes) }, group: group, in: transaction)
    }

    /// Removes at most `limit` events of a group that are older than `before`; answers how many.
    static func expire(
        group: Int64, before: Int64, limit: Int, in transaction: any WriteTransaction
    ) throws -> Int {
        let old = try transaction.query(
            """
            SELECT id, length(CAST(message AS BLOB)) FROM logs_event WHERE group_id = ? AND timestamp < ?
            ORDER BY timestamp, id LIMIT ?
            """, [.int(group), .int(before), .int(Int64(limit))], { ($0.int(0), $0.int(1)) })
        try remove(old, group: group, in: transaction)
        return old.count
    }

    /// Removes at most `limit` streams of a group that functions' logs have made, one for each environment, and whose
    /// events are all gone; answers how many. Streams that users have made stay, as on AWS.
    static func expireStreams(
        group: Int64, before: Int64, limit: Int, in transaction: any WriteTransaction
    ) throws -> Int {
        try transaction.execute(
            """
            DELETE FROM logs_stream WHERE id IN (
                SELECT s.id FROM logs_stream s WHERE s.group_id = ? AND s.is_own = 1 AND s.last_event < ?
                AND COALESCE(s.last_ingestion, s.created) < ?
                AND NOT EXISTS (SELECT 1 FROM logs_event e WHERE e.stream_id = s.id) LIMIT ?)
            """, [.int(group), .int(before), .int(before), .int(Int64(limit))])
    }

    private static func remove(
        _ events: [(id: Int64, bytes: Int64)], group: Int64, in transaction: any WriteTransaction
    ) throws {
        var bytes: Int64 = 0
        for event in events {
            try transaction.execute("DELETE FROM logs_event WHERE id = ?", [.int(event.id)])
            bytes += event.bytes + Int64(Limits.overheadPerEvent)
        }
        try transaction.execute("UPDATE logs_group SET bytes = bytes - ? WHERE id = ?", [.int(bytes), .int(group)])
    }
}
