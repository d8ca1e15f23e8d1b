import Wire

/// A metric math expression, parsed (CloudWatch user guide, "Metric math syntax and functions").
indirect enum Expression: Sendable, Equatable {
    enum Operator: String, Sendable {
        case add = "+"
        case subtract = "-"
        case multiply = "*"
        case divide = "/"
        case power = "^"
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
        case equal = "=="
        case notEqual = "!="
        case and = "AND"
        case or = "OR"
    }

    case number(Double)
    case text(String)
    /// The id of another query.
    case reference(String)
    /// A word that a function knows: REPEAT, LINEAR, ASC, MAX.
    case word(String)
    case list([Expression])
    case negate(Expression)
    case binary(Operator, Expression, Expression)
    case call(MathFunction, [Expression])

    /// The ids that it names.
    var references: Set<String> {
        switch self {
        case .number, .text, .word: []
        case .reference(let id): [id]
        case .list(let parts), .call(_, let parts): parts.reduce(into: []) { $0.formUnion($1.references) }
        case .negate(let inner): inner.references
        case .binary: chained
        }
    }

    /// Of a chain of operators, whose left sides may be a thousand deep.
    private var chained: Set<String> {
        var (all, node): (Set<String>, Expression) = ([], self)
        while case .binary(_, let left, let right) = node {
            all.formUnion(right.references)
            node = left
        }
        return all.union(node.references)
    }

    /// Throws ValidationError.
    init(_ text: String) throws(AWSError) {
        guard text.utf8.count <= Limits.expressionBytes else {
            throw .validation("The expression is longer than \(Limits.expressionBytes) characters.")
        }
        var parser = ExpressionParser(text)
        self = try parser.parse()
    }
}

private struct ExpressionParser {
    private enum Token: Equatable {
        case number(Double)
        case text(String)
        case name(String)
        case symbol(String)
    }

    private let source: String
    private var tokens: [Token] = []
    private var position = 0

    init(_ text: String) { source = text }

    mutating func parse() throws(AWSError) -> Expression {
        try readTokens()
        let expression = try either(0)
        guard position == tokens.count else { throw malformed() }
        return expression
    }

    private func malformed() -> AWSError { .validation("Error in expression '\(source)': Invalid syntax") }

    // MARK: Tokens

    private mutating func readTokens() throws(AWSError) {
        let bytes = Array(source.utf8)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            let start = index
            switch byte {
            case 9, 10, 13, 32: index += 1
            case 48...57, UInt8(ascii: "."):
                while index < bytes.count, Self.isNumeric(bytes, index) { index += 1 }
                guard let number = Double(String(decoding: bytes[start..<index], as: UTF8.self)), number.isFinite else {
                    throw malformed()
                }
                tokens.append(.number(number))
            case UInt8(ascii: "'"), UInt8(ascii: "\""):
                index += 1
                while index < bytes.count, bytes[index] != byte { index += 1 }
                guard index < bytes.count else { throw malformed() }
                tokens.append(.text(String(decoding: bytes[(start + 1)..<index], as: UTF8.self)))
                index += 1
            case 65...90, 97...122, 95:
                while index < bytes.count, Self.isName(bytes[index]) { index += 1 }
                tokens.append(.name(String(decoding: bytes[start..<index], as: UTF8.self)))
            default:
                let pair = index + 1 < bytes.count ? String(decoding: bytes[index...(index + 1)], as: UTF8.self) : ""
                if ["<=", ">=", "==", "!=", "&&", "||"].contains(pair) {
                    tokens.append(.symbol(pair))
                    index += 2
                } else if "+-*/^<>()[],".utf8.contains(byte) {
                    tokens.append(.symbol(String(UnicodeScalar(byte))))
                    index += 1
                } else {
                    throw malformed()
                }
            }
        }
    }

    private static func isName(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 95
    }

    private static func isNumeric(_ bytes: [UInt8], _ index: Int) -> Bool {
        switch bytes[index] {
        case 48...57, UInt8(ascii: "."): return true
        case UInt8(ascii: "e"), UInt8(ascii: "E"): return true
        case UInt8(ascii: "+"), UInt8(ascii: "-"):
            return index > 0 && (bytes[index - 1] | 0x20) == UInt8(ascii: "e")
        default: return false
        }
    }

    private mutating func take(_ symbol: String) -> Bool {
        guard position < tokens.count, tokens[position] == .symbol(symbol) else { return false }
        position += 1
        return true
    }

    private mutating func takeWord(_ word: String) -> Bool {
        guard position < tokens.count, case .name(let name) = tokens[position], name.uppercased() == word else {
            return false
        }
        position += 1
        return true
    }

    // MARK: Grammar, weakest binding first

    private mutating func either(_ depth: Int) throws(AWSError) -> Expression {
        guard depth < Limits.expressionDepth else { throw .validation("The expression is nested too deeply.") }
        var left = try both(depth)
        while take("||") || takeWord("OR") { left = .binary(.or, left, try both(depth)) }
        return left
    }

    private mutating func both(_ depth: Int) throws(AWSError) -> Expression {
        var left = try comparison(depth)
        while take("&&") || takeWord("AND") { left = .binary(.and, left, try comparison(depth)) }
        return left
    }

    private mutating func comparison(_ depth: Int) throws(AWSError) -> Expression {
        var left = try sum(depth)
        while let found = operation([.lessOrEqual, .greaterOrEqual, .equal, .notEqual, .less, .greater]) {
            left = .binary(found, left, try sum(depth))
        }
        return left
    }

    private mutating func sum(_ depth: Int) throws(AWSError) -> Expression {
        var left = try product(depth)
        while let found = operation([.add, .subtract]) { left = .binary(found, left, try product(depth)) }
        return left
    }

    private mutating func product(_ depth: Int) throws(AWSError) -> Expression {
        var left = try unary(depth)
        while let found = operation([.multiply, .divide]) { left = .binary(found, left, try unary(depth)) }
        return left
    }

    private mutating func operation(_ candidates: [Expression.Operator]) -> Expression.Operator? {
        for candidate in candidates where take(candidate.rawValue) { return candidate }
        return nil
    }

    private mutating func unary(_ depth: Int) throws(AWSError) -> Expression {
        guard depth < Limits.expressionDepth else { throw .validation("The expression is nested too deeply.") }
        if take("-") { return .negate(try unary(depth + 1)) }
        let base = try primary(depth)
        if take("^") { return .binary(.power, base, try unary(depth + 1)) }
        return base
    }

    private mutating func primary(_ depth: Int) throws(AWSError) -> Expression {
        guard position < tokens.count else { throw malformed() }
        let token = tokens[position]
        position += 1
        switch token {
        case .number(let number): return .number(number)
        case .text(let text): return .text(text)
        case .symbol("("):
            let inner = try either(depth + 1)
            guard take(")") else { throw malformed() }
            return inner
        case .symbol("["): return .list(try items(until: "]", depth))
        case .symbol: throw malformed()
        case .name(let name):
            if take("(") {
                guard let function = MathFunction(rawValue: name.uppercased()) else {
                    throw .validation(
                        "Error in expression '\(source)': The function \(name) is not supported by Martlet.")
                }
                return .call(function, try items(until: ")", depth))
            }
            if let first = name.utf8.first, (97...122).contains(first) { return .reference(name) }
            if name.uppercased() == "SELECT" {
                throw .validation(
                    "Error in expression '\(source)': Metrics Insights queries are not supported by Martlet.")
            }
            return .word(name.uppercased())
        }
    }

    private mutating func items(until end: String, _ depth: Int) throws(AWSError) -> [Expression] {
        var items: [Expression] = []
        if take(end) { return items }
        repeat { items.append(try either(depth + 1)) } while take(",")
        guard take(end) else { throw malformed() }
        return items
    }
}
