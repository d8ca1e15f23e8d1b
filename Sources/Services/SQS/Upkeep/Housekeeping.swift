import Logging
import Platform
import Storage
import Synchronization

/// Removes what nobody will ask for: messages of deleted and purged queues, and those over their retention. Always a bounded
/// number in one transaction, so that others get their turn.
final class Housekeeping: Sendable {
    private struct State {
        var timer: ScheduledCall?
        var isStopped = false
        var isCollecting = false
        var mustCollectAgain = false
    }
    private let state = Mutex(State())
    private let database: any Database
    private let time: any TimeSource
    private let mailbox: Mailbox
    private let logger: Logger

    init(database: any Database, time: any TimeSource, mailbox: Mailbox, logger: Logger) {
        self.database = database
        self.time = time
        self.mailbox = mailbox
        self.logger = logger
    }

    func start() {
        collectGarbage()
        plan()
    }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.timer?.cancel()
        }
    }

    /// Removes a queue's messages up to an id: a purge.
    func remove(_ queue: Queue, upTo mark: Int64) async throws {
        var removed = Limits.removalsPerTransaction
        while removed == Limits.removalsPerTransaction {
            removed = try await database.write { [mailbox, time] transaction in
                let rows = try MessageTable.removeAll(
                    queue: queue.id, upTo: mark, limit: Limits.removalsPerTransaction, in: transaction)
                for lane in Set(rows.compactMap(\.lane)) {
                    try mailbox.settle(lane, of: queue, now: time.now(), in: transaction)
                }
                return rows.count
            }
        }
    }

    // MARK: Deleted queues

    /// Removes the messages of deleted queues, in the background; also those that an earlier run left.
    func collectGarbage() {
        let go = state.withLock { state in
            guard !state.isStopped, !state.isCollecting else {
                state.mustCollectAgain = true
                return false
            }
            state.isCollecting = true
            state.mustCollectAgain = false
            return true
        }
        guard go else { return }
        database.write {
            try Self.collect(in: $0)
        } completion: { [weak self] result in
            self?.collected(result)
        }
    }

    private func collected(_ result: Result<Bool, any Error>) {
        var again = state.withLock { state in
            state.isCollecting = false
            return state.mustCollectAgain
        }
        switch result {
        case .success(let more): again = again || more
        case .failure(let error):
            // The next start or deletion tries again.
            again = false
            logger.error("cannot remove the messages of deleted queues", metadata: ["error": "\(error)"])
        }
        if again { collectGarbage() }
    }

    /// Removes some; whether there is more to do.
    private static func collect(in transaction: any WriteTransaction) throws -> Bool {
        guard let queue = try transaction.first("SELECT queue FROM sqs_garbage LIMIT 1", [], { $0.int(0) }) else {
            return false
        }
        let limit = Limits.removalsPerTransaction
        let rows = try MessageTable.removeAll(queue: queue, upTo: .max, limit: limit, in: transaction)
        if rows.count == limit { return true }
        for table in ["sqs_lanes", "sqs_deduplications", "sqs_attempts", "sqs_garbage"] {
            try transaction.execute("DELETE FROM \(table) WHERE queue = ?", [.int(queue)])
        }
        return true
    }

    // MARK: Retention

    private func plan() {
        let call = time.schedule(at: time.now() + .seconds(Limits.sweepSeconds)) { [weak self] in
            guard let self else { return }
            Task {
                await self.sweep()
                self.plan()
            }
        }
        state.withLock { state in
            if state.isStopped { call.cancel() } else { state.timer = call }
        }
    }

    /// One look at all queues, a page of them at a time; queues without anything over cost an index look-up each.
    func sweep() async {
        do {
            var after: Int64 = 0
            while true {
                let now = time.now()
                let (queues, last) = try await database.read { [after] transaction in
                    let page = try QueueTable.page(after: after, limit: Limits.queuesPerSweep, in: transaction)
                    let due = try page.compactMap(\.queue).filter { queue in
                        let messages = try MessageTable.expired(
                            queue: queue.id, expiry: queue.expiry(now: now), limit: 1, in: transaction)
                        return try !messages.isEmpty
                            || DeduplicationTable.hasExpired(queue: queue.id, now: now, in: transaction)
                    }
                    return (due, page.count == Limits.queuesPerSweep ? page.last?.id : nil)
                }
                for queue in queues { try await sweep(queue, now: now) }
                guard let last else { return }
                after = last
            }
        } catch {
            logger.error("cannot remove expired messages", metadata: ["error": "\(error)"])
        }
    }

    private func sweep(_ queue: Queue, now: Instant) async throws {
        var more = true
        while more {
            more = try await database.write { [mailbox] transaction in
                let limit = Limits.removalsPerTransaction
                let rows = try MessageTable.expired(
                    queue: queue.id, expiry: queue.expiry(now: now), limit: limit, in: transaction)
                for row in rows { try MessageTable.delete(row.id, isLarge: row.isLarge, in: transaction) }
                for lane in Set(rows.compactMap(\.lane)) {
                    try mailbox.settle(lane, of: queue, now: now, in: transaction)
                }
                try DeduplicationTable.sweep(queue: queue.id, now: now, limit: limit, in: transaction)
                let old = try DeduplicationTable.hasExpired(queue: queue.id, now: now, in: transaction)
                return rows.count == limit || old
            }
        }
    }
}
