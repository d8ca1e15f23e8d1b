public import Storage

/// What the identity policies of a principal say.
public enum PolicyDecision: Sendable, Hashable {
    case allowed
    /// Some statement denies it: wins over every allow, also of resource policies.
    case explicitlyDenied
    /// No statement speaks of it.
    case notAllowed
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
}
