import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what: the caller's own policies, and for PutEvents the bus's.
struct Access: Sendable {
    let authorizer: any Authorizer

    /// Throws AccessDeniedException unless the caller's own policies allow it and the resource is of its account.
    func check(
        _ principal: Principal, _ action: String, _ resource: String, account: String,
        in transaction: any ReadTransaction
    ) throws {
        let decision = try authorizer.decide(principal, action: "events:\(action)", resource: resource, in: transaction)
        guard principal.account == account, decision == .allowed else {
            throw AWSError.denied(principal, action, resource, kind: "identity")
        }
    }

    /// Throws AccessDeniedException unless the principal may put events on the bus.
    func checkPutEvents(
        _ principal: Principal, bus: BusKey, policy: String?, in transaction: any ReadTransaction
    ) throws {
        // Services of AWS put events on the buses of the account they act for; a rule without a role acts as its account.
        var principal = principal
        if case .service(_, _, let account) = principal {
            if account == bus.scope.account { return }
            principal = .account(account)
        }
        let own = try authorizer.decide(principal, action: "events:PutEvents", resource: bus.arn, in: transaction)
        var resource = PolicyDecision.notAllowed
        if let policy, let document = try? PolicyDocument(text: policy) {
            resource = document.decision(
                for: PolicyRequest(principal: principal, action: "events:PutEvents", resource: bus.arn))
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
