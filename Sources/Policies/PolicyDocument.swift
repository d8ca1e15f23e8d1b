public import Contracts
public import Platform

/// A policy that was read once and is asked many times.
///
/// Statements are those of IAM's policy language: Effect, Principal or NotPrincipal, Action or NotAction, Resource or
/// NotResource, Condition; policy variables. What is not known fails closed: an Allow with an unknown condition
/// operator allows nothing, a Deny with one denies whatever else of it fits.
public struct PolicyDocument: Sendable {
    /// Where the policy is attached, which decides on the elements that it must and must not have.
    public enum Kind: Sendable, Hashable {
        /// To a resource: Principal and Resource.
        case resource
        /// To a role: no Principal.
        case identity
        /// A role's trust policy: Principal, no Resource.
        case trust
    }

    private let statements: [PolicyStatement]
    /// The condition keys that some statement asks for, be it as a variable.
    public let keys: AskedKeys

    /// Checks the syntax. Throws `PolicyError`.
    public init(_ json: Value, kind: Kind = .resource) throws(PolicyError) {
        guard let fields = json.fields else { throw PolicyError(.notAnObject, "", "A policy must be a JSON object") }
        for name in fields.names where !["Version", "Id", "Statement"].contains(name) {
            throw PolicyError(.unexpected, name, "Unknown element: \(name)")
        }
        var hasVariables = false
        if let version = fields["Version"] {
            guard let text = version.string, text == "2012-10-17" || text == "2008-10-17" else {
                throw PolicyError(.invalid, "Version", "The policy must contain a valid version string")
            }
            hasVariables = text == "2012-10-17"
        }
        if let id = fields["Id"], id.string == nil { throw PolicyError(.invalid, "Id", "Id must be a string") }
        guard let statement = fields["Statement"] else {
            throw PolicyError(.missing, "Statement", "Missing required field Statement")
        }
        let list = statement.list ?? [statement]
        guard list.count <= Limits.statements else {
            throw PolicyError(.tooLarge, "Statement", "More than \(Limits.statements) statements")
        }
        var statements: [PolicyStatement] = []
        for item in list {
            statements.append(try PolicyStatement(item, kind: kind, hasVariables: hasVariables))
        }
        self.statements = statements
        keys = AskedKeys(statements.reduce(into: []) { $0.formUnion($1.keys) })
    }

    /// Reads a document from its text. Throws `PolicyError`, also when it is no JSON.
    public init(text: String, kind: Kind = .resource) throws(PolicyError) {
        guard let value = try? JSON.parse(text) else {
            throw PolicyError(.notAnObject, "", "A policy must be a JSON object")
        }
        try self.init(value, kind: kind)
    }

    /// Whether some condition has an operator that is not known, which AWS refuses.
    public var hasUnknownOperators: Bool { statements.contains(where: \.hasUnknownOperators) }

    /// What the document says of the request. A Deny wins.
    ///
    /// Of a resource policy: an Allow for the account that owns the resource is not one for the account's roles; their
    /// identity policies decide (see `PolicyDecision.permits`).
    public func decision(for request: PolicyRequest) -> PolicyDecision {
        let action = Array(request.action.lowercased().utf8)
        var decision = PolicyDecision.notAllowed
        for statement in statements where statement.matches(request, action: action) {
            if !statement.allows { return .explicitlyDenied }
            decision = .allowed
        }
        return decision
    }
}

extension PolicyDecision {
    /// What several policies of one side say together: a Deny wins, then an Allow.
    public func combined(with other: PolicyDecision) -> PolicyDecision {
        if self == .explicitlyDenied || other == .explicitlyDenied { return .explicitlyDenied }
        return self == .allowed || other == .allowed ? .allowed : .notAllowed
    }

    /// Whether a request is permitted by what the identity policies of its principal and the policy of the resource say
    /// (IAM, "Policy evaluation logic"): a Deny of either wins; within one account either may allow; across accounts
    /// both must. Services have no identity policies: for them the resource policy decides.
    public static func permits(
        _ principal: Principal, identity: PolicyDecision, resource: PolicyDecision, resourceAccount: String
    ) -> Bool {
        if identity == .explicitlyDenied || resource == .explicitlyDenied { return false }
        switch principal {
        case .service, .anonymous: return resource == .allowed
        case .account(let account), .roleSession(_, _, let account):
            if account == resourceAccount { return identity == .allowed || resource == .allowed }
            return identity == .allowed && resource == .allowed
        }
    }
}
