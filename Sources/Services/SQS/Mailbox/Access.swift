import Contracts
import Platform
import Storage
import Wire

/// Who may do what to a queue: the identity policies and the queue's own.
struct Access: Sendable {
    /// Nil: identities may everything in their own account.
    let authorizer: (any Authorizer)?

    /// Throws `AccessDenied`.
    func check(
        _ principal: Principal, _ action: String, on queue: Queue, in transaction: any ReadTransaction
    ) throws {
        // The owner, and no policy that could deny: nothing to look up.
        if case .account(queue.scope.account) = principal, queue.attributes.policy == nil { return }
        let name = "sqs:" + action
        if let reason = try refusal(principal, name, on: queue, in: transaction) {
            throw AWSError.accessDenied(principal.arn, name.lowercased(), queue.arn, reason)
        }
    }

    private func refusal(
        _ principal: Principal, _ action: String, on queue: Queue, in transaction: any ReadTransaction
    ) throws -> String? {
        let resource = queue.attributes.policy?.decision(principal, action: action, resource: queue.arn)
        if resource == .explicitlyDenied { return "of an explicit deny in a resource-based policy" }
        let identity: PolicyDecision
        switch principal {
        case .service, .anonymous: identity = .notAllowed
        case .account, .roleSession:
            identity =
                try authorizer?.decide(principal, action: action, resource: queue.arn, in: transaction) ?? .allowed
        }
        if identity == .explicitlyDenied { return "of an explicit deny in an identity-based policy" }
        let byResource = resource == .allowed
        let none = "no resource-based policy allows the \(action.lowercased()) action"
        switch principal {
        case .service, .anonymous: return byResource ? nil : none
        case .account, .roleSession:
            // In one account either policy suffices, between accounts both are needed.
            if principal.account == queue.scope.account {
                return byResource || identity == .allowed
                    ? nil : "no identity-based policy allows the \(action.lowercased()) action"
            }
            return byResource && identity == .allowed ? nil : none
        }
    }
}
