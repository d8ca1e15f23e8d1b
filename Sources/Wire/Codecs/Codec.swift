public import NIOCore
public import Platform

/// The head of an HTTP request as the codecs see it. Header names are in lower case.
public struct RequestHead: Sendable {
    public var method: String
    /// The raw path, undecoded, starting with `/`; virtual-host buckets already moved into it.
    public var path: String
    /// The raw query, without `?`; empty when absent.
    public var query: String
    public var headers: [(name: String, value: String)]

    public init(method: String, path: String, query: String, headers: [(name: String, value: String)]) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
    }

    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Which operation a request is for, and in which protocol.
public struct OperationMatch: Sendable {
    public var schema: ServiceSchema
    public var operation: OperationSchema
    public var wireProtocol: AWSProtocol
    /// URI labels, percent-decoded.
    public var labels: [(name: String, value: String)]
}

/// An answer, ready for the front door.
public struct EncodedResponse: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    /// Nil when the payload travels apart (`ResponsePayload`).
    public var body: ByteBuffer?

    public init(status: Int, headers: [(name: String, value: String)], body: ByteBuffer?) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Decodes requests and encodes answers, driven by the schema; knows no service.
public enum Codec {
    /// Finds the operation of a request by its head alone (REST paths and query parameters, X-Amz-Target, CBOR path), or
    /// nil when the body must be seen first (query protocol's `Action`). Throws the service's own error for an unknown
    /// operation or path (`UnknownOperationException`, `InvalidAction`, …), naming it.
    public static func match(_ head: RequestHead, schema: ServiceSchema) throws(AWSError) -> OperationMatch? {
        throw AWSError.internalFailure()
    }

    /// Finds the operation of a query-protocol request (`Action=` in the form body or the query string).
    public static func match(_ head: RequestHead, body: ByteBuffer, schema: ServiceSchema) throws(AWSError)
        -> OperationMatch
    {
        throw AWSError.internalFailure()
    }

    /// Decodes and validates the input. Unknown members are ignored; every violated constraint is reported, in AWS's
    /// wording ("2 validation errors detected: Value '…' at '…' failed to satisfy constraint: …").
    /// `body` is empty for streamed inputs, and for blob payloads it is passed on by the caller.
    public static func decode(_ match: OperationMatch, head: RequestHead, body: ByteBuffer) throws(AWSError) -> Value {
        throw AWSError.internalFailure()
    }

    /// Encodes an answer: header-bound members, status-bound members and the body of the protocol. With
    /// `payloadApart` (blob outputs) only status and headers.
    public static func encode(
        _ output: Value, for match: OperationMatch, requestID: String, payloadApart: Bool
    ) -> EncodedResponse {
        EncodedResponse(status: 500, headers: [], body: nil)
    }

    /// Encodes an error in the request's protocol: code, message and modelled members, `x-amzn-ErrorType`,
    /// `x-amzn-query-error`, XML `ErrorResponse` or S3's `Error`, with the request id. `match` is nil when the operation
    /// could not be found: then `fallback` says the protocol.
    public static func encode(
        _ error: AWSError, for match: OperationMatch?, schema: ServiceSchema?, fallback: AWSProtocol, resource: String,
        requestID: String
    ) -> EncodedResponse {
        EncodedResponse(status: error.status, headers: [], body: nil)
    }
}
