import Platform
import Storage
import Synchronization

/// A subscription filter, ready to be matched.
struct Subscription: Sendable {
    var name: String
    var pattern: FilterPattern
    var destination: String
    var roleARN: String?
    /// Whether a stream's events go to one shard.
    var isByStream: Bool

    /// Nil for a row that cannot be read.
    init?(_ row: FilterRow) {
        let document = Model.SubscriptionFilter(row.document)
        guard let pattern = try? FilterPattern(document.filterPattern ?? ""),
            let destination = document.destinationArn
        else { return nil }
        name = row.name
        self.pattern = pattern
        self.destination = destination
        roleARN = document.roleArn
        isByStream = document.distribution != "Random"
    }
}

/// The filters of one group.
struct CompiledFilters: Sendable {
    var version: Int64
    var subscriptions: [Subscription]
    var metrics: [MetricFilter]
}

/// Compiled filters of the groups that have had events lately. Which state of a group's filters counts is in its row.
final class FilterCache: Sendable {
    private let groups = Mutex<[Int64: CompiledFilters]>([:])

    func find(_ group: Int64, version: Int64) -> CompiledFilters? {
        groups.withLock { groups in groups[group].flatMap { $0.version == version ? $0 : nil } }
    }

    func filters(of group: GroupRow, in transaction: any ReadTransaction) throws -> CompiledFilters {
        if let found = find(group.id, version: group.filtersVersion) { return found }
        let subscriptions = try FilterTable.list(
            .subscription, of: group.id, limit: Int(Limits.subscriptionsPerGroup), in: transaction)
        let metrics = try FilterTable.list(
            .metric, of: group.id, limit: Int(Limits.metricFiltersPerGroup), in: transaction)
        let compiled = CompiledFilters(
            version: group.filtersVersion, subscriptions: subscriptions.compactMap { Subscription($0) },
            metrics: metrics.compactMap { MetricFilter($0) })
        groups.withLock { groups in
            // Whichever: a group that is used comes back at once.
            if groups.count >= Limits.compiledGroups, groups[group.id] == nil, let some = groups.keys.first {
                groups[some] = nil
            }
            groups[group.id] = compiled
        }
        return compiled
    }
}
