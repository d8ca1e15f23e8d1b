import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what: the identity policies, and a table's own.
struct Access: Sendable {
    /// Nil: identities may everything in their own account.
    let authorizer: (any Authorizer)?

    /// `action` without the service. `resource`: what of the table is used (an index, its stream); nil: itself. Throws
    /// AccessDeniedException.
    func check(
        _ principal: Principal, _ action: String, on table: Table, resource: String? = nil,
        in transaction: any ReadTransaction
    ) throws {
        let policy = table.definition.policy
        // The owner, and no policy that could deny: nothing to look up.
        if policy == nil, case .account(table.scope.account) = principal { return }
        try check(
            principal, action, resource: resource ?? table.arn, account: table.scope.account, policy: policy,
            in: transaction)
    }

    /// For what is on no table whose policy could speak.
    func check(
        _ principal: Principal, _ action: String, resource: String, account: String, policy: TablePolicy? = nil,
        in transaction: any ReadTransaction
    ) throws {
        if policy == nil, case .account(account) = principal { return }
        let name = "dynamodb:" + action
        let byResource = policy?.decision(principal, action: name, resource: resource) ?? .notAllowed
        let identity: PolicyDecision
        switch principal {
        case .service, .anonymous: identity = .notAllowed
        case .account, .roleSession:
            identity = try authorizer?.decide(principal, action: name, resource: resource, in: transaction) ?? .allowed
        }
        if PolicyDecision.permits(principal, identity: identity, resource: byResource, resourceAccount: account) {
            return
        }
        let reason =
            identity == .explicitlyDenied
            ? "of an explicit deny in an identity-based policy"
            : byResource == .explicitlyDenied
                ? "of an explicit deny in a resource-based policy"
                : "no identity-based policy allows the \(name) action"
        throw AWSError.denied(principal.arn, name, resource, reason)
    }
}
