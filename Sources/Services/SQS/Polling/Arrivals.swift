import Platform
import Storage
import Synchronization

/// Tells those who wait for messages of a queue, after the commit that brings some.
final class Arrivals: Sendable {
    private let observers = Observers<Instant>()
    /// Of every queue.
    private let everywhere = Mutex<[@Sendable (String, Instant) -> Void]>([])

    /// Calls `wake` with the time from which something is receivable, on the store's writer thread, until the answer is
    /// called.
    func observe(_ arn: String, _ wake: @escaping @Sendable (Instant) -> Void) -> @Sendable () -> Void {
        observers.observe(arn, wake)
    }

    /// As `observe`, for all queues and for ever.
    func observeAll(_ wake: @escaping @Sendable (_ arn: String, _ receivable: Instant) -> Void) {
        everywhere.withLock { $0.append(wake) }
    }

    func announce(_ arn: String, _ receivable: Instant, in transaction: any WriteTransaction) {
        transaction.afterCommit { [weak self] in
            guard let self else { return }
            for wake in everywhere.withLock({ $0 }) { wake(arn, receivable) }
            observers.wake(arn, [receivable])
        }
    }
}
