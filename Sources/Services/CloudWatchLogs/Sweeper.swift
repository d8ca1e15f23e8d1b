import Logging
import Platform
import Schedules
import Storage
import Synchronization

/// Removes what is past its group's retention and what was deleted, in the background, one bounded transaction after the
/// other, so that others get their turn between them.
final class Sweeper: Sendable {
    private struct State {
        var isRemoving = false
        /// Something was deleted since the removal that is under way has begun.
        var removesAgain = false
    }

    private let database: any Database
    private let time: any TimeSource
    private let logger: Logger
    private let state = Mutex(State())
    private let upkeep: Mutex<Upkeep?> = Mutex(nil)

    init(database: any Database, time: any TimeSource, logger: Logger) {
        self.database = database
        self.time = time
        self.logger = logger
    }

    func start() {
        removeDeletedSoon()
        let upkeep = Upkeep(time: time, every: Limits.sweepInterval) { [weak self] in
            await self?.expire()
            await self?.removeDeleted()
        }
        self.upkeep.withLock { $0 = upkeep }
        upkeep.start(after: Limits.sweepInterval)
    }

    func stop() { upkeep.withLock { $0 }?.stop() }

    private var isStopped: Bool { upkeep.withLock { $0 }?.isStopped ?? false }

    /// Removes events past their group's retention, and functions' streams that have none left.
    func expire() async {
        let now = time.now().milliseconds
        do {
            let groups = try await database.read { transaction in
                try transaction.query(
                    "SELECT id, retention FROM logs_group WHERE retention IS NOT NULL", [], { ($0.int(0), $0.int(1)) })
            }
            for (group, days) in groups {
                let before = now - days * 86_400_000
                try await inBatches {
                    try Removal.expire(group: group, before: before, limit: Limits.sweepBatch, in: $0)
                        == Limits.sweepBatch
                }
                try await inBatches {
                    try Removal.expireStreams(group: group, before: before, limit: Limits.sweepBatch, in: $0)
                        == Limits.sweepBatch
                }
            }
        } catch {
            logger.error("cannot remove expired log events", metadata: ["error": "\(error)"])
        }
    }

    /// Starts to remove the events of deleted groups and streams, unless that is under way.
    func removeDeletedSoon() {
        let starts = state.withLock { state in
            state.removesAgain = state.isRemoving
            defer { state.isRemoving = true }
            return !state.isRemoving
        }
        guard starts else { return }
        Task {
            repeat { await removeDeleted() } while mustRemoveAgain()
        }
    }

    private func mustRemoveAgain() -> Bool {
        let isStopped = isStopped
        return state.withLock { state in
            state.isRemoving = state.removesAgain && !isStopped
            state.removesAgain = false
            return state.isRemoving
        }
    }

    func removeDeleted() async {
        do {
            try await inBatches { try Removal.step(limit: Limits.sweepBatch, in: $0) }
        } catch {
            // They are tried again with the next deletion, in an hour, and at the next start.
            logger.error("cannot remove the events of deleted logs", metadata: ["error": "\(error)"])
        }
    }

    /// Repeats a transaction for as long as it answers that there is more.
    private func inBatches(_ body: @escaping @Sendable (any WriteTransaction) throws -> Bool) async throws {
        while !isStopped {
            guard try await database.write(body) else { return }
        }
    }
}
