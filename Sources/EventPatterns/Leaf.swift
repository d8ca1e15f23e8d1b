import Platform

/// The alternatives of one field, without `exists: false`, which is no property of a value.
struct Leaf: Sendable {
    /// Numbers are compared as text (event source mappings).
    var comparesNumbersAsText = false
    private(set) var acceptsAnything = false
    private var texts: [ExactText] = []
    private var manyTexts: Set<[UInt8]> = []
    private var addresses: [IPAddress] = []
    private var numbers: [PatternNumber] = []
    private var acceptsNull = false
    private var acceptsTrue = false
    private var acceptsFalse = false
    private var tests: [Test] = []

    /// A condition that is more than equality.
    enum Test: Sendable {
        case prefix([UInt8])
        case suffix([UInt8])
        case prefixIgnoringCase(FoldedText)
        case suffixIgnoringCase(FoldedText)
        case equalsIgnoringCase(FoldedText)
        case wildcard(Wildcard)
        case numeric(NumericRange)
        case block(IPAddressBlock)
        /// None of these; every value that is no string passes.
        indirect case noneOf([Test])
        case text([UInt8])
        case noneOfNumbers([PatternNumber])
    }

    mutating func add(_ text: String) {
        texts.append(ExactText(text))
        if texts.count > Limits.comparedStrings {
            for text in texts { manyTexts.insert(Array(text.text.utf8)) }
            texts.removeAll()
        }
        // Two ways of writing one address are one address.
        if let address = IPAddress(text) { addresses.append(address) }
    }

    mutating func add(_ number: PatternNumber) { numbers.append(number) }
    mutating func add(_ test: Test) { tests.append(test) }
    mutating func addNull() { acceptsNull = true }
    mutating func add(_ bool: Bool) { if bool { acceptsTrue = true } else { acceptsFalse = true } }
    mutating func addAnything() { acceptsAnything = true }

    /// Whether one value fits; objects and arrays are none.
    func matches(_ value: Value) -> Bool {
        switch value {
        case .list, .map, .blob, .timestamp: return false
        case _ where acceptsAnything: return true
        case .string(let text): return matches(text)
        case .int, .double:
            guard let number = PatternNumber(value) else { return false }
            return numbers.contains { comparesNumbersAsText ? $0.isWrittenAs(number) : $0.equals(number) }
                || tests.contains { Self.test($0, number) }
        case .bool(let bool): return (bool ? acceptsTrue : acceptsFalse) || tests.contains(where: Self.passesOthers)
        case .null: return acceptsNull || tests.contains(where: Self.passesOthers)
        }
    }

    private func matches(_ text: String) -> Bool {
        for exact in texts where exact.equals(text) { return true }
        if !manyTexts.isEmpty, manyTexts.contains(Array(text.utf8)) { return true }
        if !addresses.isEmpty, let address = IPAddress(text), addresses.contains(address) { return true }
        for test in tests where Self.test(test, text) { return true }
        return false
    }

    private static func test(_ test: Test, _ number: PatternNumber) -> Bool {
        switch test {
        case .numeric(let range): range.contains(number)
        case .noneOfNumbers(let numbers): !numbers.contains { $0.equals(number) }
        default: passesOthers(test)
        }
    }

    /// What `anything-but` makes of values that are not of the kind that it names.
    private static func passesOthers(_ test: Test) -> Bool {
        switch test {
        case .noneOf, .noneOfNumbers: true
        default: false
        }
    }

    private static func test(_ test: Test, _ text: String) -> Bool {
        switch test {
        case .prefix(let bytes): return withBytes(text) { Bytes.hasPrefix($0, bytes) }
        case .suffix(let bytes): return withBytes(text) { Bytes.hasSuffix($0, bytes) }
        case .text(let bytes): return withBytes(text) { Bytes.equal($0, bytes) }
        case .prefixIgnoringCase(let folded): return folded.isPrefix(of: text)
        case .suffixIgnoringCase(let folded): return folded.isSuffix(of: text)
        case .equalsIgnoringCase(let folded): return folded.equals(text)
        case .wildcard(let wildcard): return withBytes(text) { wildcard.matches($0) }
        case .block(let block):
            guard let address = IPAddress(text) else { return false }
            return block.contains(address)
        case .noneOf(let tests): return !tests.contains { Self.test($0, text) }
        case .noneOfNumbers: return true
        case .numeric: return false
        }
    }

    private static func withBytes(_ text: String, _ body: (UnsafeBufferPointer<UInt8>) -> Bool) -> Bool {
        var text = text
        return text.withUTF8(body)
    }
}
