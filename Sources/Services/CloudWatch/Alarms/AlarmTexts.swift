import Glibc
import Platform

/// Reasons in the words of CloudWatch (recorded texts of alarms of all kinds).
enum AlarmTexts {
    static func reason(_ finding: AlarmFinding, _ alarm: Alarm) -> String {
        let rules = alarm.rules
        let found = finding.evaluated
        if finding.value == .insufficientData {
            let count = rules.evaluationPeriods
            return "Insufficient Data: \(count) datapoint\(count == 1 ? " was" : "s were") unknown."
        }
        if finding.missing > 0, let filling = filling(rules.missingData) {
            let (number, missing) = (found.count, finding.missing)
            return
                "Threshold Crossed: \(number == 0 ? "no datapoints were" : number == 1 ? "1 datapoint was" : "\(number) datapoints were")"
                + " received for \(rules.evaluationPeriods) period\(rules.evaluationPeriods == 1 ? "" : "s") and "
                + "\(missing) missing datapoint\(missing == 1 ? " was" : "s were") treated as [\(filling)]."
        }
        let isAlarm = finding.value == .alarm
        let shown = found.filter { rules.comparison.holds($0.value, rules.threshold) == isAlarm }
        let texts = shown.prefix(Limits.shownDatapoints).map { "\(number($0.value)) (\(date($0.time)))" }
        let list = "[\(texts.joined(separator: ", "))]"
        let relation = (isAlarm ? "" : "not ") + rules.comparison.words + " the threshold (\(number(rules.threshold)))"
        let isLong = shown.count > 3
        let verb = shown.count == 1 ? "was" : "were"
        var text = "Threshold Crossed: \(shown.count) "
        if let toAlarm = alarm.datapointsToAlarm {
            let needed = isAlarm ? toAlarm : rules.evaluationPeriods - toAlarm + 1
            let way = isAlarm ? "OK -> ALARM" : "ALARM -> OK"
            text += "out of the last \(rules.evaluationPeriods) datapoints "
            text += isLong ? "" : list + " "
            text += "\(verb) \(relation)"
            if isLong { text += ". The most recent datapoints which crossed the threshold: \(list)" }
            return text + " (minimum \(needed) datapoint\(needed == 1 ? "" : "s") for \(way) transition)."
        }
        text += shown.count == 1 ? "datapoint " : "datapoints "
        text += isLong ? "" : list + " "
        text += "\(verb) \(relation)."
        if isLong { text += " The most recent datapoints which crossed the threshold: \(list)." }
        return text
    }

    private static func filling(_ missing: AlarmRules.MissingData) -> String? {
        switch missing {
        case .breaching: "Breaching"
        case .notBreaching: "NonBreaching"
        case .ignore, .missing: nil
        }
    }

    /// The document behind a reason. `end`: of the newest period, in seconds.
    static func reasonData(_ finding: AlarmFinding, _ alarm: Alarm, end: Int64, now: Instant) -> String {
        var data: Fields = ["version": "1.0", "queryDate": .string(time(now))]
        let found = finding.evaluated
        if let oldest = found.last { data["startDate"] = .string(time(Instant(milliseconds: oldest.time * 1_000))) }
        if let unit = alarm.input.unit { data["unit"] = .string(unit) }
        if let statistic = alarm.input.statistic ?? alarm.input.extendedStatistic {
            data["statistic"] = .string(statistic)
        }
        data["period"] = .int(alarm.period)
        data["recentDatapoints"] = .list(found.reversed().map { .double($0.value) })
        data["threshold"] = .double(alarm.rules.threshold)
        var evaluated: [Value] = found.map { point in
            [
                "timestamp": .string(time(Instant(milliseconds: point.time * 1_000))),
                "sampleCount": .double(point.samples), "value": .double(point.value),
            ]
        }
        let known = Set(found.map(\.time))
        var start = end - alarm.period
        // As many of the empty periods as were made up for, the newest first.
        for _ in 0..<alarm.rules.range where evaluated.count < alarm.rules.evaluationPeriods {
            if !known.contains(start) {
                evaluated.append(["timestamp": .string(time(Instant(milliseconds: start * 1_000)))])
            }
            start -= alarm.period
        }
        data["evaluatedDatapoints"] = .list(evaluated)
        var text = JSON.encodeString(.map(data))
        if text.utf8.count > Limits.stateReasonDataCharacters {
            data["evaluatedDatapoints"] = nil
            data["recentDatapoints"] = .list(found.prefix(Limits.shownDatapoints).reversed().map { .double($0.value) })
            text = JSON.encodeString(.map(data))
        }
        return text
    }

    /// `2023-08-04T12:36:15.490+0000`
    static func time(_ instant: Instant) -> String { instant.iso8601(fractionDigits: 3).dropLast() + "+0000" }

    /// `26/10/23 16:42:00`
    private static func date(_ seconds: Int64) -> String {
        let t = CivilTime(Instant(milliseconds: seconds * 1_000))
        return
            "\(pad(t.day))/\(pad(t.month))/\(pad(Int(t.year % 100))) \(pad(t.hour)):\(pad(t.minute)):\(pad(t.second))"
    }

    /// As Java writes a double: `21.5`, `1.0E10`, `1.0E-5`.
    static func number(_ value: Double) -> String {
        let size = abs(value)
        if size == 0 || size >= 1e-3 && size < 1e7 {
            let text = value.description
            // Swift writes numbers below 10^16 out in full.
            return text.contains("e") ? "\(value)" : text
        }
        guard value.isFinite else { return value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity" }
        let exponent = Int(log10(size).rounded(.down))
        var (mantissa, shown) = (value / pow(10, Double(exponent)), exponent)
        if abs(mantissa) >= 10 { (mantissa, shown) = (mantissa / 10, exponent + 1) }
        if abs(mantissa) < 1 { (mantissa, shown) = (mantissa * 10, exponent - 1) }
        return "\(mantissa)E\(shown)"
    }

    /// The Region's name as messages show it.
    static func regionName(_ region: String) -> String {
        regions[region] ?? region
    }

    private static let regions = [
        "us-east-1": "US East (N. Virginia)", "us-east-2": "US East (Ohio)", "us-west-1": "US West (N. California)",
        "us-west-2": "US West (Oregon)", "af-south-1": "Africa (Cape Town)", "ap-east-1": "Asia Pacific (Hong Kong)",
        "ap-south-1": "Asia Pacific (Mumbai)", "ap-south-2": "Asia Pacific (Hyderabad)",
        "ap-northeast-1": "Asia Pacific (Tokyo)", "ap-northeast-2": "Asia Pacific (Seoul)",
        "ap-northeast-3": "Asia Pacific (Osaka)", "ap-southeast-1": "Asia Pacific (Singapore)",
        "ap-southeast-2": "Asia Pacific (Sydney)", "ap-southeast-3": "Asia Pacific (Jakarta)",
        "ap-southeast-4": "Asia Pacific (Melbourne)", "ca-central-1": "Canada (Central)",
        "eu-central-1": "EU (Frankfurt)", "eu-central-2": "Europe (Zurich)", "eu-west-1": "EU (Ireland)",
        "eu-west-2": "EU (London)", "eu-west-3": "EU (Paris)", "eu-north-1": "EU (Stockholm)",
        "eu-south-1": "EU (Milan)", "eu-south-2": "Europe (Spain)", "me-south-1": "Middle East (Bahrain)",
        "me-central-1": "Middle East (UAE)", "il-central-1": "Israel (Tel Aviv)",
        "sa-east-1": "South America (Sao Paulo)",
    ]
}
