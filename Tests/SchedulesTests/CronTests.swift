import Platform
import Testing

@testable import Schedules

/// A minute walk over an expression, written without the code that it checks: each field is read anew for each minute.
struct NaiveCron {
    let fields: [String]
    init(_ text: String) { fields = text.split(separator: " ").map(String.init) }

    static let names = [
        "JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6, "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11,
        "DEC": 12, "SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7,
    ]

    static func number(_ text: String) -> Int { names[text] ?? Int(text) ?? -1 }

    static func fits(_ field: String, _ value: Int, _ low: Int, _ high: Int) -> Bool {
        field.split(separator: ",").contains { part in
            let steps = part.split(separator: "/").map(String.init)
            let step = steps.count == 2 ? number(steps[1]) : 1
            let ends = steps[0].split(separator: "-").map { number(String($0)) }
            var first = low
            var last = high
            if steps[0] != "*" {
                first = ends[0]
                last = ends.count == 2 ? ends[1] : steps.count == 2 ? high : first
            }
            // Count up from the first, around the end.
            var current = first
            var distance = 0
            while true {
                if current == value { return distance % step == 0 }
                if current == last { return false }
                current = current == high ? low : current + 1
                distance += 1
            }
        }
    }

    static func length(_ year: Int, _ month: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// 1 is Sunday (Sakamoto's method).
    static func weekday(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let table = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4]
        let y = month < 3 ? year - 1 : year
        return (y + y / 4 - y / 100 + y / 400 + table[month - 1] + day) % 7 + 1
    }

    func dayFits(_ year: Int, _ month: Int, _ day: Int) -> Bool {
        let (ofMonth, ofWeek) = (fields[2], fields[4])
        let length = Self.length(year, month)
        let weekday = Self.weekday(year, month, day)
        if ofWeek == "?" {
            return ofMonth.split(separator: ",").map(String.init).contains { part in
                if part == "L" { return day == length }
                if part == "LW" { return Self.nearest(length, year, month) == day }
                if part.hasPrefix("L-") { return day == length - Self.number(String(part.dropFirst(2))) }
                if part.hasSuffix("W") {
                    let wanted = Self.number(String(part.dropLast()))
                    return wanted <= length && Self.nearest(wanted, year, month) == day
                }
                return Self.fits(part, day, 1, 31)
            }
        }
        return ofWeek.split(separator: ",").map(String.init).contains { part in
            if part == "L" { return weekday == 7 }
            if part.hasSuffix("L") { return weekday == Self.number(String(part.dropLast())) && day + 7 > length }
            let nth = part.split(separator: "#").map(String.init)
            if nth.count == 2 { return weekday == Self.number(nth[0]) && (day + 6) / 7 == Self.number(nth[1]) }
            return Self.fits(part, weekday, 1, 7)
        }
    }

    /// The working day that is nearest in the same month, by looking around.
    static func nearest(_ day: Int, _ year: Int, _ month: Int) -> Int {
        for distance in [0, -1, 1, -2, 2] {
            let other = day + distance
            if (1...length(year, month)).contains(other), (2...6).contains(weekday(year, month, other)) { return other }
        }
        return day
    }

    /// The minutes (since 1970) at which it fires, of those that have a local time and an answer to whether that time is new.
    func walk(from start: Int, minutes: Int, limit: Int, local: (Int) -> (minute: Int, isRepeated: Bool)) -> [Int] {
        var found: [Int] = []
        for minute in start..<(start + minutes) where found.count < limit {
            let (localMinute, isRepeated) = local(minute)
            let time = CivilTime(Instant(milliseconds: Int64(localMinute) * 60_000))
            let (year, month, day) = (Int(time.year), time.month, time.day)
            if Self.fits(fields[0], time.minute, 0, 59), Self.fits(fields[1], time.hour, 0, 23),
                Self.fits(fields[3], month, 1, 12), Self.fits(fields[5], year, 1970, 2199), dayFits(year, month, day),
                !isRepeated
            {
                found.append(minute)
            }
        }
        return found
    }
}

struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

enum RandomCron {
    static func expression(_ random: inout SeededRandom) -> String {
        let ofMonth = Bool.random(using: &random)
        let minute = field(0, 59, [], &random)
        let hour = field(0, 23, [], &random)
        let month = Int.random(in: 0..<3, using: &random) == 0 ? field(1, 12, ["JAN", "MAR", "NOV"], &random) : "*"
        let year = Int.random(in: 0..<4, using: &random) == 0 ? "2026-2028" : "*"
        let days: [String] =
            ofMonth
            ? ["*", "L", "LW", "1W", "31W", "15W", "L-2", "1,15,L", field(1, 31, [], &random)]
            : ["*", "L", "6L", "3#2", "MON#5", "FRI-MON", "SUN", "2,4,SAT", field(1, 7, ["TUE", "THU"], &random)]
        let day = days[Int.random(in: 0..<days.count, using: &random)]
        return "\(minute) \(hour) \(ofMonth ? day : "?") \(month) \(ofMonth ? "?" : day) \(year)"
    }

    static func field(_ low: Int, _ high: Int, _ names: [String], _ random: inout SeededRandom) -> String {
        func value() -> Int { Int.random(in: low...high, using: &random) }
        switch Int.random(in: 0..<6, using: &random) {
        case 0: return "*"
        case 1: return "*/\(Int.random(in: 1...max(high / 2, 1), using: &random))"
        case 2: return "\(value())-\(value())"
        case 3: return "\(value()),\(value()),\(value())"
        case 4: return "\(value())/\(Int.random(in: 1...max(high / 3, 1), using: &random))"
        default: return names.randomElement(using: &random) ?? String(value())
        }
    }
}

@Suite struct CronTests {
    private static let start = Int(CivilTime.days(year: 2026, month: 10, day: 20) * 1_440)

    @Test(arguments: 0..<40) func asANaiveWalkDoes(seed: Int) throws {
        var random = SeededRandom(UInt64(seed))
        let text = RandomCron.expression(&random)
        let cron = try #require(CronExpression(text), "\(text)")
        let start = Self.start + Int.random(in: 0..<500_000, using: &random)
        let expected = NaiveCron(text).walk(from: start + 1, minutes: 8_000, limit: 20) { ($0, false) }
        var found: [Int] = []
        var place = Int64(start) * 60
        while found.count < 20, let next = cron.next(after: place), next / 60 < start + 8_001 {
            found.append(Int(next / 60))
            place = next
        }
        #expect(found == expected, "\(text)")
    }

    /// Zones without changes of the clocks, one of them off by half an hour.
    @Test(arguments: ["Asia/Kolkata", "Etc/GMT-14", "Pacific/Marquesas"]) func inZonesThatStandStill(name: String)
        throws
    {
        let zone = try Zones.read(name)
        var random = SeededRandom(11)
        for _ in 0..<20 {
            let text = RandomCron.expression(&random)
            let cron = try #require(ScheduleExpression(schedule: "cron(\(text))"))
            let start = Self.start + Int.random(in: 0..<500_000, using: &random)
            let offset = Int(zone.offset(at: Int64(start) * 60) / 60)
            let expected = NaiveCron(text).walk(from: start + 1, minutes: 3_000, limit: 20) { ($0 + offset, false) }
            var found: [Int] = []
            var place = Instant(milliseconds: Int64(start) * 60_000)
            while found.count < 20, let next = cron.next(after: place, anchor: place, zone: zone),
                next.seconds / 60 < start + 3_001
            {
                found.append(Int(next.seconds / 60))
                place = next
            }
            #expect(found == expected, "\(text) in \(name)")
        }
    }

    @Test(arguments: ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"])
    func acrossChangesOfTheClocks(name: String) throws {
        let zone = try Zones.read(name)
        let offset: (Int) -> Int = { Int(zone.offset(at: Int64($0) * 60) / 60) }
        // Two weeks around each change of a year.
        let year = Int(CivilTime.days(year: 2027, month: 1, day: 1) * 1_440)
        let changes = stride(from: year, to: year + 525_600, by: 30).filter { offset($0) != offset($0 - 30) }
        #expect(changes.count == 2)
        var random = SeededRandom(7)
        for change in changes {
            for _ in 0..<6 {
                let text = "\(RandomCron.field(0, 59, [], &random)) \(RandomCron.field(0, 5, [], &random)) * * ? *"
                let cron = try #require(ScheduleExpression(schedule: "cron(\(text))"))
                let start = change - 3_000
                let expected = NaiveCron(text).walk(from: start + 1, minutes: 5_000, limit: 10_000) { minute in
                    // Repeated: the clock showed the same within the hours before.
                    let local = minute + offset(minute)
                    let isRepeated =
                        abs(minute - change) < 240 && (1...180).contains { minute - $0 + offset(minute - $0) == local }
                    return (local, isRepeated)
                }
                var found: [Int] = []
                var place = Instant(milliseconds: Int64(start) * 60_000)
                while let next = cron.next(after: place, anchor: place, zone: zone), next.seconds / 60 < start + 5_001 {
                    found.append(Int(next.seconds / 60))
                    place = next
                }
                #expect(found == expected, "\(text) in \(name)")
            }
        }
    }

    @Test func thatNeverComesAgain() {
        #expect(CronExpression("0 0 30 2 ? *")?.next(after: 0) == nil)
        #expect(CronExpression("0 0 ? 2 MON#5 2027")?.next(after: 1_790_000_000) == nil)
        #expect(CronExpression("0 0 1 1 ? 2020")?.next(after: 1_790_000_000) == nil)
        #expect(CronExpression("0 0 29 2 ? 2096-2200") == nil)
        let leap = CronExpression("0 0 29 2 ? 2097-2199")?.next(after: 0)
        #expect(leap == CivilTime.days(year: 2104, month: 2, day: 29) * 86_400)
        #expect(CronExpression("* * * * ? *")?.next(after: .max / 4) == nil)
    }

    @Test(arguments: [
        "cron(0 2 ? * SAT *)", "cron(0 12 * * ? *)", "cron(5,35 14 * * ? *)", "cron(15 10 ? * 6L 2002-2005)",
        "rate(1 minute)",
        "rate(5 minutes)", "rate(1 day)", "cron(0/10 * ? * MON-FRI *)", "cron(0 8 1W * ? *)", "cron(0 10 ? * 2#1 *)",
    ]) func rulesTake(text: String) {
        #expect(ScheduleExpression(rule: text) != nil)
    }

    @Test(arguments: [
        "rate(10 seconds)", "rate(10 years)", "rate(1 minutes)", "rate(1 hours)", "rate(1 days)", "rate(10 minute)",
        "rate(10 hour)", "rate(10 day)", "rate()", "rate(10)", "rate(10 minutess)", "rate(foo minutes)",
        "rate(0 minutes)",
        "rate(-10 minutes)", "rate(10 MINUTES)", "rate( 10 minutes )", " rate(10 minutes)", "cron(0 1 * * * *)",
        "cron(7 20 * * NOT *)", "cron(INVALID)", "cron(0 dummy ? * MON-FRI *)", "cron(71 8 1 * ? *)",
        "cron(0 0 ? * ? *)",
        "cron(0 0 * * ? *) ", "cron(* * * * ?)", "cron(60 * * * ? *)", "cron(0/0 * * * ? *)", "cron(1,,2 * * * ? *)",
        "cron(0 0 ? * 3#1,6#3 *)", "cron(0 0 ? * 3#6 *)", "cron(0 0 32 * ? *)", "cron(0 0 1 * ? 1969)",
        "at(2026-01-01T00:00:00)",
        "rate(99999999999999999999 minutes)", "", "cron(", ")", "cron(- * * * ? *)", "cron(1-2-3 * * * ? *)",
    ]) func rulesRefuse(text: String) {
        #expect(ScheduleExpression(rule: text) == nil)
    }

    @Test func schedulesTakeAt() {
        #expect(ScheduleExpression(schedule: "at(1970-01-02T00:00:01)") == .at(local: 86_401))
        for text in [
            "at(2021-12-31)", "at(2021-12-31T23:59:59Z)", "at(2021-12-31T23:59)", "at(2021-02-30T00:00:00)", "at()",
            "at(2021-12-31 23:59:59)", " rate(10 minutes)", "at(20211231T23595900000)",
        ] { #expect(ScheduleExpression(schedule: text) == nil, "\(text)") }
    }

    @Test func ratesCountFromTheirAnchor() {
        let anchor = Instant(milliseconds: 1_000_500)
        let rate = ScheduleExpression.rate(seconds: 60)
        let next: (Int64) -> Int64? = {
            rate.next(after: Instant(milliseconds: $0), anchor: anchor, zone: .utc)?.milliseconds
        }
        #expect(next(0) == 1_000_500)
        #expect(next(1_000_500) == 1_060_500)
        #expect(next(1_060_499) == 1_060_500)
        let later = next(10_000_000_000) ?? 0
        #expect((later - 1_000_500) % 60_000 == 0 && later > 10_000_000_000 && later <= 10_000_060_000)
    }
}
