import Logging
import Platform
import Storage
import Synchronization

/// Removes records that are over their retention, closed shards that are empty, and the records of deleted streams: some rows
/// in each transaction, so that nobody waits for long.
final class Housekeeping: Sendable {
    private struct State {
        var isStopped = false
        var isCollecting = false
        var mustCollectAgain = false
        var timer: ScheduledCall?
    }
    private let state = Mutex(State())
    private let desk: Desk
    private let logger: Logger

    init(desk: Desk, logger: Logger) {
        self.desk = desk
        self.logger = logger
    }

    func start() {
        collectGarbage()
        plan()
    }

    func stop() {
        let timer = state.withLock { state in
            state.isStopped = true
            return state.timer
        }
        timer?.cancel()
    }

    // MARK: Deleted streams

    /// Removes the records of deleted streams, in the background; also those that an earlier run left.
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
        desk.database.write {
            try Self.collect(in: $0)
        } completion: { [weak self] result in
            self?.collected(result)
        }
    }

    private func collected(_ result: Result<Bool, any Error>) {
        var again = state.withLock { state in
            state.isCollecting = false
            return state.mustCollectAgain && !state.isStopped
        }
        switch result {
        case .success(let more): again = again || more
        case .failure(let error):
            // The next start or deletion tries again.
            again = false
            logger.error("cannot remove the records of deleted streams", metadata: ["error": "\(error)"])
        }
        if again { collectGarbage() }
    }

    /// Removes some; whether there is more to do.
    private static func collect(in transaction: any WriteTransaction) throws -> Bool {
        let shards = try transaction.query(
            "SELECT shard FROM kinesis_garbage LIMIT ?", [.int(Int64(Limits.removalsPerTransaction))]
        ) { $0.int(0) }
        var budget = SegmentTable.RemovalBudget()
        for shard in shards {
            _ = try SegmentTable.remove(shard: shard, before: Position(.max), &budget, in: transaction)
            if budget.isSpent { return true }
            try transaction.execute("DELETE FROM kinesis_garbage WHERE shard = ?", [.int(shard)])
        }
        return shards.count == Limits.removalsPerTransaction
    }

    // MARK: Retention

    private func plan() {
        let call = desk.time.schedule(at: desk.time.now() + .seconds(Limits.sweepSeconds)) { [weak self] in
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

    /// One look at all streams, a page of them at a time; a shard without anything over costs an index look-up.
    func sweep() async {
        do {
            var after: Int64 = 0
            while true {
                let page = try await desk.database.read { [after] transaction in
                    try StreamTable.page(after: after, limit: Limits.streamsPerLook, in: transaction)
                }
                for stream in page {
                    try await sweep(stream.id, stream.scope, stream.name, retention: stream.retention)
                }
                guard page.count == Limits.streamsPerLook, let last = page.last else { return }
                after = last.id
            }
        } catch {
            logger.error("cannot remove expired records", metadata: ["error": "\(error)"])
        }
    }

    private func sweep(_ id: Int64, _ scope: AccountRegion, _ name: String, retention: Duration) async throws {
        let horizon = Position.first(at: desk.time.now() - retention)
        while !state.withLock({ $0.isStopped }) {
            let due = try await desk.database.read { transaction in
                try ShardTable.due(
                    stream: id, horizon: horizon, limit: Limits.removalsPerTransaction, in: transaction)
            }
            if due.isEmpty { return }
            let removed = try await desk.database.write { [desk] transaction in
                try Self.remove(due, horizon: horizon, desk, scope, name, in: transaction)
            }
            if !removed { return }
        }
    }

    /// Whether anything went.
    private static func remove(
        _ shards: [Int64], horizon: Position, _ desk: Desk, _ scope: AccountRegion, _ name: String,
        in transaction: any WriteTransaction
    ) throws -> Bool {
        var budget = SegmentTable.RemovalBudget()
        var (hasRemoved, endedShards) = (false, 0)
        for shard in shards where !budget.isSpent {
            if let last = try SegmentTable.remove(shard: shard, before: horizon, &budget, in: transaction) {
                try ShardTable.setFloor(shard, last, in: transaction)
                hasRemoved = true
            }
            if !budget.isSpent, try ShardTable.removeEnded(shard, horizon: horizon, in: transaction) {
                endedShards += 1
            }
        }
        if endedShards > 0, let stream = try desk.directory.find(scope, name, in: transaction) {
            desk.directory.forget(stream, in: transaction)
            desk.arrivals.announce(stream.arn, [nil], in: transaction)
        }
        return hasRemoved || endedShards > 0
    }
}
