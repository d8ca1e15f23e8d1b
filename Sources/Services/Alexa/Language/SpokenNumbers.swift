/// Whole numbers as people say them, in English, or in digits.
enum SpokenNumbers {
    private static let small: [String: Int64] = [
        "zero": 0, "oh": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
        "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
        "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
    ]
    private static let tens: [String: Int64] = [
        "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
    ]
    private static let scales: [String: Int64] = [
        "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000,
    ]
    private static let ordinals: [String: Int64] = [
        "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
        "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15,
        "sixteenth": 16, "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30,
        "fortieth": 40, "fiftieth": 50, "sixtieth": 60, "seventieth": 70, "eightieth": 80, "ninetieth": 90,
        "hundredth": 100,
    ]
    /// Longest number in words, with "and" in each of its four groups.
    static let maximumWords = 28

    /// "forty two", "one hundred and five", "a thousand", "minus three", "42", "3.5" is none.
    static func cardinal(_ words: ArraySlice<String>) -> Int64? {
        guard let first = words.first, words.count <= maximumWords else { return nil }
        if (first == "minus" || first == "negative") && words.count > 1 {
            return cardinal(words.dropFirst()).map { -$0 }
        }
        if words.count == 1, let digits = digits(first) { return digits }
        return spoken(words)
    }

    /// At most 15 digits, so that no sum overflows.
    static func digits(_ text: String) -> Int64? {
        guard !text.isEmpty, text.utf8.count <= 15, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int64(text)
    }

    private static func spoken(_ words: ArraySlice<String>) -> Int64? {
        var total: Int64 = 0
        var group: Int64 = 0
        var last: Int64 = 0
        var previousScale = Int64.max
        var expects = Expectation.any
        for (position, word) in words.enumerated() {
            let isLast = position == words.count - 1
            if let value = small[word] ?? ((word == "a" || word == "an") && !isLast && position == 0 ? 1 : nil) {
                guard expects == .any || (expects == .unit && (1...9).contains(value)) else { return nil }
                group += value
                last = value
                expects = .scale
            } else if let value = tens[word] {
                guard expects == .any else { return nil }
                group += value
                last = value
                expects = .unit
            } else if word == "hundred" {
                guard (1...9).contains(group), last == group else { return nil }
                group *= 100
                expects = .any
            } else if let scale = scales[word] {
                guard group > 0, scale < previousScale else { return nil }
                total += group * scale
                group = 0
                previousScale = scale
                expects = .any
            } else if word == "and" {
                guard position > 0, !isLast, expects == .any else { return nil }
            } else {
                return nil
            }
        }
        return total + group
    }

    private enum Expectation { case any, unit, scale }

    /// "third", "twenty first", "21st" (which splits into "21" and "st").
    static func ordinal(_ words: ArraySlice<String>) -> Int64? {
        guard let last = words.last else { return nil }
        if words.count == 2, let first = words.first, let number = digits(first),
            ["st", "nd", "rd", "th"].contains(last)
        {
            return number
        }
        if words.count == 1 { return ordinals[last] }
        guard words.count == 2, let first = words.first, let ten = tens[first], let unit = ordinals[last],
            (1...9).contains(unit)
        else { return nil }
        return ten + unit
    }

    /// Digits said one by one or together, as in numbers to dial: "five five five one two".
    static func digitString(_ words: ArraySlice<String>) -> String? {
        guard !words.isEmpty, words.count <= 32 else { return nil }
        var text = ""
        for word in words {
            if let value = small[word], value <= 9 {
                text += String(value)
            } else if digits(word) != nil {
                text += word
            } else {
                return nil
            }
        }
        return text.utf8.count <= 32 ? text : nil
    }

    /// Four digits as they are said: "nineteen eighty four", "six oh four five", "two thousand seven", "1984".
    static func fourDigits(_ words: ArraySlice<String>) -> String? {
        if let text = digitString(words), text.utf8.count == 4 { return text }
        if let value = cardinal(words), (1_000...9_999).contains(value) { return String(value) }
        for cut in 1..<max(words.count, 1) where words.count >= 2 {
            let index = words.index(words.startIndex, offsetBy: cut)
            if let high = cardinal(words[..<index]), let low = cardinal(words[index...]), (10...99).contains(high),
                (10...99).contains(low)
            {
                return String(high * 100 + low)
            }
        }
        return nil
    }
}
