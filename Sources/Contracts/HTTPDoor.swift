public import NIOCore
public import Wire

/// Serves hosts that carry users' own HTTP instead of an AWS API: function URLs (`*.lambda-url.*`) and API Gateway
/// (`*.execute-api.*`).
public protocol HTTPDoor: Sendable {
    /// The second label of the host names: `lambda-url`, `execute-api`.
    var label: String { get }
    /// Largest request body, bytes.
    var bodyLimit: Int { get }
    /// Called on the connection's loop; answers exactly once from anywhere.
    func respond(to request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void)
}

/// A request as it was sent; nothing in it has been checked but its signature, if it has one.
public struct DoorRequest: Sendable {
    public var context: OperationContext
    public var head: RequestHead
    /// The labels in front of the domain, e.g. `["abc123", "lambda-url", "us-east-1"]`.
    public var labels: [String]
    public var body: ByteBuffer

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
