import Wire

/// What Query asks of the keys.
struct KeyCondition: Sendable {
    enum Sort: Sendable, Hashable {
        case equal(AttributeValue)
        case less(AttributeValue)
        case lessOrEqual(AttributeValue)
        case greater(AttributeValue)
        case greaterOrEqual(AttributeValue)
        /// Both ends included.
        case between(AttributeValue, AttributeValue)
        case beginsWith(AttributeValue)
    }

    /// A key attribute and its declared type (string, number or binary).
    struct Key: Sendable {
        var name: String
        var type: AttributeType
    }

    var partition: AttributeValue
    /// nil: every sort key.
    var sort: Sort?

    /// Throws every error of syntax, "Query condition missed key schema element: …", "Query key condition not
    /// supported", and those of types. `indexed`: whether an index is queried (it changes one text).
    static func parse(
        _ text: String, partitionKey: Key, sortKey: Key?, _ placeholders: inout Placeholders
    ) throws(AWSError) -> KeyCondition {
        throw .internalFailure()
    }
}
