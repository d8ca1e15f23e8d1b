import Dispatch
import Glibc
import Synchronization

/// The only clock of the house. Everything that waits for minutes or hours asks this, so that no test sleeps.
public protocol TimeSource: Sendable {
    /// Wall-clock time.
    func now() -> Instant
    /// Monotonic nanoseconds since an arbitrary start; for durations.
    func uptimeNanoseconds() -> UInt64
    /// Runs `body` once, not before `instant`, on an unspecified thread. Cancel through the answer.
    func schedule(at instant: Instant, _ body: @escaping @Sendable () -> Void) -> ScheduledCall
}

/// A call that was scheduled; cancelling after it ran does nothing.
public final class ScheduledCall: Sendable {
    private let onCancel: @Sendable () -> Void
    public init(onCancel: @escaping @Sendable () -> Void) { self.onCancel = onCancel }
    public func cancel() { onCancel() }
}

/// The machine's clocks.
public struct SystemTime: TimeSource {
    private let queue = DispatchQueue(label: "martlet.time")

    public init() {}

    public func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }

    public func uptimeNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    public func schedule(at instant: Instant, _ body: @escaping @Sendable () -> Void) -> ScheduledCall {
        // Dispatch's clock must not be moved by more than it can hold; a year is further than any wait here.
        let wait = min(max((instant - now()).clampedNanoseconds, 0), 366 * 86_400 * 1_000_000_000)
        // A source, because a cancelled `asyncAfter` keeps its block and timer until the deadline.
        let source = DispatchSource.makeTimerSource(queue: queue)
        let box = UncheckedBox(source)
        source.schedule(deadline: .now() + .nanoseconds(Int(wait)))
        source.setEventHandler {
            // Also keeps the source alive until it has fired.
            box.value.cancel()
            body()
        }
        source.activate()
        return ScheduledCall { box.value.cancel() }
    }
}

/// `DispatchSourceTimer.cancel` is thread safe, but the type is not marked Sendable on Linux.
private struct UncheckedBox<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

/// A clock for tests: stands still until it is advanced, and runs what falls due in order.
public final class ManualTime: TimeSource {
    private struct Entry {
        var due: Instant
        var number: UInt64
        var body: @Sendable () -> Void
    }
    private struct State {
        var now: Instant
        var next: UInt64 = 0
        var entries: [Entry] = []
    }
    private let state: Mutex<State>
    private let start: Instant

    public init(now: Instant = Instant(milliseconds: 1_795_413_600_000)) {
        start = now
        state = Mutex(State(now: now))
    }

    public func now() -> Instant { state.withLock { $0.now } }

    public func uptimeNanoseconds() -> UInt64 {
        UInt64(max((now() - start).clampedNanoseconds, 0)) + 1_000_000_000
    }

    public func schedule(at instant: Instant, _ body: @escaping @Sendable () -> Void) -> ScheduledCall {
        let number = state.withLock { state in
            state.next += 1
            state.entries.append(Entry(due: instant, number: state.next, body: body))
            return state.next
        }
        return ScheduledCall { [weak self] in
            self?.state.withLock { $0.entries.removeAll { $0.number == number } }
        }
    }

    /// Moves the clock forward and runs what falls due, earliest first, each at its own time.
    public func advance(by duration: Duration) {
        let end = now() + duration
        while let body = takeDue(until: end) { body() }
        state.withLock { $0.now = max($0.now, end) }
    }

    /// The time of the earliest waiting call.
    public func nextDue() -> Instant? { state.withLock { $0.entries.map(\.due).min() } }

    private func takeDue(until end: Instant) -> (@Sendable () -> Void)? {
        state.withLock { state in
            let due = state.entries.indices.filter { state.entries[$0].due <= end }
            guard
                let first = due.min(by: { a, b in
                    (state.entries[a].due, state.entries[a].number) < (state.entries[b].due, state.entries[b].number)
                })
            else { return nil }
            let entry = state.entries.remove(at: first)
            state.now = max(state.now, entry.due)
            return entry.body
        }
    }
}
