import Contracts
import Platform
import Synchronization

/// What names resolve to, in memory, so that a warm invoke reads no database. A mutation of a function forgets it before
/// the mutation is answered; a load that overlapped one is not kept.
final class FunctionCache: Sendable {
    /// A name with its qualifier, resolved as far as it goes without drawing lots.
    enum Entry: Sendable {
        case version(FunctionVersion)
        case alias(AliasRecord, primary: FunctionVersion, additional: FunctionVersion?)

        /// The version for one invocation. `draw` is asked only where there is a choice.
        func pick(draw: () -> Double) -> FunctionVersion {
            switch self {
            case .version(let version): return version
            case .alias(_, let primary, nil): return primary
            case .alias(let alias, let primary, .some(let additional)):
                return alias.pick(draw: draw()) == primary.version ? primary : additional
            }
        }
    }

    private struct FunctionKey: Hashable {
        var scope: AccountRegion
        var name: String
    }

    private struct Function {
        /// By qualifier; the unqualified name is `$LATEST`.
        var entries: [String: Entry] = [:]
        var settings: [String: AsynchronousSettings] = [:]
        /// By the qualifier of the policy; the function's own is the empty one.
        var policies: [String: CachedPolicy] = [:]

        var count: Int { entries.count + settings.count + policies.count }
    }

    private struct State {
        var functions: [FunctionKey: Function] = [:]
        var count = 0
        /// Counts invalidations.
        var epoch: UInt64 = 0
    }

    private let state = Mutex(State())

    func lookup(_ scope: AccountRegion, _ name: String, _ qualifier: String) -> Entry? {
        let key = FunctionKey(scope: scope, name: name)
        return state.withLock { $0.functions[key]?.entries[qualifier] }
    }

    func settings(_ scope: AccountRegion, _ name: String, _ qualifier: String) -> AsynchronousSettings? {
        let key = FunctionKey(scope: scope, name: name)
        return state.withLock { $0.functions[key]?.settings[qualifier] }
    }

    func policy(_ scope: AccountRegion, _ name: String, _ qualifier: String) -> CachedPolicy? {
        let key = FunctionKey(scope: scope, name: name)
        return state.withLock { $0.functions[key]?.policies[qualifier] }
    }

    /// To be taken before the database is read for a `store`.
    func mark() -> UInt64 { state.withLock { $0.epoch } }

    func store(_ entry: Entry, _ scope: AccountRegion, _ name: String, _ qualifier: String, since mark: UInt64) {
        store(FunctionKey(scope: scope, name: name), since: mark) { $0.entries[qualifier] = entry }
    }

    func store(
        _ settings: AsynchronousSettings, _ scope: AccountRegion, _ name: String, _ qualifier: String,
        since mark: UInt64
    ) {
        store(FunctionKey(scope: scope, name: name), since: mark) { $0.settings[qualifier] = settings }
    }

    func store(
        _ policy: CachedPolicy, _ scope: AccountRegion, _ name: String, _ qualifier: String, since mark: UInt64
    ) {
        store(FunctionKey(scope: scope, name: name), since: mark) { $0.policies[qualifier] = policy }
    }

    private func store(_ key: FunctionKey, since mark: UInt64, _ change: (inout Function) -> Void) {
        state.withLock { state in
            // Something changed while the caller read: what it read may be the past.
            guard state.epoch == mark else { return }
            if state.count >= Limits.cachedFunctions {
                state.functions.removeAll()
                state.count = 0
            }
            state.count += 1
            change(&state.functions[key, default: Function()])
        }
    }

    func invalidate(_ scope: AccountRegion, _ name: String) {
        state.withLock { state in
            state.epoch += 1
            if let function = state.functions.removeValue(forKey: FunctionKey(scope: scope, name: name)) {
                state.count = max(0, state.count - function.count)
            }
        }
    }
}
