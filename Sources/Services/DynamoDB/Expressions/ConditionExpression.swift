import Wire

/// A condition or filter.
struct ConditionExpression: Sendable {
    /// `kind`: `.condition` or `.filter`. Throws every error of syntax and of operands.
    static func parse(
        _ text: String, kind: ExpressionKind, _ placeholders: inout Placeholders
    ) throws(AWSError) -> ConditionExpression {
        throw .internalFailure()
    }

    /// Whether the item satisfies it; nil for an item that does not exist (an empty one).
    func evaluate(_ item: Item?) throws(AWSError) -> Bool { false }

    /// All paths in it, for the rule that a filter must not name key attributes.
    var paths: [DocumentPath] { [] }
}
