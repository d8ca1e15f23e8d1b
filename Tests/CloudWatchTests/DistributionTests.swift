import Testing

@testable import CloudWatch

/// Repeats: xorshift64*.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}

@Suite struct DistributionTests {
    @Test func fewValuesAreExact() {
        let point = StatisticPoint((1...100).map { (Double($0), 1.0) })
        #expect(point?.count == 100)
        #expect(point?.sum == 5_050)
        #expect(point.flatMap { Statistic.percentile(50).value(of: $0) } == 50)
        #expect(point.flatMap { Statistic.percentile(99).value(of: $0) } == 99)
        #expect(point.flatMap { Statistic.percentile(99.5).value(of: $0) } == 100)
        #expect(point.flatMap { Statistic.percentile(0).value(of: $0) } == 1)
        #expect(point.flatMap { Statistic.percentile(100).value(of: $0) } == 100)
    }

    /// Percentiles of what was added in pieces and merged in whatever order stay near the true ones, and memory bounded.
    @Test(arguments: 1...8) func manyValuesStayNearAndBounded(_ seed: Int) throws {
        var random = Seeded(UInt64(seed))
        var values: [Double] = []
        var whole: StatisticPoint?
        for _ in 0..<60 {
            var pairs: [(value: Double, weight: Double)] = []
            for _ in 0..<Int.random(in: 1...150, using: &random) {
                let sign: Double = seed % 2 == 0 && Bool.random(using: &random) ? -1 : 1
                let value = sign * Double.random(in: 0...1, using: &random) * 1_000
                let count = Int.random(in: 1...4, using: &random)
                pairs.append((value, Double(count)))
                values += [Double](repeating: value, count: count)
            }
            let piece = try #require(StatisticPoint(pairs))
            if whole == nil { whole = piece } else { whole?.merge(piece) }
        }
        let point = try #require(whole)
        values.sort()
        #expect(point.count == Double(values.count))
        #expect(abs(point.sum - values.reduce(0, +)) < 1e-6 * values.reduce(0) { $0 + abs($1) })
        let distribution = try #require(point.distribution)
        #expect(distribution.entries.count <= Limits.distributionEntries)
        #expect(abs(distribution.total - Double(values.count)) < 1e-6)
        for percent in [1.0, 10, 25, 50, 75, 90, 99, 99.9] {
            let rank = max(Int((Double(values.count) * percent / 100).rounded(.up)) - 1, 0)
            let truth = values[min(rank, values.count - 1)]
            let found = try #require(Statistic.percentile(percent).value(of: point))
            #expect(abs(found - truth) <= abs(truth) * 0.2 + 1e-9, "p\(percent): \(found), in truth \(truth)")
        }
    }

    @Test func bytesAreReadBackAndHostileOnesRefused() throws {
        var random = Seeded(7)
        var distribution = Distribution((0..<150).map { (Double($0) * 1.5 - 40, 2.0) })
        #expect(Distribution(encoded: distribution.encoded()) == distribution)
        for _ in 0..<300 { distribution.add(Double.random(in: -1e6...1e6, using: &random), weight: 1) }
        #expect(distribution.level > 0)
        #expect(Distribution(encoded: distribution.encoded()) == distribution)
        for _ in 0..<2_000 {
            var bytes = distribution.encoded()
            for _ in 0..<3 {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
            if var read = Distribution(encoded: bytes) { read.add(1, weight: 1) }
        }
        #expect(Distribution(encoded: []) == nil)
    }

    @Test func extremeValuesAreGroupedToo() {
        var distribution = Distribution()
        for power in -300...300 { distribution.add(Double(sign: .plus, exponent: power, significand: 1), weight: 1) }
        #expect(distribution.entries.count <= Limits.distributionEntries)
        distribution.add(-0x1p360, weight: 1)
        distribution.add(5e-324, weight: 1)
        distribution.add(0, weight: 1)
        #expect(distribution.total == 604)
    }

    @Test func setsOfStatisticsHaveNoPercentiles() {
        var point = StatisticPoint(count: 3, sum: 6, minimum: 1, maximum: 3)
        #expect(Statistic.percentile(50).value(of: point) == nil)
        #expect(Statistic.average.value(of: point) == 2)
        point.merge(StatisticPoint(value: 2))
        #expect(Statistic.percentile(50).value(of: point) == nil)
        #expect(point.count == 4)
        let flat = StatisticPoint(count: 3, sum: 6, minimum: 2, maximum: 2)
        #expect(Statistic.percentile(50).value(of: flat) == 2)
    }

    static let trimmed: [(String, Double)] = [
        ("p50", 50.0), ("p99.9", 100), ("tm90", 45.5), ("TM(10%:90%)", 50.5), ("tc90", 90), ("ts90", 4_095),
        ("wm98", 50.47), ("IQM", 50.5), ("PR(:50)", 50), ("PR(10:50)", 40), ("TM(10:20)", 15.5), ("TC(:10)", 10),
    ]

    @Test(arguments: trimmed) func trimmedStatistics(_ name: String, _ expected: Double) throws {
        let point = try #require(StatisticPoint((1...100).map { (Double($0), 1.0) }))
        let statistic = try #require(Statistic(name))
        let value = try #require(statistic.value(of: point))
        #expect(abs(value - expected) < 0.1, "\(name): \(value)")
    }

    @Test(arguments: [
        "", "p", "p101", "pnan", "p-1", "tm", "tm(", "tm()", "tm(:)", "tm(1:2:3)", "PR90", "Median", "p1e2", "p0x1",
    ])
    func noStatistics(_ name: String) { #expect(Statistic(name) == nil) }
}
