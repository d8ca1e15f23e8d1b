/// Who asks. Every call between rooms carries one, so that no internal call can skip a permission check.
public enum Principal: Sendable, Hashable {
    /// The account itself (root credentials, or any credentials when authentication is off).
    case account(String)
    /// An assumed role's session: a function's execution role, or `AssumeRole`.
    case roleSession(roleARN: String, sessionName: String, account: String)
    /// An AWS service acting for a resource, e.g. `s3.amazonaws.com` for a bucket.
    case service(name: String, sourceARN: String, sourceAccount: String)
    case anonymous

    /// The 12-digit account that the principal belongs to; nil when anonymous.
    public var account: String? {
        switch self {
        case .account(let account): account
        case .roleSession(_, _, let account): account
        case .service(_, _, let account): account
        case .anonymous: nil
        }
    }

    /// The ARN that STS and error texts show.
    public var arn: String {
        switch self {
        case .account(let account): return "arn:aws:iam::\(account):root"
        case .roleSession(let role, let session, let account):
            let name = role.split(separator: "/").last.map(String.init) ?? role
            return "arn:aws:sts::\(account):assumed-role/\(name)/\(session)"
        case .service(let name, _, _): return name
        case .anonymous: return "anonymous"
        }
    }
}
