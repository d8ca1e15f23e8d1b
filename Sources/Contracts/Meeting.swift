public import Platform
public import Storage

/// One line (event) of a log.
public struct LogEvent: Sendable, Hashable {
    public var timestamp: Instant
    public var message: String
    /// `Lineage=…` of the trace header of the invocation that wrote it: so circles of functions and their own logs are found.
    public var lineage: String?
    public init(timestamp: Instant, message: String, lineage: String? = nil) {
        self.timestamp = timestamp
        self.message = message
        self.lineage = lineage
    }
}

/// Takes functions' logs. Never blocks and never delays an answer: bounded, drops (and counts) when the store cannot follow.
public protocol LogSink: Sendable {
    /// Group and stream are created when they do not exist.
    func append(scope: AccountRegion, group: String, stream: String, events: [LogEvent])
    /// Completes when everything appended before is readable; at shutdown and in tests.
    func flush() async
}

/// Temporary credentials of a role's session.
public struct SessionCredentials: Sendable {
    public var accessKeyID: String
    public var secretAccessKey: Secret<String>
    public var sessionToken: Secret<String>
    public var expiration: Instant
    public init(
        accessKeyID: String, secretAccessKey: Secret<String>, sessionToken: Secret<String>, expiration: Instant
    ) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
        self.expiration = expiration
    }
}

/// A tag of a role session.
public struct SessionTag: Sendable, Hashable {
    public var key: String
    public var value: String
    /// Whether it goes on into the sessions of roles that this one assumes.
    public var isTransitive: Bool
    public init(key: String, value: String, isTransitive: Bool) {
        self.key = key
        self.value = value
        self.isTransitive = isTransitive
    }
}

/// What an access key stands for.
public struct KnownCredentials: Sendable {
    public var secret: Secret<String>
    public var principal: Principal
    public var tags: [SessionTag]
    public init(secret: Secret<String>, principal: Principal, tags: [SessionTag] = []) {
        self.secret = secret
        self.principal = principal
        self.tags = tags
    }
}

/// Makes and recognises credentials. Session tokens carry their content, authenticated with the server's key, so that
/// checking one needs no database read and survives restarts.
public protocol CredentialIssuer: Sendable {
    func issue(
        roleARN: String, sessionName: String, account: String, tags: [SessionTag], lifetime: Duration, now: Instant
    ) -> SessionCredentials
    /// Nil when the key is unknown, forged or (with `now`) expired.
    func lookup(accessKeyID: String, sessionToken: String?, now: Instant) -> KnownCredentials?
}

extension CredentialIssuer {
    public func issue(
        roleARN: String, sessionName: String, account: String, lifetime: Duration, now: Instant
    ) -> SessionCredentials {
        issue(
            roleARN: roleARN, sessionName: sessionName, account: account, tags: [], lifetime: lifetime, now: now)
    }
}

/// Who came with a user name and a password that IAM has given out for one service.
public struct ServiceUser: Sendable, Hashable {
    public var principal: Principal
    /// The user's ARN, for records of who did what.
    public var arn: String
    public init(principal: Principal, arn: String) {
        self.principal = principal
        self.arn = arn
    }
}

/// Knows IAM's service-specific credentials.
public protocol ServicePasswords: Sendable {
    /// The user of these credentials for a service (`codecommit.amazonaws.com`); nil when they are not right or not active.
    func user(
        named userName: String, password: Secret<String>, service: String, in transaction: any ReadTransaction
    ) throws -> ServiceUser?
}

/// Reads objects for other services (Lambda's code from S3).
public protocol ObjectReader: Sendable {
    /// The bytes of an object of at most `limit` bytes as one finished blob of the store that all services share, never
    /// in memory. The caller must `retain` or `abandon` it. `context`: of the request for which it is read. Throws `AWSError` with S3's codes (NoSuchBucket, NoSuchKey,
    /// AccessDenied, EntityTooLarge).
    func stage(
        bucket: String, key: String, version: String?, for context: OperationContext, limit: Int64
    ) async throws -> (blob: BlobID, size: Int64)
}

/// Writes objects for other services (records of failed invocations).
public protocol ObjectWriter: Sendable {
    /// Puts one object, durably. `traceHeader`: of what caused it; its notifications carry it on, so that circles are found.
    /// Throws `AWSError` with S3's codes (NoSuchBucket, AccessDenied).
    func write(
        _ bytes: [UInt8], bucket: String, key: String, contentType: String, scope: AccountRegion, principal: Principal,
        traceHeader: String?
    ) async throws

    /// Whether the bucket exists and the principal may write to it, for a configuration that names it. Throws as `write`.
    func validate(bucket: String, for principal: Principal, in transaction: any ReadTransaction) throws
}

/// The AWS endpoint inside a cell: a listener made in the cell's network namespace, served by the front door. Requests
/// through it are the function's, whatever they claim.
public protocol CellEndpoint: Sendable {
    /// Takes ownership of the listening descriptor; close by `close()` of the answer. Whoever sends no valid session
    /// credentials of this server through it is `identity`.
    func adopt(listener descriptor: CInt, for identity: CellIdentity) async throws -> any ClosableEndpoint
}

/// Whose cell it is: the listener that a connection came through says so, not the request.
public struct CellIdentity: Sendable, Hashable {
    public var scope: AccountRegion
    /// The function's role session.
    public var principal: Principal

    public init(scope: AccountRegion, principal: Principal) {
        self.scope = scope
        self.principal = principal
    }
}

public protocol ClosableEndpoint: Sendable {
    func close()
}
