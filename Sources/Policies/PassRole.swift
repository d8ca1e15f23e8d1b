public import Contracts
public import Storage

/// A role that a caller hands to a service, which will act as that role: the caller must be allowed to (`iam:PassRole`; IAM,
/// "Granting a user permissions to pass a role to an AWS service"), and the role must let the service assume it.
public struct PassRole: Sendable {
    public enum Problem: Error, Sendable, Hashable {
        /// The caller may not, as AWS says it.
        case notPermitted(String)
        /// The role is not there, or does not trust the service; every service says so in its own words.
        case notAssumable
    }

    static let action = "iam:PassRole"
    private let authorizer: any Authorizer
    private let service: String

    /// `service`: its principal, e.g. `lambda.amazonaws.com`.
    public init(to service: String, _ authorizer: any Authorizer) {
        self.service = service
        self.authorizer = authorizer
    }

    /// Throws `Problem`. The role is one of the caller's account: services check that. `source`: the resource for which the
    /// service will act, as AWS names it in `aws:SourceArn` (IAM, "The confused deputy problem").
    public func check(
        _ role: String, by caller: some Caller, source: String, in transaction: any ReadTransaction
    ) throws {
        try checkPermission(role, of: caller, in: transaction)
        let account = caller.principal.account ?? ""
        guard try authorizer.isAssumable(role, by: service, account: account, source: source, in: transaction) else {
            throw Problem.notAssumable
        }
    }

    /// Whether the caller may hand the role on; what the role says itself counts when it is used. Throws `Problem`.
    public func checkPermission(_ role: String, of caller: some Caller, in transaction: any ReadTransaction) throws {
        let principal = caller.principal
        guard principal.isRoleSession else { return }
        let decision = try authorizer.decide(
            for: caller, action: Self.action, resource: role, more: { _ in Self.conditions(service) }, in: transaction)
        guard decision != .allowed else { return }
        let refusal = decision == .explicitlyDenied ? PolicyRefusal.deniedByIdentity : .notAllowedByIdentity
        throw Problem.notPermitted(
            "User: \(principal.arn) is not authorized to perform: \(Self.action) on resource: \(role) "
                + refusal.reason(Self.action))
    }

    static func conditions(_ service: String) -> [String: [String]] { ["iam:passedtoservice": [service]] }
}

extension PermissionNeed {
    /// To hand a role to a service.
    public static func passRole(_ role: String, to service: String) -> PermissionNeed {
        PermissionNeed(PassRole.action, role, conditions: PassRole.conditions(service))
    }
}
