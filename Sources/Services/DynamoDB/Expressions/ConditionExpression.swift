import Wire

/// A condition or filter, parsed once and asked about many items.
struct ConditionExpression: Sendable {
    let node: ConditionNode
    /// All paths in it, for the rule that a filter must not name key attributes.
    let paths: [DocumentPath]

    /// `kind`: `.condition`, `.filter` or `.keyCondition`. Throws every error of syntax and of operands.
    static func parse(
        _ text: String, kind: ExpressionKind, _ placeholders: inout Placeholders
    ) throws(AWSError) -> ConditionExpression {
        var parser = try ConditionParser(text, kind: kind, placeholders)
        let node = try parser.parse()
        placeholders = parser.reader.placeholders
        return ConditionExpression(node: node, paths: parser.reader.paths)
    }

    /// Whether the item satisfies it; nil for an item that does not exist, which has no attributes.
    func evaluate(_ item: Item?) -> Bool { node.holds(for: item ?? Item()) }
}
