public import Contracts
public import Logging
import NIOCore
public import Platform
public import Storage
import Synchronization
import Wire

/// The durable queue of asynchronous events, and the workers that run them: claim, invoke, then complete, retry or give up.
///
/// Woken by the commit that enqueues and by the due time of the next event; never polls. An event that finds room is held
/// from the moment of its commit and begins at once.
public final class AsynchronousQueue: Sendable {
    struct Partition {
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

    struct State {
        var partitions: [String: Partition] = [:]
        var isStopped = false
        var running = 0
        var onQuiet: (@Sendable () -> Void)?
        var invoker: (any FunctionInvoker)?
        var directory: (any FunctionDirectory)?
        var counters = AsynchronousCounters()
        /// The ends of attempts that could not be written down: each writes its own again.
        var unwritten: [UInt64: @Sendable () -> Void] = [:]
        var lastUnwritten: UInt64 = 0
    }

    static let queue = DueQueue(name: "lambda-async")

    let state = Mutex(State())
    let database: any Database
    let time: any TimeSource
    let retry: AsynchronousRetry
    let outbox: any DeliveryOutbox
    let logger: Logger
    private let processors: Int
    let meter: LambdaMeter?

    /// `timeScale` divides the waits between attempts (development); 1 is AWS's timing. What events leave behind (records
    /// for destinations, dead letters) goes through `outbox`.
    public init(
        database: any Database, time: any TimeSource, timeScale: Double, processors: Int, outbox: any DeliveryOutbox,
        meter: LambdaMeter? = nil, logger: Logger
    ) {
        self.meter = meter
        self.processors = processors
        self.database = database
        self.time = time
        self.retry = AsynchronousRetry(timeScale: timeScale)
        self.outbox = outbox
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

    /// Stops claiming and returns when the running attempts have been written down, or could not be, once more.
    func stop() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let (quiet, unwritten) = state.withLock { state in
                state.isStopped = true
                for partition in state.partitions.values { partition.timer?.cancel() }
                if state.running > 0 { state.onQuiet = { continuation.resume() } }
                defer { state.unwritten = [:] }
                return (state.running == 0, Array(state.unwritten.values))
            }
            for write in unwritten { write() }
            if quiet { continuation.resume() }
        }
    }

    /// How events fared, in Prometheus's text format.
    public var metricLines: String { state.withLock { $0.counters }.metricLines }

    func enqueue(_ event: AsynchronousEvent, in transaction: any WriteTransaction) throws {
        let name = EventRow.partition(of: event)
        let payload = EventRow(event: event, progress: .init()).encoded()
        let item = NewDueItem(partition: name, due: event.acceptedAt, payload: payload)
        let slot = takeSlot(name)
        let held =
            try slot.map { _ in
                try Self.queue.enqueueHeld(
                    item, now: event.acceptedAt, lease: Limits.asynchronousLease, in: transaction)
            }
        if held == nil { try Self.queue.enqueue(item, now: event.acceptedAt, in: transaction) }
        transaction.afterCommit { [weak self] in
            guard let self else { return }
            state.withLock { $0.counters.received += 1 }
            meter?.received(event)
            guard let slot, let held else { return pump(name) }
            slot.use()
            attempt(held, name)
        }
    }

    // MARK: Room for an event that comes

    /// Room that an event has taken in a transaction. Gives it back when the transaction comes to nothing: then its
    /// `afterCommit` is let go of, and with it this.
    private final class Slot: Sendable {
        private let isUsed = Mutex(false)
        private let giveBack: @Sendable () -> Void
        init(giveBack: @escaping @Sendable () -> Void) { self.giveBack = giveBack }
        func use() { isUsed.withLock { $0 = true } }
        deinit { if !isUsed.withLock({ $0 }) { giveBack() } }
    }

    /// Room for one attempt more, counted as running; nil when there is none, or when a claim on its way may fill it.
    private func takeSlot(_ name: String) -> Slot? {
        let isFree = state.withLock { state in
            guard !state.isStopped, state.invoker != nil else { return false }
            var partition = state.partitions[name] ?? newPartition()
            guard !partition.isClaiming, partition.allowed > partition.running else { return false }
            partition.running += 1
            state.running += 1
            state.partitions[name] = partition
            return true
        }
        guard isFree else { return nil }
        return Slot { [weak self] in
            self?.finished(name, claims: false)
            self?.pump(name)
        }
    }

    // MARK: Claiming

    /// Claims what is due in a partition, as far as its concurrency allows.
    func pump(_ name: String) {
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

    func wake(_ name: String, at instant: Instant) {
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
    func finished(_ name: String, claims: Bool) {
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
}
