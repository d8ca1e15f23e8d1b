import Platform

/// An interaction model, compiled for understanding utterances. A value; the same document always compiles to the same.
struct LanguageModel: Sendable {
    struct Intent: Sendable {
        var name: String
        var slots: [Slot]
        var samples: [Sample]
        var dialog: Dialog?

        func slot(named name: String) -> Int? { slots.firstIndex { $0.name == name } }
    }

    struct Slot: Sendable {
        var name: String
        var type: SlotType
        /// What people say to fill it, when asked for it.
        var samples: [Sample]
        var allowsMultiple = false
    }

    /// Words and slots (by their places in the intent).
    struct Sample: Sendable, Hashable {
        enum Element: Sendable, Hashable {
            case word(String)
            case slot(Int)
        }
        var elements: [Element]
        /// The words that an utterance must have to match.
        let literals: Set<String>
        var hasSlots: Bool {
            literals.count < elements.count && elements.contains { if case .slot = $0 { true } else { false } }
        }

        init(_ elements: [Element]) {
            self.elements = elements
            literals = Set(elements.compactMap { if case .word(let word) = $0 { word } else { nil } })
        }
    }

    /// How Alexa is to fill and confirm an intent's slots.
    struct Dialog: Sendable {
        struct SlotRule: Sendable {
            var slot: Int
            var elicitationRequired: Bool
            var confirmationRequired: Bool
            var elicitationPrompt: String?
            var confirmationPrompt: String?
            var validations: [Validation]
        }
        var isDelegated: Bool
        var confirmationRequired: Bool
        var confirmationPrompt: String?
        var slots: [SlotRule]
    }

    /// A rule for a slot's value, and the prompt for when it does not hold.
    struct Validation: Sendable {
        var kind: String
        var prompt: String?
        var values: [String]
    }

    var invocationName: [String]
    /// As it is written.
    var invocationText: String
    var intents: [Intent]
    /// The first variation of each prompt; of several, the first is said, so that conversations repeat.
    var prompts: [String: String]

    func intent(named name: String) -> Int? { intents.firstIndex { $0.name == name } }
}

/// A slot type: the values that it knows, and how Amazon's own types read what is said.
final class SlotType: Sendable {
    struct Value: Sendable, Hashable {
        var id: String?
        var name: String
    }

    /// How words become a value.
    enum Reading: Sendable, Hashable {
        /// A list of values, which others may be said beside.
        case list
        case number, fourDigits, ordinal, date, time, duration, digits
        /// Anything, however long.
        case query
    }

    let name: String
    let reading: Reading
    let values: [Value]
    /// Places in `values` by the words of the value and its synonyms.
    private let places: [String: [Int]]
    let longestValue: Int
    /// A custom type, or one of Amazon's that the model extends: entity resolution speaks of it.
    let hasValues: Bool

    init(name: String, values: [(value: Value, phrases: [String])]) {
        self.name = name
        reading = SlotType.reading(of: name)
        self.values = values.map(\.value)
        var places: [String: [Int]] = [:]
        var longest = 0
        for (index, entry) in values.enumerated() {
            for phrase in entry.phrases {
                let words = Words.split(phrase)
                guard !words.isEmpty else { continue }
                longest = max(longest, words.count)
                let key = Words.key(words)
                if places[key]?.last != index { places[key, default: []].append(index) }
            }
        }
        self.places = places
        longestValue = longest
        hasValues = !values.isEmpty || !name.hasPrefix("AMAZON.")
    }

    /// The values that these words are, in the order of the model; empty when they are none.
    func known(_ key: String) -> [Value] { (places[key] ?? []).map { values[$0] } }

    /// The value of words for the types that read them; nil when they are no such value, or the type is a list.
    func parse(_ words: ArraySlice<String>, dates: SpokenDates) -> String? {
        switch reading {
        case .list, .query: nil
        case .number: SpokenNumbers.cardinal(words).map { String($0) }
        case .fourDigits: SpokenNumbers.fourDigits(words)
        case .ordinal: SpokenNumbers.ordinal(words).map { String($0) }
        case .date: dates.date(words)
        case .time: SpokenTimes.time(words)
        case .duration: SpokenTimes.duration(words)
        case .digits: SpokenNumbers.digitString(words)
        }
    }

    private static func reading(of name: String) -> Reading {
        switch name {
        case "AMAZON.NUMBER": .number
        case "AMAZON.FOUR_DIGIT_NUMBER": .fourDigits
        case "AMAZON.Ordinal": .ordinal
        case "AMAZON.DATE": .date
        case "AMAZON.TIME": .time
        case "AMAZON.DURATION": .duration
        case "AMAZON.PhoneNumber": .digits
        case "AMAZON.SearchQuery": .query
        default: .list
        }
    }
}
