public import Platform

/// When something is to happen, as AWS writes it.
public enum ScheduleExpression: Sendable, Hashable {
    /// Every so many seconds.
    case rate(seconds: Int64)
    case cron(CronExpression)
    /// Once, at a local time: seconds since 1970 as if the place's clock showed UTC.
    case at(local: Int64)

    /// Of an EventBridge rule: `rate(1 minute)`, `rate(5 minutes)`, `cron(…)`. Nil for anything else, also for the singular and
    /// plural in the wrong places (reference 6.4).
    public init?(rule text: String) {
        guard let (name, body) = Self.call(text) else { return nil }
        switch name {
        case "rate":
            guard let (number, unit, isPlural) = Self.rate(body), isPlural == (number != 1) else { return nil }
            self = .rate(seconds: number * unit)
        case "cron":
            guard let cron = CronExpression(body) else { return nil }
            self = .cron(cron)
        default: return nil
        }
    }

    /// Of a schedule of EventBridge Scheduler: also `at(2026-11-23T12:00:00)`; units in singular or plural.
    public init?(schedule text: String) {
        guard let (name, body) = Self.call(text) else { return nil }
        switch name {
        case "rate":
            guard let (number, unit, _) = Self.rate(body) else { return nil }
            self = .rate(seconds: number * unit)
        case "cron":
            guard let cron = CronExpression(body) else { return nil }
            self = .cron(cron)
        case "at":
            // Without a zone, and no shorter.
            guard body.utf8.count == 19, !body.contains("Z"), body.dropFirst(10).first == "T",
                body.dropFirst(4).first == "-",
                let time = Instant(iso8601: String(body))
            else { return nil }
            self = .at(local: time.seconds)
        default: return nil
        }
    }

    private static func call(_ text: String) -> (name: Substring, body: Substring)? {
        guard text.utf8.count <= Limits.expressionBytes, text.hasSuffix(")"), let open = text.firstIndex(of: "(") else {
            return nil
        }
        return (text[..<open], text[text.index(after: open)...].dropLast())
    }

    private static func rate(_ text: Substring) -> (number: Int64, unit: Int64, isPlural: Bool)? {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = CronField.number(parts[0]), number > 0 else { return nil }
        let units: [Substring: Int64] = ["minute": 60, "hour": 3_600, "day": 86_400]
        let isPlural = parts[1].hasSuffix("s")
        guard let unit = units[isPlural ? parts[1].dropLast() : parts[1]] else { return nil }
        return (Int64(number), unit, isPlural)
    }

    /// Whether it happens more than once.
    public var isRecurring: Bool { if case .at = self { false } else { true } }

    /// The first time after `now` at which it is due; nil when it never is again.
    ///
    /// - Parameters:
    ///   - anchor: where a rate counts from; the anchor itself is its first time.
    ///   - zone: of cron and at.
    public func next(after now: Instant, anchor: Instant, zone: TimeZoneRules) -> Instant? {
        switch self {
        case .rate(let seconds):
            if now < anchor { return anchor }
            let interval = Duration.seconds(seconds).clampedNanoseconds
            let passed = (now - anchor).clampedNanoseconds / interval
            let (offset, overflow) = (passed + 1).multipliedReportingOverflow(by: interval)
            return overflow ? nil : anchor + .nanoseconds(offset)
        case .at(let local):
            let time = Instant(milliseconds: zone.instant(local: local) &* 1_000)
            return time > now ? time : nil
        case .cron(let cron):
            var local = now.seconds + zone.offset(at: now.seconds)
            for _ in 0..<Limits.skippedTimes {
                guard let next = cron.next(after: local) else { return nil }
                // What the clocks leave out is skipped; what they repeat counts the first time only.
                if let seconds = zone.existingInstant(local: next) {
                    let time = Instant(milliseconds: seconds &* 1_000)
                    if time > now { return time }
                }
                local = next
            }
            return nil
        }
    }
}
