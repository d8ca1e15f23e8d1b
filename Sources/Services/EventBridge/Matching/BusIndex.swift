import Contracts
import EventPatterns
import Platform
import Storage
import Synchronization
import Wire

/// The rules of one bus, compiled: which of them an event fires.
///
/// A rule whose pattern names sources or detail-types exactly is only asked about events that have them.
final class BusIndex: Sendable {
    struct CompiledRule: Sendable {
        var key: RuleKey
        /// Nil: it has a schedule only.
        var pattern: EventPattern?
        var targets: [RuleTarget]
    }

    /// What an event must have for a rule to be asked; nil: anything.
    private struct Lookup: Hashable {
        var source: String?
        var detailType: String?
    }

    let revision: Int64?
    /// In the order of their names; only enabled ones that have targets.
    private let rules: [CompiledRule]
    private let byLookup: [Lookup: [Int]]
    /// What the patterns were compiled to, by their texts.
    private let patterns: [String: EventPattern]

    /// `old`: what it takes the place of, whose patterns need not be compiled anew.
    init(
        revision: Int64?, rules: [(key: RuleKey, pattern: String?, targets: [RuleTarget])], reusing old: BusIndex? = nil
    ) {
        self.revision = revision
        var patterns: [String: EventPattern] = [:]
        var compiled: [CompiledRule] = []
        var byLookup: [Lookup: [Int]] = [:]
        for rule in rules where !rule.targets.isEmpty {
            let pattern = rule.pattern.flatMap { text in
                patterns[text] ?? old?.patterns[text]
                    ?? (try? EventPattern(accepted: Array(text.utf8), dialect: .eventBridge))
            }
            if let pattern, let text = rule.pattern { patterns[text] = pattern }
            if pattern != nil, let text = rule.pattern {
                for lookup in Self.lookups(text) { byLookup[lookup, default: []].append(compiled.count) }
            }
            compiled.append(CompiledRule(key: rule.key, pattern: pattern, targets: rule.targets))
        }
        self.patterns = patterns
        self.rules = compiled
        self.byLookup = byLookup
    }

    /// The rules that the event fires, in the order of their names.
    func matching(_ event: Event) -> [CompiledRule] {
        let (source, type) = (event.value["source"]?.string, event.value["detail-type"]?.string)
        var candidates: [Int] = []
        // Calls of APIs come only to rules that name their detail-type: others never asked for a trail.
        let isCall = type == APICall.detailType && event.forwards == 0 && source?.hasPrefix("aws.") == true
        for lookup in [
            Lookup(source: source, detailType: type), Lookup(source: source, detailType: nil),
            Lookup(source: nil, detailType: type), Lookup(source: nil, detailType: nil),
        ] {
            if isCall, lookup.detailType == nil { continue }
            if let found = byLookup[lookup] { candidates += found }
        }
        return candidates.sorted().compactMap { index in
            guard let pattern = rules[index].pattern, pattern.matches(event.value) else { return nil }
            return rules[index]
        }
    }

    /// The sources that rules which name this detail-type name; nil stands for those that name none.
    func sources(of detailType: String) -> Set<String?> {
        Set(byLookup.keys.filter { $0.detailType == detailType }.map(\.source))
    }

    func rule(_ name: String) -> CompiledRule? { rules.first { $0.key.name == name } }

    private static func lookups(_ pattern: String) -> [Lookup] {
        // With `$or`, a field may be asked for elsewhere too.
        guard let document = try? JSON.parse(pattern), document["$or"] == nil else {
            return [Lookup(source: nil, detailType: nil)]
        }
        let (sources, types) = (exact(document["source"]), exact(document["detail-type"]))
        guard sources.count * types.count <= Limits.keysPerRule else { return [Lookup(source: nil, detailType: nil)] }
        return sources.flatMap { source in types.map { Lookup(source: source, detailType: $0) } }
    }

    /// The strings that a field must be one of; one nil when it may be something else.
    private static func exact(_ field: Value?) -> [String?] {
        guard let alternatives = field?.list else { return [nil] }
        // An IP address matches every way of writing it.
        let texts = alternatives.compactMap(\.string).filter { IPAddress($0) == nil }
        guard texts.count == alternatives.count else { return [nil] }
        return Array(Set(texts))
    }
}

/// Compiled rules of buses that are in use. An entry counts while the bus's revision in the store is its own.
final class BusIndexes: Sendable {
    private let entries = Mutex<[BusKey: BusIndex]>([:])

    func index(of bus: BusKey, in transaction: any ReadTransaction) throws -> BusIndex {
        let revision = try RevisionTable.get(bus, in: transaction)
        let old = entries.withLock { $0[bus] }
        if let old, old.revision == revision { return old }
        let index = try Self.compile(bus, revision: revision, reusing: old, in: transaction)
        entries.withLock { entries in
            if entries.count >= Limits.compiledBuses, entries[bus] == nil, let other = entries.keys.randomElement() {
                entries[other] = nil
            }
            entries[bus] = index
        }
        return index
    }

    private static func compile(
        _ bus: BusKey, revision: Int64?, reusing old: BusIndex?, in transaction: any ReadTransaction
    ) throws -> BusIndex {
        guard revision != nil else { return BusIndex(revision: nil, rules: []) }
        var targets: [String: [RuleTarget]] = [:]
        for (rule, target) in try TargetTable.all(of: bus, in: transaction) {
            // What PutTargets took, it takes again.
            guard let target = try? RuleTarget(target, account: bus.scope.account) else { continue }
            targets[rule, default: []].append(target)
        }
        let rules = try RuleTable.list(bus, limit: Int(Limits.rules), in: transaction).filter(\.isEnabled)
        return BusIndex(
            revision: revision, rules: rules.map { ($0.key, $0.text("EventPattern"), targets[$0.key.name] ?? []) },
            reusing: old)
    }
}
