import Wire

/// The paths that a read answers with, parsed once and applied to many items.
struct ProjectionExpression: Sendable {
    let paths: [DocumentPath]
    private let tree: PathTree

    /// Throws errors of syntax, and of paths that overlap.
    static func parse(
        _ text: String, _ placeholders: inout Placeholders
    ) throws(AWSError) -> ProjectionExpression {
        var reader = try ExpressionReader(text, kind: .projection, placeholders)
        var paths = [try reader.path()]
        while reader.take(.comma) { paths.append(try reader.path()) }
        if reader.token.kind == .end, paths.count > 1 { reader.noteOverlaps(paths) }
        try reader.finish()
        placeholders = reader.placeholders
        return ProjectionExpression(paths: paths, tree: PathTree(paths))
    }

    /// The parts of the item that are asked for, an empty item when it has none of them; lists close up.
    func apply(_ item: Item) -> Item { tree.select(from: item) ?? Item() }
}
