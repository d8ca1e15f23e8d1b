/// What was measured of one metric in one stretch of time.
struct StatisticPoint: Sendable, Equatable {
    /// What is known of the values besides their sums.
    enum Spread: Sendable, Equatable {
        /// All are the same, the minimum.
        case constant
        case known(Distribution)
        /// They came as a set of statistics: there are no percentiles of them.
        case unknown
    }

    var count: Double
    var sum: Double
    var minimum: Double
    var maximum: Double
    var spread: Spread

    init(value: Double, count: Double = 1) {
        self.count = count
        sum = value * count
        minimum = value
        maximum = value
        spread = .constant
    }

    /// At least one pair; counts above 0.
    init?(_ pairs: [(value: Double, weight: Double)]) {
        guard let first = pairs.first else { return nil }
        self.init(value: first.value, count: first.weight)
        guard pairs.count > 1 else { return }
        for pair in pairs.dropFirst() {
            count += pair.weight
            sum += pair.value * pair.weight
            minimum = min(minimum, pair.value)
            maximum = max(maximum, pair.value)
        }
        spread = minimum == maximum ? .constant : .known(Distribution(pairs))
    }

    init(count: Double, sum: Double, minimum: Double, maximum: Double, spread: Spread? = nil) {
        self.count = count
        self.sum = sum
        self.minimum = minimum
        self.maximum = maximum
        // The documentation of PutMetricData: percentiles of a set exist when it has one sample, or nothing between its ends.
        self.spread = spread ?? (minimum == maximum ? .constant : .unknown)
    }

    mutating func merge(_ other: StatisticPoint) {
        defer {
            count += other.count
            sum += other.sum
            minimum = min(minimum, other.minimum)
            maximum = max(maximum, other.maximum)
        }
        switch (spread, other.spread) {
        case (.constant, .constant) where minimum == other.minimum: return
        case (.unknown, _), (_, .unknown): spread = .unknown
        case (.known(var mine), _):
            // One owner, so that adding to it copies nothing.
            spread = .unknown
            other.add(to: &mine)
            spread = .known(mine)
        case (.constant, _):
            var mine = Distribution([(minimum, count)])
            other.add(to: &mine)
            spread = .known(mine)
        }
    }

    private func add(to distribution: inout Distribution) {
        switch spread {
        case .constant: distribution.add(minimum, weight: count)
        case .known(let mine): distribution.merge(mine)
        case .unknown: break
        }
    }

    /// nil when it is not known.
    var distribution: Distribution? {
        switch spread {
        case .constant: Distribution([(minimum, count)])
        case .known(let distribution): distribution
        case .unknown: nil
        }
    }
}
