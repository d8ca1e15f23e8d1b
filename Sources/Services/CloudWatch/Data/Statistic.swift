/// What is asked of a point: `Sum`, `p99.9`, `TM(10%:90%)` (CloudWatch user guide, "Statistics definitions").
enum Statistic: Sendable, Hashable {
    enum Bound: Sendable, Hashable {
        case percent(Double)
        case value(Double)
    }

    case sampleCount
    case average
    case sum
    case minimum
    case maximum
    case percentile(Double)
    /// What part of the values lies above the first bound and not above the second, in percent.
    case percentileRank(Bound?, Bound?)
    case trimmedMean(Bound?, Bound?)
    case trimmedCount(Bound?, Bound?)
    case trimmedSum(Bound?, Bound?)
    case winsorizedMean(Bound?, Bound?)

    /// nil for a text that is no statistic.
    init?(_ text: String) {
        switch text {
        case "SampleCount": self = .sampleCount
        case "Average": self = .average
        case "Sum": self = .sum
        case "Minimum": self = .minimum
        case "Maximum": self = .maximum
        case "IQM", "iqm": self = .trimmedMean(.percent(25), .percent(75))
        default:
            let lower = text.lowercased()
            if lower.hasPrefix("p"), !lower.hasPrefix("pr"), let percent = Self.percent(lower.dropFirst()) {
                self = .percentile(percent)
                return
            }
            guard let made = Self.trimmed(lower) else { return nil }
            self = made
        }
    }

    /// `tm90` is TM(:90%); `tm(10%:90%)`, `pr(:300)` have bounds of their own.
    private static func trimmed(_ text: String) -> Statistic? {
        let kind = text.prefix(2)
        var rest = text.dropFirst(2)
        var (low, high): (Bound?, Bound?) = (nil, nil)
        if rest.first == "(" {
            guard rest.last == ")" else { return nil }
            rest = rest.dropFirst().dropLast()
            let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, !(parts[0].isEmpty && parts[1].isEmpty) else { return nil }
            guard let first = bound(parts[0]), let second = bound(parts[1]) else { return nil }
            (low, high) = (first, second)
        } else {
            guard kind != "pr", let percent = percent(rest) else { return nil }
            high = .percent(percent)
        }
        switch kind {
        case "tm": return .trimmedMean(low, high)
        case "tc": return .trimmedCount(low, high)
        case "ts": return .trimmedSum(low, high)
        case "wm": return .winsorizedMean(low, high)
        case "pr": return .percentileRank(low, high)
        default: return nil
        }
    }

    /// An empty text is no bound; nil is for what is none.
    private static func bound(_ text: Substring) -> Bound?? {
        if text.isEmpty { return .some(nil) }
        if text.last == "%" {
            guard let percent = percent(text.dropLast()) else { return nil }
            return .some(.percent(percent))
        }
        guard let value = number(text) else { return nil }
        return .some(.value(value))
    }

    private static func percent(_ text: Substring) -> Double? {
        guard let value = number(text), (0...100).contains(value) else { return nil }
        return value
    }

    /// Decimal digits only: no "inf", "nan" or hexadecimal.
    private static func number(_ text: Substring) -> Double? {
        guard !text.isEmpty, text.utf8.count <= 24,
            text.utf8.allSatisfy({ (48...57).contains($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") })
        else { return nil }
        return Double(text)
    }

    /// Whether it needs the distribution of values.
    var needsDistribution: Bool {
        switch self {
        case .sampleCount, .average, .sum, .minimum, .maximum: false
        default: true
        }
    }

    /// nil when the point cannot say: its values came as sets of statistics, or none is inside the bounds.
    func value(of point: StatisticPoint) -> Double? {
        switch self {
        case .sampleCount: return point.count
        case .average: return point.count > 0 ? point.sum / point.count : nil
        case .sum: return point.sum
        case .minimum: return point.minimum
        case .maximum: return point.maximum
        case .percentile(let percent): return point.distribution.flatMap { Self.percentile(percent, of: $0, point) }
        case .percentileRank(let low, let high):
            return point.distribution.map { distribution in
                let inside = distribution.entries.filter { entry in
                    Self.isAbove(entry.value, low) && !Self.isAbove(entry.value, high, orNone: false)
                }
                return inside.reduce(0) { $0 + $1.weight } / distribution.total * 100
            }
        case .trimmedMean(let low, let high):
            guard let inside = Self.trim(point, low, high) else { return nil }
            let weight = inside.reduce(0) { $0 + $1.weight }
            return weight > 0 ? inside.reduce(0) { $0 + $1.value * $1.weight } / weight : nil
        case .trimmedCount(let low, let high):
            return Self.trim(point, low, high).map { $0.reduce(0) { $0 + $1.weight } }
        case .trimmedSum(let low, let high):
            return Self.trim(point, low, high).map { $0.reduce(0) { $0 + $1.value * $1.weight } }
        case .winsorizedMean(let low, let high): return Self.winsorized(point, low, high)
        }
    }

    private static func isAbove(_ value: Double, _ bound: Bound?, orNone: Bool = true) -> Bool {
        if case .value(let limit)? = bound { return value > limit }
        return orNone
    }

    /// The smallest value that so many percent of the values do not exceed.
    private static func percentile(_ percent: Double, of distribution: Distribution, _ point: StatisticPoint) -> Double?
    {
        guard let last = distribution.entries.last else { return nil }
        if percent >= 100 { return point.maximum }
        if percent <= 0 { return point.minimum }
        let rank = distribution.total * percent / 100
        var seen = 0.0
        for entry in distribution.entries {
            seen += entry.weight
            if seen >= rank - rank * 1e-12 { return Swift.min(Swift.max(entry.value, point.minimum), point.maximum) }
        }
        return last.value
    }

    /// The values between two bounds, the weight of those at a percent bound divided.
    private static func trim(_ point: StatisticPoint, _ low: Bound?, _ high: Bound?) -> [Distribution.Entry]? {
        guard let distribution = point.distribution else { return nil }
        let total = distribution.total
        let from: Double = if case .percent(let percent)? = low { total * percent / 100 } else { 0 }
        let to: Double = if case .percent(let percent)? = high { total * percent / 100 } else { total }
        var inside: [Distribution.Entry] = []
        var seen = 0.0
        for entry in distribution.entries {
            let start = Swift.max(seen, from)
            seen += entry.weight
            let weight = Swift.min(seen, to) - start
            guard weight > 0, isAbove(entry.value, low), !isAbove(entry.value, high, orNone: false) else { continue }
            inside.append(Distribution.Entry(value: entry.value, weight: weight))
        }
        return inside
    }

    /// The mean with the values outside of the bounds taken as the bounds.
    private static func winsorized(_ point: StatisticPoint, _ low: Bound?, _ high: Bound?) -> Double? {
        guard let distribution = point.distribution, distribution.total > 0 else { return nil }
        func limit(_ bound: Bound?, _ otherwise: Double) -> Double {
            switch bound {
            case .percent(let percent): percentile(percent, of: distribution, point) ?? otherwise
            case .value(let value): value
            case nil: otherwise
            }
        }
        let (floor, ceiling) = (limit(low, point.minimum), limit(high, point.maximum))
        let sum = distribution.entries.reduce(0) {
            $0 + Swift.min(Swift.max($1.value, floor), Swift.max(ceiling, floor)) * $1.weight
        }
        return sum / distribution.total
    }
}
