import Wire

/// The paths that a read answers with.
struct ProjectionExpression: Sendable {
    var paths: [DocumentPath]

    static func parse(
        _ text: String, _ placeholders: inout Placeholders
    ) throws(AWSError) -> ProjectionExpression {
        throw .internalFailure()
    }

    /// The parts of the item that are asked for; lists keep the order of their elements and close up.
    func apply(_ item: Item) -> Item { item }
}
