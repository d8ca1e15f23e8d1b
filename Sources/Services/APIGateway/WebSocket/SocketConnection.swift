import Contracts
import NIOCore
import Platform
import Synchronization
import Wire

/// The request that asked for a connection, while it is being decided.
struct SocketOpening: Sendable {
    /// With capitals as AWS shows them.
    var headers: [(name: String, value: String)]
    var query: [(name: String, value: String)]
    var traceID: String

    static let forgotten = SocketOpening(headers: [], query: [], traceID: "")
}

/// The life of a connection as a value: what may be sent and taken, and when it has been silent or open for too long.
struct SocketMachine: Sendable {
    enum State: Sendable, Equatable {
        /// `$connect` is being asked; → `open`, `closed`.
        case connecting
        /// → `closed`
        case open
        case closed
    }
    enum Verdict: Sendable, Equatable {
        /// Look again then.
        case wait(until: Instant)
        /// Silent, or open, for too long.
        case close
        case over
    }

    private(set) var state = State.connecting
    let connectedAt: Instant
    private(set) var lastActiveAt: Instant
    private var inFlight = 0

    init(now: Instant) {
        connectedAt = now
        lastActiveAt = now
    }

    mutating func opened(now: Instant) {
        guard state == .connecting else { return }
        state = .open
        lastActiveAt = max(now, lastActiveAt)
    }

    /// Something was sent or came.
    mutating func active(now: Instant) { lastActiveAt = max(now, lastActiveAt) }

    /// Whether more messages may come before one of those that came is done.
    mutating func messageArrived(now: Instant) -> Bool {
        active(now: now)
        inFlight += 1
        return inFlight < Limits.socketMessagesInFlight
    }

    /// Whether more may come now that could not before.
    mutating func messageDone() -> Bool {
        inFlight -= 1
        return inFlight == Limits.socketMessagesInFlight - 1
    }

    func check(now: Instant) -> Verdict {
        guard state != .closed else { return .over }
        let end = min(lastActiveAt + Limits.socketIdle, connectedAt + Limits.socketLife)
        return now >= end ? .close : .wait(until: end)
    }

    /// Whether it was open.
    mutating func closed() -> Bool {
        defer { state = .closed }
        return state == .open
    }
}

/// One connection of a WebSocket API: what its events tell of it, and its socket.
final class SocketConnection: Sendable {
    let id: String
    let apiID: String
    let stageName: String
    let host: String
    let domainName: String
    let sourceIP: String
    let forwardedFor: String
    let userAgent: String
    let connectedAt: Instant

    private struct State {
        var machine: SocketMachine
        var opening: SocketOpening
        var identity = CallerIdentity.none
        var socket: (any WebSocket)?
    }
    private let state: Mutex<State>

    init(
        id: String, api: SocketAPI, stage: SocketStage, request: DoorRequest, domainName: String, now: Instant
    ) {
        self.id = id
        apiID = api.id
        stageName = stage.name
        connectedAt = now
        self.domainName = domainName
        sourceIP = request.context.sourceIP
        let head = request.head
        host = head.header("host") ?? domainName
        userAgent = head.header("user-agent") ?? ""
        forwardedFor = head.header("x-forwarded-for").map { $0 + ", " + request.context.sourceIP } ?? sourceIP
        let trace = TraceHeader.honoured(head.header("x-amzn-trace-id"), now: now)
        var headers = head.headers.filter { field in
            !ProxyRequest.hopByHop.contains(field.name)
                && !["x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id", "content-length"]
                    .contains(field.name)
        }.map { (name: SocketEvents.capitalized($0.name), value: $0.value) }
        headers += [
            ("X-Amzn-Trace-Id", trace), ("X-Forwarded-For", forwardedFor),
            ("X-Forwarded-Port", ProxyRequest.port(of: request.context.endpoint, isSecure: request.isSecure)),
            ("X-Forwarded-Proto", request.isSecure ? "https" : "http"),
        ]
        let opening = SocketOpening(headers: headers, query: ProxyRequest.query(of: head.query), traceID: trace)
        state = Mutex(State(machine: SocketMachine(now: now), opening: opening))
    }

    /// Empty once the connection is open: a thousand idle ones keep nothing of it.
    var opening: SocketOpening { state.withLock { $0.opening } }
    var identity: CallerIdentity { state.withLock { $0.identity } }
    var lastActiveAt: Instant { state.withLock { $0.machine.lastActiveAt } }

    func identified(_ identity: CallerIdentity) { state.withLock { $0.identity = identity } }

    func opened(_ socket: any WebSocket, now: Instant) {
        state.withLock { state in
            state.machine.opened(now: now)
            state.socket = socket
            state.opening = .forgotten
        }
    }

    func active(now: Instant) { state.withLock { $0.machine.active(now: now) } }
    func messageArrived(now: Instant) -> Bool { state.withLock { $0.machine.messageArrived(now: now) } }

    func messageDone() {
        let socket = state.withLock { $0.machine.messageDone() ? $0.socket : nil }
        socket?.resume()
    }

    func check(now: Instant) -> SocketMachine.Verdict { state.withLock { $0.machine.check(now: now) } }

    /// Whether it was open.
    func closed() -> Bool {
        state.withLock { state in
            state.socket = nil
            return state.machine.closed()
        }
    }

    func send(
        _ message: WebSocketMessage, now: Instant,
        _ completion: @escaping @Sendable (Result<Void, WebSocketFailure>) -> Void
    ) {
        let socket = state.withLock { state in
            state.machine.active(now: now)
            return state.socket
        }
        guard let socket else { return completion(.failure(.closed)) }
        socket.send(message, completion)
    }

    func close(_ close: WebSocketClose) { state.withLock { $0.socket }?.close(close) }
}
