public import Contracts
public import Storage

/// Why a request is not permitted.
public enum PolicyRefusal: Sendable, Hashable {
    case deniedByIdentity
    case deniedByResource
    /// No identity policy allows it; in the resource's own account, where that would do.
    case notAllowedByIdentity
    case notAllowedByResource

    public var isExplicit: Bool { self == .deniedByIdentity || self == .deniedByResource }

    /// As AWS ends its refusals: "with an explicit deny in an identity-based policy", "because no resource-based policy
    /// allows the sqs:SendMessage action".
    public func reason(_ action: String) -> String {
        let kind = self == .deniedByIdentity || self == .notAllowedByIdentity ? "identity" : "resource"
        return isExplicit
            ? "with an explicit deny in \(kind == "identity" ? "an" : "a") \(kind)-based policy"
            : "because no \(kind)-based policy allows the \(action) action"
    }
}

/// Weighs the identity policies of a caller and the policy of a resource.
public struct AccessCheck: Sendable {
    /// Nil: identities may everything in their own account.
    private let authorizer: (any Authorizer)?

    public init(_ authorizer: (any Authorizer)?) { self.authorizer = authorizer }

    /// Why the caller may not do `action` to `resource`; nil when it may. `account` owns the resource; `policy` is the
    /// resource's own; `more` are condition keys of the service, made only when a policy asks for any.
    public func refusal(
        _ caller: some Caller, action: String, resource: String, account: String, policy: PolicyDocument? = nil,
        more: (AskedKeys) throws -> ConditionValues = { _ in [:] }, in transaction: any ReadTransaction
    ) throws -> PolicyRefusal? {
        let principal = caller.principal
        // The owner, and no policy that could deny: nothing to look up.
        if policy == nil, case .account(account) = principal { return nil }
        var byResource = PolicyDecision.notAllowed
        if let policy {
            byResource = policy.decision(
                for: PolicyRequest(
                    principal: principal, action: action, resource: resource,
                    context: try caller.conditions(for: policy, authorizer, more: more, in: transaction),
                    resourceAccount: account))
        }
        if byResource == .explicitlyDenied { return .deniedByResource }
        let identity: PolicyDecision
        switch principal {
        case .service, .anonymous: identity = .notAllowed
        case .account: identity = .allowed
        case .roleSession:
            identity =
                try authorizer?.decide(for: caller, action: action, resource: resource, more: more, in: transaction)
                ?? .allowed
        }
        if identity == .explicitlyDenied { return .deniedByIdentity }
        let isPermitted = PolicyDecision.permits(
            principal, identity: identity, resource: byResource, resourceAccount: account)
        if isPermitted { return nil }
        switch principal {
        case .service, .anonymous: return .notAllowedByResource
        case .account, .roleSession:
            return principal.account == account ? .notAllowedByIdentity : .notAllowedByResource
        }
    }
}
