import Platform
import Wire

extension AttributeValue {
    /// A value of a request, as Wire has decoded it; throws every ValidationException about it.
    init(wire: Value) throws(AWSError) { throw .internalFailure() }

    /// For an answer.
    var wire: Value { .null }
}

extension AttributeMap {
    /// An item (or key, or expression values) of a request.
    init(wire: Value) throws(AWSError) { throw .internalFailure() }

    var wire: Value { .null }
}
