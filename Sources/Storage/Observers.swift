import Synchronization

/// Those who wait for what commits bring, by what they wait for: a queue's messages, a stream's records.
public final class Observers<Signal: Sendable>: Sendable {
    private struct Observer {
        var number: UInt64
        var wake: @Sendable (Signal) -> Void
    }
    private struct State {
        var next: UInt64 = 0
        var observers: [String: [Observer]] = [:]
    }
    private let state = Mutex(State())

    public init() {}

    /// Calls `wake` with each signal for the key, on the store's writer thread where `announce` sends it, until the answer is
    /// called. It must not block.
    public func observe(_ key: String, _ wake: @escaping @Sendable (Signal) -> Void) -> @Sendable () -> Void {
        let number = state.withLock { state in
            state.next += 1
            state.observers[key, default: []].append(Observer(number: state.next, wake: wake))
            return state.next
        }
        return { [weak self] in
            self?.state.withLock { state in
                state.observers[key]?.removeAll { $0.number == number }
                if state.observers[key]?.isEmpty == true { state.observers[key] = nil }
            }
        }
    }

    /// Wakes the key's observers now.
    public func wake(_ key: String, _ signals: [Signal]) {
        guard let observers = state.withLock({ $0.observers[key] }) else { return }
        for observer in observers {
            for signal in signals { observer.wake(signal) }
        }
    }

    /// Wakes the key's observers after the transaction's commit.
    public func announce(_ key: String, _ signals: [Signal], in transaction: any WriteTransaction) {
        transaction.afterCommit { [weak self] in self?.wake(key, signals) }
    }
}
