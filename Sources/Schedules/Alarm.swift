public import Platform
import Synchronization

/// Calls when the earliest of the times that it was told has come, one call at a time. Nothing waits while it was told none.
public final class Alarm: Sendable {
    private struct State {
        var machine = AlarmMachine()
        var call: ScheduledCall?
    }

    private let time: any TimeSource
    private let ring: @Sendable () -> Void
    private let state = Mutex(State())

    /// `ring` must not block; `finished` ends what it began.
    public init(time: any TimeSource, ring: @escaping @Sendable () -> Void) {
        self.time = time
        self.ring = ring
    }

    /// Something is due at `due`. The earliest counts.
    public func set(at due: Instant) {
        let now = time.now()
        act(state.withLock { $0.machine.set(at: due, now: now) })
    }

    /// The work that `ring` began is done; `next` is when there is more.
    public func finished(next: Instant?) {
        let now = time.now()
        act(state.withLock { $0.machine.finished(next: next, now: now) })
    }

    /// As `finished`, when the work could not be done: what is due is still being worked on.
    public func failed(retryAt due: Instant) {
        let now = time.now()
        act(state.withLock { $0.machine.failed(retryAt: due, now: now) })
    }

    /// Since when the work goes on without a rest: what was due before the end of it is late because there is much to do. What
    /// was long overdue when it began was missed: the machine slept, or no server ran. Nil at rest.
    public var workingSince: Instant? { state.withLock { $0.machine.workingSince } }

    public func stop() {
        let call = state.withLock { state in
            state.machine.stop()
            defer { state.call = nil }
            return state.call
        }
        call?.cancel()
    }

    private func act(_ action: AlarmMachine.Action) {
        switch action {
        case .none: return
        case .ring: ring()
        case .wait(let until, let number):
            let call = time.schedule(at: until) { [weak self] in self?.woke() }
            let stale = state.withLock { state in
                // Another thread may have decided something since.
                guard state.machine.isWaiting(for: number) else { return Optional(call) }
                let old = state.call
                state.call = call
                return old
            }
            stale?.cancel()
        }
    }

    private func woke() {
        let now = time.now()
        act(state.withLock { $0.machine.woke(now: now) })
    }
}

/// An alarm's state: pure.
struct AlarmMachine {
    private enum Phase {
        case idle
        /// `since`: what the clock showed when the wait began.
        case waiting(until: Instant, since: Instant)
        /// The work is under way; something else is due then.
        case working(next: Instant?)
        case stopped
    }

    enum Action: Equatable {
        case none
        /// `number` tells this wait from those before it.
        case wait(until: Instant, number: UInt64)
        case ring
    }

    /// The longest that the clock is not looked at while something is due some day: timers do not count while a machine
    /// sleeps, and clocks are set. Ours.
    static let longestWait = Duration.seconds(60)

    private var phase = Phase.idle
    private var waits: UInt64 = 0
    private(set) var workingSince: Instant?

    func isWaiting(for number: UInt64) -> Bool {
        if case .waiting = phase { number == waits } else { false }
    }

    mutating func set(at due: Instant, now: Instant) -> Action {
        switch phase {
        case .idle: return begin(due, now)
        case .waiting(let until, _): return due < until ? begin(due, now) : .none
        case .working(let next):
            phase = .working(next: min(due, next ?? due))
            return .none
        case .stopped: return .none
        }
    }

    mutating func woke(now: Instant) -> Action {
        guard case .waiting(let until, let since) = phase else { return .none }
        // A clock that was set back: whoever is rung looks anew at when something is due.
        return begin(now < since ? now : until, now)
    }

    mutating func finished(next: Instant?, now: Instant) -> Action {
        guard case .working(let told) = phase else { return .none }
        phase = .idle
        let due = [next, told].compactMap { $0 }.min()
        if due.map({ $0 > now }) ?? true { workingSince = nil }
        guard let due else { return .none }
        return begin(due, now)
    }

    mutating func failed(retryAt due: Instant, now: Instant) -> Action {
        guard case .working = phase else { return .none }
        phase = .idle
        return begin(due, now)
    }

    mutating func stop() { phase = .stopped }

    private mutating func begin(_ due: Instant, _ now: Instant) -> Action {
        if due <= now {
            phase = .working(next: nil)
            workingSince = workingSince ?? now
            return .ring
        }
        phase = .waiting(until: due, since: now)
        waits &+= 1
        return .wait(until: min(due, now + Self.longestWait), number: waits)
    }
}
