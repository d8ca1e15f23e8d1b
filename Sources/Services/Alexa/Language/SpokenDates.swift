import Platform

/// AMAZON.DATE as people say it in English; the values are Amazon's ("Slot Type Reference"): `2026-11-23`, a week `2026-W48`,
/// a weekend `2026-W48-WE`, a month `2026-11`, a year `2026`, a decade `202X`, a season `2026-WI`, `PRESENT_REF` for now.
struct SpokenDates {
    static let maximumWords = 8

    private static let weekdays = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
    private static let months = [
        "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
        "december",
    ]
    private static let seasons = ["winter": "WI", "spring": "SP", "summer": "SU", "fall": "FA", "autumn": "FA"]

    /// Days since 1970-01-01.
    private let today: Int64
    private let year: Int64
    private let month: Int
    private let weekday: Int

    init(now: Instant) {
        let civil = CivilTime(now)
        (year, month, weekday) = (civil.year, civil.month, civil.weekday)
        today = CivilTime.days(year: civil.year, month: civil.month, day: civil.day)
    }

    func date(_ given: ArraySlice<String>) -> String? {
        var words = given
        guard words.count <= Self.maximumWords else { return nil }
        if words.count > 1, words.first == "on" { words = words.dropFirst() }
        if words.count > 1, words.first == "the" { words = words.dropFirst() }
        guard let first = words.first else { return nil }
        let text = words.joined(separator: " ")
        switch text {
        case "now", "right now": return "PRESENT_REF"
        case "today", "tonight": return day(0)
        case "tomorrow": return day(1)
        case "yesterday": return day(-1)
        case "day after tomorrow": return day(2)
        case "day before yesterday": return day(-2)
        default: break
        }
        if words.count == 2, first == "this" || first == "next" || first == "last" {
            return relative(first, words[words.index(after: words.startIndex)])
        }
        if words.count == 1 {
            if let index = Self.weekdays.firstIndex(of: first) { return day(daysUntil(index)) }
            if let index = Self.months.firstIndex(of: first) {
                return "\(pad4(year + (index + 1 < month ? 1 : 0)))-\(pad(index + 1))"
            }
            if let season = Self.seasons[first] { return "\(pad4(year))-\(season)" }
        }
        if words.count >= 3, words.first == "in" || words.last == "ago" { return distance(words) }
        if words.count == 1, let value = lone(first) { return value }
        if words.count == 3, let value = iso(Array(words)) { return value }
        return calendar(words)
    }

    /// "2026-11-23", whose dashes separate words.
    private func iso(_ words: [String]) -> String? {
        let numbers = words.compactMap { SpokenNumbers.digits($0) }
        guard numbers.count == 3, words[0].utf8.count == 4, numbers[1] <= 12, numbers[2] <= 31,
            CivilTime.instant(year: numbers[0], month: Int(numbers[1]), day: Int(numbers[2])) != nil
        else { return nil }
        return "\(pad4(numbers[0]))-\(pad(Int(numbers[1])))-\(pad(Int(numbers[2])))"
    }

    /// A year.
    private func lone(_ word: String) -> String? {
        guard word.utf8.count == 4, let value = SpokenNumbers.digits(word), (1_900...2_100).contains(value) else {
            return nil
        }
        return word
    }

    private func relative(_ which: String, _ what: String) -> String? {
        let shift: Int64 = which == "next" ? 1 : which == "last" ? -1 : 0
        switch what {
        case "week": return week(today + 7 * shift)
        case "weekend": return week(today + 7 * shift) + "-WE"
        case "month":
            let months = year * 12 + Int64(month - 1) + shift
            return "\(pad4(months / 12))-\(pad(Int(months % 12) + 1))"
        case "year": return pad4(year + shift)
        case "decade": return String(pad4(year + 10 * shift).dropLast()) + "X"
        default: break
        }
        if let season = Self.seasons[what] { return "\(pad4(year + shift))-\(season)" }
        if let index = Self.weekdays.firstIndex(of: what) {
            let ahead = daysUntil(index)
            // "Last Monday" is behind today; "next" and "this" are the coming one.
            return day(shift < 0 ? (ahead == 0 ? -7 : ahead - 7) : ahead == 0 && shift > 0 ? 7 : ahead)
        }
        if let index = Self.months.firstIndex(of: what) {
            let ahead: Int64 = index + 1 < month ? 1 : 0
            let past: Int64 = index + 1 < month ? 0 : -1
            return "\(pad4(year + (shift < 0 ? past : ahead)))-\(pad(index + 1))"
        }
        return nil
    }

    /// "in three days", "two weeks ago".
    private func distance(_ words: ArraySlice<String>) -> String? {
        let isPast = words.last == "ago"
        let middle = isPast ? words.dropLast() : words.dropFirst()
        guard let unit = middle.last, middle.count >= 2 else { return nil }
        let number = middle.dropLast()
        let isOne = number.count == 1 && (number.first == "a" || number.first == "an")
        guard let count = isOne ? 1 : SpokenNumbers.cardinal(number), (0...36_500).contains(count) else { return nil }
        switch unit {
        case "day", "days": return day(isPast ? -count : count)
        case "week", "weeks": return day((isPast ? -count : count) * 7)
        default: return nil
        }
    }

    /// "november twenty third [2026]", "the 23rd of november", "23 november".
    private func calendar(_ given: ArraySlice<String>) -> String? {
        var words = given.filter { $0 != "of" && $0 != "the" }[...]
        guard let position = words.firstIndex(where: { Self.months.contains($0) }),
            let index = Self.months.firstIndex(of: words[position])
        else { return nil }
        words.remove(at: position)
        guard !words.isEmpty else { return nil }
        var named: Int64?
        if words.count >= 2 || position == words.startIndex, let last = words.last, last.utf8.count == 4,
            let value = SpokenNumbers.digits(last)
        {
            named = value
            words = words.dropLast()
        }
        if words.isEmpty { return named.map { "\(pad4($0))-\(pad(index + 1))" } }
        guard let dayNumber = SpokenNumbers.ordinal(words) ?? SpokenNumbers.cardinal(words),
            (1...31).contains(dayNumber)
        else { return nil }
        let isPast =
            CivilTime.days(year: year, month: index + 1, day: Int(dayNumber)) < today
        let chosen = named ?? (isPast ? year + 1 : year)
        guard (1_900...2_200).contains(chosen),
            CivilTime.instant(year: chosen, month: index + 1, day: Int(dayNumber)) != nil
        else { return nil }
        return "\(pad4(chosen))-\(pad(index + 1))-\(pad(Int(dayNumber)))"
    }

    private func daysUntil(_ index: Int) -> Int64 { Int64((index - weekday + 7) % 7) }

    private func day(_ shift: Int64) -> String {
        let civil = Self.civil(today + shift)
        return "\(pad4(civil.year))-\(pad(civil.month))-\(pad(civil.day))"
    }

    private static func civil(_ days: Int64) -> CivilTime { CivilTime(Instant(milliseconds: days * 86_400_000)) }

    /// ISO 8601: the week belongs to the year of its Thursday.
    private func week(_ days: Int64) -> String {
        let civil = Self.civil(days)
        let thursday = days + Int64(3 - (civil.weekday + 6) % 7)
        let year = Self.civil(thursday).year
        let number = (thursday - CivilTime.days(year: year, month: 1, day: 1)) / 7 + 1
        return "\(pad4(year))-W\(pad(Int(number)))"
    }

    private func pad4(_ year: Int64) -> String { pad(Int(year), 4) }
}
