import Platform
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

    /// The same with what the request brings for the conditions of statements: names of condition keys in lower case
    /// (`s3:prefix`, `aws:sourceip`) and their values. A key that is not given counts as absent.
    func decide(
        _ principal: Principal, action: String, resource: String, conditions: [String: [String]],
        in transaction: any ReadTransaction
    ) throws -> PolicyDecision

    /// Whether some policy of the principal asks for a condition key that starts so (in lower case): for keys that cost
    /// something to find out.
    func asks(_ principal: Principal, forKeysBelow prefix: String, in transaction: any ReadTransaction) throws -> Bool

    /// What a role's trust policy says of `action` (`sts:AssumeRole`) by the principal.
    ///
    /// Without authentication the answer is `.allowed`, so that role ARNs that nobody created keep working; but a role session
    /// gets none of another account.
    func trust(
        in principal: Principal, of roleARN: String, action: String, conditions: [String: [String]],
        in transaction: any ReadTransaction
    ) throws -> TrustDecision
}

extension Authorizer {
    public func asks(
        _ principal: Principal, forKeysBelow prefix: String, in transaction: any ReadTransaction
    ) throws -> Bool { true }

    /// For authorizers that know no roles.
    public func trust(
        in principal: Principal, of roleARN: String, action: String, conditions: [String: [String]],
        in transaction: any ReadTransaction
    ) throws -> TrustDecision { .allowed }

    /// Whether a service (`lambda.amazonaws.com`) may assume a role of the account for what it does there.
    public func isAssumable(
        _ roleARN: String, by service: String, account: String, in transaction: any ReadTransaction
    ) throws -> Bool {
        let principal = Principal.service(name: service, sourceARN: "", sourceAccount: account)
        return try trust(in: principal, of: roleARN, action: "sts:AssumeRole", conditions: [:], in: transaction)
            == .allowed
    }

    /// For authorizers that know no conditions.
    public func decide(
        _ principal: Principal, action: String, resource: String, conditions: [String: [String]],
        in transaction: any ReadTransaction
    ) throws -> PolicyDecision {
        try decide(principal, action: action, resource: resource, in: transaction)
    }
}

extension OperationContext {
    /// The condition keys that every request brings (IAM, "AWS global condition context keys").
    public var globalConditions: [String: [String]] {
        var keys: [String: [String]] = [
            "aws:sourceip": [sourceIP],
            "aws:securetransport": [endpoint.hasPrefix("https") ? "true" : "false"],
            "aws:currenttime": [now.iso8601()],
            "aws:epochtime": [String(now.seconds)],
        ]
        // Of a header that is there more than once the first counts, as it does for operations.
        for (name, value) in headers {
            switch name {
            case "user-agent": if keys["aws:useragent"] == nil { keys["aws:useragent"] = [value] }
            case "referer": if keys["aws:referer"] == nil { keys["aws:referer"] = [value] }
            default: break
            }
        }
        return keys
    }
}
