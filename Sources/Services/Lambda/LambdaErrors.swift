import Platform
import Wire

/// Lambda's errors with their recorded texts (reference 7.1). Modelled ones carry `Type`.
extension AWSError {
    static func lambda(_ code: String, status: Int, _ message: String) -> AWSError {
        AWSError(code, status: status, message, fields: ["Type": .string(status < 500 ? "User" : "Service")])
    }

    static func invalidParameter(_ message: String) -> AWSError {
        .lambda("InvalidParameterValueException", status: 400, message)
    }

    static func notFound(_ message: String) -> AWSError {
        .lambda("ResourceNotFoundException", status: 404, message)
    }

    static func conflict(_ message: String) -> AWSError {
        .lambda("ResourceConflictException", status: 409, message)
    }

    /// A constraint that the model does not have but AWS checks; same form as the codec's, so no `Type`.
    static func validation(_ message: String) -> AWSError {
        AWSError("ValidationException", status: 400, message)
    }

    static func functionNotFound(_ arn: String) -> AWSError { .notFound("Function not found: \(arn)") }

    static func aliasNotFound(_ arn: String) -> AWSError { .notFound("Cannot find alias arn: \(arn)") }

    /// `operation` is what to call for the current revision: GetFunction/GetAlias, GetPolicy, GetLayerPolicy.
    static func wrongRevision(call operation: String) -> AWSError {
        .lambda(
            "PreconditionFailedException", status: 412,
            "The Revision Id provided does not match the latest Revision Id. Call the \(operation) API to retrieve "
                + "the latest Revision Id")
    }

    static func updateInProgress(_ arn: String) -> AWSError {
        .conflict(
            "The operation cannot be performed at this time. An update is in progress for resource: \(arn)")
    }

    static func wrongState(_ state: String) -> AWSError {
        .conflict(
            "The operation cannot be performed at this time. The function is currently in the following state: \(state)"
        )
    }

    /// Bodies of this one have only a message (reference 7.1, notes).
    static func tooLarge(_ message: String) -> AWSError {
        AWSError("RequestEntityTooLargeException", status: 413, message)
    }

    static func requestTooLarge(_ limit: Int, operation: String) -> AWSError {
        .tooLarge("Request must be smaller than \(limit) bytes for the \(operation) operation")
    }

    static let otherAccount = AWSError("AccessDeniedException", status: 403, "")
    static let roleOfOtherAccount = AWSError(
        "AccessDeniedException", status: 403, "Cross-account pass role is not allowed.")

    static let badZip = AWSError.invalidParameter(
        "Could not unzip uploaded file. Please check your file, then try to upload again.")
    static let emptyZip = AWSError.invalidParameter("Uploaded file must be a non-empty zip")
    static let unzippedTooLarge = AWSError.invalidParameter(
        "Unzipped size must be smaller than \(Limits.unzippedBytes) bytes")
    static let zippedTooLarge = AWSError.tooLarge("Zipped size must be smaller than \(Limits.zippedBytes) bytes")
    static let noImages = AWSError.invalidParameter(
        "Container images (PackageType Image, Code.ImageUri) are not supported by Martlet yet. "
            + "Deploy the function as a .zip file archive.")
    static let badMarker = AWSError.invalidParameter("Invalid pagination token. Please specify a valid Marker.")
    static let noPolicy = AWSError.notFound("The resource you requested does not exist.")
}
