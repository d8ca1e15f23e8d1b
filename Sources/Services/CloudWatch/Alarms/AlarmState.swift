import Platform

/// The three states of an alarm, by their names.
enum StateValue: String, Sendable {
    case ok = "OK"
    case alarm = "ALARM"
    case insufficientData = "INSUFFICIENT_DATA"
}

/// What an alarm says now, and why.
struct AlarmState: Sendable, Equatable {
    var value: StateValue
    var reason: String
    /// A JSON document.
    var reasonData: String?
    /// When it was last set.
    var updated: Instant
    /// When it last became another.
    var transitioned: Instant

    static func initial(_ now: Instant) -> AlarmState {
        AlarmState(
            value: .insufficientData, reason: "Unchecked: Initial alarm creation", reasonData: nil, updated: now,
            transitioned: now)
    }
}

/// When an alarm goes off: M of N datapoints (CloudWatch user guide, "Alarm evaluation").
struct AlarmRules: Sendable, Equatable {
    enum Comparison: String, Sendable {
        case greaterOrEqual = "GreaterThanOrEqualToThreshold"
        case greater = "GreaterThanThreshold"
        case less = "LessThanThreshold"
        case lessOrEqual = "LessThanOrEqualToThreshold"

        func holds(_ value: Double, _ threshold: Double) -> Bool {
            switch self {
            case .greaterOrEqual: value >= threshold
            case .greater: value > threshold
            case .less: value < threshold
            case .lessOrEqual: value <= threshold
            }
        }

        /// As reasons say it.
        var words: String {
            switch self {
            case .greaterOrEqual: "greater than or equal to"
            case .greater: "greater than"
            case .less: "less than"
            case .lessOrEqual: "less than or equal to"
            }
        }
    }

    enum MissingData: String, Sendable {
        case breaching
        case notBreaching
        case ignore
        case missing
    }

    var comparison: Comparison
    var threshold: Double
    /// N.
    var evaluationPeriods: Int
    /// M.
    var datapointsToAlarm: Int
    var missingData: MissingData
    /// With fewer samples than this behind its datapoints the alarm stays as it is (percentiles with
    /// EvaluateLowSampleCountPercentile `ignore`).
    var significantSamples: Double?

    /// Periods that are looked at for data.
    var range: Int { evaluationPeriods + Limits.furtherPeriods }
}

/// What an evaluation found.
struct AlarmFinding: Sendable, Equatable {
    var value: StateValue
    /// The datapoints that counted, newest first.
    var evaluated: [Datapoint]
    /// Periods that had to be made up for.
    var missing: Int
}

/// Decides an alarm's state from its datapoints: pure.
enum AlarmMachine {
    /// `range`: the datapoints of the last periods, newest first, nil where there is none; `rules.range` of them. nil: the
    /// state stays as it is, whatever it is.
    static func evaluate(_ range: [Datapoint?], _ rules: AlarmRules) -> AlarmFinding? {
        let evaluated = Array(range.compactMap { $0 }.prefix(rules.evaluationPeriods))
        let missing = max(rules.evaluationPeriods - evaluated.count, 0)
        if let needed = rules.significantSamples, !evaluated.isEmpty,
            evaluated.reduce(0, { $0 + $1.samples }) < needed
        {
            return nil
        }
        func finding(_ value: StateValue) -> AlarmFinding {
            AlarmFinding(value: value, evaluated: evaluated, missing: missing)
        }
        let breaching = evaluated.filter { rules.comparison.holds($0.value, rules.threshold) }.count
        if breaching >= rules.datapointsToAlarm {
            // Nothing had to be made up for.
            return AlarmFinding(value: .alarm, evaluated: evaluated, missing: 0)
        }
        if missing == 0 { return finding(.ok) }
        switch rules.missingData {
        case .breaching: return finding(breaching + missing >= rules.datapointsToAlarm ? .alarm : .ok)
        case .notBreaching: return finding(.ok)
        case .ignore: return breaching < evaluated.count ? finding(.ok) : nil
        case .missing:
            if breaching < evaluated.count { return finding(.ok) }
            // "Avoiding premature transitions": what is breaching as far back as M, with nothing but missing data since, is an
            // alarm; what has only begun may still be followed by good datapoints.
            let oldest = range.prefix(rules.range).lastIndex { $0 != nil }
            if let oldest, oldest + 1 >= rules.datapointsToAlarm { return finding(.alarm) }
            return finding(.insufficientData)
        }
    }
}
