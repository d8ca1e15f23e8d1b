import Platform

/// One operator with one key of a `Condition` (IAM, "JSON policy elements: Condition operators").
struct Condition: Sendable {
    private enum Comparison: String, Sendable {
        case stringEquals = "stringequals"
        case stringEqualsIgnoreCase = "stringequalsignorecase"
        case stringLike = "stringlike"
        case arnLike = "arnlike"
        case arnEquals = "arnequals"
        case numericEquals = "numericequals"
        case numericLessThan = "numericlessthan"
        case numericLessThanEquals = "numericlessthanequals"
        case numericGreaterThan = "numericgreaterthan"
        case numericGreaterThanEquals = "numericgreaterthanequals"
        case dateEquals = "dateequals"
        case dateLessThan = "datelessthan"
        case dateLessThanEquals = "datelessthanequals"
        case dateGreaterThan = "dategreaterthan"
        case dateGreaterThanEquals = "dategreaterthanequals"
        case bool
        case binaryEquals = "binaryequals"
        case ipAddress = "ipaddress"

        /// Whether `*` and `?` are wildcards.
        var hasWildcards: Bool { self == .stringLike || self == .arnLike || self == .arnEquals }
    }

    private enum Quantifier: Sendable { case one, all, any }

    private enum Operator: Sendable {
        case compare(Comparison, isNegated: Bool)
        case null
    }

    private let quantifier: Quantifier
    /// Nil: not known.
    private let operation: Operator?
    private let ifExists: Bool
    /// In lower case.
    private let key: String
    private let values: [PolicyText]

    /// Nil values: the operator compared nothing that is known.
    enum Outcome: Sendable { case fulfilled, notFulfilled, unknown }

    /// `name` is an operator with what stands around it, e.g. `ForAnyValue:StringLikeIfExists`.
    init(operator name: String, key: String, values: [String], hasVariables: Bool) {
        var name = name.lowercased()
        var quantifier = Quantifier.one
        for (prefix, value) in [("forallvalues:", Quantifier.all), ("foranyvalue:", .any)] where name.hasPrefix(prefix)
        {
            quantifier = value
            name.removeFirst(prefix.count)
        }
        let ifExists = name.hasSuffix("ifexists")
        if ifExists { name.removeLast("ifexists".count) }
        let operation = Self.operation(name, ifExists: ifExists)
        self.quantifier = quantifier
        self.ifExists = ifExists
        self.operation = operation
        self.key = key.lowercased()
        var isLiteral = true
        if case .compare(let comparison, _) = operation { isLiteral = !comparison.hasWildcards }
        self.values = values.map { PolicyText($0, hasVariables: hasVariables, isLiteral: isLiteral) }
    }

    /// What it asks for, variables too.
    var keys: [String] { [key] + values.flatMap(\.variables) }

    var isKnown: Bool { operation != nil }

    private static func operation(_ name: String, ifExists: Bool) -> Operator? {
        if name == "null" { return ifExists ? nil : .null }
        if let comparison = Comparison(rawValue: name) { return .compare(comparison, isNegated: false) }
        let negations = [
            "stringnotequals": Comparison.stringEquals, "stringnotequalsignorecase": .stringEqualsIgnoreCase,
            "stringnotlike": .stringLike, "arnnotlike": .arnLike, "arnnotequals": .arnEquals,
            "numericnotequals": .numericEquals, "datenotequals": .dateEquals, "notipaddress": .ipAddress,
        ]
        return negations[name].map { .compare($0, isNegated: true) }
    }

    // MARK: Evaluation

    func outcome(_ context: [String: [String]]) -> Outcome {
        guard let operation else { return .unknown }
        let actual = context[key] ?? []
        // A tag has one value: where there are several, their names differ in case only, and which one is meant nobody can say
        // (IAM, "aws:RequestTag": one of them fits, "but not both").
        if quantifier == .one, actual.count > 1, key.contains("tag/"), case .compare = operation { return .unknown }
        switch operation {
        case .null:
            let wanted = actual.isEmpty ? "true" : "false"
            return values.contains { $0.text(context)?.lowercased() == wanted } ? .fulfilled : .notFulfilled
        case .compare(let comparison, let isNegated):
            if actual.isEmpty {
                // A negated operator is fulfilled by what is not there; a set operator by its logic.
                let fulfilled =
                    switch quantifier {
                    case .one: ifExists || isNegated
                    case .all: true
                    case .any: ifExists
                    }
                return fulfilled ? .fulfilled : .notFulfilled
            }
            let fits: (String) -> Bool = { value in
                values.contains { Self.compare(comparison, expected: $0, actual: value, context) } != isNegated
            }
            let fulfilled =
                switch quantifier {
                case .all: actual.allSatisfy(fits)
                case .any: actual.contains(where: fits)
                case .one: isNegated ? actual.allSatisfy(fits) : actual.contains(where: fits)
                }
            return fulfilled ? .fulfilled : .notFulfilled
        }
    }

    private static func compare(
        _ comparison: Comparison, expected: PolicyText, actual: String, _ context: [String: [String]]
    ) -> Bool {
        guard let tokens = expected.resolved(context) else { return false }
        switch comparison {
        case .stringLike: return Glob.matches(tokens[...], Array(actual.utf8)[...])
        case .arnLike, .arnEquals: return Glob.matchesARN(tokens, Array(actual.utf8))
        case .stringEquals, .binaryEquals: return tokens == Glob.literal(actual)
        default: break
        }
        guard let text = expected.text(context) else { return false }
        switch comparison {
        case .stringEqualsIgnoreCase, .bool: return text.lowercased() == actual.lowercased()
        case .numericEquals: return ordered(Double.init, text, actual, ==)
        case .numericLessThan: return ordered(Double.init, text, actual, <)
        case .numericLessThanEquals: return ordered(Double.init, text, actual, <=)
        case .numericGreaterThan: return ordered(Double.init, text, actual, >)
        case .numericGreaterThanEquals: return ordered(Double.init, text, actual, >=)
        case .dateEquals: return ordered(instant, text, actual, ==)
        case .dateLessThan: return ordered(instant, text, actual, <)
        case .dateLessThanEquals: return ordered(instant, text, actual, <=)
        case .dateGreaterThan: return ordered(instant, text, actual, >)
        case .dateGreaterThanEquals: return ordered(instant, text, actual, >=)
        case .ipAddress:
            guard let address = IPAddress(actual), let block = block(text) else { return false }
            return block.contains(address)
        case .stringEquals, .stringLike, .arnLike, .arnEquals, .binaryEquals: return false
        }
    }

    /// Whether what the request has is in the order to what the policy says; false when one cannot be read.
    private static func ordered<T>(
        _ read: (String) -> T?, _ expected: String, _ actual: String, _ order: (T, T) -> Bool
    ) -> Bool {
        guard let expected = read(expected), let actual = read(actual) else { return false }
        return order(actual, expected)
    }

    /// ISO 8601 or epoch seconds.
    private static func instant(_ text: String) -> Instant? {
        if let seconds = Int64(text) {
            return (-9_000_000_000...9_000_000_000).contains(seconds) ? Instant(milliseconds: seconds * 1_000) : nil
        }
        return Instant(iso8601: text) ?? Instant(iso8601: text + "T00:00:00Z")
    }

    private static func block(_ text: String) -> IPAddressBlock? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(first) else { return nil }
        if parts.count == 1 { return IPAddressBlock(address, bits: address.family.bits) }
        guard parts.count == 2, let bits = Int(parts[1]), (0...address.family.bits).contains(bits) else { return nil }
        return IPAddressBlock(address, bits: bits)
    }
}
