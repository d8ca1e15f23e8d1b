import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what to a topic: the topic's policy, and the caller's own policies.
struct Access: Sendable {
    let authorizer: any Authorizer
    private let policies = PolicyCache()

    init(authorizer: any Authorizer) { self.authorizer = authorizer }

    /// Throws AuthorizationError unless the caller may. `action` without its `sns:`.
    ///
    /// In the topic's account one of the two kinds of policies must allow it, from another account both; a Deny wins always.
    func check(
        _ caller: some Caller, _ action: String, _ topic: Topic, more: ConditionValues = [:],
        in transaction: any ReadTransaction
    ) throws {
        guard try !mayDo(caller, action, topic, more: more, in: transaction) else { return }
        throw Self.refusal(caller.principal, action, resource: topic.key.arn)
    }

    func mayDo(
        _ caller: some Caller, _ action: String, _ topic: Topic, more: ConditionValues = [:],
        in transaction: any ReadTransaction
    ) throws -> Bool {
        let own = try authorizer.decide(
            for: caller, action: "sns:\(action)", resource: topic.key.arn,
            more: { $0.resourceTags { topic.tags }.merging(more) { $1 } },
            in: transaction)
        return PolicyDecision.permits(
            caller.principal, identity: own, resource: try decision(of: topic, caller, action, more, in: transaction),
            resourceAccount: topic.key.scope.account)
    }

    /// For what no topic's policy speaks of: the caller's own policies alone count, and only in the account that `owner` is (of
    /// the resource's ARN, unless given).
    func check(
        _ caller: some Caller, _ action: String, resource: String, owner: String? = nil,
        in transaction: any ReadTransaction
    ) throws {
        let decision = try authorizer.decide(
            for: caller, action: "sns:\(action)", resource: resource,
            more: {
                try $0.resourceTags {
                    guard let arn = ARN(resource) else { return nil }
                    let scope = AccountRegion(account: arn.account, region: arn.region)
                    return try TopicTable.get(TopicKey(scope: scope, name: arn.resource), in: transaction)?.tags
                }
            }, in: transaction)
        guard let account = owner ?? ARN(resource)?.account, caller.principal.account == account, decision == .allowed
        else { throw Self.refusal(caller.principal, action, resource: resource) }
    }

    /// Throws AuthorizationError unless the caller may hand SNS the roles that these attributes name, for the log of deliveries.
    func checkPassing(_ attributes: Fields, _ caller: some Caller, in transaction: any ReadTransaction) throws {
        for entry in attributes.entries where entry.name.hasSuffix("FeedbackRoleArn") {
            guard let role = entry.value.string, !role.isEmpty else { continue }
            do {
                // Nothing is written with it here: nobody asks whether SNS may assume it.
                try PassRole(to: "sns.amazonaws.com", authorizer).checkPermission(role, of: caller, in: transaction)
            } catch PassRole.Problem.notPermitted(let text) {
                throw AWSError.forbidden(text)
            }
        }
    }

    private static func refusal(_ principal: Principal, _ action: String, resource: String) -> AWSError {
        let kind =
            switch principal {
            case .account(let account), .roleSession(_, _, let account):
                account == ARN(resource)?.account ? "identity" : "resource"
            case .service, .anonymous: "resource"
            }
        return .forbidden(
            "User: \(principal.arn) is not authorized to perform: SNS:\(action) on resource: \(resource) because no "
                + "\(kind)-based policy allows the SNS:\(action) action")
    }

    /// What the topic's policy says. `aws:SourceOwner`, which the default policy asks for, only services bring.
    private func decision(
        of topic: Topic, _ caller: some Caller, _ action: String, _ more: ConditionValues,
        in transaction: any ReadTransaction
    ) throws -> PolicyDecision {
        // The default policy says no more than this, and is by far the most frequent.
        guard let text = topic.attribute("Policy") else {
            switch caller.principal {
            case .account(let account): return account == topic.key.scope.account ? .allowed : .notAllowed
            case .service(let name, _, let account):
                let isOwn = account == topic.key.scope.account && PolicyRequest.bringsSourceOwner(name)
                return isOwn && TopicPolicy.standardActions.contains(action)
                    ? .allowed : .notAllowed
            case .roleSession, .anonymous: return .notAllowed
            }
        }
        guard let document = policies.document(text) else { return .notAllowed }
        return document.decision(
            for: PolicyRequest(
                principal: caller.principal, action: "sns:\(action)", resource: topic.key.arn,
                context: try caller.conditions(
                    for: document, authorizer, more: { $0.resourceTags { topic.tags }.merging(more) { $1 } },
                    in: transaction)))
    }
}
