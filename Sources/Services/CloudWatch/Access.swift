import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what: the caller's own policies.
struct Access: Sendable {
    let authorizer: any Authorizer

    /// Throws AccessDenied. `action` without its `cloudwatch:`.
    func check(
        _ context: OperationContext, _ action: String, _ resource: String = "*", in transaction: any ReadTransaction
    ) throws {
        let decision = try authorizer.decide(
            for: context, action: "cloudwatch:\(action)", resource: resource, in: transaction)
        guard decision == .allowed, context.principal.account == context.scope.account else {
            throw AWSError.denied(context.principal, action, resource)
        }
    }
}
