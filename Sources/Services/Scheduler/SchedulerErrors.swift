import Contracts
import Platform
import Wire

extension AWSError {
    static func validation(_ message: String) -> AWSError { AWSError("ValidationException", message) }

    static func noSchedule(_ name: String) -> AWSError {
        AWSError("ResourceNotFoundException", status: 404, "Schedule \(name) does not exist.")
    }

    static func noGroup(_ name: String) -> AWSError {
        AWSError("ResourceNotFoundException", status: 404, "Schedule group \(name) does not exist.")
    }

    static let notAssumable = validation(
        "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")

    static func conflict(_ message: String) -> AWSError { AWSError("ConflictException", status: 409, message) }

    static func denied(_ principal: Principal, _ action: String, _ resource: String) -> AWSError {
        AWSError(
            "AccessDeniedException", status: 403,
            "User: \(principal.arn) is not authorized to perform: scheduler:\(action) on resource: \(resource) because "
                + "no identity-based policy allows the scheduler:\(action) action")
    }
}
