public import NIOCore

/// What a door says to a client that asks for a WebSocket.
public enum WebSocketAnswer: Sendable {
    case refuse(DoorResponse)
    case accept(WebSocketAcceptance)
}

/// An accepted handshake: the front door writes the 101, and the connection is the WebSocket's from then on.
public struct WebSocketAcceptance: Sendable {
    /// Of the answer, besides those of the handshake itself: `Sec-WebSocket-Protocol` when one was chosen.
    public var headers: [(name: String, value: String)]
    public var limits: WebSocketLimits
    /// Called once, on the connection's loop, before anything that the client sends. Who is answered gets that.
    public var opened: @Sendable (any WebSocket) -> any WebSocketReceiver
    /// Called instead of `opened`, from any thread, when the client did not wait for the answer.
    public var gone: @Sendable () -> Void

    public init(
        headers: [(name: String, value: String)], limits: WebSocketLimits,
        opened: @escaping @Sendable (any WebSocket) -> any WebSocketReceiver, gone: @escaping @Sendable () -> Void
    ) {
        self.headers = headers
        self.limits = limits
        self.opened = opened
        self.gone = gone
    }
}

/// Bytes; what is larger closes the connection with 1009.
public struct WebSocketLimits: Sendable, Hashable {
    public var frame: Int
    public var message: Int
    /// Of messages that wait for a client to take them: over it `WebSocket.send` fails. One message always fits.
    public var unsent: Int

    public init(frame: Int, message: Int, unsent: Int) {
        self.frame = frame
        self.message = message
        self.unsent = unsent
    }
}

/// One message, whole, however many frames it came in.
public enum WebSocketMessage: Sendable, Hashable {
    /// Valid UTF-8, as received. What is sent as text has to be.
    case text(ByteBuffer)
    case binary(ByteBuffer)

    public var bytes: ByteBuffer {
        switch self {
        case .text(let bytes), .binary(let bytes): bytes
        }
    }
}

/// How a WebSocket ended.
public struct WebSocketClose: Sendable, Hashable {
    /// RFC 6455, 7.4.1: the client's, or that with which this side closed. 1005: the client named none; 1006: the connection
    /// broke.
    public var code: Int
    public var reason: String

    public init(code: Int, reason: String) {
        self.code = code
        self.reason = reason
    }
}

/// Why a message was not sent.
public enum WebSocketFailure: Error, Sendable, Hashable {
    case closed
    /// The client does not read what it was sent: `WebSocketLimits.unsent`.
    case full
}

/// This side of an open WebSocket. Usable from any thread, also after its end.
public protocol WebSocket: AnyObject, Sendable {
    /// Sends in the order of the calls of one thread. `completion` is called once, from any thread: when the socket has taken
    /// the message (not when the client has), or never will.
    func send(
        _ message: WebSocketMessage, _ completion: @escaping @Sendable (Result<Void, WebSocketFailure>) -> Void)
    func ping()
    /// Takes what the client sends again, after `WebSocketReceiver.received` said no.
    func resume()
    /// Tells the client, waits shortly for its answer, and closes. The receiver is told at once.
    func close(_ close: WebSocketClose)
}

/// Takes what the client of a WebSocket sends. Called on the connection's loop, in order; must not block.
public protocol WebSocketReceiver: Sendable {
    /// False: nothing more is read until `WebSocket.resume`.
    func received(_ message: WebSocketMessage) -> Bool
    /// A ping or a pong came: the client is there. The front door answers pings.
    func heard()
    /// Called once, last. Nothing can be sent any more.
    func closed(_ close: WebSocketClose)
}
