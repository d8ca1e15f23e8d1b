import Contracts
import NIOCore
import Platform
import Synchronization

/// The last handler of a connection that became a WebSocket. Reads the socket only while its receiver takes messages and the
/// client takes answers. All state belongs to the event loop.
final class WebSocketConnection: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case open
        /// This side said goodbye; what the client still sends is dropped until it answers, up to a limit.
        case closing(bytesLeft: Int)
        case closed
    }

    private let limits: GatewayLimits
    private let counters: GatewayCounters
    private let bodies: BodyBudget
    private var state = State.open
    private var machine: WebSocketMachine
    private var inbox = ByteBuffer()
    private var context: ChannelHandlerContext?
    private var receiver: (any WebSocketReceiver)?
    private var isPaused = false
    private var isReading = false
    private var isProcessing = false
    /// The decoder of HTTP is still in front, or this handler is behind it no more.
    private var hasBegun = false
    /// A message in pieces counts as one of the bodies in memory.
    private var hasCharge = false
    private let chargeBytes: Int
    private var watch = IdleWatch()
    private var timer: Scheduled<Void>?

    init(
        limits: GatewayLimits, socketLimits: WebSocketLimits, counters: GatewayCounters, bodies: BodyBudget
    ) {
        self.limits = limits
        self.counters = counters
        self.bodies = bodies
        machine = WebSocketMachine(limits: socketLimits)
        chargeBytes = socketLimits.message + socketLimits.frame
    }

    /// The receiver that the door answered for the socket: from now on it is told.
    func begin(_ receiver: any WebSocketReceiver) {
        self.receiver = receiver
        counters.webSockets.add(1, ordering: .relaxed)
        guard context?.channel.isActive == true else { return ended(WebSocketClose(code: 1006, reason: "")) }
    }

    /// HTTP's decoder is gone: bytes come as they are.
    func start() {
        hasBegun = true
        process()
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        ended(WebSocketClose(code: 1006, reason: ""))
        timer?.cancel()
        timer = nil
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        counters.received(bytes.readableBytes)
        switch state {
        case .closed: return
        case .closing(let left):
            guard bytes.readableBytes <= left else { return context.close(promise: nil) }
            state = .closing(bytesLeft: left - bytes.readableBytes)
        case .open: break
        }
        if inbox.readableBytes == 0 { inbox = bytes } else { inbox.writeBuffer(&bytes) }
        process()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        readIfWanted()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { process() }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            isReading = false
            ended(WebSocketClose(code: 1006, reason: ""))
            context.close(promise: nil)
        } else if event is HTTPConnection.Drain {
            close(WebSocketClose(code: 1001, reason: "Going away"))
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        ended(WebSocketClose(code: 1006, reason: ""))
        context.fireChannelInactive()
    }

    // MARK: What the client sends

    /// Never re-entered: a receiver may resume inside of `received`.
    private func process() {
        guard !isProcessing, let context else { return }
        isProcessing = true
        while !isPaused || isClosing, context.channel.isWritable || isClosing, let event = machine.next(&inbox) {
            take(event)
        }
        isProcessing = false
        settleInput()
        readIfWanted()
    }

    private var isClosing: Bool { if case .closing = state { true } else { false } }

    private func take(_ event: WebSocketMachine.Event) {
        switch event {
        case .message(let message):
            guard !isClosing, let receiver else { return }
            // Before, since the receiver may resume at once.
            isPaused = true
            if receiver.received(message) { isPaused = false }
        case .ping(let payload):
            guard !isClosing else { return }
            receiver?.heard()
            write(WebSocketFrames.pongOpcode, payload, nil)
        case .pong: if !isClosing { receiver?.heard() }
        case .close(let close):
            if case .open = state {
                context?.write(wrapOutboundOut(WebSocketFrames.close(close)), promise: nil)
                ended(close)
            }
            hangUp()
        case .violation(let close): self.close(close)
        }
    }

    /// Lets go of memory that nothing is in, and counts what is in pieces.
    private func settleInput() {
        let held = inbox.readableBytes + machine.heldBytes
        if inbox.readableBytes == 0 { inbox = ByteBuffer() } else { inbox.discardReadBytes() }
        let needsCharge = held > limits.uncountedSocketBytes
        guard needsCharge != hasCharge else { return }
        if !needsCharge {
            bodies.give(chargeBytes)
            hasCharge = false
        } else if bodies.take(chargeBytes) {
            hasCharge = true
        } else {
            close(WebSocketClose(code: 1013, reason: "Try again later"))
        }
    }

    private func readIfWanted() {
        guard hasBegun, !isReading, let context else { return }
        switch state {
        case .closed: return
        case .open: guard !isPaused, context.channel.isWritable else { return }
        case .closing: break
        }
        isReading = true
        context.read()
    }

    func resume() {
        guard isPaused else { return }
        isPaused = false
        process()
    }

    // MARK: What this side sends

    /// `completion` is told whether the socket took it.
    func send(_ message: WebSocketMessage, _ completion: @escaping @Sendable (Bool) -> Void) {
        guard case .open = state, let context else { return completion(false) }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { result in
            if case .success = result { completion(true) } else { completion(false) }
        }
        switch message {
        case .text(let bytes): write(WebSocketFrames.textOpcode, bytes, written)
        case .binary(let bytes): write(WebSocketFrames.binaryOpcode, bytes, written)
        }
    }

    func ping() {
        guard case .open = state else { return }
        write(WebSocketFrames.pingOpcode, ByteBuffer(), nil)
    }

    private func write(_ opcode: UInt8, _ payload: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        guard let context else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        counters.sent(payload.readableBytes)
        var head = context.channel.allocator.buffer(
            capacity: 10 + (payload.readableBytes <= limits.joinedBodyBytes ? payload.readableBytes : 0))
        WebSocketFrames.writeHead(opcode, length: payload.readableBytes, into: &head)
        if payload.readableBytes <= limits.joinedBodyBytes {
            head.writeImmutableBuffer(payload)
            context.writeAndFlush(wrapOutboundOut(head), promise: promise)
        } else {
            context.write(wrapOutboundOut(head), promise: nil)
            context.writeAndFlush(wrapOutboundOut(payload), promise: promise)
        }
        if !context.channel.isWritable || promise != nil { watchForWrites() }
    }

    /// A client that takes nothing for too long is given up.
    private func watchForWrites() {
        guard watch.kind == .none, unsentBytes > 0 else { return }
        watch.begin(.write, limits: limits, now: .now(), unsentBytes: unsentBytes)
        arm()
    }

    private var unsentBytes: Int { (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }

    private func arm() {
        guard let context else { return }
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: watch.deadline) { [weak self] in
            self?.timerFired()
        }
    }

    private func timerFired() {
        timer = nil
        guard let context else { return }
        if case .open = state {
            let unsent = unsentBytes
            if unsent == 0 { return watch.begin(.none, limits: limits, now: .now(), unsentBytes: 0) }
            if case .wait = watch.check(limits: limits, now: .now(), unsentBytes: unsent) { return arm() }
        }
        context.close(promise: nil)
    }

    // MARK: The end

    func close(_ close: WebSocketClose) {
        guard case .open = state, let context else { return }
        context.writeAndFlush(wrapOutboundOut(WebSocketFrames.close(close)), promise: nil)
        ended(close)
        state = .closing(bytesLeft: limits.lingeringBytes)
        watch.begin(.linger, limits: limits, now: .now(), unsentBytes: 0)
        arm()
        if !isProcessing { process() }
    }

    /// Nothing goes to the receiver after this.
    private func ended(_ close: WebSocketClose) {
        if hasCharge { bodies.give(chargeBytes) }
        hasCharge = false
        if case .open = state { state = .closed }
        guard let receiver else { return }
        self.receiver = nil
        counters.webSockets.subtract(1, ordering: .relaxed)
        receiver.closed(close)
    }

    private func hangUp() {
        guard let context else { return }
        state = .closed
        watch.begin(.linger, limits: limits, now: .now(), unsentBytes: 0)
        arm()
        // The client has said all that it will; RFC 6455, 7.1.1: the server closes first.
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in bound.value.close(promise: nil) }
    }
}

/// What a door holds of a WebSocket.
final class ConnectionWebSocket: WebSocket {
    private let connection: NIOLoopBound<WebSocketConnection>
    /// Bytes that the socket has not taken, of all threads' messages.
    private let unsent = Atomic<Int>(0)
    private let limit: Int

    init(_ connection: WebSocketConnection, limits: WebSocketLimits, eventLoop: any EventLoop) {
        self.connection = NIOLoopBound(connection, eventLoop: eventLoop)
        limit = limits.unsent
    }

    private func onLoop(_ body: @escaping @Sendable (NIOLoopBound<WebSocketConnection>) -> Void) {
        let connection = self.connection
        guard !connection.eventLoop.inEventLoop else { return body(connection) }
        connection.eventLoop.execute { body(connection) }
    }

    func send(
        _ message: WebSocketMessage, _ completion: @escaping @Sendable (Result<Void, WebSocketFailure>) -> Void
    ) {
        let bytes = message.bytes.readableBytes + 16
        let (before, now) = unsent.add(bytes, ordering: .relaxed)
        guard before == 0 || now <= limit else {
            unsent.subtract(bytes, ordering: .relaxed)
            return completion(.failure(.full))
        }
        onLoop { connection in
            connection.value.send(message) { [self] isTaken in
                unsent.subtract(bytes, ordering: .relaxed)
                completion(isTaken ? .success(()) : .failure(.closed))
            }
        }
    }

    func ping() { onLoop { $0.value.ping() } }
    func resume() { onLoop { $0.value.resume() } }
    func close(_ close: WebSocketClose) { onLoop { $0.value.close(close) } }
}
