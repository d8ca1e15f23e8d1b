import Wire

/// Reads the text of a pattern byte by byte; what the three kinds of pattern have in common.
struct PatternScanner {
    let bytes: [UInt8]
    private(set) var index = 0
    /// Regular expressions so far.
    private(set) var regexes = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { index >= bytes.count }
    var next: UInt8? { isAtEnd ? nil : bytes[index] }

    mutating func advance(_ count: Int = 1) { index = min(index + count, bytes.count) }

    mutating func skipBlanks() {
        while let byte = next, byte.isBlank { index += 1 }
    }

    /// Takes the text if it is next, blanks before it too.
    mutating func take(_ text: StaticString) -> Bool {
        skipBlanks()
        let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard bytes.count - index >= wanted.count, bytes[index..<index + wanted.count].elementsEqual(wanted) else {
            return false
        }
        index += wanted.count
        return true
    }

    /// Takes the word, in any case, if it is next and no longer.
    mutating func takeWord(_ word: String) -> Bool {
        skipBlanks()
        let found = bytes[index...].prefix { $0.isWord }
        guard String(decoding: found, as: UTF8.self).uppercased() == word else { return false }
        index += found.count
        return true
    }

    mutating func takeWhile(_ holds: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        let found = bytes[index...].prefix(while: holds)
        index += found.count
        return found
    }

    /// The text between two quotes, with `\"` and `\\`; the first quote is next.
    mutating func quoted(by quote: UInt8 = UInt8(ascii: "\"")) throws(AWSError) -> [UInt8] {
        var out: [UInt8] = []
        index += 1
        while let byte = next {
            index += 1
            if byte == quote { return out }
            if byte == UInt8(ascii: "\\"), let escaped = next, escaped == quote || escaped == UInt8(ascii: "\\") {
                out.append(escaped)
                index += 1
            } else {
                out.append(byte)
            }
        }
        throw PatternError.malformed
    }

    /// `%expression%`; the first `%` is next.
    mutating func regex() throws(AWSError) -> RegexSubset {
        let start = index + 1
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "%") { end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1 }
        guard end < bytes.count else { throw PatternError.malformed }
        index = end + 1
        regexes += 1
        guard regexes <= Limits.regexesPerPattern else { throw PatternError.tooManyRegexes }
        return try RegexParser.parse(bytes[start..<end])
    }

    /// The comparison that is next.
    mutating func comparison() throws(AWSError) -> Comparison {
        if take("!=") || take("=!") { return .notEqual }
        if take("<=") { return .lessOrEqual }
        if take(">=") { return .greaterOrEqual }
        if take("=") { return .equal }
        if take("<") { return .less }
        if take(">") { return .greater }
        throw unexpected()
    }

    /// What something is compared with: quoted, a regular expression, a number, or a bare text.
    mutating func operand(_ comparison: Comparison) throws(AWSError) -> Operand {
        skipBlanks()
        let operand: Operand
        switch next {
        case UInt8(ascii: "\""): operand = .text(Glob(try quoted()))
        case UInt8(ascii: "%"): operand = .regex(try regex())
        default:
            let word = takeWhile { !$0.isBlank && !"\"(){}[]&|=<>!,%\\'".utf8.contains($0) && $0 < 128 }
            guard !word.isEmpty else { throw unexpected() }
            let number = Operand.number(in: word)
            operand = number.map { .number($0, Glob(word)) } ?? .text(Glob(word))
        }
        // Order is of numbers only.
        if comparison.isOrder {
            guard case .number = operand else { throw PatternError.malformed }
        }
        return operand
    }

    /// Blames the characters here that are no letters, or the pattern as a whole at its end.
    func unexpected() -> AWSError {
        func isOdd(_ byte: UInt8) -> Bool { !byte.isWord && !byte.isBlank }
        guard index < bytes.count, isOdd(bytes[index]), !"{}[]()".utf8.contains(bytes[index]) else {
            return PatternError.malformed
        }
        var start = index
        while start > 0, isOdd(bytes[start - 1]), !"{[(".utf8.contains(bytes[start - 1]) { start -= 1 }
        return PatternError.characters(bytes[start...].prefix { isOdd($0) && !"}])".utf8.contains($0) })
    }
}

enum Comparison: Sendable {
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual

    var isOrder: Bool { self != .equal && self != .notEqual }

    func holds(_ a: Double, _ b: Double) -> Bool {
        switch self {
        case .equal: a == b
        case .notEqual: a != b
        case .less: a < b
        case .lessOrEqual: a <= b
        case .greater: a > b
        case .greaterOrEqual: a >= b
        }
    }
}

enum Operand: Sendable {
    case text(Glob)
    /// A number, and how it was written.
    case number(Double, Glob)
    case regex(RegexSubset)

    /// An integer or decimal with an optional sign and an optional exponent; no hexadecimal, infinities and the like.
    static func number(in text: some Collection<UInt8>) -> Double? {
        guard let first = text.first(where: { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "+") }),
            (48...57).contains(first) || first == UInt8(ascii: "."),
            text.allSatisfy({ (48...57).contains($0) || "+-.eE".utf8.contains($0) }), text.count <= 64,
            let number = Double(String(decoding: text, as: UTF8.self)), number.isFinite
        else { return nil }
        return number
    }

    /// Whether a text stands so to this; `number` is what it is as one.
    func holds(_ comparison: Comparison, _ text: UnsafeBufferPointer<UInt8>, number: () -> Double?) -> Bool {
        switch self {
        case .regex(let regex): return regex.matches(text) == (comparison == .equal)
        case .text(let glob): return glob.matches(text) == (comparison == .equal)
        case .number(let wanted, let glob):
            if let found = number() { return comparison.holds(found, wanted) }
            return comparison.isOrder ? false : glob.matches(text) == (comparison == .equal)
        }
    }
}

/// Conditions joined by `&&`, `||` and parentheses.
indirect enum Compound<Leaf: Sendable>: Sendable {
    case leaf(Leaf)
    case all([Compound])
    case any([Compound])

    func holds(_ leaf: (Leaf) -> Bool) -> Bool {
        switch self {
        case .leaf(let condition): leaf(condition)
        case .all(let parts): parts.allSatisfy { $0.holds(leaf) }
        case .any(let parts): parts.contains { $0.holds(leaf) }
        }
    }

    var leaves: [Leaf] {
        switch self {
        case .leaf(let leaf): [leaf]
        case .all(let parts), .any(let parts): parts.flatMap(\.leaves)
        }
    }

    /// `||` binds loosest. Throws InvalidParameterException, also for what is nested too deep.
    static func parse(
        _ scanner: inout PatternScanner, depth: Int = 0,
        _ leaf: (inout PatternScanner) throws(AWSError) -> Leaf
    ) throws(AWSError) -> Compound {
        guard depth < Limits.patternDepth else { throw PatternError.malformed }
        var alternatives: [Compound] = []
        repeat {
            var parts: [Compound] = []
            repeat {
                if scanner.take("(") {
                    parts.append(try parse(&scanner, depth: depth + 1, leaf))
                    guard scanner.take(")") else { throw scanner.unexpected() }
                } else {
                    parts.append(.leaf(try leaf(&scanner)))
                }
            } while scanner.take("&&")
            alternatives.append(parts.count == 1 ? parts[0] : .all(parts))
        } while scanner.take("||")
        return alternatives.count == 1 ? alternatives[0] : .any(alternatives)
    }
}
