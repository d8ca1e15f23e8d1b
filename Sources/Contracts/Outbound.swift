public import NIOCore
import Platform

/// An HTTP request that the server makes.
public struct OutboundRequest: Sendable {
    public var method: String
    public var url: String
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]
    /// For the whole exchange.
    public var timeout: Duration
    /// False when only the status matters: the answer's body is dropped, however long it is and whether or not it comes to
    /// its end.
    public var wantsBody: Bool
    public init(
        method: String, url: String, headers: [(name: String, value: String)], body: [UInt8], timeout: Duration,
        wantsBody: Bool = true
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.wantsBody = wantsBody
    }
}

public struct OutboundResponse: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]
    public init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// An answer of which the head has come. Letting go of it ends the exchange, wherever it is.
public struct OutboundStream: Sendable {
    public typealias Each = @Sendable (ByteBuffer) async throws -> Void

    public var status: Int
    public var headers: [(name: String, value: String)]
    private let body: @Sendable (_ each: @escaping Each) async throws -> Void

    /// `body` hands its pieces over one after another, as `read` says.
    public init(
        status: Int, headers: [(name: String, value: String)],
        body: @escaping @Sendable (_ each: @escaping Each) async throws -> Void
    ) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Reads the body, once: each piece as it comes, and the next only when `each` has returned, so that a slow taker slows the
    /// sender. Returns at the end of a whole body. Throws `Failure` when the body breaks off or its time is over, and what
    /// `each` throws, which ends the exchange.
    public func read(_ each: @escaping Each) async throws { try await body(each) }
}

/// Makes HTTP requests to the world outside (SNS subscribers, HTTP integrations, API destinations).
public protocol OutboundHTTP: Sendable {
    /// Throws `Failure` when there is no answer (name unknown, refused, TLS, timeout) or when its body is wanted and over
    /// `bodyLimit` bytes. Redirects are not followed.
    func send(_ request: OutboundRequest, bodyLimit: Int) async throws -> OutboundResponse

    /// As `send`, and answers when the answer's head has come: `request.timeout` is for that.
    ///
    /// - Parameters:
    ///   - longest: for all of the body.
    ///   - idle: for each of its pieces; the time that their taker needs does not count.
    func open(_ request: OutboundRequest, longest: Duration, idle: Duration) async throws -> OutboundStream
}

extension OutboundHTTP {
    public func open(_ request: OutboundRequest, longest: Duration, idle: Duration) async throws -> OutboundStream {
        throw Failure(.unavailable, "Answers that stream are not supported here.")
    }
}
