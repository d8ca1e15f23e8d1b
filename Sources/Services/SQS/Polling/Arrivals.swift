import Platform
import Storage
import Synchronization

/// Tells those who wait for messages of a queue, after the commit that brings some.
final class Arrivals: Sendable {
    private struct Observer {
        var number: UInt64
        var wake: @Sendable (Instant) -> Void
    }
    private struct State {
        var next: UInt64 = 0
        var observers: [String: [Observer]] = [:]
        /// Of every queue.
        var everywhere: [@Sendable (String, Instant) -> Void] = []
    }
    private let state = Mutex(State())

    /// Calls `wake` with the time from which something is receivable, on the store's writer thread, until the answer is
    /// called.
    func observe(_ arn: String, _ wake: @escaping @Sendable (Instant) -> Void) -> @Sendable () -> Void {
        let number = state.withLock { state in
            state.next += 1
            state.observers[arn, default: []].append(Observer(number: state.next, wake: wake))
            return state.next
        }
        return { [weak self] in
            self?.state.withLock { state in
                state.observers[arn]?.removeAll { $0.number == number }
                if state.observers[arn]?.isEmpty == true { state.observers[arn] = nil }
            }
        }
    }

    /// As `observe`, for all queues and for ever.
    func observeAll(_ wake: @escaping @Sendable (_ arn: String, _ receivable: Instant) -> Void) {
        state.withLock { $0.everywhere.append(wake) }
    }

    func announce(_ arn: String, _ receivable: Instant, in transaction: any WriteTransaction) {
        transaction.afterCommit { [weak self] in
            guard let self else { return }
            let (everywhere, observers) = state.withLock { ($0.everywhere, $0.observers[arn] ?? []) }
            for wake in everywhere { wake(arn, receivable) }
            for observer in observers { observer.wake(receivable) }
        }
    }
}
