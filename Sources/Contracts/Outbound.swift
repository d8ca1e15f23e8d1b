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

/// Makes HTTP requests to the world outside (SNS subscribers, HTTP integrations, API destinations).
public protocol OutboundHTTP: Sendable {
    /// Throws `Failure` when there is no answer (name unknown, refused, TLS, timeout) or when its body is wanted and over
    /// `bodyLimit` bytes. Redirects are not followed.
    func send(_ request: OutboundRequest, bodyLimit: Int) async throws -> OutboundResponse
}
