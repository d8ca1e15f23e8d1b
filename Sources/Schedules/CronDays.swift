import Platform

/// Which days of a month a cron expression means.
enum CronDays: Sendable, Hashable {
    case ofMonth(OfMonth)
    case ofWeek(OfWeek)

    struct OfMonth: Sendable, Hashable {
        /// Bits 1...31.
        var days: UInt64 = 0
        /// Days before the last: `L` is 0, `L-3` is 3.
        var fromLast: Set<Int> = []
        /// `15W`: the weekday (Monday to Friday) that is nearest to the day, in the same month.
        var nearest: Set<Int> = []
        /// `LW`: the last weekday.
        var lastWeekday = false
    }

    struct OfWeek: Sendable, Hashable {
        /// Bits 1...7; 1 is Sunday.
        var days: UInt64 = 0
        /// `6L`: the last Friday of the month.
        var last: Set<Int> = []
        /// `3#2`: the second Tuesday.
        var nth: Nth?
    }

    struct Nth: Sendable, Hashable {
        var day: Int
        var number: Int
    }

    // MARK: Reading

    /// One of the two fields must be `?`; nil when neither or both are, or one cannot be read.
    init?(dayOfMonth: Substring, dayOfWeek: Substring) {
        switch (dayOfMonth == "?", dayOfWeek == "?") {
        case (false, true):
            guard let days = OfMonth(dayOfMonth) else { return nil }
            self = .ofMonth(days)
        case (true, false):
            guard let days = OfWeek(dayOfWeek) else { return nil }
            self = .ofWeek(days)
        default: return nil
        }
    }

    // MARK: Asking

    /// The days of a month as bits 1...31.
    func mask(year: Int, month: Int) -> UInt64 {
        let firstDay = CivilTime.days(year: Int64(year), month: month, day: 1)
        let next = month == 12 ? (year + 1, 1) : (year, month + 1)
        let length = Int(CivilTime.days(year: Int64(next.0), month: next.1, day: 1) - firstDay)
        // 1970-01-01 was a Thursday; Sunday is 1.
        let weekdayOfFirst = Int((firstDay % 7 + 11) % 7) + 1
        let weekday: (Int) -> Int = { (weekdayOfFirst - 1 + $0 - 1) % 7 + 1 }
        let inMonth: UInt64 = (1 << UInt64(length + 1)) - 2
        switch self {
        case .ofMonth(let days): return days.mask(length: length, weekday) & inMonth
        case .ofWeek(let days): return days.mask(length: length, weekday) & inMonth
        }
    }
}

extension CronDays.OfMonth {
    init?(_ text: Substring) {
        for element in text.split(separator: ",", omittingEmptySubsequences: false) {
            let upper = element.uppercased()
            if upper == "L" {
                fromLast.insert(0)
            } else if upper == "LW" || upper == "WL" {
                lastWeekday = true
            } else if upper.hasPrefix("L-") {
                guard let number = CronField.number(Substring(upper.dropFirst(2))), (1...30).contains(number) else {
                    return nil
                }
                fromLast.insert(number)
            } else if upper.hasSuffix("W") {
                guard let day = CronField.daysOfMonth.value(Substring(upper.dropLast())) else { return nil }
                nearest.insert(day)
            } else {
                guard let mask = CronField.daysOfMonth.mask(element) else { return nil }
                days |= mask
            }
        }
    }

    /// `weekday` of a day: 1 is Sunday.
    func mask(length: Int, _ weekday: (Int) -> Int) -> UInt64 {
        var mask = days
        for number in fromLast where length - number >= 1 { mask |= 1 << UInt64(length - number) }
        for day in nearest where day <= length {
            let day = Self.nearestWeekday(day, length: length, weekday)
            mask |= 1 << UInt64(day)
        }
        if lastWeekday { mask |= 1 << UInt64(Self.nearestWeekday(length, length: length, weekday)) }
        return mask
    }

    private static func nearestWeekday(_ day: Int, length: Int, _ weekday: (Int) -> Int) -> Int {
        switch weekday(day) {
        case 7: day > 1 ? day - 1 : day + 2
        case 1: day < length ? day + 1 : day - 2
        default: day
        }
    }
}

extension CronDays.OfWeek {
    init?(_ text: Substring) {
        if text.contains("#") {
            // Only one, and nothing beside it.
            let parts = text.split(separator: "#", omittingEmptySubsequences: false)
            guard parts.count == 2, let day = CronField.daysOfWeek.value(parts[0]),
                let number = CronField.number(parts[1]), (1...5).contains(number)
            else { return nil }
            nth = CronDays.Nth(day: day, number: number)
            return
        }
        for element in text.split(separator: ",", omittingEmptySubsequences: false) {
            let upper = element.uppercased()
            if upper == "L" {
                days |= 1 << 7  // the last day of the week
            } else if upper.hasSuffix("L") {
                guard let day = CronField.daysOfWeek.value(Substring(upper.dropLast())) else { return nil }
                last.insert(day)
            } else {
                guard let mask = CronField.daysOfWeek.mask(element) else { return nil }
                days |= mask
            }
        }
    }

    func mask(length: Int, _ weekday: (Int) -> Int) -> UInt64 {
        var mask: UInt64 = 0
        for day in 1...length {
            let name = weekday(day)
            let isLast = day + 7 > length
            let isNth = nth.map { $0.day == name && (day - 1) / 7 + 1 == $0.number } ?? false
            if days & 1 << UInt64(name) != 0 || isNth || isLast && last.contains(name) { mask |= 1 << UInt64(day) }
        }
        return mask
    }
}
