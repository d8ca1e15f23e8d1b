import Contracts
import Platform
import Wire

/// One target of a rule, ready to be sent to.
struct RuleTarget: Sendable {
    enum Input: Sendable {
        case event
        case constant([UInt8])
        case path(JSONPath)
        case template(InputTemplate)
    }

    var id: String
    var arn: String
    var service: String
    var roleARN: String?
    var input: Input
    var messageGroupID: String?
    var partitionKeyPath: JSONPath?
    var retry: DeliveryRetry
    var deadLetterARN: String?

    /// Services that take deliveries; others are refused by name.
    static let services: Set<String> = ["lambda", "sqs", "sns", "kinesis", "logs", "events"]

    /// Reads and checks a target of PutTargets. Throws ValidationException.
    init(_ target: Model.Target, account: String) throws(AWSError) {
        id = target.id ?? ""
        arn = target.arn ?? ""
        guard let parsed = ARN(arn) else {
            throw .validation("Parameter \(arn) is not valid. Reason: Provided Arn is not in correct format.")
        }
        service = parsed.service
        guard Self.services.contains(service) else {
            throw .validation(
                "Parameter \(arn) is not valid. Reason: Martlet cannot deliver events to \(service) yet.")
        }
        if service == "events", BusKey(arn: arn) == nil {
            throw .validation(
                "Parameter \(arn) is not valid. Reason: Martlet delivers to event buses only, not to \(parsed.resource)."
            )
        }
        roleARN = target.roleArn
        if let roleARN {
            guard let role = ARN(roleARN), role.service == "iam", role.resource.hasPrefix("role/") else {
                throw .validation("Parameter \(roleARN) is not valid. Reason: Provided Arn is not in correct format.")
            }
            guard role.account == account else {
                throw .notAssumable(roleARN)
            }
        }
        if service == "kinesis", roleARN == nil {
            throw .validation("RoleArn is required for target \(arn).")
        }
        input = try Self.input(target, id: id)
        messageGroupID = target.sqsParameters?.messageGroupId
        if service == "sqs", arn.hasSuffix(".fifo"), messageGroupID == nil {
            throw .validation("Parameter(s) SqsParameters must be specified for target: \(id).")
        }
        if let path = target.kinesisParameters?.partitionKeyPath {
            guard let parsed = JSONPath(path) else {
                throw .validation("PartitionKeyPath for target \(id) is not a valid JSON path.")
            }
            partitionKeyPath = parsed
        }
        retry = DeliveryRetry(
            maximumRetries: target.retryPolicy?.maximumRetryAttempts ?? Limits.retries,
            maximumAge: target.retryPolicy?.maximumEventAgeInSeconds.map { .seconds($0) } ?? Limits.eventAge)
        deadLetterARN = target.deadLetterConfig?.arn
        if let deadLetterARN {
            guard ARN(deadLetterARN)?.service == "sqs", !deadLetterARN.hasSuffix(".fifo") else {
                throw .validation(
                    "Invalid DeadLetterConfig.Arn for target \(id): it must be the ARN of a standard queue.")
            }
        }
    }

    private static func input(_ target: Model.Target, id: String) throws(AWSError) -> Input {
        let given = [target.input != nil, target.inputPath != nil, target.inputTransformer != nil]
        guard given.filter({ $0 }).count <= 1 else {
            throw .validation(
                "Only one of Input, InputPath, or InputTransformer must be provided for target \(id).")
        }
        if let input = target.input {
            do throws(JSONError) {
                try JSON.validate(input.utf8)
            } catch {
                throw .validation("JSON syntax error in input for target \(id): \(error.jacksonText)")
            }
            return .constant(Array(input.utf8))
        }
        if let path = target.inputPath {
            if path == "$" { return .event }
            guard let parsed = JSONPath(path) else {
                throw .validation("Invalid InputPath for target \(id).")
            }
            return .path(parsed)
        }
        if let transformer = target.inputTransformer {
            let template = try InputTemplate(
                transformer.inputTemplate ?? "", paths: transformer.inputPathsMap ?? [], target: id)
            return .template(template)
        }
        return .event
    }

    /// What goes to the target for an event; nil when it is too large. Buses get the event itself.
    func payload(_ event: Event, rule: RuleKey) -> [UInt8]? {
        if service == "events" { return event.bytes }
        return switch input {
        case .event: event.bytes
        case .constant(let bytes): bytes
        case .path(let path): JSON.encode(path.value(in: event.value) ?? .null)
        case .template(let template): template.render(event, rule: rule)
        }
    }
}
