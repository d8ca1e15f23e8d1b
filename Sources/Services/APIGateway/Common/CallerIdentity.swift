import Contracts
import Platform

/// What an authorizer said of a caller, as functions and access logs see it.
enum CallerIdentity: Sendable {
    case none
    /// A token's claims as text, in its order; scopes when the token has some.
    case jwt(claims: [(name: String, value: String)], scopes: [String]?)
    /// A Lambda authorizer's context, and its principal, which only IAM answers have.
    case lambda(context: Fields?, principalID: String?)
    case iam(IAMCaller)

    struct IAMCaller: Sendable, Hashable {
        var accessKey: String
        var accountID: String
        /// `AROA…:session`, or the account's number for its root.
        var callerID: String
        var userARN: String
    }

    /// The value of `$context.authorizer.…` in access logs and parameter mapping.
    func property(_ path: Substring) -> String? {
        switch self {
        case .none, .iam: return nil
        case .jwt(let claims, _):
            guard path.hasPrefix("claims.") else { return nil }
            let name = path.dropFirst("claims.".count)
            return claims.first { $0.name == name }?.value
        case .lambda(let context, let principalID):
            if path == "principalId" { return principalID }
            return context?[String(path)].map(Self.text)
        }
    }

    /// A value as text: strings as they are, everything else as JSON.
    static func text(_ value: Value) -> String { value.string ?? JSON.encodeString(value) }

    /// A claim as functions get it: all are strings; a list is written `[a b]`, as API Gateway does.
    static func claimText(_ value: Value) -> String {
        if let list = value.list { return "[" + list.map(claimText).joined(separator: " ") + "]" }
        return text(value)
    }
}

extension DoorRequest {
    /// Whether the signature is for the Region of the API, where signatures are checked at all.
    func isScoped(to region: String) -> Bool { context.isTransportTrusted || context.scope.region == region }
}
