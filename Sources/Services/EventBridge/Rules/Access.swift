import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what: the caller's own policies, and for PutEvents the bus's.
struct Access: Sendable {
    let authorizer: any Authorizer
    private let policies = PolicyCache()

    init(authorizer: any Authorizer) { self.authorizer = authorizer }

    /// Throws AccessDeniedException unless the caller's own policies allow it and the resource is of its account. `keys` are
    /// the operation's own condition keys (guide, "Using IAM policy conditions").
    func check(
        _ caller: some Caller, _ action: String, _ resource: String, account: String, keys: ConditionValues = [:],
        in transaction: any ReadTransaction
    ) throws {
        let decision = try authorizer.decide(
            for: caller, action: "events:\(action)", resource: resource,
            more: { asked in
                var more = try asked.resourceTags {
                    try (try? TagOperations.Resource(resource))?.known(in: transaction)
                }
                if asked.contains(below: Self.creator), let rule = RuleKey(arn: resource) {
                    // Of a rule that is still to be made: who makes it.
                    let known = try RuleTable.get(rule, in: transaction)?.text("CreatedBy")
                    more[Self.creator] = (known ?? caller.principal.account).map { [$0] }
                }
                return more.merging(keys) { $1 }
            },
            in: transaction)
        guard caller.principal.account == account, decision == .allowed else {
            throw AWSError.denied(caller.principal, action, resource, kind: "identity")
        }
    }

    /// Throws AccessDeniedException unless the caller may hand the role to EventBridge, ValidationException unless that may
    /// assume it for the rule (guide, "Confused deputy prevention": `aws:SourceArn` is the rule's).
    func checkPassing(_ role: String?, _ caller: some Caller, rule: RuleKey, in transaction: any ReadTransaction) throws
    {
        guard let role else { return }
        do {
            try PassRole(to: Self.service, authorizer).check(role, by: caller, source: rule.arn, in: transaction)
        } catch PassRole.Problem.notPermitted(let text) {
            throw AWSError("AccessDeniedException", text)
        } catch PassRole.Problem.notAssumable {
            throw AWSError.notAssumable(role)
        }
    }

    static let service = "events.amazonaws.com"
    private static let creator = "events:creatoraccount"

    /// Throws AccessDeniedException unless the principal may put events on the bus.
    func checkPutEvents(
        _ caller: some Caller, bus: BusKey, policy: String?, source: String? = nil, detailType: String? = nil,
        in transaction: any ReadTransaction
    ) throws {
        // Services of AWS put events on the buses of the account they act for; a rule without a role acts as its account.
        var principal = caller.principal
        if case .service(_, _, let account) = principal {
            if account == bus.scope.account { return }
            principal = .account(account)
        }
        func more(_ asked: AskedKeys) -> ConditionValues {
            var keys: ConditionValues = [:]
            keys["events:source"] = source.map { [$0] }
            keys["events:detail-type"] = detailType.map { [$0] }
            return keys
        }
        let own = try authorizer.decide(
            principal, action: "events:PutEvents", resource: bus.arn,
            conditions: { caller.conditions.merging(more($0)) { $1 } }, in: transaction)
        var resource = PolicyDecision.notAllowed
        if let policy, let document = policies.document(policy) {
            resource = document.decision(
                for: PolicyRequest(
                    principal: principal, action: "events:PutEvents", resource: bus.arn,
                    context: try caller.conditions(for: document, authorizer, more: more, in: transaction)))
        }
        guard
            PolicyDecision.permits(
                principal, identity: own, resource: resource, resourceAccount: bus.scope.account)
        else {
            let kind = principal.account == bus.scope.account ? "identity" : "resource"
            throw AWSError.denied(principal, "PutEvents", bus.arn, kind: kind)
        }
    }
}
