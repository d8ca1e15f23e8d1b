import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what to a queue: the identity policies and the queue's own.
struct Access: Sendable {
    private let policies: AccessCheck

    /// `authorizer`: nil: identities may everything in their own account.
    init(authorizer: (any Authorizer)?) { policies = AccessCheck(authorizer) }

    /// Throws `AccessDenied`.
    func check(_ caller: some Caller, _ action: String, on queue: Queue, in transaction: any ReadTransaction) throws {
        let name = "sqs:" + action
        let refusal = try policies.refusal(
            caller, action: name, resource: queue.arn, account: queue.scope.account,
            policy: queue.attributes.policy?.policy,
            more: { try $0.resourceTags { try QueueTable.tags(queue.id, in: transaction) } }, in: transaction)
        if let refusal { throw Self.refused(caller, name, queue.arn, refusal) }
    }

    /// For actions that are on no queue whose policy could speak. Throws `AccessDenied`.
    func check(
        _ caller: some Caller, _ action: String, onAny resource: String, of account: String,
        in transaction: any ReadTransaction
    ) throws {
        let name = "sqs:" + action
        let refusal = try policies.refusal(
            caller, action: name, resource: resource, account: account, in: transaction)
        if let refusal { throw Self.refused(caller, name, resource, refusal) }
    }

    private static func refused(
        _ caller: some Caller, _ action: String, _ resource: String, _ refusal: PolicyRefusal
    ) -> AWSError {
        let action = action.lowercased()
        var reason = refusal.reason(action)
        // This service alone says "because of".
        if refusal.isExplicit { reason = "because of" + reason.dropFirst("with".count) }
        return .accessDenied(caller.principal.arn, action, resource, String(reason.dropFirst("because ".count)))
    }
}
