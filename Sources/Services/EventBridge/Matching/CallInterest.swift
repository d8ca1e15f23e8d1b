import Contracts
import Platform
import Storage
import Synchronization

/// Of whose API calls default buses have rules that ask for them: from memory, so that a call which nobody asks for costs a
/// look into a table.
///
/// What a bus wants is read when it is not known, and forgotten after every commit that changes its rules.
final class CallInterest: Sendable {
    /// The sources that rules name; nil is a rule that names none.
    typealias Sources = Set<String?>

    private struct State {
        var known: [AccountRegion: Sources] = [:]
        /// Grows when anything is forgotten: what was read before is not kept then.
        var epoch: UInt64 = 0
    }
    private let state = Mutex(State())

    static func wants(_ source: String, _ sources: Sources) -> Bool {
        sources.contains(source) || sources.contains(nil)
    }

    /// Nil when it is not known.
    func wants(_ source: String, _ scope: AccountRegion) -> Bool? {
        state.withLock { $0.known[scope] }.map { Self.wants(source, $0) }
    }

    /// For `keep`; to be asked before the transaction that reads.
    func mark() -> UInt64 { state.withLock { $0.epoch } }

    /// Remembers what was read on a snapshot, or in a transaction that has committed.
    func keep(_ sources: Sources, of scope: AccountRegion, since mark: UInt64) {
        state.withLock { state in
            guard state.epoch == mark else { return }
            if state.known.count >= Limits.compiledBuses, state.known[scope] == nil,
                let other = state.known.keys.randomElement()
            {
                state.known[other] = nil
            }
            state.known[scope] = sources
        }
    }

    /// The rules of a bus change in this transaction.
    func changed(_ bus: BusKey, in transaction: any WriteTransaction) {
        guard bus.isDefault else { return }
        transaction.afterCommit { [weak self] in self?.forget(bus.scope) }
    }

    private func forget(_ scope: AccountRegion) {
        state.withLock { state in
            state.epoch &+= 1
            state.known[scope] = nil
        }
    }
}
