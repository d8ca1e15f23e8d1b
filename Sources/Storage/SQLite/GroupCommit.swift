import Dispatch
import Glibc
import Logging
import Platform
import Synchronization

/// One write that waits for the writer.
struct WriteJob: Sendable {
    enum Outcome {
        /// The closure returned; the payload tells its caller so, once the commit is on disk.
        case returned(@Sendable () -> Void)
        case threw(any Error)
    }
    let run: @Sendable (SQLiteTransaction) -> Outcome
    let fail: @Sendable (any Error) -> Void

    init<T: Sendable>(
        _ body: @escaping @Sendable (any WriteTransaction) throws -> T,
        _ completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        run = { transaction in
            do {
                let value = try body(transaction)
                return .returned { completion(.success(value)) }
            } catch {
                return .threw(error)
            }
        }
        fail = { completion(.failure($0)) }
    }
}

/// The writer: one thread that takes all waiting closures into one transaction, a savepoint each, commits once, and then
/// answers them. One disk sync is so shared by everybody who came while the last one was under way.
final class GroupCommit: Sendable {
    private struct State {
        var waiting: [WriteJob] = []
        var isSleeping = false
        var isClosed = false
    }

    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)
    private let ended = DispatchGroup()
    private let logger: Logger

    /// - Parameter connection: the writer's connection, which now belongs to the writer's thread.
    /// - Parameter onEnd: called on that thread when the connection is closed.
    init(logger: Logger, connection: sending SQLiteConnection, onEnd: @escaping @Sendable () -> Void) throws {
        self.logger = logger
        ended.enter()
        // From here on only the writer's thread touches the connection.
        nonisolated(unsafe) let connection = connection
        do {
            try startThread(named: "martlet-writer") { [self] in
                work(connection)
                onEnd()
                ended.leave()
            }
        } catch {
            ended.leave()
            throw error
        }
    }

    /// Queues a write; its callbacks run on the writer's thread.
    func submit(_ job: WriteJob) {
        enum Next {
            case nothing, wake
            case refuse(Failure)
        }
        let next: Next = state.withLock { state in
            if state.isClosed { return .refuse(Failure(.unavailable, "The store is closed.")) }
            if state.waiting.count >= StorageLimits.waitingWrites {
                return .refuse(
                    Failure(.limit, "More than \(StorageLimits.waitingWrites) writes wait for the disk; try again."))
            }
            state.waiting.append(job)
            guard state.isSleeping else { return .nothing }
            state.isSleeping = false
            return .wake
        }
        switch next {
        case .nothing: break
        case .wake: wake.signal()
        case .refuse(let failure): job.fail(failure)
        }
    }

    /// Lets what waits be written and closes the connection, without waiting for that.
    func shutDown() {
        let mustWake = state.withLock { state in
            state.isClosed = true
            defer { state.isSleeping = false }
            return state.isSleeping
        }
        if mustWake { wake.signal() }
    }

    /// As `shutDown`, and waits for the thread. Not from a closure or completion.
    func close() {
        shutDown()
        ended.wait()
    }

    // MARK: The writer's thread

    private enum Next {
        case batch([WriteJob])
        case sleep, end
    }

    private func next() -> Next {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                if state.isClosed { return .end }
                state.isSleeping = true
                return .sleep
            }
            let count = min(state.waiting.count, StorageLimits.closuresPerCommit)
            if count == state.waiting.count {
                defer { state.waiting.removeAll(keepingCapacity: count <= StorageLimits.closuresPerCommit) }
                return .batch(state.waiting)
            }
            defer { state.waiting.removeFirst(count) }
            return .batch(Array(state.waiting.prefix(count)))
        }
    }

    private func work(_ connection: SQLiteConnection) {
        var checkpoints = CheckpointPolicy()
        while true {
            switch next() {
            case .batch(let jobs):
                var rest = jobs[...]
                while !rest.isEmpty {
                    rest = commit(rest, connection)
                    checkpoint(connection, &checkpoints, isBusy: true)
                }
            case .sleep:
                checkpoint(connection, &checkpoints, isBusy: false)
                wake.wait()
            case .end:
                do {
                    _ = try connection.use { try $0.checkpoint(.truncate) }
                    try connection.close()
                } catch {
                    // Nothing is lost: the WAL stays and is read at the next start.
                    logger.warning("The database could not be closed cleanly: \(error)")
                }
                return
            }
        }
    }

    /// Commits the first jobs together and answers them; returns the jobs that are still to do.
    private func commit(_ jobs: ArraySlice<WriteJob>, _ connection: SQLiteConnection) -> ArraySlice<WriteJob> {
        var batch = CommitBatch()
        do {
            let rest = try connection.use { session in batch.run(jobs, session) }
            batch.answer()
            return rest
        } catch {
            // The connection could not be entered: nothing ran.
            for job in jobs { job.fail(error) }
            return []
        }
    }

    private func checkpoint(_ connection: SQLiteConnection, _ policy: inout CheckpointPolicy, isBusy: Bool) {
        guard let mode = policy.next(pages: connection.pagesInWAL, isBusy: isBusy) else { return }
        do {
            let isComplete = try connection.use { try $0.checkpoint(mode) }
            policy.finished(pages: connection.pagesInWAL, isComplete: isComplete)
        } catch {
            policy.finished(pages: connection.pagesInWAL, isComplete: false)
            logger.warning("The write-ahead log could not be copied into the database: \(error)")
        }
    }
}

/// When the WAL is copied into the database. Page counts grow until a commit starts the WAL anew.
struct CheckpointPolicy {
    /// Pages at the last checkpoint that copied everything: until more come there is nothing to do.
    private var copied: Int32 = 0
    /// After an incomplete or failed one: not again before the WAL has grown to this.
    private var notBefore: Int32 = 0

    mutating func next(pages: Int32, isBusy: Bool) -> SQLiteSession.Checkpoint? {
        if pages < copied {
            copied = 0
            notBefore = 0
        }
        let threshold = isBusy ? StorageLimits.checkpointBusyPages : StorageLimits.checkpointIdlePages
        guard pages - copied >= threshold, pages >= notBefore else { return nil }
        return pages >= StorageLimits.checkpointRestartPages ? .restart : .passive
    }

    mutating func finished(pages: Int32, isComplete: Bool) {
        if isComplete {
            copied = pages
            notBefore = 0
        } else {
            notBefore = pages.addingReportingOverflow(StorageLimits.checkpointIdlePages).partialValue
        }
    }
}

/// One transaction with the closures that share it.
private struct CommitBatch {
    private var returned: [(job: WriteJob, afterCommits: [@Sendable () -> Void], answer: @Sendable () -> Void)] = []
    private var failed: [(job: WriteJob, error: any Error)] = []

    /// Everything that was not answered as failed yet fails with this.
    mutating func failAll(_ error: any Error) {
        failed += returned.map { ($0.job, error) }
        returned = []
    }

    mutating func run(_ jobs: ArraySlice<WriteJob>, _ session: SQLiteSession) -> ArraySlice<WriteJob> {
        do {
            try session.run("BEGIN IMMEDIATE")
        } catch {
            failed = jobs.map { ($0, error) }
            return []
        }
        let deadline = monotonicNanoseconds() + StorageLimits.commitGatherNanoseconds
        var rest = jobs
        let isAlone = jobs.count == 1
        while let job = rest.popFirst() {
            let isAlive = perform(job, isAlone: isAlone, session)
            if !isAlive { return rest }
            if !rest.isEmpty, monotonicNanoseconds() > deadline { break }
        }
        finish(session)
        return rest
    }

    /// Runs one closure; false when SQLite gave up the whole transaction, and with it what the others had done.
    private mutating func perform(_ job: WriteJob, isAlone: Bool, _ session: SQLiteSession) -> Bool {
        do {
            if !isAlone { try session.run("SAVEPOINT closure") }
        } catch {
            failed.append((job, error))
            return survive(error, session)
        }
        let transaction = SQLiteTransaction(session, isReader: false)
        let outcome = job.run(transaction)
        transaction.end()
        if let lost = transaction.lost ?? (session.isInTransaction ? nil : SQLiteTransaction.lostWithoutCause) {
            if case .threw(let error) = outcome { failed.append((job, error)) } else { failed.append((job, lost)) }
            failAll(lost)
            return false
        }
        do {
            switch outcome {
            case .returned(let answer):
                if !isAlone { try session.run("RELEASE closure") }
                returned.append((job, transaction.afterCommits, answer))
            case .threw(let error):
                failed.append((job, error))
                if isAlone {
                    try session.run("ROLLBACK")
                    return false
                }
                try session.run("ROLLBACK TO closure")
                try session.run("RELEASE closure")
            }
            return true
        } catch {
            // Without a working savepoint nobody's changes can be told apart.
            if case .returned = outcome { failed.append((job, error)) }
            failAll(error)
            if session.isInTransaction { try? session.run("ROLLBACK") }
            return false
        }
    }

    /// After a failed SAVEPOINT: whether the transaction goes on.
    private mutating func survive(_ error: any Error, _ session: SQLiteSession) -> Bool {
        if session.isInTransaction { return true }
        failAll(error)
        return false
    }

    private mutating func finish(_ session: SQLiteSession) {
        do {
            try session.run(returned.isEmpty ? "ROLLBACK" : "COMMIT")
        } catch {
            failAll(error)
            if session.isInTransaction { try? session.run("ROLLBACK") }
        }
    }

    func answer() {
        for entry in returned {
            for body in entry.afterCommits { body() }
            entry.answer()
        }
        for entry in failed { entry.job.fail(entry.error) }
    }
}

func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
