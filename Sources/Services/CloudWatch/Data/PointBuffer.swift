import Contracts
import Platform

/// What the server itself measured and what waits to be written: one point for each metric, unit and minute. A value, bounded,
/// that counts what it had to drop.
struct PointBuffer: Sendable {
    struct Key: Hashable, Sendable {
        var scope: AccountRegion
        var metric: MetricID
        var place: PointPlace
    }

    enum Action: Equatable {
        /// A write is on its way or planned.
        case none
        case plan
    }

    private var points: [Key: StatisticPoint] = [:]
    private(set) var dropped: UInt64 = 0
    private var isBusy = false

    var isQuiet: Bool { points.isEmpty && !isBusy }

    mutating func record(_ samples: [MetricSample], scope: AccountRegion) -> Action {
        for sample in samples {
            guard let key = Self.key(sample, scope) else {
                dropped += 1
                continue
            }
            let point = StatisticPoint(value: sample.value, count: sample.count)
            if points[key] != nil {
                points[key]?.merge(point)
            } else if points.count < Limits.bufferedPoints {
                points[key] = point
            } else {
                dropped += 1
            }
        }
        guard !points.isEmpty, !isBusy else { return .none }
        isBusy = true
        return .plan
    }

    /// nil for what CloudWatch does not take.
    private static func key(_ sample: MetricSample, _ scope: AccountRegion) -> Key? {
        guard abs(sample.value) <= Limits.largestValue, sample.count > 0, sample.count <= Limits.largestValue,
            sample.dimensions.count <= Limits.dimensions, !sample.namespace.isEmpty, !sample.name.isEmpty,
            sample.namespace.utf8.count <= 255, sample.name.utf8.count <= 255
        else { return nil }
        let metric = MetricID(
            namespace: sample.namespace, name: sample.name,
            dimensions: sample.dimensions.map { MetricID.Dimension(name: $0.name, value: $0.value) })
        let place = PointPlace(
            seconds: sample.timestamp.seconds, resolution: sample.resolution < 60 ? 1 : 60,
            unit: Unit.number(sample.unit) ?? Unit.none)
        return Key(scope: scope, metric: metric, place: place)
    }

    /// Takes everything; `written` must follow.
    mutating func take() -> [(Key, StatisticPoint)] {
        defer { points = [:] }
        return points.map { ($0.key, $0.value) }
    }

    /// The write is over; whether another is to be planned.
    mutating func written() -> Action {
        isBusy = !points.isEmpty
        return isBusy ? .plan : .none
    }

    mutating func lost(_ count: Int) { dropped += UInt64(max(count, 0)) }
}

/// Where a point lies among those of its metric.
struct PointPlace: Hashable, Sendable {
    /// Seconds: 1, 60, 300 or 3,600.
    var resolution: Int64
    /// Seconds since 1970 at which it begins; a multiple of the resolution.
    var time: Int64
    var unit: Int64

    init(seconds: Int64, resolution: Int64, unit: Int64) {
        self.resolution = resolution
        time = seconds.flooredDivision(by: resolution) * resolution
        self.unit = unit
    }
}
