import Platform
import Storage

/// The columns of a message that decisions need.
struct MessageRow: Sendable {
    var id: Int64
    var visible: Instant
    var receives: Int64
    var sent: Instant
    var received: Instant
    var firstReceived: Instant
    var lane: String?
    var messageID: String
    var envelope: [UInt8]
    /// Nil: in a row of its own.
    var body: String?

    func isInFlight(now: Instant) -> Bool { receives > 0 && visible > now }
}

enum MessageTable {
    private static let columns =
        "id, visible, receives, sent, received, first_received, lane, message_id, envelope, body"

    private static func row(_ row: any Row) -> MessageRow {
        MessageRow(
            id: row.int(0), visible: Instant(nanoseconds: row.int(1)), receives: row.int(2),
            sent: Instant(nanoseconds: row.int(3)), received: Instant(nanoseconds: row.int(4)),
            firstReceived: Instant(nanoseconds: row.int(5)), lane: row.optionalText(6), messageID: row.text(7),
            envelope: row.blob(8), body: row.optionalText(9))
    }

    static func insert(
        queue: Int64, _ draft: MessageDraft, lane: String?, visible: Instant, sent: Instant,
        in transaction: any WriteTransaction
    ) throws -> Int64 {
        let isLarge = draft.body.utf8.count > Limits.inlineBodyBytes
        try transaction.execute(
            """
            INSERT INTO sqs_messages (queue, visible, sent, lane, message_id, envelope, body)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .int(queue), .int(visible.nanoseconds), .int(sent.nanoseconds), .optional(lane),
                .text(draft.messageID), .blob(draft.envelope.encoded), isLarge ? .null : .text(draft.body),
            ])
        let id = transaction.lastInsertedRowID
        if isLarge {
            try transaction.execute(
                "INSERT INTO sqs_bodies (id, body) VALUES (?, ?)", [.int(id), .text(draft.body)])
        }
        return id
    }

    /// What can be received of a standard queue, longest waiting first; without messages newer than `mark`.
    static func visible(
        queue: Int64, upTo mark: Int64 = .max, now: Instant, limit: Int, in transaction: any ReadTransaction
    ) throws -> [MessageRow] {
        try transaction.query(
            """
            SELECT \(columns) FROM sqs_messages WHERE queue = ? AND visible <= ? AND +id <= ?
            ORDER BY visible, receives, sent, id LIMIT ?
            """,
            [.int(queue), .int(now.nanoseconds), .int(mark), .int(Int64(limit))], row)
    }

    /// The first messages of a group, in order.
    static func head(
        queue: Int64, lane: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [MessageRow] {
        try transaction.query(
            "SELECT \(columns) FROM sqs_messages WHERE queue = ? AND lane = ? ORDER BY id LIMIT ?",
            [.int(queue), .text(lane), .int(Int64(limit))], row)
    }

    static func get(_ id: Int64, queue: Int64, in transaction: any ReadTransaction) throws -> MessageRow? {
        try transaction.first(
            "SELECT \(columns) FROM sqs_messages WHERE id = ? AND queue = ?", [.int(id), .int(queue)], row)
    }

    static func body(_ id: Int64, in transaction: any ReadTransaction) throws -> String {
        try transaction.first("SELECT body FROM sqs_bodies WHERE id = ?", [.int(id)], { $0.text(0) }) ?? ""
    }

    static func setReceived(
        _ row: MessageRow, visible: Instant, now: Instant, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            UPDATE sqs_messages SET visible = ?, receives = receives + 1, received = ?, first_received = ? WHERE id = ?
            """,
            [
                .int(visible.nanoseconds), .int(now.nanoseconds),
                .int((row.receives == 0 ? now : row.firstReceived).nanoseconds), .int(row.id),
            ])
    }

    static func setVisible(_ id: Int64, _ visible: Instant, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE sqs_messages SET visible = ? WHERE id = ?", [.int(visible.nanoseconds), .int(id)])
    }

    static func delete(_ id: Int64, isLarge: Bool, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM sqs_messages WHERE id = ?", [.int(id)])
        if isLarge { try transaction.execute("DELETE FROM sqs_bodies WHERE id = ?", [.int(id)]) }
    }

    /// Deletes what this receive holds; false when the message is gone or was received again.
    static func delete(_ handle: ReceiptHandle, in transaction: any WriteTransaction) throws -> Bool {
        let count = try transaction.execute(
            "DELETE FROM sqs_messages WHERE id = ? AND queue = ? AND receives = ?",
            [.int(handle.message), .int(handle.queue), .int(handle.receive)])
        if count > 0, handle.isLarge {
            try transaction.execute("DELETE FROM sqs_bodies WHERE id = ?", [.int(handle.message)])
        }
        return count > 0
    }

    /// Puts a message at the end of another queue, as never received. It gets a new id, because ids are the order.
    static func move(
        _ row: MessageRow, to queue: Int64, lane: String?, envelope: Envelope, sent: Instant, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO sqs_messages (queue, visible, sent, lane, message_id, envelope, body)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .int(queue), .int(now.nanoseconds), .int(sent.nanoseconds), .optional(lane), .text(row.messageID),
                .blob(envelope.encoded), row.body.map { .text($0) } ?? .null,
            ])
        let id = transaction.lastInsertedRowID
        try transaction.execute("DELETE FROM sqs_messages WHERE id = ?", [.int(row.id)])
        if row.body == nil {
            try transaction.execute("UPDATE sqs_bodies SET id = ? WHERE id = ?", [.int(id), .int(row.id)])
        }
    }

    /// When the first message of a standard queue is visible, was it in the past or will it be.
    static func nextVisible(queue: Int64, in transaction: any ReadTransaction) throws -> Instant? {
        try transaction.first(
            "SELECT visible FROM sqs_messages WHERE queue = ? ORDER BY visible LIMIT 1", [.int(queue)]
        ) { Instant(nanoseconds: $0.int(0)) }
    }

    static func inFlight(queue: Int64, now: Instant, in transaction: any ReadTransaction) throws -> Int {
        try transaction.first(
            "SELECT COUNT(*) FROM sqs_messages WHERE queue = ? AND visible > ? AND receives > 0",
            [.int(queue), .int(now.nanoseconds)], { Int($0.int(0)) }) ?? 0
    }

    struct Counts: Sendable, Equatable {
        var visible = 0
        var notVisible = 0
        var delayed = 0
    }

    /// Messages of the queue that are not over their retention. Reads the index of `visible` alone; `+` keeps it from that
    /// of `sent`, which would need the rows.
    static func counts(
        queue: Int64, now: Instant, expiry: Instant, in transaction: any ReadTransaction
    ) throws -> Counts {
        try transaction.first(
            """
            SELECT COALESCE(SUM(CASE WHEN visible <= ? THEN 1 ELSE 0 END), 0),
                COALESCE(SUM(CASE WHEN visible > ? AND receives > 0 THEN 1 ELSE 0 END), 0),
                COALESCE(SUM(CASE WHEN visible > ? AND receives = 0 THEN 1 ELSE 0 END), 0)
            FROM sqs_messages WHERE queue = ? AND +sent > ?
            """,
            [
                .int(now.nanoseconds), .int(now.nanoseconds), .int(now.nanoseconds), .int(queue),
                .int(expiry.nanoseconds),
            ]
        ) { Counts(visible: Int($0.int(0)), notVisible: Int($0.int(1)), delayed: Int($0.int(2))) } ?? Counts()
    }

    // MARK: Removing many

    /// Ids of all queues are one sequence: the newest of any is as good a mark.
    static func newest(in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first("SELECT id FROM sqs_messages ORDER BY id DESC LIMIT 1", [], { $0.int(0) }) ?? 0
    }

    /// Removes up to `limit` messages that are not newer than `mark`; answers their groups.
    static func removeAll(
        queue: Int64, upTo mark: Int64, limit: Int, in transaction: any WriteTransaction
    ) throws -> [Bulk] {
        let rows = try transaction.query(
            "SELECT id, body IS NULL, lane FROM sqs_messages WHERE queue = ? AND id <= ? ORDER BY visible LIMIT ?",
            [.int(queue), .int(mark), .int(Int64(limit))], bulk)
        for row in rows { try delete(row.id, isLarge: row.isLarge, in: transaction) }
        return rows
    }

    /// What removing needs to know of a message.
    struct Bulk: Sendable {
        var id: Int64
        var isLarge: Bool
        var lane: String?
    }

    private static func bulk(_ row: any Row) -> Bulk {
        Bulk(id: row.int(0), isLarge: row.bool(1), lane: row.optionalText(2))
    }

    /// Messages over their retention, whenever they would be visible.
    static func expired(
        queue: Int64, expiry: Instant, limit: Int, in transaction: any ReadTransaction
    ) throws -> [Bulk] {
        try transaction.query(
            "SELECT id, body IS NULL, lane FROM sqs_messages WHERE queue = ? AND sent <= ? ORDER BY sent LIMIT ?",
            [.int(queue), .int(expiry.nanoseconds), .int(Int64(limit))], bulk)
    }
}
