public import Platform
import Synchronization

/// Work that is done again and again, with a rest after each time, until it is stopped.
public final class Upkeep: Sendable {
    private struct State {
        var next: ScheduledCall?
        var isStopped = false
    }

    private let time: any TimeSource
    private let interval: Duration
    private let work: @Sendable () async -> Void
    private let state = Mutex(State())

    /// `work` is to ask `isStopped` between its steps.
    public init(time: any TimeSource, every interval: Duration, work: @escaping @Sendable () async -> Void) {
        self.time = time
        self.interval = interval
        self.work = work
    }

    public var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Begins so long from now; once.
    public func start(after wait: Duration) {
        let call = time.schedule(at: time.now() + wait) { [weak self] in
            guard let self else { return }
            Task {
                await self.work()
                self.start(after: self.interval)
            }
        }
        state.withLock { state in
            if state.isStopped { call.cancel() } else { state.next = call }
        }
    }

    /// Begins nothing more.
    public func stop() {
        let next = state.withLock { state in
            state.isStopped = true
            return state.next
        }
        next?.cancel()
    }
}
