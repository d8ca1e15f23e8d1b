import Platform
import Storage

/// One value of a metric over a period.
struct Datapoint: Sendable, Equatable {
    /// Seconds since 1970 at which its period begins.
    var time: Int64
    var value: Double
    var samples: Double
}

/// A stretch of time in periods, the first beginning at `start`; seconds.
struct Window: Sendable, Equatable {
    var start: Int64
    /// Exclusive.
    var end: Int64
    var period: Int64

    /// How many periods it has.
    var count: Int64 { end > start && period > 0 ? (end - start + period - 1) / period : 0 }
}

/// Reads what is known of a metric in periods.
enum SeriesReader {
    static func points(
        of id: MetricID, _ scope: AccountRegion, in window: Window, unit: Int64? = nil, withSpread: Bool,
        _ transaction: any ReadTransaction
    ) throws -> [(time: Int64, point: StatisticPoint)] {
        try pointsByUnit(of: id, scope, in: window, unit: unit, withSpread: withSpread, joinsUnits: true, transaction)
            .map { ($0.time, $0.point) }
    }

    /// By time, then unit; `joinsUnits`: whatever the unit.
    static func pointsByUnit(
        of id: MetricID, _ scope: AccountRegion, in window: Window, unit: Int64? = nil, withSpread: Bool,
        joinsUnits: Bool, _ transaction: any ReadTransaction
    ) throws -> [(time: Int64, unit: Int64, point: StatisticPoint)] {
        guard window.count > 0, let metric = try MetricTable.find(id, scope, in: transaction) else { return [] }
        struct Key: Hashable {
            var time: Int64
            var unit: Int64
        }
        var found: [Key: StatisticPoint] = [:]
        try PointTable.each(
            of: metric, from: window.start, to: window.end, unit: unit, withSpread: withSpread, in: transaction
        ) { place, point in
            // What is kept in longer periods only does not show in shorter ones.
            if place.resolution >= 300, window.period % place.resolution != 0 { return }
            let time = window.start + (place.time - window.start) / window.period * window.period
            let key = Key(time: time, unit: joinsUnits ? 0 : place.unit)
            if found[key] == nil { found[key] = point } else { found[key]?.merge(point) }
        }
        return found.map { ($0.key.time, $0.key.unit, $0.value) }.sorted { ($0.time, $0.unit) < ($1.time, $1.unit) }
    }

    static func datapoints(
        of id: MetricID, _ scope: AccountRegion, _ statistic: Statistic, in window: Window, unit: Int64?,
        _ transaction: any ReadTransaction
    ) throws -> [Datapoint] {
        try points(
            of: id, scope, in: window, unit: unit, withSpread: statistic.needsDistribution, transaction
        ).compactMap { time, point in
            statistic.value(of: point).map { Datapoint(time: time, value: $0, samples: point.count) }
        }
    }
}
