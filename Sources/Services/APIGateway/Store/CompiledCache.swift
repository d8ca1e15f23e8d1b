/// What was compiled from the store, by the id of its API. What was changed is dropped by the commit that changed it, before
/// that is answered; the next request loads it. A value: its owner has the lock.
struct CompiledCache<Compiled: Sendable>: Sendable {
    /// To be taken before the store is read: what was read before a change is not kept after it.
    struct Mark: Sendable {
        fileprivate var changes: UInt64
    }

    private var entries: [String: Compiled] = [:]
    private var changes: UInt64 = 0

    var mark: Mark { Mark(changes: changes) }

    subscript(id: String) -> Compiled? { entries[id] }

    mutating func keep(_ compiled: Compiled, for id: String, since mark: Mark) {
        guard mark.changes == changes else { return }
        if entries.count >= Limits.compiledAPIs { entries = [:] }
        entries[id] = compiled
    }

    mutating func drop(_ id: String) {
        changes += 1
        entries[id] = nil
    }

    mutating func drop(where isStale: (Compiled) -> Bool) {
        changes += 1
        entries = entries.filter { !isStale($0.value) }
    }
}
