public import NIOCore
public import Platform
public import Wire

/// How a request is signed, for policies that ask for it.
public struct RequestSignature: Sendable, Hashable {
    public enum Version: Sendable, Hashable { case two, four }
    public var version: Version
    /// By its query (a presigned URL), not by its Authorization header.
    public var isPresigned: Bool
    /// Nil when the request does not say: version 2 says only when a URL ends.
    public var signedAt: Instant?

    public init(version: Version, isPresigned: Bool, signedAt: Instant?) {
        self.version = version
        self.isPresigned = isPresigned
        self.signedAt = signedAt
    }
}

/// What an operation knows of its request besides the input.
public struct OperationContext: Sendable {
    public var requestID: String
    public var service: String
    public var operation: String
    public var scope: AccountRegion
    public var principal: Principal
    public var now: Instant
    /// Scheme and authority that the caller used, e.g. `http://localhost:4566`: URLs in answers start with it.
    public var endpoint: String
    public var sourceIP: String
    /// Header names in lower case, in the order sent.
    public var headers: [(name: String, value: String)]
    /// The request's path and query as sent, undecoded.
    public var uri: String
    /// The loop of the connection; callbacks may answer on any.
    public var eventLoop: any EventLoop
    /// Completes when the client goes away before the answer is written; long polls end then.
    public var closed: EventLoopFuture<Void>
    /// The origin of a web page that has sent this request, which may change something, to a server without authentication:
    /// the service must refuse it unless its own rules let the page in. Only with `ServiceDefinition.preflight`.
    public var foreignPage: String?
    /// The server asks nobody for credentials: what policies demand of the transport says nothing then.
    public var isTransportTrusted = false
    /// The tags that the caller's session was given.
    public var sessionTags: [SessionTag] = []
    /// Nil for who is anonymous. Checked where the server asks for credentials.
    public var signature: RequestSignature?
    let known = KnownConditions()
    /// The record of this call, when some rule asks for it: who changes something for it records it in that transaction.
    public var recordedCall: RecordedCall?

    public init(
        requestID: String, service: String, operation: String, scope: AccountRegion, principal: Principal, now: Instant,
        endpoint: String, sourceIP: String, headers: [(name: String, value: String)], uri: String,
        eventLoop: any EventLoop, closed: EventLoopFuture<Void>
    ) {
        self.requestID = requestID
        self.service = service
        self.operation = operation
        self.scope = scope
        self.principal = principal
        self.now = now
        self.endpoint = endpoint
        self.sourceIP = sourceIP
        self.headers = headers
        self.uri = uri
        self.eventLoop = eventLoop
        self.closed = closed
    }

    /// The first header of this name (lower case).
    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

public struct OperationRequest: Sendable {
    public var context: OperationContext
    /// The input, decoded and validated against the model: a map of the input shape's members by their model names.
    /// A buffered blob payload (Lambda's Invoke) is not in here but in `payload`.
    public var input: Value
    /// The body of an operation that is not streamed: the blob payload where the input has one, else the bytes that `input`
    /// was decoded from, for sums over them (S3 DeleteObjects).
    public var payload: ByteBuffer
    /// The body of an operation whose input has a streaming payload (S3 PutObject); aws-chunked framing already removed
    /// and signatures and trailing checksums checked when the end is reached.
    public var stream: (any BodyReader)?

    public init(context: OperationContext, input: Value, payload: ByteBuffer, stream: (any BodyReader)? = nil) {
        self.context = context
        self.input = input
        self.payload = payload
        self.stream = stream
    }
}

/// A request body that arrives piece by piece. Pulling is what lets more in: unread bytes stay in the kernel.
public protocol BodyReader: Sendable {
    /// The length that the client announced for the decoded body, when it did.
    var contentLength: Int64? { get }
    /// The next piece, nil at the end. Throws `AWSError` when the body is cut short, too slow, too large, or its
    /// signature or checksum does not hold.
    func next() async throws -> ByteBuffer?
    /// Trailing headers (lower case), complete after `next()` returned nil.
    var trailers: [(name: String, value: String)] { get }
}

/// Where a streamed answer is written. `write` returns when the connection takes more (back-pressure).
public protocol BodyWriter: Sendable {
    /// Throws when the client is gone.
    func write(_ bytes: ByteBuffer) async throws
}

/// A part of an open file, sent without reading it into memory.
public struct FilePart: Sendable {
    public var path: String
    public var offset: Int64
    public var length: Int64
    public init(path: String, offset: Int64, length: Int64) {
        self.path = path
        self.offset = offset
        self.length = length
    }
}

/// A file that somebody was given a link to. `release` is called when it is sent or the client is gone.
public struct FileDownload: Sendable {
    public var part: FilePart
    public var release: @Sendable () -> Void
    public init(part: FilePart, release: @escaping @Sendable () -> Void) {
        self.part = part
        self.release = release
    }
}

/// Documents behind links that a service gave out: GET requests below a path, before every AWS operation.
public struct DownloadRoute: Sendable {
    public enum Content: Sendable {
        case file(FileDownload)
        case bytes([UInt8])
    }
    /// What the path starts with: nothing that can be a bucket (`_` or a capital letter).
    public var prefix: String
    public var contentType: String
    /// The document behind the rest of the path; nil when there is none (any more).
    public var find: @Sendable (String) -> Content?

    public init(prefix: String, contentType: String, find: @escaping @Sendable (String) -> Content?) {
        self.prefix = prefix
        self.contentType = contentType
        self.find = find
    }
}

public enum ResponsePayload: Sendable {
    /// The body follows from `output` by the protocol.
    case none
    case bytes(ByteBuffer)
    /// File parts one after the other. `release` is called when the last byte is written or the client is gone.
    case files([FilePart], release: @Sendable () -> Void)
    /// Written while it is made; chunked when `length` is nil. Throwing cuts the connection.
    case stream(length: Int64?, @Sendable (any BodyWriter) async throws -> Void)
}

public struct OperationResponse: Sendable {
    /// Members of the output shape by their model names; header-bound ones too.
    public var output: Value
    public var payload: ResponsePayload
    /// Overrides the model's status, e.g. 206 for a range, 304 for not modified.
    public var status: Int?
    public var headers: [(name: String, value: String)]

    public init(
        _ output: Value = [:], payload: ResponsePayload = .none, status: Int? = nil,
        headers: [(name: String, value: String)] = []
    ) {
        self.output = output
        self.payload = payload
        self.status = status
        self.headers = headers
    }
}

public typealias OperationCompletion = @Sendable (Result<OperationResponse, any Error>) -> Void

/// How an operation is carried out.
public enum OperationHandler: Sendable {
    /// The usual form; runs in a task of its own.
    case asynchronous(@Sendable (OperationRequest) async throws -> OperationResponse)
    /// Called on the connection's event loop, must not block, answers exactly once from anywhere: for hot paths.
    case callback(@Sendable (OperationRequest, @escaping OperationCompletion) -> Void)
}

/// One service, as the front door knows it.
public struct ServiceDefinition: Sendable {
    /// The model with every operation, also those not implemented.
    public var schema: ServiceSchema
    /// What is implemented, by operation name. The rest answers `AWSError.notImplemented`.
    public var operations: [String: OperationHandler]
    /// Largest request body of buffered operations, in bytes; `bodyLimits` has exceptions by operation. Over it the
    /// gateway answers `tooLarge`.
    public var bodyLimit: Int
    public var bodyLimits: [String: Int]
    /// What also unsigned requests may ask for, as `Principal.anonymous` when authentication is on. Of the query protocol; a
    /// request needs no Version then. What proves that they may is in the request itself, so web pages may ask too.
    public var openOperations: Set<String>
    /// Whether unsigned requests for any operation come to the service, as `Principal.anonymous` when authentication is on:
    /// its resources' policies decide (S3).
    public var takesAnonymous = false
    /// Answers the preflight request (OPTIONS) of a browser by the headers that let the page in; throws the refusal. A service
    /// that has this judges web pages itself, see `OperationContext.foreignPage`.
    public var preflight: (@Sendable (RequestHead) async throws -> [(name: String, value: String)])?
    /// The service's own error for a body over the limit.
    public var tooLarge: @Sendable (_ operation: String, _ limit: Int) -> AWSError

    public init(
        schema: ServiceSchema, operations: [String: OperationHandler], bodyLimit: Int = 16 << 20,
        bodyLimits: [String: Int] = [:], openOperations: Set<String> = [],
        tooLarge: @escaping @Sendable (String, Int) -> AWSError = { operation, limit in
            AWSError(
                "RequestEntityTooLargeException", status: 413,
                "Request must be smaller than \(limit) bytes for the \(operation) operation")
        }
    ) {
        self.schema = schema
        self.operations = operations
        self.bodyLimit = bodyLimit
        self.bodyLimits = bodyLimits
        self.openOperations = openOperations
        self.tooLarge = tooLarge
    }
}
