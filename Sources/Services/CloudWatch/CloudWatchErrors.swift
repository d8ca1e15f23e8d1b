import Contracts
import Platform
import Wire

extension AWSError {
    static func invalidValue(_ message: String) -> AWSError { AWSError("InvalidParameterValue", message) }

    static func invalidCombination(_ message: String) -> AWSError { AWSError("InvalidParameterCombination", message) }

    static func missing(_ message: String) -> AWSError { AWSError("MissingParameter", message) }

    static func validation(_ message: String) -> AWSError { AWSError("ValidationError", message) }

    static var invalidToken: AWSError { AWSError("InvalidNextToken", "The next token is invalid") }

    /// Untyped, as AWS answers for alarms.
    static func noAlarm() -> AWSError { AWSError("ResourceNotFound", status: 404, "") }

    static func unknownResource(_ arn: String) -> AWSError {
        AWSError(
            "ResourceNotFoundException", status: 404, "Unknown resource: \(arn)",
            fields: ["ResourceType": "Alarm", "ResourceId": .string(arn)])
    }

    static func denied(_ principal: Principal, _ action: String, _ resource: String) -> AWSError {
        AWSError(
            "AccessDenied", status: 403,
            "User: \(principal.arn) is not authorized to perform: cloudwatch:\(action)"
                + (resource == "*" ? "" : " on resource: \(resource)")
                + " because no identity-based policy allows the cloudwatch:\(action) action")
    }

    /// A part of the API that is not there, by its name.
    static func unsupported(_ what: String) -> AWSError {
        .validation("\(what) is not supported by Martlet.")
    }
}
