/// A pattern with `*` for any run of bytes.
struct Wildcard: Sendable, Hashable {
    /// What stands between the asterisks; one element: there is none.
    private let parts: [[UInt8]]

    struct SyntaxError: Error {
        var message: String
    }

    /// Throws for `**` and for a backslash before anything but `*` and `\`. Places count from the opening quote.
    init(_ text: String) throws(SyntaxError) {
        var parts: [[UInt8]] = [[]]
        let bytes = Array(text.utf8)
        let asterisk = UInt8(ascii: "*")
        let backslash = UInt8(ascii: "\\")
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            let next = index + 1 < bytes.count ? bytes[index + 1] : nil
            if byte == asterisk {
                if next == asterisk {
                    throw SyntaxError(message: "Consecutive wildcard characters at pos \(index + 1)")
                }
                parts.append([])
            } else if byte == backslash {
                guard let next, next == asterisk || next == backslash else {
                    throw SyntaxError(message: "Invalid escape character at pos \(index + 1)")
                }
                parts[parts.count - 1].append(next)
                index += 1
            } else {
                parts[parts.count - 1].append(byte)
            }
            index += 1
        }
        self.parts = parts
    }

    /// Each part at its first place behind the one before: that suffices, since parts are literal.
    func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let first = parts.first, let last = parts.last else { return false }
        if parts.count == 1 { return Bytes.equal(text, first) }
        guard text.count >= first.count + last.count, Bytes.hasPrefix(text, first), Bytes.hasSuffix(text, last) else {
            return false
        }
        var position = first.count
        let end = text.count - last.count
        for part in parts[1..<(parts.count - 1)] {
            guard let found = Bytes.firstIndex(of: part, in: text, from: position, to: end) else { return false }
            position = found + part.count
        }
        return position <= end
    }

    /// Its bytes with the quotes around, nil for an asterisk: how Ruler sees it.
    fileprivate var tokens: [UInt8?] {
        var tokens: [UInt8?] = [UInt8(ascii: "\"")]
        for (index, part) in parts.enumerated() {
            if index > 0 { tokens.append(nil) }
            tokens += part
        }
        tokens.append(UInt8(ascii: "\""))
        return tokens
    }
}

/// How many prefixes of wildcard patterns some text could match at the same time; what AWS limits.
enum WildcardComplexity {
    /// A pattern and how many of its tokens are matched.
    private struct Position: Hashable, Comparable {
        var pattern: Int
        var matched: Int
        static func < (a: Position, b: Position) -> Bool { (a.pattern, a.matched) < (b.pattern, b.matched) }
    }

    /// Walks through the sets of prefixes that texts can match, with one byte for all those that go on with no pattern.
    static func isTooHigh(_ wildcards: [Wildcard]) -> Bool {
        let patterns = Array(Set(wildcards)).map(\.tokens)
        let start = patterns.indices.map { Position(pattern: $0, matched: 0) }
        var seen: Set<[Position]> = [start]
        var waiting = [start]
        while let active = waiting.popLast() {
            var letters: Set<UInt8?> = [nil]
            for position in active where position.matched < patterns[position.pattern].count {
                letters.insert(patterns[position.pattern][position.matched])
            }
            for letter in letters {
                let next = step(active, letter, patterns)
                if next.count > Limits.wildcardComplexity { return true }
                if next.isEmpty || !seen.insert(next).inserted { continue }
                if seen.count > Limits.wildcardStates { return true }
                waiting.append(next)
            }
        }
        return false
    }

    private static func step(_ active: [Position], _ letter: UInt8?, _ patterns: [[UInt8?]]) -> [Position] {
        var next = Set<Position>()
        for position in active {
            let tokens = patterns[position.pattern]
            // Behind an asterisk everything leads back to it.
            if position.matched > 0, tokens[position.matched - 1] == nil { next.insert(position) }
            guard position.matched < tokens.count, let token = tokens[position.matched], token == letter else {
                continue
            }
            let after = position.matched + 1
            next.insert(Position(pattern: position.pattern, matched: after))
            if after < tokens.count, tokens[after] == nil {
                next.insert(Position(pattern: position.pattern, matched: after + 1))
            }
        }
        return next.sorted()
    }
}
