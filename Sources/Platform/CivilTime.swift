/// A UTC calendar date and time of day; the proleptic Gregorian calendar, without leap seconds.
///
/// Own arithmetic, because Foundation's formatters cost ICU (9 MB of idle memory) for what is forty lines.
public struct CivilTime: Sendable, Hashable {
    public var year: Int64
    public var month: Int  // 1...12
    public var day: Int  // 1...31
    public var hour: Int
    public var minute: Int
    public var second: Int
    public var nanosecond: Int
    /// 0 is Sunday.
    public var weekday: Int

    public init(_ instant: Instant) {
        let seconds = instant.seconds
        let days = seconds.flooredDivision(by: 86_400)
        let secondOfDay = Int(seconds - days * 86_400)
        (year, month, day) = CivilTime.civil(fromDays: days)
        hour = secondOfDay / 3600
        minute = secondOfDay / 60 % 60
        second = secondOfDay % 60
        // Not by multiplying back: the ends of the range would overflow.
        let remainder = Int(instant.nanoseconds % 1_000_000_000)
        nanosecond = remainder < 0 ? remainder + 1_000_000_000 : remainder
        weekday = Int(((days % 7) + 11) % 7)
    }

    /// Days since 1970-01-01 of a civil date (Howard Hinnant's public-domain algorithm, "days_from_civil").
    public static func days(year: Int64, month: Int, day: Int) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted.flooredDivision(by: 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = Int64((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1)
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    static func civil(fromDays days: Int64) -> (Int64, Int, Int) {
        let shifted = days + 719_468
        let era = shifted.flooredDivision(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let day = Int(dayOfYear - (153 * monthIndex + 2) / 5 + 1)
        let month = Int(monthIndex < 10 ? monthIndex + 3 : monthIndex - 9)
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    /// The instant of a civil time in UTC. Fields out of range are refused with nil.
    public static func instant(
        year: Int64, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0, nanosecond: Int = 0
    ) -> Instant? {
        guard (1700...2261).contains(year), (1...12).contains(month), (1...31).contains(day), (0...23).contains(hour),
            (0...59).contains(minute), (0...60).contains(second), (0..<1_000_000_000).contains(nanosecond)
        else { return nil }
        let dayNumber = days(year: year, month: month, day: day)
        guard civil(fromDays: dayNumber).1 == month else { return nil }
        let seconds = dayNumber * 86_400 + Int64(hour * 3600 + minute * 60 + second)
        return Instant(nanoseconds: seconds * 1_000_000_000 + Int64(nanosecond))
    }
}

extension Instant {
    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// `2026-11-23T06:00:00Z`, or with `fractionDigits` (3 → `…00.123Z`).
    public func iso8601(fractionDigits: Int = 0) -> String {
        let t = CivilTime(self)
        var text =
            "\(pad(Int(t.year), 4))-\(pad(t.month))-\(pad(t.day))T\(pad(t.hour)):\(pad(t.minute)):\(pad(t.second))"
        if fractionDigits > 0 {
            text += "." + pad(t.nanosecond, 9).prefix(min(fractionDigits, 9))
        }
        return text + "Z"
    }

    /// `20261123T060000Z`, as SigV4 writes it.
    public var iso8601Basic: String {
        let t = CivilTime(self)
        return "\(pad(Int(t.year), 4))\(pad(t.month))\(pad(t.day))T\(pad(t.hour))\(pad(t.minute))\(pad(t.second))Z"
    }

    /// `Mon, 23 Nov 2026 06:00:00 GMT` (RFC 9110 IMF-fixdate).
    public var httpDate: String {
        let t = CivilTime(self)
        return "\(Instant.weekdays[t.weekday]), \(pad(t.day)) \(Instant.months[t.month - 1]) \(pad(Int(t.year), 4)) "
            + "\(pad(t.hour)):\(pad(t.minute)):\(pad(t.second)) GMT"
    }

    /// Parses `2026-11-23T06:00:00[.fff][Z|±hh:mm|+hhmm]` and the basic form `20261123T060000Z`; nil when it is neither.
    public init?(iso8601 text: String) {
        var scanner = DigitScanner(text)
        guard let year = scanner.number(digits: 4) else { return nil }
        let dashed = scanner.skip("-")
        guard let month = scanner.number(digits: 2) else { return nil }
        if dashed, !scanner.skip("-") { return nil }
        guard let day = scanner.number(digits: 2) else { return nil }
        var (hour, minute, second, nanosecond, offset) = (0, 0, 0, 0, 0)
        if scanner.skip("T") || scanner.skip("t") || scanner.skip(" ") {
            guard let h = scanner.number(digits: 2) else { return nil }
            let colons = scanner.skip(":")
            guard let m = scanner.number(digits: 2) else { return nil }
            (hour, minute) = (h, m)
            if !colons || scanner.skip(":") {
                guard let s = scanner.number(digits: 2) else { return nil }
                second = s
            }
            if scanner.skip(".") {
                guard let fraction = scanner.fraction() else { return nil }
                nanosecond = fraction
            }
            guard let o = scanner.zone() else { return nil }
            offset = o
        }
        guard scanner.atEnd,
            let instant = CivilTime.instant(
                year: Int64(year), month: month, day: day, hour: hour, minute: minute, second: second,
                nanosecond: nanosecond)
        else { return nil }
        self = instant - .seconds(offset)
    }

    /// Parses an IMF-fixdate; nil for anything else (the obsolete forms of RFC 9110 are not sent by AWS clients).
    public init?(httpDate text: String) {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT" || parts[5] == "UTC", let day = Int(parts[1]),
            let month = Instant.months.firstIndex(of: String(parts[2])), let year = Int64(parts[3])
        else { return nil }
        let clock = parts[4].split(separator: ":").compactMap { Int($0) }
        guard clock.count == 3,
            let instant = CivilTime.instant(
                year: year, month: month + 1, day: day, hour: clock[0], minute: clock[1], second: clock[2])
        else { return nil }
        self = instant
    }
}

/// `value` in decimal with leading zeros up to `width`.
public func pad(_ value: Int, _ width: Int = 2) -> String {
    let digits = String(value)
    return digits.count >= width ? digits : String(repeating: "0", count: width - digits.count) + digits
}

private struct DigitScanner {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = text[...].utf8 }

    var atEnd: Bool { rest.isEmpty }

    mutating func skip(_ character: Character) -> Bool {
        guard let first = rest.first, first == character.asciiValue else { return false }
        rest = rest.dropFirst()
        return true
    }

    mutating func number(digits: Int) -> Int? {
        let head = rest.prefix(digits)
        guard head.count == digits, head.allSatisfy({ (48...57).contains($0) }) else { return nil }
        rest = rest.dropFirst(digits)
        return head.reduce(0) { $0 * 10 + Int($1 - 48) }
    }

    mutating func fraction() -> Int? {
        let head = rest.prefix { (48...57).contains($0) }
        guard !head.isEmpty else { return nil }
        rest = rest.dropFirst(head.count)
        let nine = head.prefix(9)
        return nine.reduce(0) { $0 * 10 + Int($1 - 48) }
            * [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000][9 - nine.count]
    }

    /// Seconds east of UTC; an absent zone counts as UTC.
    mutating func zone() -> Int? {
        if atEnd || skip("Z") || skip("z") { return 0 }
        let sign = skip("+") ? 1 : (skip("-") ? -1 : 0)
        guard sign != 0, let hours = number(digits: 2) else { return nil }
        _ = skip(":")
        guard let minutes = number(digits: 2) else { return nil }
        return sign * (hours * 3600 + minutes * 60)
    }
}
