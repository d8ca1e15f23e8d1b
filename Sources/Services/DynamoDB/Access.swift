import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what: the identity policies, and a table's own.
struct Access: Sendable {
    private let policies: AccessCheck

    /// `authorizer`: nil: identities may everything in their own account.
    init(authorizer: (any Authorizer)?) { policies = AccessCheck(authorizer) }

    /// `action` without the service. `resource`: what of the table is used (an index, its stream); nil: itself. `use`: what
    /// is done with its items; made only when a policy asks. Throws AccessDeniedException.
    func check(
        _ caller: some Caller, _ action: String, on table: Table, resource: String? = nil,
        use: ((Table) -> ItemUse)? = nil, in transaction: any ReadTransaction
    ) throws {
        let policy = table.definition.policy
        try check(
            caller, action, resource: resource ?? table.arn, account: table.scope.account, policy: policy,
            more: { asked in
                let tags = try asked.resourceTags { try TableStore.tags(table.id, in: transaction) }
                guard let use, asked.contains(below: ItemUse.prefix) else { return tags }
                return use(table).conditions.merging(tags) { $1 }
            }, in: transaction)
    }

    /// For what is on no table whose policy could speak.
    func check(
        _ caller: some Caller, _ action: String, resource: String, account: String, policy: TablePolicy? = nil,
        more: (AskedKeys) throws -> ConditionValues = { _ in [:] }, in transaction: any ReadTransaction
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
