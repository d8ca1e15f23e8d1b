import Storage
import Synchronization

/// Tells those who wait for records of a stream, after the commit that brings some.
final class Arrivals: Sendable {
    private struct Observer {
        var number: UInt64
        var wake: @Sendable (String?) -> Void
    }
    private struct State {
        var next: UInt64 = 0
        var observers: [String: [Observer]] = [:]
    }
    private let state = Mutex(State())

    /// Calls `wake` on the store's writer thread until the answer is called: with a shard's id when it has new records, with
    /// nil when shards came or went.
    func observe(_ arn: String, _ wake: @escaping @Sendable (String?) -> Void) -> @Sendable () -> Void {
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

    func announce(_ arn: String, shards: [String?], in transaction: any WriteTransaction) {
        transaction.afterCommit { [weak self] in
            guard let self, let observers = state.withLock({ $0.observers[arn] }) else { return }
            for observer in observers {
                for shard in shards { observer.wake(shard) }
            }
        }
    }
}
