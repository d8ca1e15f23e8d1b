import Wire

/// What an update made of an item.
struct UpdateOutcome: Sendable {
    /// The item after it.
    var item: Item
    /// For `UPDATED_OLD`: what stood at the paths of the expression before; nil when nothing did.
    var updatedOld: Item?
    /// For `UPDATED_NEW`: what stands at the paths of the expression now; nil when nothing does.
    var updatedNew: Item?
}

struct UpdateExpression: Sendable {
    static func parse(
        _ text: String, _ placeholders: inout Placeholders
    ) throws(AWSError) -> UpdateExpression {
        throw .internalFailure()
    }

    /// The paths that are written, in their order; that none is a key attribute is the caller's to check.
    var paths: [DocumentPath] { [] }

    /// All right-hand sides see `item` as it was. For an item that does not exist give its key attributes. The size of
    /// the result is the caller's to check (`Item.checkSize`).
    func apply(to item: Item) throws(AWSError) -> UpdateOutcome { throw .internalFailure() }
}
