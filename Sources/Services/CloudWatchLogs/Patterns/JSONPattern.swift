import Platform
import Wire

/// `{ $.a.b[0] = "x" && ($.c > 3 || $.d IS NULL) }`.
struct JSONPattern: Sendable {
    enum Test: Sendable {
        case compare(Comparison, Operand)
        case isNull
        case isBool(Bool)
        case notExists
    }

    struct Condition: Sendable {
        var selector: Selector
        var test: Test
    }

    let condition: Compound<Condition>

    init(_ scanner: inout PatternScanner) throws(AWSError) {
        guard scanner.take("{") else { throw PatternError.malformed }
        condition = try Compound.parse(&scanner) { scanner throws(AWSError) in try Self.term(&scanner) }
        guard scanner.take("}") else { throw scanner.unexpected() }
        scanner.skipBlanks()
        guard scanner.isAtEnd else { throw PatternError.malformed }
        let wildcards = condition.leaves.count { $0.selector.hasWildcard }
        guard wildcards <= Limits.wildcardsPerPattern else { throw PatternError.tooManyWildcards }
    }

    private static func term(_ scanner: inout PatternScanner) throws(AWSError) -> Condition {
        scanner.skipBlanks()
        let selector = try Selector(&scanner)
        if scanner.takeWord("IS") {
            if scanner.takeWord("NULL") { return Condition(selector: selector, test: .isNull) }
            if scanner.takeWord("TRUE") { return Condition(selector: selector, test: .isBool(true)) }
            if scanner.takeWord("FALSE") { return Condition(selector: selector, test: .isBool(false)) }
            throw PatternError.malformed
        }
        if scanner.takeWord("NOT") {
            guard scanner.takeWord("EXISTS") else { throw PatternError.malformed }
            return Condition(selector: selector, test: .notExists)
        }
        let comparison = try scanner.comparison()
        return Condition(selector: selector, test: .compare(comparison, try scanner.operand(comparison)))
    }

    /// The event's document; nil when it is none.
    static func document(_ text: UnsafeBufferPointer<UInt8>) -> Value? {
        guard text.first(where: { !$0.isBlank }) == UInt8(ascii: "{"), let value = try? JSON.parse(text),
            value.fields != nil
        else { return nil }
        return value
    }

    func matches(_ document: Value) -> Bool {
        condition.holds { condition in
            if case .notExists = condition.test { return condition.selector.first(in: document) { _ in true } == nil }
            return condition.selector.first(in: document) { Self.holds(condition.test, $0) } != nil
        }
    }

    private static func holds(_ test: Test, _ value: Value) -> Bool {
        switch test {
        case .isNull: return value.isNull
        case .isBool(let expected): return value.bool == expected
        case .notExists: return false
        case .compare(let comparison, let operand):
            switch value {
            case .string(let text):
                return text.withBytes { operand.holds(comparison, $0, number: { nil }) }
            case .bool(let bool):
                return (bool ? "true" : "false").withBytes { operand.holds(comparison, $0, number: { nil }) }
            case .int, .double:
                return JSON.encodeString(value).withBytes { operand.holds(comparison, $0, number: { value.double }) }
            // A selector that points to an array or object never matches (user guide); nothing equals null.
            case .null: return comparison == .notEqual
            default: return false
            }
        }
    }

    /// `$.name`, `[0]`, `['a.b']`, and one wildcard, `.*` or `[*]`.
    struct Selector: Sendable {
        enum Step: Sendable, Equatable {
            case name(String)
            case index(Int)
            case any
        }

        let steps: [Step]
        /// As it is written, without blanks.
        let text: String
        var hasWildcard: Bool { steps.contains(.any) }

        init(_ scanner: inout PatternScanner) throws(AWSError) {
            let start = scanner.index
            guard scanner.next == UInt8(ascii: "$") else { throw scanner.unexpected() }
            scanner.advance()
            var steps: [Step] = []
            while let byte = scanner.next, byte == UInt8(ascii: ".") || byte == UInt8(ascii: "[") {
                if byte == UInt8(ascii: ".") {
                    scanner.advance()
                    if scanner.next == UInt8(ascii: "[") { continue }
                    if scanner.next == UInt8(ascii: "*") {
                        scanner.advance()
                        steps.append(.any)
                        continue
                    }
                    let name = scanner.takeWhile { $0.isWord || $0 == UInt8(ascii: "-") }
                    guard !name.isEmpty else { throw scanner.unexpected() }
                    steps.append(.name(String(decoding: name, as: UTF8.self)))
                } else {
                    scanner.advance()
                    steps.append(try Self.bracketed(&scanner))
                }
            }
            guard !steps.isEmpty else { throw scanner.unexpected() }
            guard steps.count(where: { $0 == .any }) <= 1 else { throw PatternError.tooManyWildcards }
            self.steps = steps
            text = String(decoding: scanner.bytes[start..<scanner.index], as: UTF8.self)
        }

        private static func bracketed(_ scanner: inout PatternScanner) throws(AWSError) -> Step {
            let step: Step
            switch scanner.next {
            case UInt8(ascii: "'"), UInt8(ascii: "\""):
                step = .name(String(decoding: try scanner.quoted(by: scanner.next ?? 0), as: UTF8.self))
            case UInt8(ascii: "*"):
                scanner.advance()
                step = .any
            default:
                let digits = scanner.takeWhile { (48...57).contains($0) }
                guard let index = Int(String(decoding: digits, as: UTF8.self)) else { throw PatternError.malformed }
                step = .index(index)
            }
            guard scanner.next == UInt8(ascii: "]") else { throw PatternError.malformed }
            scanner.advance()
            return step
        }

        /// The first value that it selects and that `holds`.
        func first(in document: Value, where holds: (Value) -> Bool) -> Value? {
            Self.first(steps[...], document, holds)
        }

        private static func first(_ steps: ArraySlice<Step>, _ value: Value, _ holds: (Value) -> Bool) -> Value? {
            var value = value
            var steps = steps
            while let step = steps.popFirst() {
                switch step {
                case .name(let name):
                    guard let next = value[name] else { return nil }
                    value = next
                case .index(let index):
                    guard let list = value.list, list.indices.contains(index) else { return nil }
                    value = list[index]
                case .any:
                    // At most one of a selector, so this goes no deeper than once.
                    if let list = value.list {
                        for item in list { if let found = first(steps, item, holds) { return found } }
                    } else if let fields = value.fields {
                        for entry in fields.entries {
                            if let found = first(steps, entry.value, holds) { return found }
                        }
                    }
                    return nil
                }
            }
            return holds(value) ? value : nil
        }
    }
}
