import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what: the identity policies, and a table's own.
struct Access: Sendable {
    private let policies: AccessCheck
    private let authorizer: (any Authorizer)?

    /// `authorizer`: nil: identities may everything in their own account.
    init(authorizer: (any Authorizer)?) {
        policies = AccessCheck(authorizer)
        self.authorizer = authorizer
    }

    /// `action` without the service. `resource`: what of the table is used (an index, its stream); nil: itself. `use`: what
    /// is done with its items; made only when a policy asks. Throws AccessDeniedException.
    func check(
        _ caller: some Caller, _ action: String, on table: Table, resource: String? = nil,
        use: ((Table) -> ItemUse)? = nil, in transaction: any ReadTransaction
    ) throws {
        let policy = table.definition.policy
        try check(
            caller, action, resource: resource ?? table.arn, account: table.scope.account, policy: policy,
            more: {
                guard let use else { return [:] }
                let isAsked =
                    try policy?.policy.asks(forKeysBelow: ItemUse.prefix) ?? false
                    || authorizer?.asks(caller.principal, forKeysBelow: ItemUse.prefix, in: transaction) ?? false
                return isAsked ? use(table).conditions : [:]
            }, in: transaction)
    }

    /// For what is on no table whose policy could speak.
    func check(
        _ caller: some Caller, _ action: String, resource: String, account: String, policy: TablePolicy? = nil,
        more: () throws -> [String: [String]] = { [:] }, in transaction: any ReadTransaction
    ) throws {
        let name = "dynamodb:" + action
        let refusal = try policies.refusal(
            caller, action: name, resource: resource, account: account, policy: policy?.policy, more: more,
            in: transaction)
        guard let refusal else { return }
        var reason = refusal.reason(name)
        // This service alone says "because of".
        if refusal.isExplicit { reason = "because of" + reason.dropFirst("with".count) }
        throw AWSError.denied(caller.principal.arn, name, resource, String(reason.dropFirst("because ".count)))
    }
}
