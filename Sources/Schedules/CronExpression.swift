import Platform

/// AWS's cron: minutes, hours, day of month, month, day of week, year (EventBridge user guide, "Cron expressions").
public struct CronExpression: Sendable, Hashable {
    /// Bits by their numbers.
    private let minutes: UInt64
    private let hours: UInt64
    private let months: UInt64
    private let days: CronDays
    /// Empty: every year.
    private let years: Set<Int>

    /// What stands between the brackets of `cron(…)`; nil when AWS would refuse it.
    public init?(_ text: some StringProtocol) {
        let fields = text.split(separator: " ").map { Substring($0) }
        guard text.utf8.count <= Limits.expressionBytes, fields.count == 6,
            let minutes = CronField.minutes.mask(fields[0]), let hours = CronField.hours.mask(fields[1]),
            let days = CronDays(dayOfMonth: fields[2], dayOfWeek: fields[4]),
            let months = CronField.months.mask(fields[3]), let years = CronField.years.values(fields[5])
        else { return nil }
        self.minutes = minutes
        self.hours = hours
        self.months = months
        self.days = days
        self.years = fields[5] == "*" ? [] : years
    }

    /// The first time after `local` that the expression names, both in seconds of local time: as if the place's clock showed
    /// UTC. Nil when there is none up to the year 2199.
    public func next(after local: Int64) -> Int64? {
        guard (-Limits.secondsOfInstants...Limits.secondsOfInstants).contains(local) else { return nil }
        let start = CivilTime(Instant(milliseconds: (local.flooredDivision(by: 60) + 1) &* 60_000))
        guard start.year <= Int64(Limits.years.upperBound) else { return nil }
        let startYear = Int(start.year)
        let firstYear = max(startYear, Limits.years.lowerBound)
        for year in firstYear...Limits.years.upperBound where years.isEmpty || years.contains(year) {
            let firstMonth = year == startYear ? start.month : 1
            for month in firstMonth...12 where months & 1 << UInt64(month) != 0 {
                let isStart = year == startYear && month == start.month
                var left = days.mask(year: year, month: month)
                if isStart { left &= ~0 << UInt64(start.day) }
                while left != 0 {
                    let day = left.trailingZeroBitCount
                    left &= left - 1
                    let from = isStart && day == start.day ? (start.hour, start.minute) : (0, 0)
                    guard let (hour, minute) = timeOfDay(from: from) else { continue }
                    return CivilTime.days(year: Int64(year), month: month, day: day) * 86_400
                        + Int64(hour * 3_600 + minute * 60)
                }
            }
        }
        return nil
    }

    private func timeOfDay(from start: (hour: Int, minute: Int)) -> (Int, Int)? {
        var left = hours & ~0 << UInt64(start.hour)
        while left != 0 {
            let hour = left.trailingZeroBitCount
            left &= left - 1
            let minutes = hour == start.hour ? self.minutes & ~0 << UInt64(start.minute) : self.minutes
            if minutes != 0 { return (hour, minutes.trailingZeroBitCount) }
        }
        return nil
    }
}
