import Platform
import Wire

/// A filter pattern, compiled once: which events FilterLogEvents, subscription and metric filters and live tails take, and
/// what they find in them (user guide, "Filter pattern syntax"). Pure; time is linear in the event.
struct FilterPattern: Sendable {
    private enum Form: Sendable {
        case everything
        case terms(required: [Needle], excluded: [Needle], optional: [Needle])
        case regex(RegexSubset)
        case json(JSONPattern)
        case fields(FieldPattern)
    }

    /// What an event that matches has in it.
    enum Match: Sendable {
        case plain
        case json(Value)
        case fields([(name: String, value: String)])
    }

    private let form: Form
    /// Regular expressions in it.
    let regexes: Int

    /// Throws InvalidParameterException.
    init(_ text: String) throws(AWSError) {
        guard text.unicodeScalars.count <= Limits.patternCharacters else {
            throw LogsError.invalid(
                "1 validation error detected: Value at 'filterPattern' failed to satisfy constraint: Member must have "
                    + "length less than or equal to \(Limits.patternCharacters)")
        }
        var scanner = PatternScanner(Array(text.utf8))
        scanner.skipBlanks()
        let last = scanner.bytes.last { !$0.isBlank }
        switch scanner.next {
        case nil: form = .everything
        case UInt8(ascii: "{"):
            guard last == UInt8(ascii: "}") else { throw PatternError.openBrace }
            form = .json(try JSONPattern(&scanner))
        case UInt8(ascii: "["):
            guard last == UInt8(ascii: "]") else { throw PatternError.openBracket }
            form = .fields(try FieldPattern(&scanner))
        case UInt8(ascii: "%"):
            form = .regex(try scanner.regex())
            scanner.skipBlanks()
            guard scanner.isAtEnd else { throw PatternError.malformed }
        default: form = try Self.terms(&scanner)
        }
        regexes = scanner.regexes
    }

    /// `ERROR "two words" -not ?either ?or`: all terms, none of the excluded; one of the optional, if there are no others.
    private static func terms(_ scanner: inout PatternScanner) throws(AWSError) -> Form {
        var (required, excluded, optional): ([Needle], [Needle], [Needle]) = ([], [], [])
        while let first = scanner.next {
            if first.isBlank {
                scanner.advance()
                continue
            }
            let isSigned = first == UInt8(ascii: "-") || first == UInt8(ascii: "?")
            if isSigned { scanner.advance() }
            let term: Needle
            if scanner.next == UInt8(ascii: "\"") {
                term = Needle(try scanner.quoted())
            } else {
                term = Needle(scanner.takeWhile(\.isWord))
                // Only quotes hold anything but letters, digits and underscores.
                if let after = scanner.next, !after.isBlank, after != UInt8(ascii: "\"") {
                    throw PatternError.characters(scanner.bytes[scanner.index...].prefix { !$0.isWord && !$0.isBlank })
                }
                guard !term.bytes.isEmpty else { throw PatternError.malformed }
            }
            switch first {
            case UInt8(ascii: "-"): excluded.append(term)
            case UInt8(ascii: "?"): optional.append(term)
            default: required.append(term)
            }
        }
        let isAlone = required.isEmpty && excluded.isEmpty
        return .terms(required: required, excluded: excluded, optional: isAlone ? optional : [])
    }

    func matches(_ message: String) -> Bool { match(message) != nil }

    /// Nil when the event is not taken.
    func match(_ message: String) -> Match? { message.withBytes { match($0) } }

    private func match(_ text: UnsafeBufferPointer<UInt8>) -> Match? {
        switch form {
        case .everything: return .plain
        case .terms(let required, let excluded, let optional):
            let matches =
                required.allSatisfy { $0.isIn(text) } && !excluded.contains { $0.isIn(text) }
                && (optional.isEmpty || optional.contains { $0.isIn(text) })
            return matches ? .plain : nil
        case .regex(let regex): return regex.matches(text) ? .plain : nil
        case .json(let pattern):
            guard let document = JSONPattern.document(text), pattern.matches(document) else { return nil }
            return .json(document)
        case .fields(let pattern): return pattern.match(text).map { .fields($0) }
        }
    }

    /// What TestMetricFilter and subscriptions show of an event that matches: the fields of a space-delimited one, what the
    /// selectors of a JSON pattern found.
    func extracted(_ match: Match) -> [(name: String, value: String)] {
        switch (match, form) {
        case (.fields(let fields), _): return fields
        case (.json(let document), .json(let pattern)):
            var seen: Set<String> = []
            return pattern.condition.leaves.compactMap { leaf in
                guard seen.insert(leaf.selector.text).inserted,
                    let value = leaf.selector.first(in: document, where: { _ in true })
                else { return nil }
                return (leaf.selector.text, FieldSelector.text(of: value))
            }
        default: return []
        }
    }

    /// Whether values and dimensions of metrics can be taken from its events with this selector.
    func offers(_ selector: FieldSelector) -> Bool {
        switch (form, selector) {
        case (.json, .json): return true
        case (.fields(let pattern), .field(let name)):
            return pattern.hasEllipsis || Int(name) != nil
                || (pattern.head + pattern.tail).contains { $0.name == name }
        default: return false
        }
    }

    /// Whether its events have fields at all.
    var hasFields: Bool {
        switch form {
        case .json, .fields: true
        default: false
        }
    }
}

/// Where a metric's value or dimension comes from: `$.path` of JSON events, `$name` of space-delimited ones.
enum FieldSelector: Sendable {
    case json(JSONPattern.Selector)
    case field(String)

    init?(_ text: String) {
        guard text.utf8.first == UInt8(ascii: "$"), text.utf8.count <= Limits.patternCharacters else { return nil }
        let second = text.utf8.dropFirst().first
        if second == UInt8(ascii: ".") || second == UInt8(ascii: "[") {
            var scanner = PatternScanner(Array(text.utf8))
            guard let selector = try? JSONPattern.Selector(&scanner), scanner.isAtEnd else { return nil }
            self = .json(selector)
        } else {
            let name = text.utf8.dropFirst()
            guard !name.isEmpty, name.allSatisfy({ $0.isWord || $0 == UInt8(ascii: "-") }) else { return nil }
            self = .field(String(text.dropFirst()))
        }
    }

    /// The value as text; nil when the event has none.
    func text(in match: FilterPattern.Match) -> String? {
        switch (self, match) {
        case (.json(let selector), .json(let document)):
            return selector.first(in: document) { value in
                switch value {
                case .string, .int, .double, .bool: true
                default: false
                }
            }.map(Self.text)
        case (.field(let name), .fields(let fields)):
            let key = "$" + name
            return fields.first { $0.name == key }?.value
        default: return nil
        }
    }

    static func text(of value: Value) -> String { value.string ?? JSON.encodeString(value) }
}
