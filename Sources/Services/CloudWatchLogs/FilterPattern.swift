import Platform
import Wire

/// CloudWatch Logs' filter patterns: terms and JSON selectors. Pure and bounded.
struct FilterPattern: Sendable {
    private indirect enum Form: Sendable {
        case everything
        case terms(required: [String], excluded: [String], optional: [String])
        case json(Condition)
    }

    indirect enum Condition: Sendable {
        case and(Condition, Condition)
        case or(Condition, Condition)
        case compare([String], Comparison, Literal)
        case isNull([String])
        case notExists([String])
        case isBool([String], Bool)
    }

    enum Comparison: String, Sendable {
        case equal = "="
        case notEqual = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
    }

    enum Literal: Sendable, Equatable {
        case text(String)
        case number(Double)
    }

    private let form: Form

    /// Throws InvalidParameterException for a pattern that is malformed or of a form that is not supported.
    init(_ text: String) throws(AWSError) {
        guard text.unicodeScalars.count <= Limits.patternCharacters else {
            throw LogsError.invalid("Invalid filter pattern: longer than \(Limits.patternCharacters) characters")
        }
        let trimmed = text.drop { $0 == " " }
        if trimmed.isEmpty {
            form = .everything
        } else if trimmed.first == "{" {
            var parser = SelectorParser(String(trimmed))
            form = .json(try parser.parse())
        } else if trimmed.first == "[" || trimmed.first == "%" {
            throw LogsError.invalid(
                "Invalid filter pattern: space-delimited ([…]) and regular expression (%…%) patterns are not supported "
                    + "by Martlet yet")
        } else {
            form = try Self.terms(trimmed)
        }
    }

    func matches(_ message: String) -> Bool {
        switch form {
        case .everything: return true
        case .terms(let required, let excluded, let optional):
            return required.allSatisfy(message.contains) && !excluded.contains(where: message.contains)
                && (optional.isEmpty || optional.contains(where: message.contains))
        case .json(let condition):
            guard let value = try? JSON.parse(Array(message.utf8)), value.fields != nil else { return false }
            return Self.holds(condition, value)
        }
    }

    /// `ERROR "two words" -not ?either ?or`: all terms, none of the excluded, one of the optional.
    private static func terms(_ text: Substring) throws(AWSError) -> Form {
        var (required, excluded, optional): ([String], [String], [String]) = ([], [], [])
        var rest = text
        while let first = rest.first {
            if first == " " {
                rest = rest.dropFirst()
                continue
            }
            let sign: Character = first == "-" || first == "?" ? first : "+"
            if sign != "+" { rest = rest.dropFirst() }
            let term: String
            if rest.first == "\"" {
                (term, rest) = try quoted(rest)
            } else {
                term = String(rest.prefix { $0 != " " })
                rest = rest.dropFirst(term.count)
            }
            guard !term.isEmpty else { throw LogsError.invalid("Invalid filter pattern") }
            switch sign {
            case "-": excluded.append(term)
            case "?": optional.append(term)
            default: required.append(term)
            }
        }
        // Beside required terms, optional ones do not count (AWS ignores them).
        return .terms(required: required, excluded: excluded, optional: required.isEmpty ? optional : [])
    }

    /// The text between quotes, with `\"` and `\\`, and what follows.
    fileprivate static func quoted(_ text: Substring) throws(AWSError) -> (String, Substring) {
        var out = ""
        var rest = text.dropFirst()
        while let character = rest.first {
            rest = rest.dropFirst()
            if character == "\"" { return (out, rest) }
            if character == "\\", let next = rest.first, next == "\"" || next == "\\" {
                out.append(next)
                rest = rest.dropFirst()
            } else {
                out.append(character)
            }
        }
        throw LogsError.invalid("Invalid filter pattern: a quote is not closed")
    }

    private static func holds(_ condition: Condition, _ value: Value) -> Bool {
        switch condition {
        case .and(let a, let b): return holds(a, value) && holds(b, value)
        case .or(let a, let b): return holds(a, value) || holds(b, value)
        case .isNull(let path): return select(path, value)?.isNull ?? false
        case .notExists(let path): return select(path, value) == nil
        case .isBool(let path, let expected): return select(path, value)?.bool == expected
        case .compare(let path, let comparison, let literal):
            guard let found = select(path, value) else { return false }
            return compare(found, comparison, literal)
        }
    }

    private static func compare(_ value: Value, _ comparison: Comparison, _ literal: Literal) -> Bool {
        switch literal {
        case .number(let number):
            guard let found = value.double else { return comparison == .notEqual }
            switch comparison {
            case .equal: return found == number
            case .notEqual: return found != number
            case .less: return found < number
            case .lessOrEqual: return found <= number
            case .greater: return found > number
            case .greaterOrEqual: return found >= number
            }
        case .text(let text):
            let found: String
            switch value {
            case .string(let string): found = string
            case .bool(let bool): found = bool ? "true" : "false"
            case .int(let number): found = String(number)
            default: return comparison == .notEqual
            }
            let equal = wildcard(Array(text.utf8), Array(found.utf8))
            return comparison == .equal ? equal : comparison == .notEqual ? !equal : false
        }
    }

    /// `*` stands for any run of bytes. Linear backtracking to the last star only.
    static func wildcard(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
        var (p, t, star, mark) = (0, 0, -1, 0)
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                (star, mark) = (p, t)
                p += 1
            } else if p < pattern.count, pattern[p] == text[t] {
                p += 1
                t += 1
            } else if star >= 0 {
                mark += 1
                (p, t) = (star + 1, mark)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    private static func select(_ path: [String], _ value: Value) -> Value? {
        var value = value
        for step in path {
            if step.hasPrefix("["), let index = Int(step.dropFirst()) {
                guard let list = value.list, list.indices.contains(index) else { return nil }
                value = list[index]
            } else {
                guard let next = value[step] else { return nil }
                value = next
            }
        }
        return value
    }
}

/// Parses `{ $.a.b[0] = "x" && ($.n > 5 || $.m IS NULL) }`.
private struct SelectorParser {
    private var rest: Substring

    init(_ text: String) { rest = text[...] }

    mutating func parse() throws(AWSError) -> FilterPattern.Condition {
        try expect("{")
        let condition = try disjunction(depth: 0)
        try expect("}")
        skipSpace()
        guard rest.isEmpty else { throw malformed() }
        return condition
    }

    private mutating func disjunction(depth: Int) throws(AWSError) -> FilterPattern.Condition {
        guard depth < Limits.patternDepth else { throw malformed() }
        var left = try conjunction(depth: depth)
        while take("||") { left = .or(left, try conjunction(depth: depth)) }
        return left
    }

    private mutating func conjunction(depth: Int) throws(AWSError) -> FilterPattern.Condition {
        var left = try term(depth: depth)
        while take("&&") { left = .and(left, try term(depth: depth)) }
        return left
    }

    private mutating func term(depth: Int) throws(AWSError) -> FilterPattern.Condition {
        if take("(") {
            let inner = try disjunction(depth: depth + 1)
            try expect(")")
            return inner
        }
        let path = try selector()
        if takeWord("IS") {
            if takeWord("NULL") { return .isNull(path) }
            if takeWord("TRUE") { return .isBool(path, true) }
            if takeWord("FALSE") { return .isBool(path, false) }
            throw malformed()
        }
        if takeWord("NOT") {
            guard takeWord("EXISTS") else { throw malformed() }
            return .notExists(path)
        }
        for text in ["!=", "<=", ">=", "=", "<", ">"] where take(text) {
            guard let comparison = FilterPattern.Comparison(rawValue: text) else { break }
            return .compare(path, comparison, try literal())
        }
        throw malformed()
    }

    private mutating func selector() throws(AWSError) -> [String] {
        guard take("$") else { throw malformed() }
        var path: [String] = []
        while let first = rest.first {
            if first == "." {
                rest = rest.dropFirst()
                let name = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" }
                guard !name.isEmpty else { throw malformed() }
                path.append(String(name))
                rest = rest.dropFirst(name.count)
            } else if first == "[" {
                rest = rest.dropFirst()
                let digits = rest.prefix { $0.isNumber }
                rest = rest.dropFirst(digits.count)
                guard Int(digits) != nil, rest.first == "]" else { throw malformed() }
                rest = rest.dropFirst()
                path.append("[" + digits)
            } else {
                break
            }
        }
        guard !path.isEmpty else { throw malformed() }
        return path
    }

    private mutating func literal() throws(AWSError) -> FilterPattern.Literal {
        skipSpace()
        if rest.first == "\"" {
            let (text, after) = try FilterPattern.quoted(rest)
            rest = after
            return .text(text)
        }
        if rest.first == "%" {
            throw LogsError.invalid("Invalid filter pattern: regular expressions are not supported by Martlet yet")
        }
        let word = rest.prefix { !" )}&|".contains($0) }
        guard !word.isEmpty else { throw malformed() }
        rest = rest.dropFirst(word.count)
        return Double(word).map { .number($0) } ?? .text(String(word))
    }

    private mutating func skipSpace() { rest = rest.drop { $0.isWhitespace } }

    private mutating func take(_ text: String) -> Bool {
        skipSpace()
        guard rest.hasPrefix(text) else { return false }
        rest = rest.dropFirst(text.count)
        return true
    }

    private mutating func takeWord(_ word: String) -> Bool {
        skipSpace()
        let next = rest.prefix { $0.isLetter }
        guard next.uppercased() == word else { return false }
        rest = rest.dropFirst(next.count)
        return true
    }

    private mutating func expect(_ text: String) throws(AWSError) {
        guard take(text) else { throw malformed() }
    }

    private func malformed() -> AWSError { LogsError.invalid("Invalid filter pattern") }
}
