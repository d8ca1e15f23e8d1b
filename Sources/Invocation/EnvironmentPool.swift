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
        /// When its credentials run too low for another invocation.
        var expires: Instant
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
    /// Told to shut down and not gone yet: they still hold memory.
    private(set) var leaving: Set<Environment> = []
    private let capacity: Int
    /// How many may be on their way out when another has to make room; else a burst of different functions would have
    /// twice the machine.
    private let leavingLimit: Int

    /// `capacity`: environments that may exist at the same time on this machine.
    init(capacity: Int) {
        self.capacity = capacity
        leavingLimit = max(capacity / 2, Limits.leavingEnvironments)
    }

    /// Environments that take invocations or will.
    var count: Int { entries.count + starting }
    var idleCount: Int { idle.values.reduce(0) { $0 + $1.count } }

    func hasIdle(generation: String) -> Bool { idle[generation] != nil }

    /// Chooses for one invocation. After `.start`, `started` must follow. Of the idle environments used last, one that
    /// `isNear` the caller is preferred; without one, any serves.
    mutating func choose(generation: String, isNear: (Environment) -> Bool = { _ in true }) -> Choice {
        if let environment = takeIdle(generation, isNear) {
            entries[environment]?.status = .busy
            return .reuse(environment)
        }
        if count + leaving.count < capacity {
            starting += 1
            return .start(evicting: nil)
        }
        guard leaving.count < leavingLimit, let victim = longestIdle() else { return .full }
        leave(victim)
        starting += 1
        return .start(evicting: victim)
    }

    private mutating func takeIdle(_ generation: String, _ isNear: (Environment) -> Bool) -> Environment? {
        let place: Int? = idle[generation].flatMap { free in
            free.indices.suffix(Limits.nearnessDepth).last { isNear(free[$0]) } ?? free.indices.last
        }
        guard let place, let environment = idle[generation]?.remove(at: place) else { return nil }
        if idle[generation]?.isEmpty == true { idle[generation] = nil }
        return environment
    }

    /// The environment of an earlier `.start`; it is busy with the invocation it was started for.
    mutating func started(
        _ environment: Environment, function: FunctionKey, generation: String, now: Instant
    ) {
        starting -= 1
        if endedEarly.remove(environment) != nil { return }
        entries[environment] = Entry(
            function: function, generation: generation, expires: now + Limits.environmentLifetime, status: .busy)
    }

    /// The invocation is over. True when the environment must be shut down, because its generation is not current or its
    /// credentials are about to expire.
    mutating func finished(_ environment: Environment, now: Instant) -> Bool {
        guard let entry = entries[environment], case .busy = entry.status else { return false }
        let isCurrent = current[entry.function]?.contains(entry.generation) ?? true
        guard isCurrent, now < entry.expires else {
            leave(environment)
            return true
        }
        entries[environment]?.status = .idle(since: now)
        idle[entry.generation, default: []].append(environment)
        return false
    }

    /// The environment is gone, by itself or as it was told. A start that fails at once can end before it is known.
    mutating func ended(_ environment: Environment) {
        if leaving.remove(environment) != nil { return }
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
        for environment in stale { leave(environment) }
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
        for environment in old { leave(environment) }
        return old
    }

    /// Everything, for shutdown; all of it is leaving then.
    mutating func removeAll() -> [Environment] {
        let all = Array(entries.keys)
        leaving.formUnion(all)
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

    private mutating func leave(_ environment: Environment) {
        remove(environment)
        leaving.insert(environment)
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
