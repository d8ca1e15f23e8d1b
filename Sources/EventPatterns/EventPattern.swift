public import Platform

/// A compiled event pattern. Making one checks it; matching neither fails nor allocates much.
public struct EventPattern: Sendable {
    /// One of them must match.
    private let trees: [MatchTree]

    /// Throws `PatternError` with AWS's text; the place in it is that of the document without blanks.
    public init(_ json: Value, dialect: Dialect) throws(PatternError) {
        try self.init(json: JSON.encode(json), dialect: dialect)
    }

    /// Throws `PatternError` with AWS's text, also when the bytes are no JSON.
    public init(json bytes: [UInt8], dialect: Dialect) throws(PatternError) {
        try self.init(bytes, operators: Operators(dialect))
    }

    /// A pattern that was taken before: how complex its wildcards are is not asked again. Throws as `init(json:dialect:)`.
    public init(accepted bytes: [UInt8], dialect: Dialect) throws(PatternError) {
        var operators = Operators(dialect)
        operators.boundsWildcards = false
        try self.init(bytes, operators: operators)
    }

    init(_ bytes: [UInt8], operators: Operators) throws(PatternError) {
        let combinations = try PatternCompiler.compile(bytes, operators: operators)
        trees = try Self.withoutEitherOr(combinations).map { MatchTree($0) }
    }

    /// Whether the event, an object, has everything that the pattern asks.
    public func matches(_ event: Value) -> Bool {
        guard case .map = event else { return false }
        for tree in trees where tree.matches(event) { return true }
        return false
    }

    /// A field that may be absent or have some value makes two combinations: one for each.
    private static func withoutEitherOr(_ combinations: [[Requirement]]) throws(PatternError) -> [[Requirement]] {
        var all: [[Requirement]] = []
        for combination in combinations {
            var variants: [[Requirement]] = [[]]
            for requirement in combination {
                guard requirement.leaf != nil, requirement.acceptsAbsence else {
                    for index in variants.indices { variants[index].append(requirement) }
                    continue
                }
                var value = requirement
                value.acceptsAbsence = false
                var absence = requirement
                absence.leaf = nil
                variants = variants.flatMap { [$0 + [value], $0 + [absence]] }
                if all.count + variants.count > Limits.combinations {
                    throw PatternError(
                        message:
                            "Rule is too complex - more than \(Limits.combinations) combinations of fields that may "
                            + "be absent")
                }
            }
            all += variants
        }
        return all
    }
}
