import Platform
import Synchronization

/// What is to happen when an answer does not come in time: for many requests one timer, since nearly all of them are
/// answered long before it.
final class Deadlines: Sendable {
    private struct State {
        var entries: [UInt64: (due: Instant, body: @Sendable () -> Void)] = [:]
        var next: UInt64 = 0
        /// When the timer rings; nil without one.
        var planned: Instant?
    }

    private let state = Mutex(State())
    private let time: any TimeSource

    init(time: any TimeSource) { self.time = time }

    /// Runs `body` once, not before `wait` is over, unless it is cancelled by the answer.
    func add(after wait: Duration, _ body: @escaping @Sendable () -> Void) -> UInt64 {
        let due = time.now() + wait
        let (id, plans) = state.withLock { state in
            state.next += 1
            state.entries[state.next] = (due, body)
            let plans = state.planned.map { due < $0 } ?? true
            if plans { state.planned = due }
            return (state.next, plans)
        }
        if plans { plan(due) }
        return id
    }

    func cancel(_ id: UInt64) { state.withLock { $0.entries[id] = nil } }

    var count: Int { state.withLock { $0.entries.count } }

    private func plan(_ due: Instant) { _ = time.schedule(at: due) { [weak self] in self?.ring(due) } }

    private func ring(_ planned: Instant) {
        let now = time.now()
        let (due, next) = state.withLock { state in
            // An earlier one was planned since and does what is to do.
            guard state.planned == planned else { return ([@Sendable () -> Void](), Instant?.none) }
            let due = state.entries.filter { $0.value.due <= now }
            for id in due.keys { state.entries[id] = nil }
            state.planned = state.entries.values.map(\.due).min()
            return (due.values.map(\.body), state.planned)
        }
        for body in due { body() }
        if let next { plan(next) }
    }
}
