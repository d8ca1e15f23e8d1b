import Platform
import Storage
import Synchronization

/// Long polls: keeps what is to be done for each waiting receive, and one timer for all of them.
final class WaitingReceives: Sendable {
    struct Waiting: Sendable {
        /// Receives again; may come back here.
        var retry: @Sendable () -> Void
        /// Answers with nothing.
        var expire: @Sendable () -> Void
    }
    private struct State {
        var machine = WaitingMachine()
        var waiting: [WaitingMachine.Number: Waiting] = [:]
        var timer: (at: Instant, call: ScheduledCall)?
        var isStopped = false
    }
    private let state = Mutex(State())
    private let time: any TimeSource

    init(arrivals: Arrivals, time: any TimeSource) {
        self.time = time
        arrivals.observeAll { [weak self] arn, receivable in self?.arrived(arn, receivable) }
    }

    var count: Int { state.withLock { $0.machine.count } }

    /// Whether a receive waits for messages of this queue.
    func isAwaited(_ arn: String) -> Bool { state.withLock { $0.machine.isAwaited(arn) } }

    /// Waits. To be called on the store's writer thread, in the completion of the transaction that found nothing: then no
    /// later commit's arrival can be missed. Nil when it cannot wait: too many do, or the server stops. `pause`: no receive
    /// from this queue is tried again before.
    func wait(
        queue arn: String, deadline: Instant, next: Instant?, pause: Instant?, _ waiting: Waiting
    ) -> WaitingMachine.Number? {
        let number = state.withLock { state -> WaitingMachine.Number? in
            guard !state.isStopped else { return nil }
            guard let number = state.machine.add(queue: arn, deadline: deadline, next: next, pause: pause)
            else { return nil }
            state.waiting[number] = waiting
            return number
        }
        if number != nil { plan() }
        return number
    }

    /// The client is gone. False when it was not waiting any more: then it is being answered already.
    func cancel(_ number: WaitingMachine.Number) -> Bool {
        state.withLock { state in
            _ = state.machine.remove(number)
            return state.waiting.removeValue(forKey: number) != nil
        }
    }

    /// Tries all receives that wait for this queue, after the commit.
    func wakeAll(_ arn: String, in transaction: any WriteTransaction) {
        transaction.afterCommit { [weak self] in
            guard let self else { return }
            let waiting = state.withLock { state in
                state.machine.removeAll(queue: arn).compactMap { state.waiting.removeValue(forKey: $0) }
            }
            for one in waiting { one.retry() }
        }
    }

    /// Answers all that wait, and lets nobody wait any more.
    func stop() {
        let all = state.withLock { state in
            state.isStopped = true
            state.timer?.call.cancel()
            state.timer = nil
            defer {
                state.waiting = [:]
                state.machine = WaitingMachine()
            }
            return Array(state.waiting.values)
        }
        for waiting in all { waiting.expire() }
    }

    /// Something is receivable then. Whoever takes a wake-up and does not use it, or learns of more than it takes, says so
    /// here, too: one wake-up tries one receive.
    func arrived(_ arn: String, _ receivable: Instant) {
        let (waiting, mustPlan) = state.withLock { state -> (Waiting?, Bool) in
            guard state.machine.count > 0 else { return (nil, false) }
            guard let number = state.machine.arrived(queue: arn, at: receivable, now: time.now()) else {
                return (nil, true)
            }
            return (state.waiting.removeValue(forKey: number), false)
        }
        waiting?.retry()
        if mustPlan { plan() }
    }

    /// One timer, for the earliest time that the machine knows.
    private func plan() {
        let at = state.withLock { state -> Instant? in
            guard let next = state.machine.nextTick, state.timer.map({ next < $0.at }) ?? true else { return nil }
            return next
        }
        guard let at else { return }
        let call = time.schedule(at: at) { [weak self] in self?.tick(at) }
        let obsolete = state.withLock { state -> ScheduledCall? in
            // Another may have planned something earlier meanwhile.
            if state.isStopped || state.timer.map({ $0.at <= at }) ?? false { return call }
            defer { state.timer = (at, call) }
            return state.timer?.call
        }
        obsolete?.cancel()
    }

    private func tick(_ at: Instant) {
        let now = max(time.now(), at)
        let (expired, tried) = state.withLock { state -> ([Waiting], [Waiting]) in
            if let timer = state.timer, timer.at <= at { state.timer = nil }
            let due = state.machine.tick(now: now)
            return (
                due.expired.compactMap { state.waiting.removeValue(forKey: $0) },
                due.tried.compactMap { state.waiting.removeValue(forKey: $0) }
            )
        }
        for waiting in expired { waiting.expire() }
        for waiting in tried { waiting.retry() }
        plan()
    }
}
