import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what to a stream or consumer: the identity policies and the resource's own.
struct Access: Sendable {
    /// Nil: identities may everything in their own account.
    let authorizer: (any Authorizer)?

    /// Throws `AccessDeniedException`.
    func check(
        _ principal: Principal, _ action: String, on stream: Stream, in transaction: any ReadTransaction
    ) throws {
        try check(
            principal, action, resource: stream.arn, of: stream.scope.account, policy: stream.policy, in: transaction)
    }

    /// `resource`: an ARN of `account`, with its own policy if it has one.
    func check(
        _ principal: Principal, _ action: String, resource: String, of account: String, policy: ResourcePolicy?,
        in transaction: any ReadTransaction
    ) throws {
        // The owner, and no policy that could deny: nothing to look up.
        if case .account(account) = principal, policy == nil { return }
        let name = "kinesis:" + action
        if let reason = try refusal(principal, name, resource, account, policy, in: transaction) {
            throw AWSError.accessDenied(principal.arn, name, resource, reason)
        }
    }

    private func refusal(
        _ principal: Principal, _ action: String, _ resource: String, _ account: String, _ policy: ResourcePolicy?,
        in transaction: any ReadTransaction
    ) throws -> String? {
        let byResource = policy?.decision(PolicyRequest(principal: principal, action: action, resource: resource))
        if byResource == .explicitlyDenied { return "with an explicit deny in a resource-based policy" }
        let identity: PolicyDecision
        switch principal {
        case .service, .anonymous: identity = .notAllowed
        case .account, .roleSession:
            identity =
                try authorizer?.decide(principal, action: action, resource: resource, in: transaction) ?? .allowed
        }
        if identity == .explicitlyDenied { return "with an explicit deny in an identity-based policy" }
        let isAllowed = byResource == .allowed
        let none = "because no resource-based policy allows the \(action) action"
        switch principal {
        case .service, .anonymous: return isAllowed ? nil : none
        case .account, .roleSession:
            // In one account either policy suffices, between accounts both are needed.
            if principal.account == account {
                return isAllowed || identity == .allowed
                    ? nil : "because no identity-based policy allows the \(action) action"
            }
            return isAllowed && identity == .allowed ? nil : none
        }
    }
}
