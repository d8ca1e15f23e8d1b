import Logging
import Platform
import Storage
import Synchronization

/// Deletes items whose time to live has ended, old records of streams, and tokens that are no longer remembered; always a
/// bounded number in one transaction.
final class Housekeeping: Sendable {
    private struct State {
        var timer: ScheduledCall?
        var isStopped = false
    }
    private let state = Mutex(State())
    private let database: any Database
    private let time: any TimeSource
    private let keeper: ItemKeeper
    private let expiry: ExpiryTimer
    private let logger: Logger

    init(database: any Database, time: any TimeSource, keeper: ItemKeeper, expiry: ExpiryTimer, logger: Logger) {
        self.database = database
        self.time = time
        self.keeper = keeper
        self.expiry = expiry
        self.logger = logger
    }

    func start() {
        expiry.start { [weak self] in
            guard let self else { return }
            Task { await self.expire() }
        }
        // What ended while nobody looked, and what ends next.
        expiry.plan(time.now().seconds)
        plan()
    }

    func stop() {
        expiry.stop()
        state.withLock { state in
            state.isStopped = true
            state.timer?.cancel()
        }
    }

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

    // MARK: Time to live

    /// Deletes what is due, and plans the next look.
    func expire() async {
        do {
            while try await database.write({ [self] in try expireSome(in: $0) }) {}
            if let next = try await database.read({ try ItemStore.nextExpiry(in: $0) }) { expiry.plan(next) }
        } catch {
            logger.error("cannot delete items whose time has ended", metadata: ["error": "\(error)"])
            expiry.plan(time.now().seconds + Limits.retrySeconds)
        }
    }

    /// Whether there may be more.
    private func expireSome(in transaction: any WriteTransaction) throws -> Bool {
        let now = time.now()
        let due = try ItemStore.expired(now: now.seconds, in: transaction)
        for row in due.unreadable {
            logger.error("an item cannot be read and does not expire", metadata: ["row": "\(row)"])
            try ItemStore.setExpiry(row, nil, in: transaction)
        }
        var tables: [Int64: Table] = [:]
        for found in due.rows {
            let table = try tables[found.table] ?? TableStore.get(id: found.table, in: transaction)
            tables[found.table] = table
            // A table without time to live, or that is gone, and what is too old to be meant: left alone from now on.
            guard let table, let rule = table.definition.timeToLive, rule.expiry(of: found.item) == found.expires,
                found.expires > now.seconds - Limits.oldestExpirySeconds
            else {
                try ItemStore.setExpiry(found.row, nil, in: transaction)
                continue
            }
            _ = try keeper.write(
                table, key: found.key, old: StoredItem(row: found.row, item: found.item), new: nil, byService: true,
                now: now, in: transaction)
        }
        return due.hasMore
    }

    // MARK: Streams and tokens

    func sweep() async {
        do {
            while try await database.write({ [time] transaction in
                let now = time.now()
                let limit = Limits.rowsPerStep
                let more = try StreamStore.trim(
                    before: now - .seconds(Limits.streamSeconds), limit: limit, in: transaction)
                let tokens = try transaction.execute(
                    """
                    DELETE FROM dynamodb_tokens WHERE (account, region, token) IN
                        (SELECT account, region, token FROM dynamodb_tokens WHERE expires <= ? LIMIT ?)
                    """, [.int(now.nanoseconds), .int(Int64(limit))])
                return more || tokens == limit
            }) {}
        } catch {
            logger.error("cannot remove old records of streams", metadata: ["error": "\(error)"])
        }
    }
}
