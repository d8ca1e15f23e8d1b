import Contracts
import NIOCore
import Platform
import Synchronization

/// What all requests of one connection have in common.
struct ConnectionInfo: Sendable {
    enum Origin: Sendable, Equatable {
        case outside
        /// Through a listener made inside the cell of this function.
        case cell(CellIdentity)
    }
    var origin: Origin
    var isSecure: Bool
    var sourceIP: String
    /// `address:port` of the listener, for requests without a Host header.
    var localAuthority: String
}

/// One request and the duty to answer it once. Usable from any thread; calls hop to the connection's loop.
final class HTTPExchange: Sendable {
    let request: HTTPRequest
    let info: ConnectionInfo
    let eventLoop: any EventLoop
    /// Wall clock and monotonic start.
    let receivedAt: Instant
    let startedUptime: UInt64
    /// Succeeds when the client goes away before the answer is written; fails with `Answered` when it was written.
    let closed: EventLoopFuture<Void>

    struct Answered: Error {}

    /// What its body takes of the listener's budget: given back when nobody needs the request any more. The client may
    /// hang up long before that, while the operation goes on with the body.
    private let charged = Atomic<Int>(0)
    private let bodies: BodyBudget

    private let closedPromise: EventLoopPromise<Void>
    private let connection: NIOLoopBound<HTTPConnection>
    private let number: UInt64

    init(
        request: HTTPRequest, info: ConnectionInfo, connection: HTTPConnection, number: UInt64,
        eventLoop: any EventLoop, time: any TimeSource
    ) {
        self.request = request
        self.info = info
        self.eventLoop = eventLoop
        self.number = number
        bodies = connection.bodies
        self.connection = NIOLoopBound(connection, eventLoop: eventLoop)
        receivedAt = time.now()
        startedUptime = time.uptimeNanoseconds()
        closedPromise = eventLoop.makePromise(of: Void.self)
        closed = closedPromise.futureResult
    }

    deinit {
        let bytes = charged.load(ordering: .relaxed)
        if bytes > 0 { bodies.give(bytes) }
    }

    /// Counts bytes of the body; false when the listener's budget is used up.
    func charge(_ bytes: Int) -> Bool {
        guard bodies.take(bytes) else { return false }
        charged.add(bytes, ordering: .relaxed)
        return true
    }

    /// Reads the whole body, at most `limit` bytes. On the loop only; `completion` is called there, once.
    func collectBody(limit: Int, _ completion: @escaping @Sendable (Result<ByteBuffer, BodyFailure>) -> Void) {
        connection.value.collectBody(number, limit: limit, completion)
    }

    /// Gives the body out piece by piece. On the loop only.
    func streamBody() -> ConnectionBodyStream { connection.value.streamBody(number) }

    /// Writes the answer; all but the first are ignored (their files are released).
    func respond(_ answer: HTTPAnswer) {
        if eventLoop.inEventLoop {
            connection.value.respond(number, answer)
        } else {
            eventLoop.execute { self.connection.value.respond(self.number, answer) }
        }
    }

    /// Makes the connection a WebSocket, instead of an answer.
    func upgrade(_ handshake: WebSocketHandshake, _ acceptance: WebSocketAcceptance) {
        if eventLoop.inEventLoop {
            connection.value.upgrade(number, handshake, acceptance)
        } else {
            eventLoop.execute { self.connection.value.upgrade(self.number, handshake, acceptance) }
        }
    }

    // For the connection.
    func answerWritten() { closedPromise.fail(Answered()) }
    func clientGone() { closedPromise.succeed(()) }
}

/// Answers requests; called on the connection's event loop.
protocol HTTPResponder: Sendable {
    func respond(to exchange: HTTPExchange)
    /// The answer to a head that was refused before there was a request.
    func refusal(status: Int, reason: String) -> HTTPAnswer
}
