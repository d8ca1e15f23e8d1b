import Platform

/// Which execution environments exist, and which of them is free for a generation of a function. A value, generic over the
/// environment so that its rules are tested without one.
///
/// Last used, first reused: the others grow cold and are evicted. Environments of a generation that is no longer current are
/// drained as soon as they are free, so that stale code serves nobody who asked after the update.
struct EnvironmentPool<Environment: Hashable> {
    struct FunctionKey: Hashable {
        var scope: AccountRegion
        var name: String
    }

    enum Choice: Equatable {
        case reuse(Environment)
        /// Start a new one, after shutting `evicting` down to make room.
        case start(evicting: Environment?)
        /// No room, and nothing idle to evict.
        case full
    }

    private enum Status {
        case busy
        case idle(since: Instant)
    }

    private struct Entry {
        var function: FunctionKey
        var generation: String
        var status: Status
    }

    private var entries: [Environment: Entry] = [:]
    /// Idle environments by generation; the last is the one used last.
    private var idle: [String: [Environment]] = [:]
    private var current: [FunctionKey: Set<String>] = [:]
    /// Starts that were promised but whose environment is not known yet.
    private var starting = 0
    /// Environments that ended before `started` made them known.
    private var endedEarly: Set<Environment> = []
    private let capacity: Int

    /// `capacity`: environments that may exist at the same time on this machine.
    init(capacity: Int) { self.capacity = capacity }

    var count: Int { entries.count + starting }
    var idleCount: Int { idle.values.reduce(0) { $0 + $1.count } }

    func hasIdle(generation: String) -> Bool { idle[generation] != nil }

    /// Chooses for one invocation. After `.start`, `started` must follow.
    mutating func choose(generation: String) -> Choice {
        if var free = idle[generation], let environment = free.popLast() {
            idle[generation] = free.isEmpty ? nil : free
            entries[environment]?.status = .busy
            return .reuse(environment)
        }
        if count < capacity {
            starting += 1
            return .start(evicting: nil)
        }
        guard let victim = longestIdle() else { return .full }
        remove(victim)
        starting += 1
        return .start(evicting: victim)
    }

    /// The environment of an earlier `.start`; it is busy with the invocation it was started for.
    mutating func started(_ environment: Environment, function: FunctionKey, generation: String) {
        starting -= 1
        if endedEarly.remove(environment) != nil { return }
        entries[environment] = Entry(function: function, generation: generation, status: .busy)
    }

    /// The invocation is over. True when the environment must be shut down, because its generation is not current.
    mutating func finished(_ environment: Environment, now: Instant) -> Bool {
        guard var entry = entries[environment], case .busy = entry.status else { return false }
        if let current = current[entry.function], !current.contains(entry.generation) {
            remove(environment)
            return true
        }
        entry.status = .idle(since: now)
        entries[environment] = entry
        idle[entry.generation, default: []].append(environment)
        return false
    }

    /// The environment is gone by itself (one that the pool gave up is not its business any more). A start that fails at
    /// once can end before it is known.
    mutating func ended(_ environment: Environment) {
        if entries[environment] == nil, starting > 0 { endedEarly.insert(environment) }
        remove(environment)
    }

    /// Only these generations may take new invocations; answers the idle environments of others, to be shut down.
    mutating func setCurrent(_ generations: Set<String>, of function: FunctionKey) -> [Environment] {
        current[function] = generations
        let stale = entries.filter { environment, entry in
            guard entry.function == function, !generations.contains(entry.generation) else { return false }
            if case .idle = entry.status { return true }
            return false
        }.map(\.key)
        for environment in stale { remove(environment) }
        // Nothing is left to be drained of a deleted function: forget it.
        if generations.isEmpty, !entries.values.contains(where: { $0.function == function }) { current[function] = nil }
        return stale
    }

    /// Idle since before `deadline`, to be shut down.
    mutating func evict(idleSince deadline: Instant) -> [Environment] {
        let old = entries.filter { _, entry in
            if case .idle(let since) = entry.status { return since <= deadline }
            return false
        }.map(\.key)
        for environment in old { remove(environment) }
        return old
    }

    /// Everything, for shutdown.
    mutating func removeAll() -> [Environment] {
        let all = Array(entries.keys)
        entries = [:]
        idle = [:]
        return all
    }

    private func longestIdle() -> Environment? {
        var oldest: (Environment, Instant)?
        for (environment, entry) in entries {
            guard case .idle(let since) = entry.status else { continue }
            if oldest.map({ since < $0.1 }) ?? true { oldest = (environment, since) }
        }
        return oldest?.0
    }

    private mutating func remove(_ environment: Environment) {
        guard let entry = entries.removeValue(forKey: environment) else { return }
        if case .idle = entry.status {
            idle[entry.generation]?.removeAll { $0 == environment }
            if idle[entry.generation]?.isEmpty == true { idle[entry.generation] = nil }
        }
        if current[entry.function]?.isEmpty == true, !entries.values.contains(where: { $0.function == entry.function })
        {
            current[entry.function] = nil
        }
    }
}
