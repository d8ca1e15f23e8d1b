import Platform
import Wire

// The errors of DynamoDB: codes and texts of the reference, 7.9, where recorded; the others as AWS's clients have met them.

extension AWSError {
    /// Of operations with items.
    static let noResource = AWSError("ResourceNotFoundException", "Requested resource not found")

    /// Of operations with tables.
    static func noTable(_ name: String) -> AWSError {
        AWSError("ResourceNotFoundException", "Requested resource not found: Table: \(name) not found")
    }

    static func noStream(_ arn: String) -> AWSError {
        AWSError("ResourceNotFoundException", "Requested resource not found: Stream: \(arn) not found")
    }

    static func tableExists(_ name: String) -> AWSError {
        AWSError("ResourceInUseException", "Table already exists: \(name)")
    }

    static func inUse(_ message: String) -> AWSError { AWSError("ResourceInUseException", message) }

    static func limitExceeded(_ message: String) -> AWSError { AWSError("LimitExceededException", message) }

    static func conditionFailed(_ item: Item?) -> AWSError {
        AWSError(
            "ConditionalCheckFailedException", "The conditional request failed",
            fields: item.map { ["Item": $0.wire] } ?? [:])
    }

    static let wrongKey = AWSError.validation("The provided key element does not match the schema")

    static func noIndex(_ name: String) -> AWSError {
        validation("The table does not have the specified index: \(name)")
    }

    static func denied(_ principal: String, _ action: String, _ resource: String, _ because: String) -> AWSError {
        AWSError(
            "AccessDeniedException",
            "User: \(principal) is not authorized to perform: \(action) on resource: \(resource) because \(because)")
    }

    /// A parameter of the time before expressions: named, never passed over.
    static func legacy(_ parameter: String) -> AWSError {
        validation(
            "The parameter \(parameter) belongs to the legacy API and is not implemented by Martlet: use expressions.")
    }

    static func notSupported(_ what: String) -> AWSError {
        validation("\(what) is not implemented by Martlet.")
    }

    static let damagedItem = Failure(.corrupt, "An item of the store cannot be read.")
}
