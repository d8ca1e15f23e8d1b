import Platform

// The objects inside of a field's array: {"prefix": "a"} and so on. Texts are those of Event Ruler, as AWS passes them
// on.

/// One alternative of a field.
enum Alternative: Sendable {
    case text(String)
    case number(PatternNumber)
    case bool(Bool)
    case null
    case exists(Bool)
    case test(Leaf.Test)
    /// Tests of wildcards, which are limited together.
    case wildcards([Wildcard], Leaf.Test)
}

struct MatchExpressionParser {
    let operators: Operators

    /// Reads behind the `{`, to its `}`.
    func parse(_ tokens: inout TokenReader) throws(PatternError) -> Alternative {
        guard try tokens.next() == .name else { throw tokens.failure("Match expression name not found") }
        let name = try tokens.currentText()
        switch name {
        case "exactly":
            let text = try string(&tokens, or: "exact match pattern must be a string")
            try closeOnlyKey(&tokens)
            return .text(text)
        case "prefix", "suffix": return .test(try affix(&tokens, isPrefix: name == "prefix"))
        case "equals-ignore-case":
            let text = try string(&tokens, or: "equals-ignore-case match pattern must be a string")
            try closeOnlyKey(&tokens)
            return .test(.equalsIgnoringCase(FoldedText(text)))
        case "wildcard" where operators.wildcard:
            let wildcard = try wildcard(try string(&tokens, or: "wildcard match pattern must be a string"), tokens)
            try closeOnlyKey(&tokens)
            return .wildcards([wildcard], .wildcard(wildcard))
        case "numeric":
            guard try tokens.next() == .startArray else { throw tokens.failure("Value of numeric must be an array.") }
            let alternative = try numeric(&tokens)
            guard try tokens.next() == .endObject else { throw tooManyElements(tokens) }
            return alternative
        case "anything-but": return try anythingBut(&tokens)
        case "exists":
            let token = try tokens.next()
            guard token == .yes || token == .no else {
                throw tokens.failure("exists match pattern must be either true or false.")
            }
            try closeOnlyKey(&tokens)
            return .exists(token == .yes)
        case "cidr":
            // Ruler's text names prefix.
            let text = try string(&tokens, or: "prefix match pattern must be a string")
            let block = try Self.block(text)
            try closeOnlyKey(&tokens)
            return .test(.block(block))
        default: throw tokens.failure("Unrecognized match type \(name)")
        }
    }

    // MARK: Strings

    private func string(_ tokens: inout TokenReader, or reason: String) throws(PatternError) -> String {
        guard try tokens.next() == .string else { throw tokens.failure(reason) }
        return try tokens.currentText()
    }

    private func closeOnlyKey(_ tokens: inout TokenReader) throws(PatternError) {
        guard try tokens.next() == .endObject else {
            throw tokens.failure("Only one key allowed in match expression")
        }
    }

    private func tooManyElements(_ tokens: TokenReader) -> PatternError {
        tokens.failure("Too many elements in numeric expression")
    }

    private func affix(_ tokens: inout TokenReader, isPrefix: Bool) throws(PatternError) -> Leaf.Test {
        let kind = isPrefix ? "prefix" : "suffix"
        var token = try tokens.next()
        if token == .startObject, operators.affixesIgnoringCase {
            guard try tokens.next() == .name else {
                throw tokens.failure("\(isPrefix ? "Prefix" : "Suffix") expression name not found")
            }
            let inner = try tokens.currentText()
            guard inner == "equals-ignore-case" else { throw tokens.failure("Unsupported \(kind) pattern: \(inner)") }
            token = try tokens.next()
            guard token == .string else { throw tokens.failure("equals-ignore-case match pattern must be a string") }
            let text = FoldedText(try tokens.currentText())
            try closeOnlyKey(&tokens)
            try closeOnlyKey(&tokens)
            return isPrefix ? .prefixIgnoringCase(text) : .suffixIgnoringCase(text)
        }
        guard token == .string else { throw tokens.failure("\(kind) match pattern must be a string") }
        let bytes = Array(try tokens.currentText().utf8)
        try closeOnlyKey(&tokens)
        return isPrefix ? .prefix(bytes) : .suffix(bytes)
    }

    private func wildcard(_ text: String, _ tokens: TokenReader) throws(PatternError) -> Wildcard {
        do throws(Wildcard.SyntaxError) {
            return try Wildcard(text)
        } catch {
            throw tokens.failure(error.message)
        }
    }

    // MARK: Anything but

    private func anythingBut(_ tokens: inout TokenReader) throws(PatternError) -> Alternative {
        var token = try tokens.next()
        var inner: String?
        if token == .startObject {
            guard try tokens.next() == .name else { throw tokens.failure("Anything-But expression name not found") }
            let name = try tokens.currentText()
            guard operators.insideAnythingBut.contains(name) else {
                throw tokens.failure("Unsupported anything-but pattern: \(name)")
            }
            inner = name
            token = try tokens.next()
        }
        guard token == .startArray || token == .string || token == .number else {
            throw tokens.failure("Value of anything-but must be an array or single string/number value.")
        }
        var texts: [String] = []
        var numbers: [PatternNumber] = []
        if token == .startArray {
            while try tokens.next() != .endArray { try butValue(&tokens, inner, &texts, &numbers) }
            if inner == nil, texts.isEmpty == numbers.isEmpty {
                throw tokens.failure(
                    "Inside anything but list, either all values are number or string, mixed type is not supported")
            }
        } else {
            try butValue(&tokens, inner, &texts, &numbers)
        }
        let alternative = try butAlternative(inner, texts, numbers, tokens)
        guard try tokens.next() == .endObject else { throw tooManyElements(tokens) }
        if inner != nil, try tokens.next() != .endObject { throw tooManyElements(tokens) }
        return alternative
    }

    private func butValue(
        _ tokens: inout TokenReader, _ inner: String?, _ texts: inout [String], _ numbers: inout [PatternNumber]
    ) throws(PatternError) {
        if tokens.token == .string {
            let text = try tokens.currentText()
            if text.isEmpty, inner == "prefix" || inner == "suffix" {
                throw tokens.failure("Null prefix/suffix not allowed")
            }
            texts.append(text)
            return
        }
        switch inner {
        case nil:
            guard tokens.token == .number, let number = PatternNumber(tokens.number) else {
                throw tokens.failure("Inside anything but list, start|null|boolean is not supported.")
            }
            _ = try inRange(number, tokens)
            numbers.append(number)
        case "equals-ignore-case":
            throw tokens.failure(
                "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.")
        case "wildcard": throw tokens.failure("wildcard match pattern must be a string")
        default: throw tokens.failure("prefix/suffix match pattern must be a string")
        }
    }

    private func butAlternative(
        _ inner: String?, _ texts: [String], _ numbers: [PatternNumber], _ tokens: TokenReader
    ) throws(PatternError) -> Alternative {
        switch inner {
        case "prefix": return .test(.noneOf(texts.map { .prefix(Array($0.utf8)) }))
        case "suffix": return .test(.noneOf(texts.map { .suffix(Array($0.utf8)) }))
        case "equals-ignore-case": return .test(.noneOf(texts.map { .equalsIgnoringCase(FoldedText($0)) }))
        case "wildcard":
            var wildcards: [Wildcard] = []
            for text in texts { wildcards.append(try wildcard(text, tokens)) }
            return .wildcards(wildcards, .noneOf(wildcards.map { .wildcard($0) }))
        default:
            if !numbers.isEmpty { return .test(.noneOfNumbers(numbers)) }
            return .test(.noneOf(texts.map { .text(Array($0.utf8)) }))
        }
    }

    // MARK: Numbers

    /// The number in millionths.
    private func inRange(_ number: PatternNumber, _ tokens: TokenReader) throws(PatternError) -> Int64 {
        guard let scaled = number.scaled else {
            throw tokens.failure("Value must be between -5.0E9 and 5.0E9, inclusive")
        }
        return scaled
    }

    /// Reads behind the `[`, to its `]`.
    private func numeric(_ tokens: inout TokenReader) throws(PatternError) -> Alternative {
        guard try tokens.next() == .string else {
            throw tokens.failure("Invalid member in numeric match: \(try tokens.currentText())")
        }
        let sign = try tokens.currentText()
        let token = try tokens.next()
        let signs = ["=": "equals", ">=": ">=", ">": ">", "<=": "<=", "<": "<"]
        guard let shown = signs[sign] else { throw tokens.failure("Unrecognized numeric range operator: \(sign)") }
        guard token.isNumber, let number = PatternNumber(tokens.number) else {
            throw tokens.failure("Value of \(shown) must be numeric")
        }
        let after = try tokens.next()
        if sign == ">=" || sign == ">" {
            let bottom = number
            if after == .endArray {
                let value = try inRange(bottom, tokens)
                return range(value, sign == ">=", NumericRange.highest, true)
            }
            return try completeRange(&tokens, bottom, includesBottom: sign == ">=")
        }
        guard after == .endArray else { throw tooManyElements(tokens) }
        let value = try inRange(number, tokens)
        if sign == "=" { return range(value, true, value, true) }
        return range(NumericRange.lowest, true, value, sign == "<=")
    }

    private func completeRange(
        _ tokens: inout TokenReader, _ bottom: PatternNumber, includesBottom: Bool
    ) throws(PatternError) -> Alternative {
        let text = try tokens.currentText()
        guard tokens.token == .string else { throw tokens.failure("Bad value in numeric range: \(text)") }
        guard text == "<" || text == "<=" else { throw tokens.failure("Bad numeric range operator: \(text)") }
        guard try tokens.next().isNumber, let top = PatternNumber(tokens.number) else {
            throw tokens.failure("Value of \(text) must be numeric")
        }
        guard try tokens.next() == .endArray else {
            throw tokens.failure("Too many terms in numeric range expression")
        }
        let low = try inRange(bottom, tokens)
        let high = try inRange(top, tokens)
        guard low < high else { throw tokens.failure("Bottom must be less than top") }
        return range(low, includesBottom, high, text == "<=")
    }

    private func range(_ bottom: Int64, _ includesBottom: Bool, _ top: Int64, _ includesTop: Bool) -> Alternative {
        .test(
            .numeric(
                NumericRange(bottom: bottom, includesBottom: includesBottom, top: top, includesTop: includesTop)))
    }

    // MARK: Addresses

    /// Errors have no place: Ruler makes them outside of its parser.
    private static func block(_ text: String) throws(PatternError) -> IPAddressBlock {
        // As Java's split: empty parts at the end do not count.
        var parts = text.split(separator: "/", omittingEmptySubsequences: false)
        while let last = parts.last, last.isEmpty { parts.removeLast() }
        guard parts.count == 2 else { throw PatternError(message: "Malformed CIDR, one '/' required") }
        guard let bits = Int32(parts[1]) else {
            throw PatternError(message: "Malformed CIDR, mask bits must be an integer")
        }
        guard bits >= 0 else { throw PatternError(message: "Malformed CIDR, mask bits must not be negative") }
        guard let address = IPAddress(parts[0]) else {
            throw PatternError(message: "Nonstandard IP address: \(parts[0])")
        }
        guard bits <= address.family.bits else {
            let name = address.family == .v4 ? "IPv4" : "IPv6"
            throw PatternError(message: "\(name) mask bits must be < \(address.family.bits + 1)")
        }
        return IPAddressBlock(address, bits: Int(bits))
    }
}
