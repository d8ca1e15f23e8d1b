import Platform
import Storage

/// Deduplication ids of the last five minutes, and what was received under an attempt id in them.
enum DeduplicationTable {
    /// The message that was accepted under this id, while the interval lasts.
    static func find(
        queue: Int64, lane: String, _ deduplication: String, now: Instant, in transaction: any ReadTransaction
    ) throws -> (message: Int64, messageID: String)? {
        try transaction.first(
            """
            SELECT message, message_id FROM sqs_deduplications
            WHERE queue = ? AND lane = ? AND deduplication = ? AND expires > ?
            """, [.int(queue), .text(lane), .text(deduplication), .int(now.nanoseconds)],
            { (message: $0.int(0), messageID: $0.text(1)) })
    }

    static func remember(
        queue: Int64, lane: String, _ deduplication: String, message: Int64, messageID: String, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        let expires = now + .seconds(Limits.deduplicationSeconds)
        try transaction.execute(
            """
            INSERT INTO sqs_deduplications (queue, lane, deduplication, expires, message, message_id)
            VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (queue, lane, deduplication)
            DO UPDATE SET expires = excluded.expires, message = excluded.message, message_id = excluded.message_id
            """,
            [
                .int(queue), .text(lane), .text(deduplication), .int(expires.nanoseconds), .int(message),
                .text(messageID),
            ])
        let old = try transaction.query(
            "SELECT lane, deduplication FROM sqs_deduplications WHERE queue = ? AND expires <= ? ORDER BY expires LIMIT ?",
            [.int(queue), .int(now.nanoseconds), .int(Limits.deduplicationsCleared)], { ($0.text(0), $0.text(1)) })
        for (lane, deduplication) in old {
            try transaction.execute(
                "DELETE FROM sqs_deduplications WHERE queue = ? AND lane = ? AND deduplication = ?",
                [.int(queue), .text(lane), .text(deduplication)])
        }
    }

    // MARK: Attempts of receives

    /// Ids and receive counts of the messages that were received under this attempt id.
    static func attempt(
        queue: Int64, _ attempt: String, now: Instant, in transaction: any ReadTransaction
    ) throws -> [(message: Int64, receive: Int64)]? {
        try transaction.first(
            "SELECT messages FROM sqs_attempts WHERE queue = ? AND attempt = ? AND expires > ?",
            [.int(queue), .text(attempt), .int(now.nanoseconds)]
        ) { row in
            let list = (try? JSON.parse(row.blob(0)))?.list ?? []
            return list.compactMap { pair in
                guard let pair = pair.list, pair.count == 2, let message = pair[0].int, let receive = pair[1].int
                else { return nil }
                return (message: message, receive: receive)
            }
        }
    }

    static func remember(
        queue: Int64, attempt: String, _ messages: [(message: Int64, receive: Int64)], now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        let expires = now + .seconds(Limits.deduplicationSeconds)
        let list = Value.list(messages.map { .list([.int($0.message), .int($0.receive)]) })
        try transaction.execute(
            """
            INSERT INTO sqs_attempts (queue, attempt, expires, messages) VALUES (?, ?, ?, ?)
            ON CONFLICT (queue, attempt) DO UPDATE SET expires = excluded.expires, messages = excluded.messages
            """, [.int(queue), .text(attempt), .int(expires.nanoseconds), .blob(JSON.encode(list))])
    }

    static func hasExpired(queue: Int64, now: Instant, in transaction: any ReadTransaction) throws -> Bool {
        try transaction.first(
            """
            SELECT 1 WHERE EXISTS (SELECT 1 FROM sqs_deduplications WHERE queue = ? AND expires <= ?)
                OR EXISTS (SELECT 1 FROM sqs_attempts WHERE queue = ? AND expires <= ?)
            """, [.int(queue), .int(now.nanoseconds), .int(queue), .int(now.nanoseconds)], { _ in true }) ?? false
    }

    /// Removes what is over, up to `limit` rows of each table.
    static func sweep(queue: Int64, now: Instant, limit: Int, in transaction: any WriteTransaction) throws {
        let ids = try transaction.query(
            "SELECT lane, deduplication FROM sqs_deduplications WHERE queue = ? AND expires <= ? ORDER BY expires LIMIT ?",
            [.int(queue), .int(now.nanoseconds), .int(Int64(limit))], { ($0.text(0), $0.text(1)) })
        for (lane, deduplication) in ids {
            try transaction.execute(
                "DELETE FROM sqs_deduplications WHERE queue = ? AND lane = ? AND deduplication = ?",
                [.int(queue), .text(lane), .text(deduplication)])
        }
        let attempts = try transaction.query(
            "SELECT attempt FROM sqs_attempts WHERE queue = ? AND expires <= ? ORDER BY expires LIMIT ?",
            [.int(queue), .int(now.nanoseconds), .int(Int64(limit))], { $0.text(0) })
        for attempt in attempts {
            try transaction.execute(
                "DELETE FROM sqs_attempts WHERE queue = ? AND attempt = ?", [.int(queue), .text(attempt)])
        }
    }
}
