import Platform
import Storage

/// A move task's row.
struct MoveTask: Sendable {
    enum Status: String, Sendable {
        case running = "RUNNING"
        case completed = "COMPLETED"
        case cancelling = "CANCELLING"
        case cancelled = "CANCELLED"
        case failed = "FAILED"
    }
    var id: Int64
    var queue: Int64
    var source: String
    var destination: String?
    /// Messages per second; nil: as fast as it goes.
    var rate: Int?
    var status: Status
    var moved: Int
    var toMove: Int
    /// Messages that came later are not moved.
    var last: Int64
    var started: Instant
    var failure: String?
}

enum MoveTaskTable {
    private static let columns =
        "id, queue, source, destination, rate, status, moved, to_move, last, started, failure"

    private static func task(_ row: any Row) -> MoveTask {
        MoveTask(
            id: row.int(0), queue: row.int(1), source: row.text(2), destination: row.optionalText(3),
            rate: row.optionalInt(4).map { Int($0) }, status: MoveTask.Status(rawValue: row.text(5)) ?? .failed,
            moved: Int(row.int(6)), toMove: Int(row.int(7)), last: row.int(8),
            started: Instant(nanoseconds: row.int(9)), failure: row.optionalText(10))
    }

    static func insert(_ task: MoveTask, in transaction: any WriteTransaction) throws -> Int64 {
        try transaction.execute(
            """
            INSERT INTO sqs_move_tasks (queue, source, destination, rate, status, to_move, last, started)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .int(task.queue), .text(task.source), .optional(task.destination),
                .optional(task.rate.map { Int64($0) }), .text(task.status.rawValue), .int(Int64(task.toMove)),
                .int(task.last), .int(task.started.nanoseconds),
            ])
        let id = transaction.lastInsertedRowID
        try transaction.execute(
            """
            DELETE FROM sqs_move_tasks WHERE queue = ? AND id NOT IN (
                SELECT id FROM sqs_move_tasks WHERE queue = ? ORDER BY id DESC LIMIT ?)
            """, [.int(task.queue), .int(task.queue), .int(Int64(Limits.moveTasksKept))])
        return id
    }

    static func get(_ id: Int64, in transaction: any ReadTransaction) throws -> MoveTask? {
        try transaction.first("SELECT \(columns) FROM sqs_move_tasks WHERE id = ?", [.int(id)], task)
    }

    /// The newest first.
    static func list(queue: Int64, limit: Int, in transaction: any ReadTransaction) throws -> [MoveTask] {
        try transaction.query(
            "SELECT \(columns) FROM sqs_move_tasks WHERE queue = ? ORDER BY id DESC LIMIT ?",
            [.int(queue), .int(Int64(limit))], task)
    }

    /// Tasks that an earlier run of the server did not finish.
    static func unfinished(in transaction: any ReadTransaction) throws -> [MoveTask] {
        try transaction.query(
            "SELECT \(columns) FROM sqs_move_tasks WHERE status IN ('RUNNING', 'CANCELLING') ORDER BY id", [], task)
    }

    static func update(_ task: MoveTask, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE sqs_move_tasks SET status = ?, moved = ?, failure = ? WHERE id = ?",
            [
                .text(task.status.rawValue), .int(Int64(task.moved)), .optional(task.failure), .int(task.id),
            ])
    }

    static func removeAll(queue: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM sqs_move_tasks WHERE queue = ?", [.int(queue)])
    }
}
