import Contracts
import Platform
import Storage
import Wire

/// Destinations and dead-letter targets that a configuration names: they must be there, and the execution role must be
/// allowed to send to them. Services that Martlet does not have are not asked: a delivery says so when it comes to that.
extension LambdaService {
    /// Throws as AWS does (texts: reference 7.1 for missing ones; for permissions as the Terraform provider waits for them).
    func checkDestination(
        _ target: String?, of record: VersionRecord, in transaction: any ReadTransaction
    ) throws {
        guard let target, !target.isEmpty, let arn = ARN(target) else { return }
        let invalid = AWSError.invalidParameter("The destination ARN \(target) is invalid.")
        // Standard queues and topics only (reference 4).
        if ["sqs", "sns"].contains(arn.service), arn.resource.hasSuffix(".fifo") { throw invalid }
        switch try verdict(target, for: record, in: transaction) {
        case .fine: return
        case .missing: throw invalid
        case .denied:
            throw AWSError.invalidParameter(
                "The function's execution role does not have permissions to call \(Self.call(arn.service)) on \(target)"
            )
        }
    }

    /// Throws as AWS does: the texts for permissions are widely recorded, that for a missing target is ours.
    func checkDeadLetterTarget(of record: VersionRecord, in transaction: any ReadTransaction) throws {
        guard let target = record.configuration.deadLetterConfig?.targetArn, !target.isEmpty, let arn = ARN(target)
        else { return }
        let invalid = AWSError.invalidParameter("The provided target ARN \(target) is invalid.")
        if arn.resource.hasSuffix(".fifo") { throw invalid }
        switch try verdict(target, for: record, in: transaction) {
        case .fine: return
        case .missing: throw invalid
        case .denied:
            throw AWSError.invalidParameter(
                "The provided execution role does not have permissions to call \(Self.call(arn.service)) on "
                    + "\(arn.service.uppercased())")
        }
    }

    /// Throws InvalidParameterValueException unless the function's role lets Lambda assume it. (That the caller may hand it on
    /// is asked before the operation.)
    func checkRole(of record: VersionRecord, in transaction: any ReadTransaction) throws {
        guard let authorizer = try connections().authorizer, let role = record.configuration.role else { return }
        let isAssumable = try authorizer.isAssumable(
            role, by: "lambda.amazonaws.com", account: record.scope.account,
            source: record.scope.functionARN(record.name), in: transaction)
        guard isAssumable else {
            throw AWSError.invalidParameter("The role defined for the function cannot be assumed by Lambda.")
        }
    }

    private enum Verdict {
        case fine, missing, denied
    }

    private func verdict(
        _ target: String, for record: VersionRecord, in transaction: any ReadTransaction
    ) throws -> Verdict {
        guard let outbox = try connections().outbox, let role = record.configuration.role else { return .fine }
        // The function's account, whatever its role says.
        let principal = Principal.roleSession(
            roleARN: role, sessionName: record.name, account: record.scope.account)
        do {
            try outbox.validate(target: target, for: principal, in: transaction)
            return .fine
        } catch let refusal as DeliveryRefusal {
            guard case .permanent(let code, _) = refusal, code != "UnsupportedTarget" else { return .fine }
            return code.contains("AccessDenied") || code.contains("Authoriz") ? .denied : .missing
        }
    }

    /// The call that a delivery is.
    private static func call(_ service: String) -> String {
        switch service {
        case "sqs": "SendMessage"
        case "sns": "Publish"
        case "lambda": "InvokeFunction"
        case "events": "PutEvents"
        default: "PutObject"
        }
    }
}
