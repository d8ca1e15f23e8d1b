import Platform
import Storage

/// Groups of FIFO queues that have messages. A group is closed while messages of it are in flight, or its first one is
/// delayed: `available` is when it opens.
enum LaneTable {
    /// A message came: a new group opens with it; one that is there keeps its time.
    static func arrived(queue: Int64, lane: String, visible: Instant, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO sqs_lanes (queue, lane, available) VALUES (?, ?, ?) ON CONFLICT (queue, lane) DO NOTHING",
            [.int(queue), .text(lane), .int(visible.nanoseconds)])
    }

    /// Groups that are open, longest waiting first.
    static func open(
        queue: Int64, now: Instant, limit: Int, in transaction: any ReadTransaction
    ) throws -> [String] {
        try transaction.query(
            "SELECT lane FROM sqs_lanes WHERE queue = ? AND available <= ? ORDER BY available, lane LIMIT ?",
            [.int(queue), .int(now.nanoseconds), .int(Int64(limit))], { $0.text(0) })
    }

    /// Groups that are open and begin with a message that is not newer than `mark`, longest waiting first.
    static func open(
        queue: Int64, upTo mark: Int64, now: Instant, limit: Int, in transaction: any ReadTransaction
    ) throws -> [String] {
        try transaction.query(
            """
            SELECT lane FROM sqs_lanes AS l WHERE queue = ? AND available <= ?
                AND (SELECT id FROM sqs_messages WHERE queue = l.queue AND lane = l.lane ORDER BY id LIMIT 1) <= ?
            ORDER BY available, lane LIMIT ?
            """, [.int(queue), .int(now.nanoseconds), .int(mark), .int(Int64(limit))], { $0.text(0) })
    }

    static func nextAvailable(queue: Int64, in transaction: any ReadTransaction) throws -> Instant? {
        try transaction.first(
            "SELECT available FROM sqs_lanes WHERE queue = ? ORDER BY available LIMIT 1", [.int(queue)]
        ) { Instant(nanoseconds: $0.int(0)) }
    }

    /// Sets a group's time by its messages: the last visibility timeout of those in flight, else its first message's time.
    /// Answers it; nil when the group has no messages left.
    @discardableResult
    static func settle(
        queue: Int64, lane: String, now: Instant, in transaction: any WriteTransaction
    ) throws -> Instant? {
        let held = try transaction.first(
            """
            SELECT visible FROM sqs_messages WHERE queue = ? AND lane = ? AND receives > 0 AND lane IS NOT NULL
            ORDER BY visible DESC LIMIT 1
            """, [.int(queue), .text(lane)]
        ) { Instant(nanoseconds: $0.int(0)) }
        var available = held.flatMap { $0 > now ? $0 : nil }
        if available == nil {
            available = try transaction.first(
                "SELECT visible FROM sqs_messages WHERE queue = ? AND lane = ? ORDER BY id LIMIT 1",
                [.int(queue), .text(lane)]
            ) { Instant(nanoseconds: $0.int(0)) }
        }
        guard let available else {
            try transaction.execute("DELETE FROM sqs_lanes WHERE queue = ? AND lane = ?", [.int(queue), .text(lane)])
            return nil
        }
        try transaction.execute(
            """
            INSERT INTO sqs_lanes (queue, lane, available) VALUES (?, ?, ?)
            ON CONFLICT (queue, lane) DO UPDATE SET available = excluded.available
            """, [.int(queue), .text(lane), .int(available.nanoseconds)])
        return available
    }
}
