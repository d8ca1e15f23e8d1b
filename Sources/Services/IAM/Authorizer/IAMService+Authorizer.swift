public import Contracts
import Platform
import Policies
public import Storage
import Synchronization

extension IAMService: Authorizer {
    public func decide(
        _ principal: Principal, action: String, resource: String, in transaction: any ReadTransaction
    ) throws -> PolicyDecision {
        try decide(principal, action: action, resource: resource, conditions: { _ in [:] }, in: transaction)
    }

    public func decide(
        _ principal: Principal, action: String, resource: String, conditions: (AskedKeys) throws -> ConditionValues,
        in transaction: any ReadTransaction
    ) throws -> PolicyDecision {
        switch principal {
        case .account: return .allowed
        case .service, .anonymous: return .notAllowed
        case .roleSession(let roleARN, _, let account):
            let policies = try rolePolicies.policies(of: roleARN, account: account, in: transaction)
            var values: ConditionValues = [:]
            if !policies.keys.isEmpty {
                // Tags of the session win over those of the role (STS, "Passing session tags").
                values = try conditions(policies.keys).merging(policies.tags) { session, _ in session }
            }
            let decision = policies.decision(
                for: PolicyRequest(principal: principal, action: action, resource: resource, context: values))
            if isAuthenticationOn || decision == .explicitlyDenied { return decision }
            return .allowed
        }
    }

    public func role(_ roleARN: String, in transaction: any ReadTransaction) throws -> RoleProperties? {
        guard let arn = ARN(roleARN) else { return nil }
        return try rolePolicies.policies(of: roleARN, account: arn.account, in: transaction).properties
    }
}

extension IAMService {
    public func trust(
        in principal: Principal, of roleARN: String, action: String, conditions: ConditionValues,
        in transaction: any ReadTransaction
    ) throws -> TrustDecision {
        guard let arn = ARN(roleARN), arn.service == "iam", arn.resource.hasPrefix("role/") else { return .noRole }
        guard isAuthenticationOn else {
            // A function gets none of another account.
            return principal.isRoleSession && principal.account != arn.account ? .refused : .allowed
        }
        let role = try RoleRow.get(RoleRow.folded(arn: roleARN), account: arn.account, in: transaction)
        guard let role, role.isNamed(by: arn) else { return .noRole }
        guard let document = trustPolicies.document(role.trustPolicy, { try .init(text: $0, kind: .trust) }) else {
            return .refused
        }
        func decision(owner: String) -> PolicyDecision {
            document.decision(
                for: PolicyRequest(
                    principal: principal, action: action, resource: roleARN, context: conditions,
                    resourceAccount: owner))
        }
        switch decision(owner: arn.account) {
        case .explicitlyDenied: return .refused
        case .allowed: return principal.account == arn.account || !principal.isRoleSession ? .allowed : .delegated
        // Nobody owns it: then an account that is named is all of its roles.
        case .notAllowed: return decision(owner: "") == .allowed ? .delegated : .refused
        }
    }
}

/// A role's policies, ready to be asked.
struct RolePolicies: Sendable {
    var documents: [Policies.PolicyDocument] = []
    /// Nil: there is no boundary.
    var boundary: [Policies.PolicyDocument]?
    /// What all of them ask for.
    var keys = AskedKeys([])
    /// The role's tags as condition keys, if somebody asks for such.
    var tags: ConditionValues = [:]
    /// Nil: there is no such role.
    var properties: RoleProperties?

    /// A boundary allows nothing by itself; what it does not allow is not allowed (IAM, "Permissions boundaries").
    func decision(for request: PolicyRequest) -> PolicyDecision {
        let own = Self.decision(of: documents, for: request)
        guard let boundary else { return own }
        let bound = Self.decision(of: boundary, for: request)
        if own == .explicitlyDenied || bound == .explicitlyDenied { return .explicitlyDenied }
        return bound == .allowed ? own : .notAllowed
    }

    private static func decision(
        of documents: [Policies.PolicyDocument], for request: PolicyRequest
    ) -> PolicyDecision {
        documents.reduce(.notAllowed) { $0.combined(with: $1.decision(for: request)) }
    }

    /// Reads them from the store; a role that is not there has none. A document that cannot be read (the grammar is
    /// checked when it is written) allows nothing.
    static func load(roleARN: String, account: String, in transaction: any ReadTransaction) throws -> RolePolicies {
        let key: [SQLValue] = [.text(account), .text(RoleRow.folded(arn: roleARN))]
        let role = try RoleRow.get(RoleRow.folded(arn: roleARN), account: account, in: transaction)
        guard let role, let arn = ARN(roleARN), role.isNamed(by: arn) else { return RolePolicies() }
        var policies = RolePolicies()
        let inline = try transaction.query(
            "SELECT document FROM iam_role_policy WHERE account = ? AND role = ?", key, { $0.text(0) })
        policies.documents = inline.compactMap(compiled)
        let attached = try transaction.query(
            "SELECT policy FROM iam_attachment WHERE account = ? AND role = ?", key, { $0.text(0) })
        for arn in attached {
            if let document = try managed(arn, in: transaction) { policies.documents.append(document) }
        }
        if let arn = role.attributes["PermissionsBoundary"]?.string {
            policies.boundary = try managed(arn, in: transaction).map { [$0] } ?? []
        }
        policies.keys = (policies.documents + (policies.boundary ?? [])).reduce(AskedKeys([])) { $0.union($1.keys) }
        if policies.keys.contains(below: TagConditions.principal) {
            policies.tags = TagConditions.keys(TagConditions.principal, role.properties.tags)
        }
        policies.properties = role.properties
        return policies
    }

    private static func managed(
        _ arn: String, in transaction: any ReadTransaction
    ) throws -> Policies.PolicyDocument? {
        if let document = ManagedPolicies.document(arn) { return document }
        let text = try transaction.first(
            """
            SELECT document FROM iam_policy JOIN iam_policy_version
            ON iam_policy_version.policy = iam_policy.arn AND iam_policy_version.version = iam_policy.default_version
            WHERE iam_policy.arn = ?
            """, [.text(arn)], { $0.text(0) })
        return text.flatMap(compiled)
    }

    private static func compiled(_ text: String) -> Policies.PolicyDocument? {
        try? Policies.PolicyDocument(text: text, kind: .identity)
    }
}

/// Compiled policies by role, of one generation of the store.
final class RolePolicyCache: Sendable {
    private struct State: Sendable {
        var generation = ""
        var roles: [Key: RolePolicies] = [:]
    }

    private struct Key: Hashable, Sendable {
        var account: String
        var role: String
    }

    private let state = Mutex(State())

    func policies(
        of roleARN: String, account: String, in transaction: any ReadTransaction
    ) throws -> RolePolicies {
        let generation = try PolicyGeneration.current(in: transaction)
        let key = Key(account: account, role: roleARN)
        if let known = state.withLock({ $0.generation == generation ? $0.roles[key] : nil }) { return known }
        let policies = try RolePolicies.load(roleARN: roleARN, account: account, in: transaction)
        state.withLock { state in
            if state.generation != generation || state.roles.count >= Limits.cachedRoles {
                state.generation = generation
                state.roles.removeAll()
            }
            state.roles[key] = policies
        }
        return policies
    }
}
