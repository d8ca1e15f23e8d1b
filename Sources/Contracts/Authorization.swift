public import Storage

/// What the identity policies of a principal say.
public enum PolicyDecision: Sendable, Hashable {
    case allowed
    /// Some statement denies it: wins over every allow, also of resource policies.
    case explicitlyDenied
    /// No statement speaks of it.
    case notAllowed
}

/// What the trust policy of a role says of whoever would assume it.
public enum TrustDecision: Sendable, Hashable {
    /// The policy names them.
    case allowed
    /// The policy names their account: it leaves the choice to their identity policies.
    case delegated
    case refused
    /// There is no such role.
    case noRole
}

/// What others must know of a role.
public struct RoleProperties: Sendable {
    /// Seconds that a session of it may last.
    public var maximumSession: Int
    /// Their names differ without regard to case.
    public var tags: [(key: String, value: String)]

    public init(maximumSession: Int, tags: [(key: String, value: String)]) {
        self.maximumSession = maximumSession
        self.tags = tags
    }
}

/// Values of condition keys by their names in lower case (`s3:prefix`, `aws:sourceip`). A key that is not there counts as
/// absent.
public typealias ConditionValues = [String: [String]]

/// The condition keys, in lower case, that the policies of somebody ask for.
public struct AskedKeys: Sendable, Hashable {
    private let names: Set<String>

    public init(_ names: Set<String>) { self.names = names }

    public var isEmpty: Bool { names.isEmpty }

    public func union(_ other: AskedKeys) -> AskedKeys { AskedKeys(names.union(other.names)) }

    /// Whether one starts so: for keys that cost something to find out.
    public func contains(below prefix: String) -> Bool { names.contains { $0.hasPrefix(prefix) } }
}

/// Decides what principals may do by their identity policies (IAM). Resource policies are the business of the service that
/// owns the resource.
public protocol Authorizer: Sendable {
    /// Whether the principal may do `action` (`sqs:SendMessage`) to `resource` (an ARN). The account itself may
    /// everything. Of a role session, the policies of the role count. Services and anonymous callers have no identity
    /// policies: `.notAllowed`.
    ///
    /// Without authentication (`--auth none`) only an explicit Deny counts; else the answer is `.allowed`, so that role ARNs
    /// that nobody created keep working.
    func decide(
        _ principal: Principal, action: String, resource: String, in transaction: any ReadTransaction
    ) throws -> PolicyDecision

    /// The same with what the request brings for the conditions of statements; `conditions` is called only when some policy
    /// of the principal has any, with the keys that they ask for.
    func decide(
        _ principal: Principal, action: String, resource: String, conditions: (AskedKeys) throws -> ConditionValues,
        in transaction: any ReadTransaction
    ) throws -> PolicyDecision

    /// What a role's trust policy says of `action` (`sts:AssumeRole`) by the principal.
    ///
    /// Without authentication the answer is `.allowed`, so that role ARNs that nobody created keep working; but a role session
    /// gets none of another account.
    func trust(
        in principal: Principal, of roleARN: String, action: String, conditions: ConditionValues,
        in transaction: any ReadTransaction
    ) throws -> TrustDecision

    /// Nil when there is no such role.
    func role(_ roleARN: String, in transaction: any ReadTransaction) throws -> RoleProperties?
}

extension Authorizer {
    /// For authorizers that know no roles.
    public func trust(
        in principal: Principal, of roleARN: String, action: String, conditions: ConditionValues,
        in transaction: any ReadTransaction
    ) throws -> TrustDecision { .allowed }

    /// For authorizers that know no roles.
    public func role(_ roleARN: String, in transaction: any ReadTransaction) throws -> RoleProperties? { nil }

    /// Whether a service (`lambda.amazonaws.com`) may assume a role of the account for what it does there. `source`: the
    /// resource that it acts for, as AWS names it in `aws:SourceArn`.
    public func isAssumable(
        _ roleARN: String, by service: String, account: String, source: String, in transaction: any ReadTransaction
    ) throws -> Bool {
        let principal = Principal.service(name: service, sourceARN: source, sourceAccount: account)
        return try trust(in: principal, of: roleARN, action: "sts:AssumeRole", conditions: [:], in: transaction)
            == .allowed
    }

    /// For authorizers that know no conditions.
    public func decide(
        _ principal: Principal, action: String, resource: String, conditions: (AskedKeys) throws -> ConditionValues,
        in transaction: any ReadTransaction
    ) throws -> PolicyDecision {
        try decide(principal, action: action, resource: resource, in: transaction)
    }
}
