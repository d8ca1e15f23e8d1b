import Platform
import Wire

/// S3's errors with their code, status, text and fields, as S3 sends them.
enum S3Error {
    static func noSuchBucket(_ bucket: String) -> AWSError {
        AWSError(
            "NoSuchBucket", status: 404, "The specified bucket does not exist", fields: ["BucketName": .string(bucket)])
    }

    static func noSuchKey(_ key: String) -> AWSError {
        AWSError("NoSuchKey", status: 404, "The specified key does not exist.", fields: ["Key": .string(key)])
    }

    static func noSuchUpload(_ id: String) -> AWSError {
        AWSError(
            "NoSuchUpload", status: 404,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
                + "completed.",
            fields: ["UploadId": .string(id)])
    }

    static let accessDenied = AWSError("AccessDenied", status: 403, "Access Denied")

    static func preconditionFailed(_ condition: String) -> AWSError {
        AWSError(
            "PreconditionFailed", status: 412, "At least one of the pre-conditions you specified did not hold",
            fields: ["Condition": .string(condition)])
    }

    static func invalidArgument(_ message: String, name: String, value: String) -> AWSError {
        AWSError(
            "InvalidArgument", status: 400, message,
            fields: ["ArgumentName": .string(name), "ArgumentValue": .string(value)])
    }

    static func invalidRequest(_ message: String) -> AWSError { AWSError("InvalidRequest", status: 400, message) }

    static let malformedXML = AWSError(
        "MalformedXML", status: 400,
        "The XML you provided was not well-formed or did not validate against our published schema")

    /// A part of an implemented operation that Martlet does not have: named by its header, never ignored.
    static func notImplemented(header: String, _ what: String) -> AWSError {
        AWSError(
            "NotImplemented", status: 501,
            "A header you provided implies functionality that is not implemented: \(what) by Martlet yet.",
            fields: ["Header": .string(header)])
    }

    static func notImplemented(_ what: String) -> AWSError {
        AWSError("NotImplemented", status: 501, "\(what) is not implemented by Martlet yet.")
    }

    static func entityTooLarge(proposed: Int64?, maximum: Int64) -> AWSError {
        var fields: Fields = [:]
        if let proposed { fields.append("ProposedSize", .string(String(proposed))) }
        fields.append("MaxSizeAllowed", .string(String(maximum)))
        return AWSError(
            "EntityTooLarge", status: 400, "Your proposed upload exceeds the maximum allowed size", fields: fields)
    }

    static let incompleteBody = AWSError(
        "IncompleteBody", status: 400,
        "The request body terminated unexpectedly")

    static let missingContentLength = AWSError(
        "MissingContentLength", status: 411, "You must provide the Content-Length HTTP header.")

    static func keyTooLong(_ size: Int) -> AWSError {
        AWSError(
            "KeyTooLongError", status: 400, "Your key is too long",
            fields: ["Size": .string(String(size)), "MaxSizeAllowed": .string(String(Limits.keyBytes))])
    }

    static func invalidRange(size: Int64, requested: String) -> AWSError {
        AWSError(
            "InvalidRange", status: 416, "The requested range is not satisfiable",
            fields: ["RangeRequested": .string(requested), "ActualObjectSize": .string(String(size))])
    }

    static func invalidPartNumber(requested: Int, actual: Int) -> AWSError {
        AWSError(
            "InvalidPartNumber", status: 416, "The requested partnumber is not satisfiable",
            fields: [
                "ActualPartCount": .string(String(actual)), "PartNumberRequested": .string(String(requested)),
            ])
    }

    /// Another request changed the same thing again and again while this one was at work.
    static let operationAborted = AWSError(
        "OperationAborted", status: 409,
        "A conflicting conditional operation is currently in progress against this resource. Please try again.")
}
