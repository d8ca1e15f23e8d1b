import NIOCore
import NIOPosix
import Platform

/// What the Runtime API of one environment asks its owner. All calls come on the environment's event loop.
protocol RuntimeAPIDelegate: AnyObject {
    func runtimeAsksNext(_ poll: PollID)
    func pollIsGone(_ poll: PollID)
    func runtimeResponds(requestID: String, _ body: RuntimeBody) -> RuntimeReply
    /// A response begins to stream. False: it is to be collected.
    func runtimeBeginsStream(requestID: String, contentType: String?) -> Bool
    /// The next piece. False: no more until `resume` is called, on the loop.
    func runtimeStreams(requestID: String, _ piece: ByteBuffer, resume: @escaping @Sendable () -> Void) -> Bool
    func runtimeEndsStream(requestID: String, _ body: RuntimeBody) -> RuntimeReply
    func runtimeFailsInit(payload: ByteBuffer, type: String) -> RuntimeReply
    /// The reply to what came before is written: work that must not delay it can be done.
    func replyIsWritten()
    func lastConnectionClosed()
}

/// The Runtime API of one environment: the listener that was made inside its cell, and the connections through it. The
/// listener is the identity: who connects to it is this environment's function. Belongs to one event loop.
final class RuntimeAPIServer {
    private let loop: any EventLoop
    weak var delegate: (any RuntimeAPIDelegate)?
    private var listener: (any Channel)?
    private var connections: [ObjectIdentifier: RuntimeAPIHandler] = [:]
    private var parked: [PollID: RuntimeAPIHandler] = [:]
    private var nextPoll: PollID = 0
    private var isClosed = false
    fileprivate var heldBytes = 0

    init(loop: any EventLoop, delegate: any RuntimeAPIDelegate) {
        self.loop = loop
        self.delegate = delegate
    }

    var connectionCount: Int { connections.count }

    /// Takes the listening descriptor over.
    func adopt(_ descriptor: CInt) -> EventLoopFuture<Void> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        return ServerBootstrap(group: loop)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(RuntimeAPIHandler(server: bound.value))
                }
            }
            .withBoundSocket(descriptor)
            .map { channel in
                let server = bound.value
                if server.isClosed { channel.close(promise: nil) } else { server.listener = channel }
            }
    }

    func close() {
        isClosed = true
        listener?.close(promise: nil)
        listener = nil
        closeConnections()
    }

    /// Ends the connections of processes that are dead.
    func closeConnections() {
        for handler in connections.values { handler.close() }
        parked.removeAll()
    }

    /// Answers a parked poll with an event; nothing when its connection is gone.
    func deliver(_ poll: PollID, head: ByteBuffer, payload: ByteBuffer?) {
        parked.removeValue(forKey: poll)?.respond(head, payload)
    }

    // MARK: For the handlers

    fileprivate func opened(_ handler: RuntimeAPIHandler) -> Bool {
        guard !isClosed, connections.count < Limits.connections else { return false }
        connections[ObjectIdentifier(handler)] = handler
        return true
    }

    fileprivate func closed(_ handler: RuntimeAPIHandler) {
        guard connections.removeValue(forKey: ObjectIdentifier(handler)) != nil else { return }
        if let poll = handler.poll, parked.removeValue(forKey: poll) != nil { delegate?.pollIsGone(poll) }
        if connections.isEmpty { delegate?.lastConnectionClosed() }
    }

    /// Answers with bytes, or nil when the answer comes later.
    fileprivate func respond(to request: RuntimeRequest, from handler: RuntimeAPIHandler) -> ByteBuffer? {
        if request.target == "/2018-06-01/runtime/invocation/next" {
            guard request.method == .get else { return RuntimeAPIResponse.methodNotAllowed }
            nextPoll &+= 1
            handler.poll = nextPoll
            parked[nextPoll] = handler
            delegate?.runtimeAsksNext(nextPoll)
            return nil
        }
        if let (id, what) = Self.invocation(request.target) {
            guard request.method == .post else { return RuntimeAPIResponse.methodNotAllowed }
            let body = what == .error ? Self.errorBody(request) : Self.responseBody(request)
            let reply = delegate?.runtimeResponds(requestID: id, body) ?? .invalidRequestID
            return RuntimeAPIResponse.reply(reply)
        }
        return respondOtherwise(request)
    }

    /// Whether the response whose head has come is given on as it comes; its request's id.
    fileprivate func streams(_ request: RuntimeRequest) -> String? {
        guard request.method == .post, let (id, what) = Self.invocation(request.target), what == .response,
            delegate?.runtimeBeginsStream(requestID: id, contentType: request.contentType) == true
        else { return nil }
        return id
    }

    fileprivate func endStream(_ id: String, _ request: RuntimeRequest) -> ByteBuffer {
        RuntimeAPIResponse.reply(
            delegate?.runtimeEndsStream(requestID: id, Self.responseBody(request)) ?? .invalidRequestID)
    }

    private enum Answer { case response, error }

    /// The request id of `/2018-06-01/runtime/invocation/ID/response` and `…/error`.
    private static func invocation(_ target: String) -> (id: String, Answer)? {
        let bytes = target.utf8
        let before = "/2018-06-01/runtime/invocation/".utf8
        guard bytes.starts(with: before) else { return nil }
        let rest = bytes.dropFirst(before.count)
        guard let slash = rest.firstIndex(of: UInt8(ascii: "/")) else { return nil }
        let what: Answer
        switch target[rest.index(after: slash)...] {
        case "response": what = .response
        case "error": what = .error
        default: return nil
        }
        return (String(target[rest.startIndex..<slash]), what)
    }

    private func respondOtherwise(_ request: RuntimeRequest) -> ByteBuffer {
        let base = "/2018-06-01/runtime/"
        guard request.target.hasPrefix(base) else { return respondElsewhere(request) }
        let path = request.target.dropFirst(base.count)
        if path == "init/error" {
            guard request.method == .post else { return RuntimeAPIResponse.methodNotAllowed }
            guard !request.isTooLarge else { return RuntimeAPIResponse.reply(.tooLarge) }
            let type = reportedErrorType(request.errorType)
            let reply = delegate?.runtimeFailsInit(payload: request.body, type: type) ?? .invalidRequestID
            return RuntimeAPIResponse.reply(reply)
        }
        if path == "restore/next" || path == "restore/error" { return RuntimeAPIResponse.restoreNotAllowed }
        return RuntimeAPIResponse.notFound
    }

    private func respondElsewhere(_ request: RuntimeRequest) -> ByteBuffer {
        if request.target == "/ping" || request.target == "/2018-06-01/ping" { return RuntimeAPIResponse.pong }
        if request.target.hasPrefix("/2020-01-01/extension/") { return RuntimeAPIResponse.extensionsMissing }
        if request.target == "/2022-07-01/telemetry" { return RuntimeAPIResponse.telemetryMissing }
        if request.target == "/2020-08-15/logs" { return RuntimeAPIResponse.logsMissing }
        return RuntimeAPIResponse.notFound
    }

    private static func errorBody(_ request: RuntimeRequest) -> RuntimeBody {
        request.isTooLarge ? .tooLarge : .error(request.body, type: reportedErrorType(request.errorType))
    }

    private static func responseBody(_ request: RuntimeRequest) -> RuntimeBody {
        if let mode = request.responseMode, !mode.isEmpty, !request.isStreaming { return .invalidMode }
        if request.isTooLarge { return .tooLarge }
        // A stream that broke off: the trailers carry the error.
        if let type = request.trailingErrorType {
            let body = request.trailingErrorBody.flatMap { Base64.decode($0) } ?? []
            return .error(ByteBuffer(bytes: body), type: reportedErrorType(type))
        }
        return .result(request.body)
    }
}

/// One connection of the runtime. A second request before the answer to the first ends it: no runtime does that.
private final class RuntimeAPIHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let server: RuntimeAPIServer
    private var parser = RequestParser()
    private var context: ChannelHandlerContext?
    private var accounted = 0
    private var isReplying = false
    private var closesAfterReply = false
    var poll: PollID?
    /// The request whose response streams through this connection.
    private var streamID: String?
    private var streamedBytes = 0
    private var isPaused = false

    init(server: RuntimeAPIServer) { self.server = server }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        if !server.opened(self) { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        server.heldBytes -= accounted
        accounted = 0
        breakStream()
        server.closed(self)
        self.context = nil
    }

    /// The connection ends inside a response.
    private func breakStream() {
        guard let id = streamID else { return }
        streamID = nil
        _ = server.delegate?.runtimeEndsStream(requestID: id, .truncated)
        server.delegate?.replyIsWritten()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Who asks again without having read the answers is not let to fill memory with them.
        guard poll == nil, !isReplying, context.channel.isWritable else { return context.close(promise: nil) }
        parser.append(unwrapInboundIn(data))
        advance(context)
    }

    private func advance(_ context: ChannelHandlerContext) {
        do {
            while self.context != nil, !isPaused, let event = try parser.next() {
                switch event {
                case .wantsContinue:
                    context.writeAndFlush(wrapOutboundOut(RuntimeAPIResponse.goOn), promise: nil)
                case .streamHead(let request):
                    streamID = server.streams(request)
                    streamedBytes = 0
                    parser.passesBody = streamID != nil
                case .piece(let piece):
                    guard stream(piece, context) else { return }
                case .request(let request) where streamID != nil:
                    guard let id = streamID else { return }
                    streamID = nil
                    closesAfterReply = request.closesConnection
                    isReplying = true
                    write(server.endStream(id, request), nil)
                    isReplying = false
                    server.delegate?.replyIsWritten()
                case .request(let request):
                    guard context.channel.isWritable else { return context.close(promise: nil) }
                    handle(request, context)
                    if poll != nil {
                        if parser.isInsideRequest { context.close(promise: nil) }
                        return account(context)
                    }
                }
            }
            account(context)
        } catch {
            context.close(promise: nil)
        }
    }

    /// Passes a piece on, and stops reading when that is too much for now. False when the connection is given up.
    private func stream(_ piece: ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
        guard let id = streamID, let delegate = server.delegate else { return false }
        streamedBytes += piece.readableBytes
        if streamedBytes > Limits.streamedResponseBytes {
            streamID = nil
            closesAfterReply = true
            write(RuntimeAPIResponse.reply(delegate.runtimeEndsStream(requestID: id, .streamTooLarge)), nil)
            delegate.replyIsWritten()
            return false
        }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let goesOn = delegate.runtimeStreams(requestID: id, piece) {
            bound.eventLoop.execute { bound.value.resume() }
        }
        if !goesOn {
            isPaused = true
            // What the kernel holds is the function's own; it stops when that is full.
            try? context.channel.syncOptions?.setOption(.autoRead, value: false)
        }
        return true
    }

    private func resume() {
        guard isPaused, let context else { return }
        isPaused = false
        advance(context)
        if !isPaused, self.context != nil { try? context.channel.syncOptions?.setOption(.autoRead, value: true) }
    }

    private func handle(_ request: RuntimeRequest, _ context: ChannelHandlerContext) {
        closesAfterReply = request.closesConnection
        isReplying = true
        defer { isReplying = false }
        guard let answer = server.respond(to: request, from: self) else { return }
        write(answer, nil)
        server.delegate?.replyIsWritten()
    }

    func respond(_ head: ByteBuffer, _ payload: ByteBuffer?) {
        poll = nil
        write(head, payload)
    }

    private func write(_ first: ByteBuffer, _ second: ByteBuffer?) {
        guard let context else { return }
        if let second, second.readableBytes > 0 {
            context.write(wrapOutboundOut(first), promise: nil)
            context.writeAndFlush(wrapOutboundOut(second), promise: nil)
        } else {
            context.writeAndFlush(wrapOutboundOut(first), promise: nil)
        }
        if closesAfterReply { context.close(promise: nil) }
    }

    /// Keeps the environment's sum of buffered request bytes, and ends the connection that goes over it.
    private func account(_ context: ChannelHandlerContext) {
        let held = parser.isInsideRequest ? parser.heldBytes : 0
        guard held != accounted else { return }
        server.heldBytes += held - accounted
        accounted = held
        if server.heldBytes > Limits.bufferedRequestBytes { context.close(promise: nil) }
    }

    func close() { context?.close(promise: nil) }
}
