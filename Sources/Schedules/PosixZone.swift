import Platform

/// The rule for the time behind a zone's last recorded change: a POSIX TZ string (`EST5EDT,M3.2.0,M11.1.0`).
struct PosixZone: Sendable, Hashable {
    /// Seconds east of UTC.
    private var standard: Int64
    private var summer: Summer?

    private struct Summer: Sendable, Hashable {
        var offset: Int64
        var start: Change
        var end: Change
    }

    /// When the clocks change, each year.
    private struct Change: Sendable, Hashable {
        enum Day: Sendable, Hashable {
            /// Of a month: week 1...5 (5 is the last), weekday 0...6 from Sunday.
            case month(Int, week: Int, weekday: Int)
            /// 1...365; 29 February is never counted.
            case julian(Int)
            /// 0...365.
            case ofYear(Int)
        }
        var day: Day
        /// Seconds from the day's start; may be of another day.
        var time: Int64

        /// Seconds since 1970 in local time.
        func local(year: Int64) -> Int64 {
            let newYear = CivilTime.days(year: year, month: 1, day: 1)
            switch day {
            case .julian(let number):
                let isLeap = CivilTime.days(year: year, month: 3, day: 1) - newYear == 60
                return (newYear + Int64(number - 1) + (isLeap && number >= 60 ? 1 : 0)) * 86_400 + time
            case .ofYear(let number): return (newYear + Int64(number)) * 86_400 + time
            case .month(let month, let week, let weekday):
                let first = CivilTime.days(year: year, month: month, day: 1)
                let next = CivilTime.days(
                    year: month == 12 ? year + 1 : year, month: month == 12 ? 1 : month + 1, day: 1)
                let weekdayOfFirst = (first % 7 + 11) % 7
                var day = first + (Int64(weekday) - weekdayOfFirst + 7) % 7 + Int64(week - 1) * 7
                if day >= next { day -= 7 }
                return day * 86_400 + time
            }
        }
    }

    func offset(at seconds: Int64) -> Int64 {
        guard let summer else { return standard }
        let year = CivilTime(Instant(milliseconds: (seconds + standard) &* 1_000)).year
        let start = summer.start.local(year: year) - standard
        let end = summer.end.local(year: year) - summer.offset
        let isSummer = start < end ? (start..<end).contains(seconds) : !(end..<start).contains(seconds)
        return isSummer ? summer.offset : standard
    }

    // MARK: Reading

    init?(_ text: String) {
        var reader = Reader(rest: Array(text.utf8)[...])
        guard reader.name(), let west = reader.time(hours: 24) else { return nil }
        standard = -west
        if reader.isAtEnd { return }
        guard reader.name() else { return nil }
        var offset = standard + 3_600
        if reader.peek != UInt8(ascii: ",") {
            guard let west = reader.time(hours: 24) else { return nil }
            offset = -west
        }
        guard let start = reader.change(), let end = reader.change(), reader.isAtEnd else { return nil }
        summer = Summer(offset: offset, start: start, end: end)
    }

    private struct Reader {
        var rest: ArraySlice<UInt8>
        var isAtEnd: Bool { rest.isEmpty }
        var peek: UInt8? { rest.first }

        mutating func skip(_ character: Character) -> Bool {
            guard let first = rest.first, first == character.asciiValue else { return false }
            rest = rest.dropFirst()
            return true
        }

        /// Letters, or anything in `<…>`.
        mutating func name() -> Bool {
            if skip("<") {
                guard let end = rest.firstIndex(of: UInt8(ascii: ">")) else { return false }
                rest = rest[(end + 1)...]
                return true
            }
            let letters = rest.prefix { (65...90).contains($0 & 0xdf) }
            rest = rest.dropFirst(letters.count)
            return letters.count >= 3
        }

        mutating func number(_ range: ClosedRange<Int64>) -> Int64? {
            let digits = rest.prefix { (48...57).contains($0) }.prefix(4)
            guard !digits.isEmpty else { return nil }
            rest = rest.dropFirst(digits.count)
            let value = digits.reduce(0) { $0 * 10 + Int64($1 - 48) }
            return range.contains(value) ? value : nil
        }

        /// `[+-]hh[:mm[:ss]]` in seconds.
        mutating func time(hours: Int64) -> Int64? {
            let sign: Int64 = skip("-") ? -1 : 1
            if sign == 1 { _ = skip("+") }
            guard var seconds = number(0...hours).map({ $0 * 3_600 }) else { return nil }
            for unit: Int64 in [60, 1] where skip(":") {
                guard let value = number(0...59) else { return nil }
                seconds += value * unit
            }
            return sign * seconds
        }

        mutating func change() -> Change? {
            guard skip(","), let day = day() else { return nil }
            if skip("/") { return time(hours: 167).map { Change(day: day, time: $0) } }
            return Change(day: day, time: 7_200)
        }

        private mutating func day() -> Change.Day? {
            if skip("M") {
                guard let month = number(1...12), skip("."), let week = number(1...5), skip("."),
                    let weekday = number(0...6)
                else { return nil }
                return .month(Int(month), week: Int(week), weekday: Int(weekday))
            }
            if skip("J") { return number(1...365).map { .julian(Int($0)) } }
            return number(0...365).map { .ofYear(Int($0)) }
        }
    }
}
