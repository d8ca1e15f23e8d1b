public import Contracts
import Crypto
public import Platform
import Wire

/// Security Token Service: who am I, and credentials for roles.
public final class STSService: Sendable, CredentialIssuer {
    let tokens: SessionTokens
    private let root: (accessKeyID: String, secret: Secret<String>, account: String)?
    public let definition: ServiceDefinition

    /// `serverKey`: 32 random bytes kept with the data. `root`: the long-term credentials that `--auth sigv4` accepts.
    /// `roles`: who may assume which.
    public init(
        serverKey: [UInt8], root: (accessKeyID: String, secret: Secret<String>, account: String)? = nil,
        roles: RoleGate
    ) throws {
        let tokens = SessionTokens(serverKey: serverKey)
        self.tokens = tokens
        self.root = root
        let sessions = SessionOperations(tokens: tokens, roles: roles, isAuthenticationOn: root != nil)
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: STSSchema.text),
            operations: [
                "AssumeRole": .asynchronous(sessions.assumeRole),
                "GetCallerIdentity": .asynchronous(sessions.getCallerIdentity),
                "GetSessionToken": .asynchronous(sessions.getSessionToken),
            ],
            bodyLimit: 1 << 20)
    }

    public func issue(
        roleARN: String, sessionName: String, account: String, tags: [SessionTag], lifetime: Duration, now: Instant
    ) -> SessionCredentials {
        tokens.issue(
            roleARN: roleARN, sessionName: sessionName, account: account, tags: tags, expiration: now + lifetime)
    }

    public func lookup(accessKeyID: String, sessionToken: String?, now: Instant) -> KnownCredentials? {
        if let sessionToken {
            guard let session = tokens.open(sessionToken, accessKeyID: accessKeyID, now: now) else { return nil }
            return KnownCredentials(
                secret: Secret(tokens.secret(of: accessKeyID)), principal: session.principal, tags: session.tags)
        }
        guard let root, root.accessKeyID == accessKeyID else { return nil }
        return KnownCredentials(secret: root.secret, principal: .account(root.account))
    }
}
