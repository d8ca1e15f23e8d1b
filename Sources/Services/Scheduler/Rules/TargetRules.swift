import Contracts
import Platform
import Wire

/// What a schedule may call: the templated targets that exist here.
enum TargetRules {
    static let services: Set<String> = ["lambda", "sqs", "sns", "kinesis", "events"]

    /// Throws ValidationException.
    static func check(_ target: Model.Target, account: String) throws(AWSError) {
        let text = target.arn ?? ""
        guard let arn = ARN(text) else { throw .validation("\(text) is not a valid ARN.") }
        if arn.service == "scheduler" {
            throw .validation(
                "Martlet has no universal targets (\(text)): name the function, queue, topic, stream or bus.")
        }
        guard services.contains(arn.service) else {
            throw .validation("Martlet's schedules cannot call \(arn.service) yet: \(text)")
        }
        guard let role = target.roleArn.flatMap({ ARN($0) }), role.account == account else {
            throw .notAssumable
        }
        guard (target.input?.utf8.count ?? 0) <= Limits.inputBytes else {
            throw .validation("The input of a target must not have more than \(Limits.inputBytes) bytes.")
        }
        switch arn.service {
        case "kinesis" where target.kinesisParameters?.partitionKey == nil:
            throw .validation("KinesisParameters must be specified for a target that is a stream.")
        case "sqs" where text.hasSuffix(".fifo") && target.sqsParameters?.messageGroupId == nil:
            throw .validation(
                "SqsParameters with a MessageGroupId must be specified for a target that is a FIFO queue.")
        case "events":
            guard arn.resource.hasPrefix("event-bus/"), target.eventBridgeParameters != nil else {
                throw .validation("EventBridgeParameters must be specified for a target that is an event bus.")
            }
            if let input = target.input, (try? JSON.parse(input))?.fields == nil {
                throw .validation(
                    "The input of a target that is an event bus must be a JSON object: the event's detail.")
            }
        case "lambda":
            // Target.Input: "If you are configuring a templated Lambda […] target, the input must be a well-formed JSON".
            if let input = target.input, (try? JSON.parse(input)) == nil {
                throw .validation("The input of a target that is a function must be well-formed JSON.")
            }
        default: break
        }
    }
}
