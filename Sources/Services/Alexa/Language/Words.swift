import Platform

/// One word of an utterance or sample.
struct Word: Sendable, Hashable {
    /// As it was written, for slot values.
    var text: String
    /// What is compared: lower case, and `'s` as `is`, so that "what's" and "what is" are one.
    var key: String
}

enum Words {
    /// The words of a text. Punctuation separates and is dropped; apostrophes stay (`'s` becomes a word of its own), as do `.`,
    /// `,` and `:` between digits; digits and letters that touch are two words ("5pm").
    static func split(_ text: String, limit: Int = Limits.words) -> [Word] {
        var words: [Word] = []
        var current = ""
        func flush() {
            guard !current.isEmpty else { return }
            append(current, to: &words)
            current = ""
        }
        let characters = Array(text.prefix(Limits.utteranceCharacters))
        for (index, character) in characters.enumerated() {
            if words.count >= limit { break }
            let next = index + 1 < characters.count ? characters[index + 1] : " "
            let isBetweenDigits = current.last.map(isDigit) == true && isDigit(next)
            if character.isLetter || isDigit(character) || character.isNumber {
                if let last = current.last, isNumeric(last) != isDigit(character), last != "'" { flush() }
                current.append(character)
            } else if character == "," && isBetweenDigits {
                continue
            } else if (character == "." || character == ":") && isBetweenDigits {
                current.append(character)
            } else if character == "'" || character == "\u{2019}" {
                if !current.isEmpty, next.isLetter { current.append("'") }
            } else if character == "." && current.count == 1 && current.last?.isLetter == true {
                // Initials: "b. b. c." are three words.
                flush()
            } else {
                flush()
            }
        }
        flush()
        return Array(words.prefix(limit))
    }

    private static func append(_ text: String, to words: inout [Word]) {
        let lower = text.lowercased()
        if lower.count > 2, lower.hasSuffix("'s") {
            words.append(word(String(text.dropLast(2))))
            words.append(Word(text: String(text.suffix(2)), key: "is"))
        } else {
            words.append(word(text))
        }
    }

    private static func word(_ text: String) -> Word { Word(text: text, key: text.lowercased()) }

    private static func isDigit(_ character: Character) -> Bool {
        character.isASCII && character >= "0" && character <= "9"
    }

    /// What is inside a number: marks are only taken between digits.
    private static func isNumeric(_ character: Character) -> Bool {
        isDigit(character) || character == "." || character == ":"
    }

    /// What a slot's value is: the words as they were written, with `'s` put back.
    static func joined(_ words: some Sequence<Word>) -> String {
        var text = ""
        for word in words {
            if !text.isEmpty, !word.text.hasPrefix("'") { text += " " }
            text += word.text
        }
        return text
    }

    /// What values are looked up by.
    static func key(_ words: some Sequence<Word>) -> String { words.map(\.key).joined(separator: " ") }
}
