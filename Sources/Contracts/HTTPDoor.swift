public import NIOCore
public import Wire

/// Serves hosts that carry users' own HTTP instead of an AWS API: function URLs (`*.lambda-url.*`) and API Gateway
/// (`*.execute-api.*`); and APIs that are not AWS's own protocols (`*.alexa.*`).
public protocol HTTPDoor: Sendable {
    /// The second label of the host names (`lambda-url`, `execute-api`), or the first (`git-codecommit`).
    var label: String { get }
    /// Whether bodies come as `DoorRequest.stream`, piece by piece and of any length, instead of whole: false by default.
    var streamsBody: Bool { get }
    /// Largest request body, bytes.
    var bodyLimit: Int { get }
    /// The answer to a body over `bodyLimit`.
    var tooLarge: DoorResponse { get }
    /// Called on the connection's loop; answers exactly once from anywhere.
    func respond(to request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void)
    /// Called as `respond`, instead of it, for a request that is a valid handshake of a WebSocket (RFC 6455, 4.2.1; HTTP/1.1). A
    /// client that asks for one in another way is an ordinary request.
    func upgrade(_ request: DoorRequest, _ completion: @escaping @Sendable (WebSocketAnswer) -> Void)
}

/// A request as it was sent; nothing in it has been checked but its signature, if it has one.
///
/// Of a request by path (`/_aws/lambda-url/ID/…`, for clients that cannot resolve the host names) `labels` and `head.path` are
/// as if it had come by host name; `context.uri` is as sent.
public struct DoorRequest: Sendable {
    public var context: OperationContext
    public var head: RequestHead
    /// The labels in front of the domain, e.g. `["abc123", "lambda-url", "us-east-1"]`. The Region is the default one when the
    /// caller names none: what the first label names is to be found by it alone.
    public var labels: [String]
    public var body: ByteBuffer
    /// The body, for doors that ask for it so (`streamsBody`); `body` is empty then, and signatures in headers are not checked.
    /// Not reading it is well: what is left is dropped after the answer, or the connection closed.
    public var stream: (any BodyReader)?
    /// The function in whose cell the request was made; nil for those from outside.
    public var cell: CellIdentity?
    /// The access key that it is signed with; `context.principal` is the signer then, else `.anonymous`.
    public var accessKeyID: String?
    public var isSigned: Bool { accessKeyID != nil }
    /// Why the signature does not hold; the principal is `.anonymous` then. A door that is open to everybody takes no notice.
    public var signatureFailure: AWSError?
    /// Whether it came over TLS.
    public var isSecure = false
    /// `HTTP/1.1`, `HTTP/2.0`.
    public var httpVersion = "HTTP/1.1"

    public init(context: OperationContext, head: RequestHead, labels: [String], body: ByteBuffer) {
        self.context = context
        self.head = head
        self.labels = labels
        self.body = body
    }
}

public struct DoorResponse: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var payload: ResponsePayload

    public init(status: Int, headers: [(name: String, value: String)], payload: ResponsePayload) {
        self.status = status
        self.headers = headers
        self.payload = payload
    }
}

extension HTTPDoor {
    /// Most doors know no WebSockets: the request is one like any other.
    public func upgrade(_ request: DoorRequest, _ completion: @escaping @Sendable (WebSocketAnswer) -> Void) {
        respond(to: request) { completion(.refuse($0)) }
    }

    public var streamsBody: Bool { false }

    /// API Gateway's.
    public var tooLarge: DoorResponse {
        DoorResponse(
            status: 413, headers: [(name: "Content-Type", value: "application/json")],
            payload: .bytes(ByteBuffer(string: "{\"message\":\"Request Entity Too Large\"}")))
    }
}
