import Logging
import Platform
import Storage
import Synchronization

/// Work on whole tables that is done in the background, in bounded steps of which each is a transaction: filling a new
/// index, finding what expires, removing what was deleted. How far it has come is kept, so that a restart goes on.
final class Jobs: Sendable {
    enum Kind: String, Sendable {
        case fillIndex, findExpiries, removeEntries, removeItems
    }

    private struct Job {
        var id: Int64
        var kind: Kind?
        var table: Int64
        var target: Int64
        var position: [UInt8]
    }

    private struct State {
        var isRunning = false
        var mustRunAgain = false
        var isStopped = false
        var retry: ScheduledCall?
        /// Jobs that failed: others go on meanwhile.
        var failed: Set<Int64> = []
        /// The one that a step is at.
        var current: Int64?
    }
    private let state = Mutex(State())
    private let database: any Database
    private let time: any TimeSource
    private let directory: TableDirectory
    private let expiry: ExpiryTimer
    private let logger: Logger

    init(
        database: any Database, time: any TimeSource, directory: TableDirectory, expiry: ExpiryTimer, logger: Logger
    ) {
        self.database = database
        self.time = time
        self.directory = directory
        self.expiry = expiry
        self.logger = logger
    }

    func add(_ kind: Kind, table: Int64, target: Int64, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO dynamodb_jobs (kind, table_id, target, position) VALUES (?, ?, ?, ?)",
            [.text(kind.rawValue), .int(table), .int(target), .blob([])])
        transaction.afterCommit { [weak self] in self?.run() }
    }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.retry?.cancel()
        }
    }

    /// Works until nothing is left. Does not wait.
    func run() {
        let go = state.withLock { state in
            guard !state.isStopped, !state.isRunning else {
                state.mustRunAgain = true
                return false
            }
            state.isRunning = true
            state.mustRunAgain = false
            return true
        }
        if go { step() }
    }

    private func step() {
        database.write { [self] in
            try step(in: $0)
        } completion: { [weak self] in
            self?.stepped($0)
        }
    }

    private func stepped(_ result: Result<Bool, any Error>) {
        let goes: Bool = state.withLock { state in
            if state.isStopped { return false }
            let current = state.current
            state.current = nil
            switch result {
            case .success(let more):
                let again = more || state.mustRunAgain
                state.mustRunAgain = false
                state.isRunning = again
                return again
            case .failure:
                if state.failed.isEmpty {
                    state.retry = time.schedule(at: time.now() + .seconds(Limits.retrySeconds)) { [weak self] in
                        self?.state.withLock { $0.failed = [] }
                        self?.run()
                    }
                }
                // Nil: the store did not even tell of a job.
                if let current { state.failed.insert(current) } else { state.failed.insert(-1) }
                let again = current != nil && state.failed.count <= Limits.jobsPassedOver
                state.isRunning = again
                return again
            }
        }
        if case .failure(let error) = result {
            logger.error("background work on a table failed", metadata: ["error": "\(error)"])
        }
        if goes { step() }
    }

    /// One step of the oldest job that has not failed; whether there may be more to do.
    func step(in transaction: any WriteTransaction) throws -> Bool {
        let failed = state.withLock { $0.failed }
        let jobs = try transaction.query(
            "SELECT id, kind, table_id, target, position FROM dynamodb_jobs ORDER BY id LIMIT ?",
            [.int(Int64(failed.count + 1))]
        ) { row in
            Job(
                id: row.int(0), kind: Kind(rawValue: row.text(1)), table: row.int(2), target: row.int(3),
                position: row.blob(4))
        }
        guard let job = jobs.first(where: { !failed.contains($0.id) }) else { return false }
        state.withLock { $0.current = job.id }
        let next: [UInt8]?
        switch job.kind {
        case .fillIndex: next = try fillIndex(job, in: transaction)
        case .findExpiries: next = try findExpiries(job, in: transaction)
        case .removeItems: next = try removeItems(job, in: transaction)
        case .removeEntries: next = try removeEntries(job, in: transaction)
        case nil: next = nil
        }
        if let next {
            try transaction.execute(
                "UPDATE dynamodb_jobs SET position = ? WHERE id = ?", [.blob(next), .int(job.id)])
        } else {
            try transaction.execute("DELETE FROM dynamodb_jobs WHERE id = ?", [.int(job.id)])
        }
        return true
    }

    private func report(_ unreadable: [Int64], of table: Table) {
        guard !unreadable.isEmpty else { return }
        logger.error(
            "items of a table cannot be read and are passed over",
            metadata: ["table": "\(table.name)", "rows": "\(unreadable)"])
    }

    // Each answers where to go on; nil when it is done.

    private func fillIndex(_ job: Job, in transaction: any WriteTransaction) throws -> [UInt8]? {
        guard var table = try TableStore.get(id: job.table, in: transaction),
            let place = table.definition.indexes.firstIndex(where: { $0.id == job.target })
        else { return nil }
        let index = table.definition.indexes[place]
        let page = try ItemStore.page(table.id, after: job.position, in: transaction)
        report(page.unreadable, of: table)
        var (items, bytes) = (0, 0)
        for (row, key, item) in page.rows {
            guard let entry = index.key.entry(item, primary: key),
                try ItemStore.insertEntry(index.id, entry, row: row, in: transaction)
            else { continue }
            items += 1
            bytes += index.project(item, table: table.key).size
        }
        try TableStore.count(index.id, items: items, bytes: bytes, in: transaction)
        if page.hasMore { return page.lastKey }
        table.definition.indexes[place].state = .active
        try TableStore.update(table, in: transaction)
        directory.forget(table, in: transaction)
        return nil
    }

    private func findExpiries(_ job: Job, in transaction: any WriteTransaction) throws -> [UInt8]? {
        guard var table = try TableStore.get(id: job.table, in: transaction), let rule = table.definition.timeToLive
        else { return nil }
        let page = try ItemStore.page(table.id, after: job.position, in: transaction)
        report(page.unreadable, of: table)
        for (row, _, item) in page.rows {
            let expires = rule.expiry(of: item)
            try ItemStore.setExpiry(row, expires, in: transaction)
            if let expires { expiry.note(expires, in: transaction) }
        }
        if page.hasMore { return page.lastKey }
        table.definition.timeToLive?.isReady = true
        try TableStore.update(table, in: transaction)
        directory.forget(table, in: transaction)
        return nil
    }

    private func removeItems(_ job: Job, in transaction: any WriteTransaction) throws -> [UInt8]? {
        if try ItemStore.removeSome(table: job.target, in: transaction) { return [] }
        try TableStore.removeCounts(job.target, in: transaction)
        return nil
    }

    private func removeEntries(_ job: Job, in transaction: any WriteTransaction) throws -> [UInt8]? {
        let limit = Limits.rowsPerStep
        if try ItemStore.removeSomeEntries(index: job.target, limit: limit, in: transaction) == limit { return [] }
        try TableStore.removeCounts(job.target, in: transaction)
        return nil
    }
}
