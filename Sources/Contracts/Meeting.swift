public import Platform
public import Storage

/// One push of an event to a target that is named by ARN; a row of the Outbox until the target has taken it over.
public struct Delivery: Sendable, Hashable {
    /// Keeps its value over repeats, so that a target can recognise one.
    public var id: String
    public var target: String
    public var principal: Principal
    public var payload: [UInt8]
    public var createdAt: Instant

    public init(id: String, target: String, principal: Principal, payload: [UInt8], createdAt: Instant) {
        self.id = id
        self.target = target
        self.principal = principal
        self.payload = payload
        self.createdAt = createdAt
    }
}

/// Why a target does not take a delivery.
public enum DeliveryRefusal: Error, Sendable, Hashable {
    /// It never will as things stand (gone, or no permission); AWS's error code and text.
    case permanent(code: String, message: String)
    /// It may later (throttled, starting).
    case temporary(code: String, message: String)
}

/// A service whose resources can be pushed to: Lambda functions, and later queues, topics, buses.
public protocol DeliveryTarget: Sendable {
    /// The service part of the target ARNs that it takes, e.g. `lambda`.
    var arnService: String { get }

    /// Takes the delivery over inside the transaction that also removes it from the Outbox, so that it is handed over
    /// exactly once. Checks that the principal may. Throws `DeliveryRefusal`.
    func accept(_ delivery: Delivery, in transaction: any WriteTransaction, now: Instant) throws

    /// Whether the target exists and the principal may push to it, for a configuration that names it.
    /// Throws `DeliveryRefusal.permanent`.
    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws
}

/// Appends to the Outbox inside the caller's transaction; implemented by the engine's dispatcher, which wakes after commit.
public protocol DeliveryOutbox: Sendable {
    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws
    /// Validates a target through its `DeliveryTarget`. Throws `DeliveryRefusal.permanent`, also for unknown ARNs.
    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws
}

/// One line (event) of a log.
public struct LogEvent: Sendable, Hashable {
    public var timestamp: Instant
    public var message: String
    public init(timestamp: Instant, message: String) {
        self.timestamp = timestamp
        self.message = message
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

/// Makes and recognises credentials. Session tokens carry their content, authenticated with the server's key, so that
/// checking one needs no database read and survives restarts.
public protocol CredentialIssuer: Sendable {
    func issue(roleARN: String, sessionName: String, account: String, lifetime: Duration, now: Instant)
        -> SessionCredentials
    /// The secret and principal of an access key; nil when unknown, forged or (with `now`) expired.
    func lookup(accessKeyID: String, sessionToken: String?, now: Instant) -> (
        secret: Secret<String>, principal: Principal
    )?
}

/// Reads objects for other services (Lambda's code from S3).
public protocol ObjectReader: Sendable {
    /// The whole object, at most `limit` bytes. Throws `AWSError` with S3's codes (NoSuchBucket, NoSuchKey, AccessDenied).
    func read(bucket: String, key: String, version: String?, scope: AccountRegion, principal: Principal, limit: Int)
        async throws -> [UInt8]
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
