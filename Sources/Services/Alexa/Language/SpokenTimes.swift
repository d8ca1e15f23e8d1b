import Platform

/// AMAZON.TIME and AMAZON.DURATION as people say them in English; the values are Amazon's ("Slot Type Reference").
enum SpokenTimes {
    static let maximumWords = 14

    /// `17:00`, or `MO`, `AF`, `EV`, `NI` for parts of the day.
    static func time(_ given: ArraySlice<String>) -> String? {
        var words = given
        if words.first == "at" { words = words.dropFirst() }
        if words.first == "in", words.dropFirst().first == "the" { words = words.dropFirst(2) }
        if words.first == "this" { words = words.dropFirst() }
        switch words.joined(separator: " ") {
        case "noon", "midday": return "12:00"
        case "midnight": return "00:00"
        case "morning": return "MO"
        case "afternoon": return "AF"
        case "evening": return "EV"
        case "night", "tonight": return "NI"
        default: break
        }
        var half: String?
        if let last = words.last, words.count > 1 {
            if last == "am" || last == "pm" {
                half = last
                words = words.dropLast()
            } else if last == "m", let before = words.dropLast().last, before == "a" || before == "p" {
                half = before + "m"
                words = words.dropLast(2)
            } else if words.count > 3, last == "morning" || last == "afternoon" || last == "evening",
                words.dropLast().last == "the", words.dropLast(2).last == "in"
            {
                half = last == "morning" ? "am" : "pm"
                words = words.dropLast(3)
            }
        }
        var isExact = half != nil
        if words.last == "clock", words.dropLast().last == "o" {
            words = words.dropLast(2)
            isExact = true
        } else if words.last == "o'clock" {
            words = words.dropLast()
            isExact = true
        }
        guard let (hour, minute, hasMinutes) = clock(words), isExact || hasMinutes else { return nil }
        return text(hour, minute, half)
    }

    private static func text(_ hour: Int64, _ minute: Int64, _ half: String?) -> String? {
        var hour = hour
        if let half {
            guard (1...12).contains(hour) else { return nil }
            hour = hour % 12 + (half == "pm" ? 12 : 0)
        }
        guard (0...23).contains(hour), (0...59).contains(minute) else { return nil }
        return "\(pad(Int(hour))):\(pad(Int(minute)))"
    }

    /// "5:30", "five thirty", "half past five", "quarter to six".
    private static func clock(_ words: ArraySlice<String>) -> (Int64, Int64, Bool)? {
        guard let first = words.first else { return nil }
        if words.count == 1, let colon = first.firstIndex(of: ":") {
            guard let hour = SpokenNumbers.digits(String(first[..<colon])),
                let minute = SpokenNumbers.digits(String(first[first.index(after: colon)...]))
            else { return nil }
            return (hour, minute, true)
        }
        if let index = words.firstIndex(where: { $0 == "past" || $0 == "to" }), index > words.startIndex {
            let minutes: Int64?
            switch words[..<index].joined(separator: " ") {
            case "half": minutes = 30
            case "quarter", "a quarter": minutes = 15
            default: minutes = SpokenNumbers.cardinal(words[..<index])
            }
            guard let minutes, (1...30).contains(minutes),
                let hour = SpokenNumbers.cardinal(words[words.index(after: index)...]), (0...23).contains(hour)
            else { return nil }
            if words[index] == "past" { return (hour, minutes, true) }
            return ((hour + 23) % 24, 60 - minutes, true)
        }
        if let hour = SpokenNumbers.cardinal(words), (0...23).contains(hour) { return (hour, 0, false) }
        guard words.count >= 2, let hour = SpokenNumbers.cardinal(words.prefix(1)),
            let minute = SpokenNumbers.cardinal(words.dropFirst()), (0...23).contains(hour), (1...59).contains(minute)
        else { return nil }
        return (hour, minute, true)
    }

    private static let units: [String: (letter: Character, isTime: Bool)] = [
        "year": ("Y", false), "month": ("M", false), "week": ("W", false), "day": ("D", false), "hour": ("H", true),
        "minute": ("M", true), "second": ("S", true),
    ]

    /// `PT10M`, `P2Y3M`, `P1W`.
    static func duration(_ words: ArraySlice<String>) -> String? {
        guard words.count <= maximumWords else { return nil }
        if words.elementsEqual(["half", "an", "hour"]) { return "PT30M" }
        var (dates, times) = ("", "")
        var start = words.startIndex
        var index = words.startIndex
        var seen: [String] = []
        while index < words.endIndex {
            let word = words[index]
            let name = word.count > 1 && word.hasSuffix("s") ? String(word.dropLast()) : word
            guard let unit = units[name] else {
                index = words.index(after: index)
                continue
            }
            var number = words[start..<index]
            if number.first == "and", !seen.isEmpty { number = number.dropFirst() }
            guard !seen.contains(name), let count = count(number) else { return nil }
            seen.append(name)
            if unit.isTime { times += "\(count)\(unit.letter)" } else { dates += "\(count)\(unit.letter)" }
            index = words.index(after: index)
            start = index
        }
        guard start == words.endIndex, !seen.isEmpty else { return nil }
        return "P" + dates + (times.isEmpty ? "" : "T" + times)
    }

    private static func count(_ words: ArraySlice<String>) -> Int64? {
        if words.count == 1, words.first == "a" || words.first == "an" { return 1 }
        guard let value = SpokenNumbers.cardinal(words), value >= 0 else { return nil }
        return value
    }
}
