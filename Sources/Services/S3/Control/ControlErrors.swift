import Contracts
import Platform
import Wire

/// S3 Control's errors; texts as S3 sends them, where they are recorded.
enum ControlError {
    static func noSuchAccessPoint(_ name: String) -> AWSError {
        AWSError(
            "NoSuchAccessPoint", status: 404, "The specified accesspoint does not exist",
            fields: ["AccessPointName": .string(name)])
    }

    static func noSuchPolicy(_ name: String) -> AWSError {
        AWSError(
            "NoSuchAccessPointPolicy", status: 404, "The specified accesspoint policy does not exist",
            fields: ["AccessPointName": .string(name)])
    }

    static func alreadyOwned(_ name: String) -> AWSError {
        AWSError(
            "AccessPointAlreadyOwnedByYou", status: 409,
            "Your previous request to create the named accesspoint succeeded and you already own it.",
            fields: ["AccessPointName": .string(name)])
    }

    static let tooMany = AWSError(
        "TooManyAccessPoints", status: 400, "You have attempted to create more access points than allowed")

    static func malformedPolicy(_ reason: String) -> AWSError { AWSError("MalformedPolicy", status: 400, reason) }

    static func invalid(_ message: String) -> AWSError { AWSError("InvalidRequest", status: 400, message) }

    static func denied(_ principal: Principal, _ action: String, _ resource: String) -> AWSError {
        AWSError(
            "AccessDenied", status: 403,
            "User: \(principal.arn) is not authorized to perform: \(action) on resource: \"\(resource)\"")
    }

    static let badToken = AWSError("InvalidNextToken", status: 400, "The continuation token provided is incorrect")
}
