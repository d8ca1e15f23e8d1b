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

    /// Throws AuthorizationError unless the principal may. `action` without its `sns:`.
    ///
    /// In the topic's account one of the two kinds of policies must allow it, from another account both; a Deny wins always.
    func check(_ principal: Principal, _ action: String, _ topic: Topic, in transaction: any ReadTransaction) throws {
        guard try !mayDo(principal, action, topic, in: transaction) else { return }
        throw Self.refusal(principal, action, resource: topic.key.arn)
    }

    func mayDo(
        _ principal: Principal, _ action: String, _ topic: Topic, in transaction: any ReadTransaction
    ) throws -> Bool {
        let own = try authorizer.decide(principal, action: "sns:\(action)", resource: topic.key.arn, in: transaction)
        return PolicyDecision.permits(
            principal, identity: own, resource: decision(of: topic, principal, action),
            resourceAccount: topic.key.scope.account)
    }

    /// For what no topic's policy speaks of: the caller's own policies alone count, and only in the account that `owner` is (of
    /// the resource's ARN, unless given).
    func check(
        _ principal: Principal, _ action: String, resource: String, owner: String? = nil,
        in transaction: any ReadTransaction
    ) throws {
        let decision = try authorizer.decide(principal, action: "sns:\(action)", resource: resource, in: transaction)
        guard let account = owner ?? ARN(resource)?.account, principal.account == account, decision == .allowed else {
            throw Self.refusal(principal, action, resource: resource)
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
    private func decision(of topic: Topic, _ principal: Principal, _ action: String) -> PolicyDecision {
        // The default policy says no more than this, and is by far the most frequent.
        guard let text = topic.attribute("Policy") else {
            switch principal {
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
            for: PolicyRequest(principal: principal, action: "sns:\(action)", resource: topic.key.arn))
    }
}
