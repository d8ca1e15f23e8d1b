import Logging
import Platform
import Storage
import Synchronization
import Wire

/// Runs move tasks: a bounded number of messages in each transaction, paced by the task's rate. A task's progress is in its
/// row, so that it goes on after a restart.
final class MoveTasks: Sendable {
    private let database: any Database
    private let time: any TimeSource
    private let mailbox: Mailbox
    private let logger: Logger
    private let isStopped = Mutex(false)

    init(database: any Database, time: any TimeSource, mailbox: Mailbox, logger: Logger) {
        self.database = database
        self.time = time
        self.mailbox = mailbox
        self.logger = logger
    }

    func start() async throws {
        for task in try await database.read({ try MoveTaskTable.unfinished(in: $0) }) { run(task.id) }
    }

    func stop() { isStopped.withLock { $0 = true } }

    func run(_ id: Int64) {
        if isStopped.withLock({ $0 }) { return }
        database.write { [self] transaction in
            try step(id, now: time.now(), in: transaction)
        } completion: { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(nil): break
            case .success(let pause?): plan(id, after: pause)
            case .failure(let error):
                logger.error("a message move task makes no progress", metadata: ["error": "\(error)"])
                plan(id, after: .seconds(5))
            }
        }
    }

    private func plan(_ id: Int64, after pause: Duration) {
        if pause == .zero { return run(id) }
        _ = time.schedule(at: time.now() + pause) { [weak self] in self?.run(id) }
    }

    /// How many messages a step moves, and how long it rests then.
    static func pace(_ rate: Int?) -> (messages: Int, pause: Duration) {
        guard let rate else { return (Limits.movesPerTransaction, .zero) }
        if rate < 10 { return (1, .milliseconds(1_000 / max(rate, 1))) }
        return (rate / 10, .milliseconds(100))
    }

    /// Moves some messages; the rest before the next step, nil at the end.
    private func step(_ id: Int64, now: Instant, in transaction: any WriteTransaction) throws -> Duration? {
        guard var task = try MoveTaskTable.get(id, in: transaction) else { return nil }
        func end(_ status: MoveTask.Status, _ failure: String? = nil) throws -> Duration? {
            task.status = status
            task.failure = failure
            try MoveTaskTable.update(task, in: transaction)
            return nil
        }
        switch task.status {
        case .running: break
        case .cancelling: return try end(.cancelled)
        case .completed, .cancelled, .failed: return nil
        }
        guard let source = try mailbox.directory.find(arn: task.source, in: transaction), source.id == task.queue
        else { return try end(.failed, "AWS.SimpleQueueService.NonExistentQueue") }
        let (wanted, pause) = Self.pace(task.rate)
        let rows = try candidates(source, upTo: task.last, limit: wanted, now: now, in: transaction)
        for row in rows {
            guard let envelope = Envelope(encoded: row.envelope) else {
                try mailbox.unreadable.setAside(row, of: source, in: transaction)
                try mailbox.settle(row.lane, of: source, now: now, in: transaction)
                continue
            }
            guard let arn = task.destination ?? envelope.deadLetterSource else {
                return try end(.failed, "CouldNotDetermineMessageSource")
            }
            guard let target = try mailbox.directory.find(arn: arn, in: transaction), target.isFIFO == source.isFIFO
            else { return try end(.failed, "AWS.SimpleQueueService.NonExistentQueue") }
            try move(row, envelope, from: source, to: target, now: now, in: transaction)
            task.moved += 1
        }
        if rows.count < wanted { return try end(.completed) }
        try MoveTaskTable.update(task, in: transaction)
        return pause
    }

    /// As many as `limit` when there are so many: fewer end the task. Newer messages than `mark` may be visible first.
    private func candidates(
        _ queue: Queue, upTo mark: Int64, limit: Int, now: Instant, in transaction: any ReadTransaction
    ) throws -> [MessageRow] {
        guard queue.isFIFO else {
            return try MessageTable.visible(queue: queue.id, upTo: mark, now: now, limit: limit, in: transaction)
        }
        var rows: [MessageRow] = []
        for lane in try LaneTable.open(queue: queue.id, upTo: mark, now: now, limit: limit, in: transaction) {
            if rows.count >= limit { break }
            rows += try MessageTable.head(
                queue: queue.id, lane: lane, limit: limit - rows.count, in: transaction
            ).prefix { $0.visible <= now && $0.id <= mark }
        }
        return rows
    }

    /// A moved message is a new one, with a new id and time [D].
    private func move(
        _ row: MessageRow, _ envelope: Envelope, from source: Queue, to target: Queue, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        var (row, envelope) = (row, envelope)
        row.messageID = Identifier.uuid()
        envelope.deadLetterSource = nil
        try MessageTable.move(
            row, to: target.id, lane: target.isFIFO ? row.lane : nil, envelope: envelope, sent: now, now: now,
            in: transaction)
        if let lane = row.lane {
            try LaneTable.arrived(queue: target.id, lane: lane, visible: now, in: transaction)
            try mailbox.settle(lane, of: source, now: now, in: transaction)
        }
        mailbox.arrivals.announce(target.arn, now, in: transaction)
    }
}
