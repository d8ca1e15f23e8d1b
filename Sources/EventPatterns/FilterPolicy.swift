public import Platform

/// A compiled filter policy of an SNS subscription. An empty one lets everything pass.
public struct FilterPolicy: Sendable {
    /// What is filtered on.
    public enum Scope: String, Sendable, Hashable {
        case messageAttributes = "MessageAttributes"
        case messageBody = "MessageBody"
    }

    /// A message attribute, as far as filters see it.
    public enum AttributeValue: Sendable, Hashable {
        case string(String)
        /// The number as text.
        case number(String)
        /// `String.Array`: a JSON array of strings, numbers, booleans and nulls.
        case stringArray(String)
        case binary
    }

    /// Nil: everything passes.
    private let pattern: EventPattern?

    /// Reads the text of a policy. Throws `PatternError`, whose message follows `Invalid parameter: ` (and `Attributes
    /// Reason: ` in an answer to Subscribe).
    public init(json text: String, scope: Scope) throws(PatternError) {
        let value: Value
        do throws(JSONError) {
            value = try JSON.parse(text)
        } catch {
            throw PatternError(message: "FilterPolicy: failed to parse JSON. \(error.jacksonText)")
        }
        try self.init(value, scope: scope)
    }

    /// As `init(json:scope:)`. Places in texts are those of the policy without blanks, as SNS shows them.
    public init(_ json: Value, scope: Scope) throws(PatternError) {
        if let fields = json.fields, fields.isEmpty {
            pattern = nil
            return
        }
        let bytes = JSON.encode(json)
        try FilterPolicyCheck.run(bytes, keys: json.fields?.count ?? 0, scope: scope)
        do throws(PatternError) {
            pattern = try EventPattern(bytes, operators: .filterPolicy)
        } catch {
            throw PatternError(message: "FilterPolicy: \(error.message)")
        }
    }

    /// Whether a message with these attributes passes. Binary attributes are not there for a filter.
    public func matches(attributes: [(name: String, value: AttributeValue)]) -> Bool {
        guard let pattern else { return true }
        var fields = Fields()
        for attribute in attributes {
            guard let value = Self.value(attribute.value) else { continue }
            fields.append(attribute.name, value)
        }
        return pattern.matches(.map(fields))
    }

    /// Whether a message with this body passes; a body that is no JSON object does not (nor does one that is no JSON,
    /// for which there is no value to give).
    public func matches(body: Value) -> Bool { pattern?.matches(body) ?? true }

    /// Whether it lets everything pass, whatever the body is.
    public var matchesEverything: Bool { pattern == nil }

    private static func value(_ attribute: AttributeValue) -> Value? {
        switch attribute {
        case .string(let text): return .string(text)
        case .number(let text):
            if let value = try? JSON.parse(text), PatternNumber(value) != nil { return value }
            return Double(text).flatMap { $0.isFinite ? .double($0) : nil }
        case .stringArray(let text):
            guard let list = (try? JSON.parse(text))?.list else { return nil }
            return .list(list)
        case .binary: return nil
        }
    }
}

/// What SNS checks before it reads the operators: shape, nesting, size.
struct FilterPolicyCheck {
    private var tokens: TokenReader
    private let scope: FilterPolicy.Scope

    static func run(_ bytes: [UInt8], keys: Int, scope: FilterPolicy.Scope) throws(PatternError) {
        if keys > Limits.filterPolicyKeys {
            throw PatternError(
                message: "FilterPolicy: Filter policy can not have more than \(Limits.filterPolicyKeys) keys")
        }
        let combinations = try PatternCompiler.read(bytes) { (tokens) throws(PatternError) -> Int in
            var check = FilterPolicyCheck(tokens: tokens, scope: scope)
            guard try check.tokens.next() == .startObject else { throw check.failure("Filter is not an object") }
            return try check.object(depth: 1, combinations: 1)
        }
        if combinations > Limits.filterPolicyCombinations {
            throw PatternError(message: "FilterPolicy: Filter policy is too complex")
        }
    }

    private func failure(_ reason: String) -> PatternError {
        PatternError(message: "FilterPolicy: \(tokens.failure(reason).message)")
    }

    /// Reads behind the `{`. Every array multiplies by the number of its values and by its depth; the objects of `$or`
    /// add up.
    private mutating func object(depth: Int, combinations: Int) throws(PatternError) -> Int {
        var combinations = combinations
        while try tokens.next() != .endObject {
            let name = try tokens.currentText()
            switch try tokens.next() {
            case .startObject: combinations = try object(depth: depth + 1, combinations: combinations)
            case .startArray where name == "$or":
                var sum = 0
                while try tokens.next() != .endArray {
                    guard tokens.token == .startObject else {
                        throw failure("Only JSON object is allowed in array of $or relationship.")
                    }
                    sum = Self.capped(sum + (try object(depth: depth, combinations: combinations)))
                }
                combinations = sum
            case .startArray:
                var count = 0
                while try tokens.next() != .endArray {
                    count += 1
                    try tokens.skipValue()
                }
                combinations = Self.capped(combinations * Self.capped(count * depth))
            default: throw failure("\"\(name)\" must be an object or an array")
            }
        }
        if scope == .messageAttributes, depth > 1 {
            throw PatternError(message: "Filter policy scope MessageAttributes does not support nested filter policy")
        }
        return combinations
    }

    /// Far above the limit and far below an overflow of the product of two.
    private static func capped(_ number: Int) -> Int { min(number, 1_000_000) }
}
