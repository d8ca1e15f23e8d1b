import Platform
import Testing

@testable import Alexa

@Suite struct LanguageTests {
    private static func words(_ text: String) -> ArraySlice<String> { Words.split(text).map(\.key)[...] }
    /// Monday, 23 November 2026.
    private static let now = Instant(milliseconds: 1_795_413_600_000)

    @Test(arguments: [
        ("What's  my order?", ["what", "is", "my", "order"]),
        ("5pm, at 5:30!", ["5", "pm", "at", "5:30"]),
        ("1,000 twenty-five 3.5", ["1000", "twenty", "five", "3.5"]),
        ("o'clock 'quoted' B.B.C.", ["o'clock", "quoted", "b", "b", "c"]),
        ("Größe Ñandú", ["größe", "ñandú"]),
        ("…—!", []),
    ]) func words(text: String, expected: [String]) {
        #expect(Words.split(text).map(\.key) == expected)
    }

    @Test func valuesKeepTheirSpelling() {
        #expect(Words.joined(Words.split("Bob's  Café,  please")) == "Bob's Café please")
    }

    /// English words for a number, independent of the reader.
    private static func spoken(_ value: Int64) -> String {
        let small = [
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
            "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
        ]
        let tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
        if value < 20 { return small[Int(value)] }
        if value < 100 { return tens[Int(value / 10)] + (value % 10 > 0 ? "-" + small[Int(value % 10)] : "") }
        if value < 1_000 {
            return small[Int(value / 100)] + " hundred" + (value % 100 > 0 ? " and " + spoken(value % 100) : "")
        }
        for (scale, name) in [(Int64(1_000_000_000), "billion"), (1_000_000, "million"), (1_000, "thousand")]
        where value >= scale {
            return spoken(value / scale) + " " + name + (value % scale > 0 ? " " + spoken(value % scale) : "")
        }
        return ""
    }

    @Test func numbersAreReadAsTheyAreSaid() {
        var random = SplitMix(seed: 7)
        for round in 0..<3_000 {
            let value = round < 1_200 ? Int64(round) : Int64(random.next() % 900_000_000_000)
            #expect(SpokenNumbers.cardinal(Self.words(Self.spoken(value))) == value, "\(Self.spoken(value))")
            #expect(SpokenNumbers.cardinal(Self.words(String(value))) == value)
        }
    }

    @Test(arguments: [
        "", "and", "hundred", "five and", "two twenty", "five six", "thousand million", "one million thousand billion",
        "twenty eleven", "five hundred hundred", "a", "banana", "99999999999999999999", "five five five",
    ]) func whatIsNoNumber(text: String) {
        #expect(SpokenNumbers.cardinal(Self.words(text)) == nil)
    }

    @Test(arguments: [
        ("minus three", "-3"), ("a hundred", "100"), ("one hundred and five", "105"), ("42", "42"),
    ]) func numbers(text: String, value: String) {
        #expect(
            SlotType(name: "AMAZON.NUMBER", values: []).parse(Self.words(text), dates: SpokenDates(now: Self.now))
                == value)
    }

    @Test(arguments: [
        ("AMAZON.FOUR_DIGIT_NUMBER", "nineteen eighty four", "1984"),
        ("AMAZON.FOUR_DIGIT_NUMBER", "six oh four five", "6045"),
        ("AMAZON.FOUR_DIGIT_NUMBER", "two thousand seven", "2007"), ("AMAZON.Ordinal", "twenty first", "21"),
        ("AMAZON.Ordinal", "3rd", "3"), ("AMAZON.PhoneNumber", "five five five 12", "55512"),
        ("AMAZON.TIME", "five pm", "17:00"), ("AMAZON.TIME", "half past five", "05:30"),
        ("AMAZON.TIME", "quarter to twelve", "11:45"), ("AMAZON.TIME", "12 am", "00:00"),
        ("AMAZON.TIME", "5:07 p.m.", "17:07"),
        ("AMAZON.TIME", "midnight", "00:00"), ("AMAZON.TIME", "in the morning", "MO"), ("AMAZON.TIME", "tonight", "NI"),
        ("AMAZON.TIME", "eight o'clock in the evening", "20:00"), ("AMAZON.TIME", "seven thirty", "07:30"),
        ("AMAZON.DURATION", "ten minutes", "PT10M"), ("AMAZON.DURATION", "two hours and thirty minutes", "PT2H30M"),
        ("AMAZON.DURATION", "a week", "P1W"), ("AMAZON.DURATION", "one year two months", "P1Y2M"),
        ("AMAZON.DURATION", "half an hour", "PT30M"), ("AMAZON.DURATION", "3 days 4 seconds", "P3DT4S"),
        ("AMAZON.DATE", "today", "2026-11-23"), ("AMAZON.DATE", "tomorrow", "2026-11-24"),
        ("AMAZON.DATE", "the day after tomorrow", "2026-11-25"), ("AMAZON.DATE", "monday", "2026-11-23"),
        ("AMAZON.DATE", "next monday", "2026-11-30"), ("AMAZON.DATE", "last monday", "2026-11-16"),
        ("AMAZON.DATE", "on sunday", "2026-11-29"), ("AMAZON.DATE", "this week", "2026-W48"),
        ("AMAZON.DATE", "next weekend", "2026-W49-WE"), ("AMAZON.DATE", "next month", "2026-12"),
        ("AMAZON.DATE", "december", "2026-12"), ("AMAZON.DATE", "january", "2027-01"),
        ("AMAZON.DATE", "next year", "2027"),
        ("AMAZON.DATE", "this decade", "202X"), ("AMAZON.DATE", "next winter", "2027-WI"),
        ("AMAZON.DATE", "november twenty third", "2026-11-23"), ("AMAZON.DATE", "the 22nd of november", "2027-11-22"),
        ("AMAZON.DATE", "december 1 2030", "2030-12-01"), ("AMAZON.DATE", "2026-12-24", "2026-12-24"),
        ("AMAZON.DATE", "in three days", "2026-11-26"), ("AMAZON.DATE", "two weeks ago", "2026-11-09"),
        ("AMAZON.DATE", "now", "PRESENT_REF"), ("AMAZON.DATE", "2030", "2030"),
    ]) func slotValues(type: String, text: String, value: String) {
        let parsed = SlotType(name: type, values: []).parse(Self.words(text), dates: SpokenDates(now: Self.now))
        #expect(parsed == value, "\(text)")
    }

    @Test(arguments: [
        ("AMAZON.DATE", "february 30"), ("AMAZON.DATE", "gemini"), ("AMAZON.DATE", "the"), ("AMAZON.DATE", "november"),
        ("AMAZON.TIME", "five"), ("AMAZON.TIME", "25:00"), ("AMAZON.TIME", "13 pm"), ("AMAZON.TIME", "5:99"),
        ("AMAZON.DURATION", "minutes"), ("AMAZON.DURATION", "five"), ("AMAZON.DURATION", "two hours hours"),
        ("AMAZON.PhoneNumber", "five dogs"), ("AMAZON.FOUR_DIGIT_NUMBER", "five"),
    ]) func whatIsNoValue(type: String, text: String) {
        let parsed = SlotType(name: type, values: []).parse(Self.words(text), dates: SpokenDates(now: Self.now))
        #expect(parsed == nil || (text == "november" && parsed == "2026-11"), "\(text): \(parsed ?? "")")
    }

    /// ISO weeks at the ends of years, against known ones.
    @Test(arguments: [
        ("2026-01-01T00:00:00Z", "2026-W01"), ("2027-01-01T00:00:00Z", "2026-W53"),
        ("2024-12-30T12:00:00Z", "2025-W01"),
        ("2023-01-01T00:00:00Z", "2022-W52"),
    ]) func weeks(day: String, week: String) throws {
        let now = try #require(Instant(iso8601: day))
        #expect(SpokenDates(now: now).date(["this", "week"]) == week)
    }

    /// Whatever is said, reading it does not trap, and means the same each time.
    @Test func anyWordsAreRead() {
        let vocabulary = [
            "twenty", "hundred", "thousand", "and", "minus", "a", "5", "99999999999999", "next", "last", "week",
            "monday",
            "november", "first", "of", "the", "to", "past", "half", "quarter", "am", "pm", "m", "p", "o'clock", "ago",
            "in",
            "days", "hours", "2026", "31", "0", "5:30", ":", "winter", "decade", "st",
        ]
        let types = ["NUMBER", "FOUR_DIGIT_NUMBER", "Ordinal", "DATE", "TIME", "DURATION", "PhoneNumber"].map {
            SlotType(name: "AMAZON." + $0, values: [])
        }
        var random = SplitMix(seed: 11)
        let dates = SpokenDates(now: Self.now)
        for _ in 0..<20_000 {
            let words = (0..<Int(random.next() % 8)).map { _ in
                vocabulary[Int(random.next() % UInt64(vocabulary.count))]
            }
            for type in types { #expect(type.parse(words[...], dates: dates) == type.parse(words[...], dates: dates)) }
        }
    }
}

/// Steele, Lea and Flood's SplitMix64.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func pick<T>(_ list: [T]) -> T { list[Int(next() % UInt64(list.count))] }
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
