public import Platform

/// An error that a client sees: AWS's own code, HTTP status and text. Encoded by the request's protocol.
public struct AWSError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The shape name or query error code, e.g. `ResourceNotFoundException`, `NoSuchBucket`.
    public var code: String
    public var status: Int
    public var message: String
    /// Further members of the modelled error structure (`Type`, `Reason`, `BucketName`, …), in order.
    public var fields: Fields
    /// Extra HTTP headers, e.g. `Retry-After`.
    public var headers: [(name: String, value: String)] {
        get { headerPairs.map { ($0.name, $0.value) } }
        set { headerPairs = newValue.map { Header(name: $0.name, value: $0.value) } }
    }
    private var headerPairs: [Header]

    private struct Header: Sendable, Hashable {
        var name: String
        var value: String
    }

    public init(
        _ code: String, status: Int = 400, _ message: String, fields: Fields = [:],
        headers: [(name: String, value: String)] = []
    ) {
        self.code = code
        self.status = status
        self.message = message
        self.fields = fields
        self.headerPairs = headers.map { Header(name: $0.name, value: $0.value) }
    }

    public var description: String { "\(code) (\(status)): \(message)" }

    /// Whether the client is to blame (query protocol's `Type` Sender, restJson's "User").
    public var isSenderFault: Bool { status < 500 }

    /// What a client sees of an internal failure.
    public static func internalFailure(_ code: String = "InternalFailure") -> AWSError {
        AWSError(
            code, status: 500, "The request processing has failed because of an unknown error, exception or failure.")
    }

    /// An operation that the service's model has, but Martlet not yet: named, never a silent success.
    public static func notImplemented(service: String, operation: String) -> AWSError {
        AWSError(
            "NotImplementedException", status: 501,
            "The operation \(operation) of \(service) is not implemented by Martlet yet.")
    }
}
