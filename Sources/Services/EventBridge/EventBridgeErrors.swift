import Contracts
import Platform
import Wire

extension AWSError {
    static func validation(_ message: String) -> AWSError { AWSError("ValidationException", message) }

    static func noBus(_ name: String) -> AWSError {
        AWSError("ResourceNotFoundException", "Event bus \(name) does not exist.")
    }

    static func noRule(_ rule: RuleKey) -> AWSError {
        AWSError("ResourceNotFoundException", "Rule \(rule.name) does not exist on EventBus \(rule.bus.name).")
    }

    static func notAssumable(_ role: String) -> AWSError {
        validation("Provided role '\(role)' cannot be assumed by principal '\(Access.service)'.")
    }

    static let limitExceeded = AWSError(
        "LimitExceededException", "The requested resource exceeds the maximum number allowed.")

    static func denied(_ principal: Principal, _ action: String, _ resource: String, kind: String) -> AWSError {
        AWSError(
            "AccessDeniedException",
            "User: \(principal.arn) is not authorized to perform: events:\(action) on resource: \(resource) because no "
                + "\(kind)-based policy allows the events:\(action) action")
    }
}
