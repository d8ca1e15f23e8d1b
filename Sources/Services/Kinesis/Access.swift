import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what to a stream or consumer: the identity policies and the resource's own.
struct Access: Sendable {
    private let policies: AccessCheck

    /// `authorizer`: nil: identities may everything in their own account.
    init(authorizer: (any Authorizer)?) { policies = AccessCheck(authorizer) }

    /// Throws `AccessDeniedException`.
    func check(_ caller: some Caller, _ action: String, on stream: Stream, in transaction: any ReadTransaction) throws {
        try check(
            caller, action, resource: stream.arn, of: stream.scope.account, policy: stream.policy,
            tags: { try StreamTable.tags(stream.id, in: transaction) }, in: transaction)
    }

    /// `resource`: an ARN of `account`, with its own policy if it has one. `tags` of it are looked up when a policy asks.
    func check(
        _ caller: some Caller, _ action: String, resource: String, of account: String, policy: ResourcePolicy?,
        tags: () throws -> Fields? = { nil }, in transaction: any ReadTransaction
    ) throws {
        let name = "kinesis:" + action
        let refusal = try policies.refusal(
            caller, action: name, resource: resource, account: account, policy: policy?.document,
            more: { try $0.resourceTags(tags) }, in: transaction)
        guard let refusal else { return }
        throw AWSError.accessDenied(caller.principal.arn, name, resource, refusal.reason(name))
    }
}
