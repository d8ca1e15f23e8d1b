import Platform
import Storage
import Synchronization

/// Wakes when the time of the next item ends: no timer while no item has one.
final class ExpiryTimer: Sendable {
    private struct State {
        /// Seconds since 1970.
        var due: Int64?
        var call: ScheduledCall?
        var isStopped = false
        var wake: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())
    private let time: any TimeSource

    init(time: any TimeSource) { self.time = time }

    /// `wake` is called on an unspecified thread, once for each time that was noted.
    func start(_ wake: @escaping @Sendable () -> Void) { state.withLock { $0.wake = wake } }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.call?.cancel()
            state.call = nil
        }
    }

    /// An item's time ends then; counts from the commit on.
    func note(_ expires: Int64, in transaction: any WriteTransaction) {
        transaction.afterCommit { [weak self] in self?.plan(expires) }
    }

    /// Wakes at that time or, if it is past, after a second: many together cost one sweep.
    func plan(_ expires: Int64) {
        let soonest = time.now().seconds + 1
        let due = max(expires, soonest)
        state.withLock { state in
            if let planned = state.due, planned <= due { return }
            guard !state.isStopped, state.wake != nil else { return }
            state.call?.cancel()
            state.due = due
            state.call = time.schedule(at: Instant(seconds: Double(due))) { [weak self] in self?.fire() }
        }
    }

    private func fire() {
        let wake = state.withLock { state in
            state.due = nil
            state.call = nil
            return state.isStopped ? nil : state.wake
        }
        wake?()
    }
}
