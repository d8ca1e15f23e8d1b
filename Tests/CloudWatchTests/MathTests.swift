import Platform
import Testing
import Wire

@testable import CloudWatch

@Suite struct MathTests {
    static func series(_ values: [Double?], id: String = "m") -> TimeSeries {
        var series = TimeSeries(label: id, period: 60)
        for (index, value) in values.enumerated() { if let value { series.append(Int64(index) * 60, value) } }
        return series
    }

    /// Works an expression out over m1 = 1 2 3 4, m2 = 10 - 30 40.
    static func value(_ text: String) throws -> MathValue {
        let known = ["m1": series([1, 2, 3, 4], id: "m1"), "m2": series([10, nil, 30, 40], id: "m2")]
        var evaluator = MathEvaluator(
            start: 0, end: 240, period: 60,
            resolve: { (id: String) throws(AWSError) in
                guard let series = known[id] else { throw AWSError.validation("no \(id)") }
                return .series(series)
            },
            metrics: { () throws(AWSError) in known.keys.sorted().map { ($0, known[$0] ?? series([])) } })
        return try evaluator.evaluate(try Expression(text))
    }

    static func values(_ text: String) throws -> [Double] {
        switch try value(text) {
        case .series(let series): series.values
        case .scalar(let number): [number]
        case .array(let all): all.flatMap(\.values)
        }
    }

    static let expressions: [(String, [Double])] = [
        ("m1 + m2", [11.0, 33, 44]), ("m1 * 2 - 1", [1, 3, 5, 7]), ("2 ^ 3 ^ 2", [512]), ("-2 ^ 2", [-4]),
        ("(1 + 2) * 3", [9]), ("m2 / m1", [10, 10, 10]), ("m1 / (m1 - 2)", [-1, 3, 2]), ("m1 > 2", [0, 0, 1, 1]),
        ("m1 >= 2 AND m1 < 4", [0, 1, 1, 0]), ("m1 == 1 || m1 == 4", [1, 0, 0, 1]),
        ("SUM(METRICS())", [11, 2, 33, 44]),
        ("AVG([m1, m2])", [5.5, 2, 16.5, 22]), ("MAX(m1)", [4]), ("MIN([m1,m2])", [1, 2, 3, 4]), ("SUM(m2)", [80]),
        ("m1 / SUM(m1) * 10", [1, 2, 3, 4]), ("FILL(m2, 0)", [10, 0, 30, 40]), ("FILL(m2, REPEAT)", [10, 10, 30, 40]),
        ("FILL(m2, LINEAR)", [10, 20, 30, 40]), ("FILL(m2, m1)", [10, 2, 30, 40]),
        ("RATE(m1)", [0.016666666666666666, 0.016666666666666666, 0.016666666666666666]),
        ("DIFF(m2)", [20, 10]), ("DIFF_TIME(m2)", [120, 60]), ("RUNNING_SUM(m1)", [1, 3, 6, 10]), ("PERIOD(m1)", [60]),
        ("ABS(0 - m1)", [1, 2, 3, 4]), ("CEIL(m1 / 2)", [1, 1, 2, 2]), ("FLOOR(m1/2)", [0, 1, 1, 2]),
        ("LOG10(m2*10)", [2, 2.4771212547196626, 2.6020599913279625]),
        ("IF(m1 > 2, m1, 0)", [0, 0, 3, 4]), ("IF(m1 > 2, m2)", [30, 40]), ("IF(1, m1, m2)", [1, 2, 3, 4]),
        ("METRIC_COUNT(METRICS())", [2]), ("DATAPOINT_COUNT(m2)", [3]), ("TIME_SERIES(7)", [7, 7, 7, 7]),
        ("FIRST(SORT(METRICS(), SUM, DESC))", [10, 30, 40]), ("SLICE(METRICS(), 1)", [10, 30, 40]),
        ("SUM(METRICS('m2'))", [10, 30, 40]), ("STDDEV(m1)", [1.118033988749895]), ("MINUTE(m1)", [0, 1, 2, 3]),
        ("METRICS() * 2", [2, 4, 6, 8, 20, 60, 80]), ("1.5e1 + .5", [15.5]),
    ]

    /// A thousand operators take no more stack than one; what would be made of them is counted before it is.
    @Test func longChainsAndLongFills() throws {
        #expect(try Self.values("1" + String(repeating: "+1", count: 1_000)) == [1_001])
        #expect(try Expression("m1" + String(repeating: "*m2", count: 680)).references == ["m1", "m2"])
        let one = TimeSeries(label: "m", period: 1)
        var evaluator = MathEvaluator(
            start: 0, end: 31_622_400, period: 1, resolve: { (_: String) throws(AWSError) in .array([one, one, one]) },
            metrics: { () throws(AWSError) in [] })
        #expect(throws: AWSError.self) { try evaluator.evaluate(Expression("FILL(m, 0)")) }
    }

    @Test(arguments: expressions)
    func works(_ text: String, _ expected: [Double]) throws {
        let found = try Self.values(text)
        #expect(
            found.count == expected.count && zip(found, expected).allSatisfy { abs($0 - $1) < 1e-9 },
            "\(text): \(found)")
    }

    @Test(arguments: [
        "", "m1 +", "(m1", "m1 m2", "SUM(", "SUM(m1,)", "1..2.3", "'open", "m1 $ m2", "[m1, m2", "IF(m1)", "SUM()",
        "METRICS(1)",
        "ABC", "'text'", "METRICS() + METRICS()", "SLICE(METRICS(), -1)", "SORT(m1, ODD, ASC)", "m9",
    ])
    func refuses(_ text: String) { #expect(throws: AWSError.self) { try Self.values(text) } }

    @Test func unknownFunctionsAreNamed() throws {
        for name in ["SEARCH('{AWS/Lambda} x', 'Sum')", "ANOMALY_DETECTION_BAND(m1)"] {
            let error = #expect(throws: AWSError.self) { try Expression(name) }
            #expect(error?.message.contains(String(name.prefix(6))) == true)
        }
    }

    @Test func depthAndStepsAreBounded() {
        #expect(throws: AWSError.self) { try Expression(String(repeating: "(", count: 1_000) + "1") }
        #expect(throws: AWSError.self) { try Expression(String(repeating: "-", count: 2_000) + "1") }
        #expect(throws: AWSError.self) { try Expression(String(repeating: "ABS(", count: 500) + "1") }
        #expect(throws: AWSError.self) { try Expression(String(repeating: "2^", count: 1_000) + "1") }
        var evaluator = MathEvaluator(
            start: 0, end: 100_000_000, period: 1, resolve: { (_: String) throws(AWSError) in .scalar(1) },
            metrics: { () throws(AWSError) in [] })
        var isStopped = false
        do { _ = try evaluator.evaluate(try Expression("TIME_SERIES(1)")) } catch { isStopped = true }
        #expect(isStopped)
    }

    @Test(arguments: 1...6) func hostileTextsDoNotCrash(_ seed: Int) {
        var random = Seeded(UInt64(seed))
        let parts = [
            "m1", "m2", "(", ")", "+", "-", "*", "/", "^", ",", "[", "]", "SUM(", "IF(", "FILL(", "METRICS()", "1", "0",
            "1e308", "REPEAT", "'", "<", "&&", "RATE(",
        ]
        for _ in 0..<2_000 {
            let text = (0..<Int.random(in: 1...12, using: &random)).map { _ in parts.randomElement(using: &random) ?? ""
            }
            .joined(separator: Bool.random(using: &random) ? " " : "")
            _ = try? Self.values(text)
        }
    }

    /// Pages follow one another without gap or overlap, on the grid of periods.
    @Test(arguments: 1...10) func pagesCoverTheRange(_ seed: Int) throws {
        var random = Seeded(UInt64(seed))
        for _ in 0..<200 {
            let period = [1, 10, 60, 300].randomElement(using: &random) ?? 60
            let start = Int64.random(in: 0...1_000, using: &random) * 60
            let whole = Window(
                start: start, end: start + Int64.random(in: 1...5_000, using: &random), period: Int64(period))
            let isAscending = Bool.random(using: &random)
            let limit = Int.random(in: 1...50, using: &random)
            var place = isAscending ? whole.start : whole.end
            var token: String?
            var pages = 0
            repeat {
                let page = try DataPage(
                    whole, pointsPerSecond: 2 / Double(period), limit: limit, isAscending: isAscending, token: token)
                #expect(isAscending ? page.start == place : page.end == place)
                #expect(page.start < page.end && (page.start - whole.start) % whole.period == 0)
                #expect((page.end - page.start + whole.period - 1) / whole.period <= max(Int64(limit), 1))
                place = isAscending ? page.end : page.start
                token = page.next.map { PageToken.encode("\($0)") }
                pages += 1
            } while token != nil && pages < 10_000
            #expect(place == (isAscending ? whole.end : whole.start))
        }
        #expect(throws: AWSError.self) {
            try DataPage(
                Window(start: 0, end: 60, period: 60), pointsPerSecond: 1, limit: 1, isAscending: true,
                token: PageToken.encode("9999999"))
        }
    }
}
