import Platform
import Testing

@testable import CloudWatch

@Suite struct AlarmMachineTests {
    /// The tables of the documentation: oldest datapoint first, 0 within the threshold, X breaching, - missing; the states with
    /// missing data treated as missing, ignored, breaching and not breaching (nil: stays as it is).
    struct Example: Sendable {
        var points: String
        var needed: Int
        var states: [StateValue?]
        init(_ points: String, _ needed: Int, _ states: [StateValue?]) {
            (self.points, self.needed, self.states) = (points, needed, states)
        }
    }

    static let examples: [Example] = [
        Example("0-X-X", 3, [.ok, .ok, .ok, .ok]), Example("0----", 3, [.ok, .ok, .ok, .ok]),
        Example("-----", 3, [.insufficientData, nil, .alarm, .ok]),
        Example("0XX-X", 3, [.alarm, .alarm, .alarm, .alarm]),
        Example("----X", 3, [.insufficientData, nil, .alarm, .ok]), Example("--X--", 3, [.alarm, nil, .alarm, .ok]),
        Example("0-X-X", 2, [.alarm, .alarm, .alarm, .alarm]), Example("00X0X", 2, [.alarm, .alarm, .alarm, .alarm]),
        Example("0-X--", 2, [.ok, .ok, .alarm, .ok]), Example("----0", 2, [.ok, .ok, .alarm, .ok]),
        Example("----X", 2, [.insufficientData, nil, .alarm, .ok]), Example("---X-", 2, [.alarm, nil, .alarm, .ok]),
    ]

    static let treatments: [AlarmRules.MissingData] = [.missing, .ignore, .breaching, .notBreaching]

    static func range(_ points: String) -> [Datapoint?] {
        points.reversed().enumerated().map { index, mark in
            mark == "-" ? nil : Datapoint(time: Int64(-index * 60), value: mark == "X" ? 5 : 1, samples: 1)
        }
    }

    static func rules(_ needed: Int, of periods: Int, _ missing: AlarmRules.MissingData) -> AlarmRules {
        AlarmRules(
            comparison: .greater, threshold: 3, evaluationPeriods: periods, datapointsToAlarm: needed,
            missingData: missing)
    }

    @Test(arguments: examples) func documentedExamples(_ example: Example) {
        for (treatment, expected) in zip(Self.treatments, example.states) {
            let finding = AlarmMachine.evaluate(
                Self.range(example.points), Self.rules(example.needed, of: 3, treatment))
            #expect(finding?.value == expected, "\(example.points), \(example.needed) of 3, \(treatment)")
        }
    }

    /// What the documentation says, word by word and without shortcuts: fill every missing point in turn.
    static func naive(_ points: [Character], _ needed: Int, _ periods: Int, _ missing: AlarmRules.MissingData)
        -> StateValue?
    {
        var real: [Character] = []
        for point in points.reversed() where point != "-" && real.count < periods { real.append(point) }
        let gaps = periods - real.count
        func state(_ filled: [Character]) -> StateValue { filled.filter { $0 == "X" }.count >= needed ? .alarm : .ok }
        if gaps == 0 { return state(real) }
        switch missing {
        case .breaching: return state(real + [Character](repeating: "X", count: gaps))
        case .notBreaching: return state(real + [Character](repeating: "0", count: gaps))
        case .ignore, .missing:
            if state(real) == .alarm { return .alarm }
            if real.contains("0") { return .ok }
            if missing == .ignore { return nil }
            guard let oldest = points.firstIndex(of: "X") else { return .insufficientData }
            return points.count - oldest >= needed ? .alarm : .insufficientData
        }
    }

    @Test(arguments: 1...20) func agreesWithANaiveEvaluator(_ seed: Int) {
        var random = Seeded(UInt64(seed))
        for _ in 0..<500 {
            let periods = Int.random(in: 1...8, using: &random)
            let needed = Int.random(in: 1...periods, using: &random)
            let points = (0..<(periods + Limits.furtherPeriods)).map { _ in "0X--".randomElement(using: &random) ?? "-"
            }
            for treatment in Self.treatments {
                let found = AlarmMachine.evaluate(
                    Self.range(String(points)), Self.rules(needed, of: periods, treatment))
                let expected = Self.naive(points, needed, periods, treatment)
                #expect(found?.value == expected, "\(String(points)) \(needed) of \(periods) \(treatment)")
            }
        }
    }

    @Test func fewSamplesBehindAPercentileChangeNothing() {
        var rules = Self.rules(1, of: 1, .missing)
        rules.significantSamples = 1_000
        #expect(AlarmMachine.evaluate([Datapoint(time: 0, value: 5, samples: 999), nil, nil], rules) == nil)
        #expect(
            AlarmMachine.evaluate([Datapoint(time: 0, value: 5, samples: 1_000), nil, nil], rules)?.value == .alarm)
        #expect(AlarmMachine.evaluate([nil, nil, nil], rules)?.value == .insufficientData)
    }

    @Test func evaluationsKeepTheirTimes() {
        let start = Instant(milliseconds: 1_700_000_000_000)  // 20 seconds into a minute
        var clock = EvaluationClock(timeScale: 1)
        #expect(clock.next == nil)
        clock.expect(slow: true, fast: false, now: start)
        #expect(clock.next == Instant(milliseconds: 1_700_000_045_000))
        clock.expect(slow: true, fast: true, now: start + .seconds(1))
        #expect(clock.slow == Instant(milliseconds: 1_700_000_045_000))
        #expect(clock.fast == Instant(milliseconds: 1_700_000_002_000))
        let due = clock.takeDue(start + .seconds(3))
        #expect(!due.slow && due.fast)
        #expect(clock.end(start + .seconds(59), isFast: false) == 1_700_000_040)
        #expect(clock.end(start + .seconds(59), isFast: true) == 1_700_000_050)
        clock.expect(slow: false, fast: false, now: start)
        #expect(clock.next == nil)
        // A clock that is set back by an hour: what lies an hour ahead then is due now.
        clock.expect(slow: true, fast: true, now: start)
        let early = clock.takeDue(start - .seconds(3_600))
        #expect(early.slow && early.fast)
        clock.expect(slow: true, fast: true, now: start - .seconds(3_600))
        #expect(clock.next.map { $0 < start - .seconds(3_590) } == true)
        var scaled = EvaluationClock(timeScale: 600)
        scaled.expect(slow: true, fast: true, now: start)
        #expect(scaled.next == start + Limits.shortestEvaluationInterval)
    }
}
