public import Contracts
public import Logging
import NIOCore
public import Platform
public import Storage
import Synchronization
import Wire

/// The durable queue of asynchronous events, and the workers that run them: claim, invoke, then complete, retry or give up.
///
/// Woken by the commit that enqueues and by the due time of the next event; never polls.
public final class AsynchronousQueue: Sendable {
    private struct Partition {
        var running = 0
        var concurrency: BacklogConcurrency
        /// The function's reserved concurrency, once an attempt has learned it: more would only be throttled.
        var reserved: Int?
        /// A claim is on its way; another wake-up during it asks for one more.
        var isClaiming = false
        var isDirty = false
        var timer: ScheduledCall?

        /// A reservation of 0 still lets one through: it learns that there is nothing to wait for.
        var allowed: Int { min(concurrency.limit, max(reserved ?? .max, 1)) }
    }

    private struct State {
        var partitions: [String: Partition] = [:]
        var isStopped = false
        var running = 0
        var onQuiet: (@Sendable () -> Void)?
        var invoker: (any FunctionInvoker)?
        var directory: (any FunctionDirectory)?
    }

    private static let queue = DueQueue(name: "lambda-async")

    private let state = Mutex(State())
    private let database: any Database
    private let time: any TimeSource
    private let retry: AsynchronousRetry
    private let logger: Logger
    private let processors: Int

    /// `timeScale` divides the waits between attempts (development); 1 is AWS's timing.
    public init(
        database: any Database, time: any TimeSource, timeScale: Double, processors: Int, logger: Logger
    ) {
        self.processors = processors
        self.database = database
        self.time = time
        self.retry = AsynchronousRetry(timeScale: timeScale)
        self.logger = logger
    }

    /// Starts working: what an earlier process had claimed becomes claimable at once, since only one process works on this
    /// store.
    public func start(invoker: any FunctionInvoker, directory: any FunctionDirectory) async throws {
        state.withLock {
            $0.invoker = invoker
            $0.directory = directory
        }
        let partitions = try await database.write { transaction in
            try Self.queue.releaseLeases(in: transaction)
            return try Self.queue.partitions(in: transaction)
        }
        for partition in partitions { pump(partition) }
    }

    /// Stops claiming and returns when the running attempts have been written down.
    func stop() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let quiet = state.withLock { state in
                state.isStopped = true
                for partition in state.partitions.values { partition.timer?.cancel() }
                if state.running > 0 { state.onQuiet = { continuation.resume() } }
                return state.running == 0
            }
            if quiet { continuation.resume() }
        }
    }

    func enqueue(_ event: AsynchronousEvent, in transaction: any WriteTransaction) throws {
        let partition = EventRow.partition(of: event)
        let row = EventRow(event: event, progress: .init())
        try Self.queue.enqueue(
            NewDueItem(partition: partition, due: event.acceptedAt, payload: row.encoded()), now: event.acceptedAt,
            in: transaction)
        transaction.afterCommit { [weak self] in self?.pump(partition) }
    }

    // MARK: Claiming

    /// Claims what is due in a partition, as far as its concurrency allows.
    private func pump(_ name: String) {
        let free: Int = state.withLock { state in
            guard !state.isStopped, state.invoker != nil else { return 0 }
            var partition = state.partitions[name] ?? newPartition()
            defer { state.partitions[name] = partition }
            if partition.isClaiming {
                partition.isDirty = true
                return 0
            }
            let free = partition.allowed - partition.running
            guard free > 0 else { return 0 }
            partition.isClaiming = true
            partition.isDirty = false
            partition.timer?.cancel()
            partition.timer = nil
            state.running += 1
            return free
        }
        guard free > 0 else { return }
        let now = time.now()
        database.write { transaction in
            let items = try Self.queue.claim(
                limit: free, partition: name, now: now, lease: Limits.asynchronousLease, in: transaction)
            let next = items.count < free ? try Self.queue.nextClaimable(partition: name, in: transaction) : nil
            return (items, next)
        } completion: { [self] result in
            claimed(name, asked: free, result)
        }
    }

    private func newPartition() -> Partition {
        let start = Limits.asynchronousConcurrencyPerProcessor * processors
        return Partition(concurrency: BacklogConcurrency(start: start, longest: Limits.asynchronousConcurrency))
    }

    private func claimed(_ name: String, asked: Int, _ result: Result<([DueItem], Instant?), any Error>) {
        var items: [DueItem] = []
        var next: Instant?
        switch result {
        case .success(let answer): (items, next) = answer
        case .failure(let error):
            logger.error("cannot claim asynchronous events", metadata: ["queue": "\(name)", "error": "\(error)"])
            next = time.now() + .seconds(1)
        }
        let now = time.now()
        let again = state.withLock { state in
            var partition = state.partitions[name] ?? newPartition()
            partition.isClaiming = false
            partition.running += items.count
            state.running += items.count
            let again = partition.isDirty
            partition.isDirty = false
            if items.count == asked, let growth = partition.concurrency.backlog(now: now) {
                next = min(next ?? growth, growth)
            }
            state.partitions[name] = partition
            return again
        }
        for item in items { attempt(item, name) }
        if let next { wake(name, at: next) }
        finished(name, claims: true)
        if again { pump(name) }
    }

    private func wake(_ name: String, at instant: Instant) {
        let call = time.schedule(at: instant) { [weak self] in self?.pump(name) }
        let surplus = state.withLock { state -> ScheduledCall? in
            guard !state.isStopped, state.partitions[name] != nil else { return call }
            let before = state.partitions[name]?.timer
            state.partitions[name]?.timer = call
            return before
        }
        surplus?.cancel()
    }

    /// Takes note that a claim or an attempt is over; forgets partitions with nothing to do.
    private func finished(_ name: String, claims: Bool) {
        let quiet: (@Sendable () -> Void)? = state.withLock { state in
            state.running -= 1
            if !claims {
                state.partitions[name]?.running -= 1
                state.partitions[name]?.concurrency.completed()
            }
            if let partition = state.partitions[name], partition.running == 0, !partition.isClaiming,
                !partition.isDirty, partition.timer == nil
            {
                state.partitions[name] = nil
            }
            guard state.isStopped, state.running == 0 else { return nil }
            defer { state.onQuiet = nil }
            return state.onQuiet
        }
        quiet?()
    }

    // MARK: One attempt

    private func attempt(_ item: DueItem, _ name: String) {
        guard let row = EventRow(encoded: item.payload) else {
            logger.error("an asynchronous event cannot be read and is dropped", metadata: ["queue": "\(name)"])
            conclude(item, name, row: nil, .done)
            return
        }
        let (invoker, directory) = state.withLock { ($0.invoker, $0.directory) }
        guard let invoker, let directory else { return }
        let event = row.event
        Task {
            let settings: AsynchronousSettings
            do {
                settings = try await directory.asynchronousSettings(
                    scope: event.scope, function: event.function, qualifier: event.qualifier)
                let function = try await directory.resolve(
                    scope: event.scope, function: event.function, qualifier: event.qualifier)
                state.withLock { $0.partitions[name]?.reserved = function.reservedConcurrency }
                if function.reservedConcurrency == 0 {
                    decide(.zeroReservedConcurrency, item, name, row, settings)
                    return
                }
                let invocation = Invocation(
                    requestID: event.requestID, payload: ByteBuffer(bytes: event.payload),
                    invokedFunctionARN: event.invokedFunctionARN, traceID: event.traceID)
                invoker.invoke(function, invocation) { result in
                    self.decide(Self.outcome(of: result), item, name, row, settings)
                }
            } catch {
                decide(Self.outcome(of: .failure(error)), item, name, row, AsynchronousSettings())
            }
        }
    }

    private static func outcome(of result: Result<InvocationResult, any Error>) -> AsynchronousRetry.Outcome {
        switch result {
        case .success(let answer): answer.functionError == nil ? .success : .functionError
        case .failure(let error as AWSError) where error.code == "ResourceNotFoundException": .functionGone
        case .failure: .systemError
        }
    }

    private func decide(
        _ outcome: AsynchronousRetry.Outcome, _ item: DueItem, _ name: String, _ row: EventRow,
        _ settings: AsynchronousSettings
    ) {
        let decision = retry.decide(
            outcome, progress: row.progress, acceptedAt: row.event.acceptedAt, settings: settings, now: time.now())
        conclude(item, name, row: row, decision)
    }

    private func conclude(_ item: DueItem, _ name: String, row: EventRow?, _ decision: AsynchronousRetry.Decision) {
        if case .discard(let reason) = decision {
            logger.warning(
                "asynchronous event discarded",
                metadata: [
                    "queue": "\(name)", "reason": "\(reason.rawValue)", "requestId": "\(row?.event.requestID ?? "")",
                ])
        }
        database.write { transaction in
            switch decision {
            case .done, .discard:
                _ = try Self.queue.complete(item, in: transaction)
            case .retry(let due, let progress):
                guard var row else { return }
                row.progress = progress
                _ = try Self.queue.reschedule(item, due: due, payload: row.encoded(), in: transaction)
            }
        } completion: { [self] result in
            if case .failure(let error) = result {
                // The lease is what keeps the event: it comes again when the lease ends.
                logger.error("cannot write down an attempt", metadata: ["queue": "\(name)", "error": "\(error)"])
                wake(name, at: time.now() + Limits.asynchronousLease)
            } else if case .retry(let due, _) = decision {
                wake(name, at: due)
            }
            finished(name, claims: false)
            pump(name)
        }
    }
}
