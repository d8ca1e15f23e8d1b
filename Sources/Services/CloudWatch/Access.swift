import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what: the caller's own policies.
struct Access: Sendable {
    let authorizer: any Authorizer

    /// Throws AccessDenied. `action` without its `cloudwatch:`; `keys` are the operation's own condition keys.
    func check(
        _ request: OperationRequest, _ action: String, _ resource: String = "*", keys: ConditionValues = [:],
        in transaction: any ReadTransaction
    ) throws {
        let decision = try authorizer.decide(
            for: request, action: "cloudwatch:\(action)", resource: resource,
            more: {
                try $0.resourceTags {
                    try AlarmKey(arn: resource).flatMap { try AlarmTable.get($0, in: transaction)?.tags }
                }.merging(keys) { $1 }
            },
            in: transaction)
        let context = request.context
        guard decision == .allowed, context.principal.account == context.scope.account else {
            throw AWSError.denied(context.principal, action, resource)
        }
    }
}
