import Wire

/// The parameter that an expression is the value of; its name begins every error about it.
enum ExpressionKind: String, Sendable {
    case condition = "ConditionExpression"
    case filter = "FilterExpression"
    case keyCondition = "KeyConditionExpression"
    case projection = "ProjectionExpression"
    case update = "UpdateExpression"
}

/// `ExpressionAttributeNames` and `ExpressionAttributeValues` of a request, and which of them its expressions used.
///
/// One per request (of TransactWriteItems: one per action): made before the expressions are parsed, given to each of
/// them, asked at the end by `checkAllUsed`.
struct Placeholders: Sendable {
    /// Throws the ValidationException for names and values that are malformed or too many. The values' own errors are
    /// given by `values(from:)`. `nil`: the request does not have the parameter.
    init(names: [(String, String)]?, values: [(String, AttributeValue)]?) throws(AWSError) {
        throw .internalFailure()
    }

    /// Throws "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}" and the like.
    func checkAllUsed() throws(AWSError) {}
}
