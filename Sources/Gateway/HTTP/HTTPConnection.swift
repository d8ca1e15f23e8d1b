import NIOCore
import NIOHTTP1
import Platform

/// The last handler of a connection: takes NIO's request parts, hands one request at a time to the responder, writes the
/// answers. Reads the socket only when the bytes are wanted, and once ahead of the next request (autoRead is off). All state
/// belongs to the event loop.
///
/// A stream of HTTP/2 has one of its own (`http2` is set), which takes one request.
final class HTTPConnection: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = IOData

    /// The server drains: finish the request in flight, then close.
    struct Drain: Sendable {}
    /// The connection turned out to be TLS.
    struct Secured: Sendable {}

    enum Item {
        case head(HTTPRequestHead)
        case body(ByteBuffer)
        case end([(name: String, value: String)])
        case malformed(status: Int, reason: String)
    }

    /// Who takes the body of the current request.
    enum Sink {
        case none
        case collect(BodyCollector)
        case stream(ConnectionBodyStream)
    }

    let limits: GatewayLimits
    private let responder: any HTTPResponder
    let counters: GatewayCounters
    let bodies: BodyBudget
    let time: any TimeSource
    private(set) var info: ConnectionInfo
    let http2: HTTP2Output?

    var machine: ConnectionMachine
    private(set) var context: ChannelHandlerContext?
    private var queue = CircularBuffer<Item>()
    private var queuedBytes = 0
    private(set) var isAdvancing = false
    /// A read has been asked for and not come back.
    private var isReading = false
    /// The next request's head has begun to come while the current one was being answered.
    private var hasHeadBegun = false
    /// The client sends nothing more, but may still read: what it has sent is answered.
    private(set) var isInputClosed = false
    /// Between the first part of a read and its end; answers made meanwhile are flushed together at the end.
    private(set) var isInRead = false
    var needsFlush = false

    private(set) var number: UInt64 = 0
    var current: HTTPExchange?
    private var headWithoutBody: HTTPRequest?
    var sink = Sink.none
    private(set) var bodyReceived: Int64 = 0
    var sender: (any AnswerSender)?

    private var watch = IdleWatch()
    private var timer: Scheduled<Void>?
    private var timerAt = NIODeadline.distantFuture
    private var dateSecond: Int64 = .min
    private var dateText = ""

    init(
        responder: any HTTPResponder, info: ConnectionInfo, limits: GatewayLimits, counters: GatewayCounters,
        bodies: BodyBudget, time: any TimeSource, isDraining: Bool, http2: HTTP2Output? = nil
    ) {
        self.http2 = http2
        self.responder = responder
        self.info = info
        self.limits = limits
        self.counters = counters
        self.bodies = bodies
        self.time = time
        machine = ConnectionMachine(discardLimit: limits.discardedBodyBytes, lingerLimit: limits.lingeringBytes)
        if isDraining { _ = machine.drain() }
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { opened(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        opened(context)
        context.fireChannelActive()
    }

    private func opened(_ context: ChannelHandlerContext) {
        guard machine.state != .closed else { return context.close(promise: nil) }
        watchFor(.head)
        readIfWanted()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isInRead = true
        switch unwrapInboundIn(data) {
        case .head(let head):
            hasHeadBegun = false
            enqueue(.head(head), bytes: 256)
        case .body(let bytes): enqueue(.body(bytes), bytes: bytes.readableBytes)
        case .end(let trailers):
            enqueue(.end((trailers ?? [:]).map { (name: lowercasedASCII($0.name), value: $0.value) }), bytes: 32)
        }
        advance()
    }

    private func enqueue(_ item: Item, bytes: Int) {
        queuedBytes += bytes
        // What one read brings always fits; only a peer that hung up makes the kernel hand over more than was asked for.
        guard queuedBytes <= limits.queuedInputBytes else { return hangUp() }
        queue.append(item)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        // Bytes that made no part: a head has begun.
        if !isInRead {
            if watch.kind == .keepAlive { watchFor(.head) } else if machine.mayReadAhead { hasHeadBegun = true }
        }
        isInRead = false
        flushIfNeeded()
        readIfWanted()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let parserError = error as? HTTPParserError else { return hangUp() }
        // Data behind a last request, and the end of a cut one, need no answer.
        if parserError == .closedConnection || parserError == .invalidEOFState { return }
        let tooLarge = parserError == .headerOverflow
        enqueue(
            .malformed(
                status: tooLarge ? 431 : 400,
                reason: tooLarge ? "Your request header section exceeds the maximum allowed size." : "Bad request."),
            bytes: 64)
        advance()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            if machine.isWaiting, watch.kind == .write { watchForRequest() }
            sender?.becameWritable()
            advance()
            readIfWanted()
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            isInputClosed = true
            isReading = false
            // Whether the client still reads cannot be told: whoever waits for something to happen need not wait on.
            current?.clientGone()
            settleClosedInput()
        } else if event is Drain {
            perform(machine.drain())
        } else if event is Secured {
            info.isSecure = true
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        ended()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        ended()
        self.context = nil
    }

    private func ended() {
        _ = machine.closed()
        timer?.cancel()
        timer = nil
        queue.removeAll()
        failBody(.cutShort)
        sender?.connectionClosed()
        sender = nil
        headWithoutBody = nil
        if let exchange = current {
            current = nil
            exchange.clientGone()
        }
    }

    // MARK: Requests

    /// Takes queued parts as far as the machine allows. Never re-entered, so that a burst of pipelined requests that are
    /// answered at once uses no stack.
    func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        while let context, let item = queue.first {
            switch item {
            case .head(let head):
                guard machine.isWaiting, context.channel.isWritable else { return stopAdvancing() }
                drop(256)
                takeHead(head)
            case .body(let bytes):
                // Only HTTP/2 has bodies that no header tells of.
                if http2 != nil, var request = headWithoutBody {
                    headWithoutBody = nil
                    request.isChunked = true
                    begin(request)
                }
                guard machine.takesBody else { return stopAdvancing() }
                drop(bytes.readableBytes)
                takeBody(bytes)
            case .end(let trailers):
                guard machine.takesBody || headWithoutBody != nil || machine.state == .closed else {
                    return stopAdvancing()
                }
                drop(32)
                takeEnd(trailers)
            case .malformed(let status, let reason):
                guard machine.isWaiting || machine.takesBody else { return stopAdvancing() }
                drop(64)
                takeMalformed(status, reason)
            }
        }
        stopAdvancing()
    }

    private func drop(_ bytes: Int) {
        _ = queue.popFirst()
        queuedBytes -= bytes
    }

    private func stopAdvancing() {
        isAdvancing = false
        settleClosedInput()
        if !isInRead { flushIfNeeded() }
    }

    /// Once all that came before the end of the input is taken, whatever still waits for more of it has its end.
    private func settleClosedInput() {
        guard isInputClosed, queue.isEmpty, !isAdvancing else { return }
        switch machine.state {
        case .waiting: perform(machine.drain())
        case .exchange(let exchange):
            switch exchange.input {
            case .wanted: failBody(.cutShort)
            case .discarding: perform(machine.inputCut())
            case .held, .ended: break
            }
        // The other side is closed when the answer is out; then the channel closes.
        case .lingering, .closed: break
        }
    }

    private func takeHead(_ head: HTTPRequestHead) {
        do throws(HTTPRequest.Refusal) {
            let request = try HTTPRequest(head, limits: limits)
            if request.hasBody { begin(request) } else { headWithoutBody = request }
        } catch {
            switch error {
            case .tooLarge: refuse(431, "Your request header section exceeds the maximum allowed size.")
            case .unknownExpectation:
                refuse(417, "The expectation given in the Expect request header is not supported.")
            case .unknownEncoding: refuse(501, "A header you provided implies functionality that is not implemented.")
            case .badTarget, .badLength, .repeatedHost: refuse(400, "Bad request.")
            }
        }
    }

    private func begin(_ request: HTTPRequest) {
        guard let context else { return }
        number += 1
        bodyReceived = 0
        sink = .none
        machine.requestArrived(
            hasBody: request.hasBody, keepAlive: request.keepAlive, expectsContinue: request.expectsContinue)
        watchFor(.none)
        let exchange = HTTPExchange(
            request: request, info: info, connection: self, number: number, eventLoop: context.eventLoop, time: time)
        current = exchange
        // Also a body of no bytes: botocore takes an answer without a 100 for one that ends the connection's use, and reads the
        // next one on it wrongly.
        if request.expectsContinue, !request.hasBody { writeContinue() }
        responder.respond(to: exchange)
    }

    private func takeBody(_ bytes: ByteBuffer) {
        bodyReceived += Int64(bytes.readableBytes)
        switch machine.bodyArrived(bytes: bytes.readableBytes) {
        case .close: hangUp()
        case .drop: break
        case .deliver:
            counters.received(bytes.readableBytes)
            if watch.kind == .body { watchFor(.body) }
            switch sink {
            case .none: break
            case .collect(let collector):
                if let failure = collector.append(bytes) { failBody(failure) }
            case .stream(let stream):
                guard bodyReceived <= limits.streamedBodyBytes + limits.streamedBodyBytes / 64 else {
                    return failBody(.tooLarge)
                }
                stream.push(bytes)
            }
        }
    }

    private func takeEnd(_ trailers: [(name: String, value: String)]) {
        if let request = headWithoutBody {
            headWithoutBody = nil
            return begin(request)
        }
        if watch.kind == .body { watchFor(.none) }
        let next = machine.inputEnded()
        let sink = self.sink
        self.sink = .none
        switch sink {
        case .none: break
        case .collect(let collector): collector.finish()
        case .stream(let stream): stream.finish(trailers: trailers)
        }
        perform(next)
    }

    private func takeMalformed(_ status: Int, _ reason: String) {
        if machine.isWaiting {
            headWithoutBody = nil
            refuse(status, reason)
        } else if !machine.isLingering {
            machine.inputFailed()
            failBody(.malformed)
        }
    }

    /// Answers a head that makes no request, and closes.
    private func refuse(_ status: Int, _ reason: String) {
        let answer = responder.refusal(status: status, reason: reason)
        counters.refused()
        writeHead(
            answer, framing: .init(answer: answer, isHead: false, isHTTP11: true), keepAlive: false, isHTTP11: true)
        perform(machine.refused())
    }

    // MARK: Bodies

    func collectBody(
        _ number: UInt64, limit: Int, _ completion: @escaping @Sendable (Result<ByteBuffer, BodyFailure>) -> Void
    ) {
        guard let exchange = current, number == self.number, let input = machine.exchange?.input else {
            return completion(.failure(.cutShort))
        }
        if input == .ended { return completion(.success(ByteBuffer())) }
        let announced = exchange.request.contentLength
        if let announced, announced > Int64(limit) { return completion(.failure(.tooLarge)) }
        sink = .collect(BodyCollector(limit: limit, announced: announced, exchange: exchange, completion: completion))
        startBody()
    }

    func streamBody(_ number: UInt64) -> ConnectionBodyStream {
        guard let context, let exchange = current, number == self.number, let input = machine.exchange?.input else {
            return failed(.cutShort)
        }
        let most = exchange.request.announcedLength ?? .max
        guard exchange.charge(Int(min(most, Int64(limits.streamedBodyCharge)))) else { return failed(.overBudget) }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let stream = ConnectionBodyStream(highWater: limits.streamHighWater) {
            bound.eventLoop.execute { bound.value.resumeBody(number) }
        }
        if input == .ended {
            stream.finish(trailers: [])
        } else {
            sink = .stream(stream)
            // A client that waits to be asked is asked when the handler pulls: it may refuse by the head alone.
            if machine.exchange?.owesContinue == false { startBody() }
        }
        return stream
    }

    private func failed(_ failure: BodyFailure) -> ConnectionBodyStream {
        let stream = ConnectionBodyStream(highWater: limits.streamHighWater, resumeReading: {})
        stream.fail(failure)
        return stream
    }

    private func resumeBody(_ number: UInt64) {
        guard number == self.number, current != nil else { return }
        if machine.exchange?.input == .held { startBody() } else { readIfWanted() }
    }

    private func startBody() {
        let continueDue = machine.bodyWanted()
        // A client that did not wait has no use for it.
        if continueDue, queue.isEmpty { writeContinue() }
        advance()
        readIfWanted()
    }

    private func writeContinue() {
        guard http2 == nil, let context else { return }
        var line = context.channel.allocator.buffer(capacity: 32)
        line.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(line)), promise: nil)
    }

    private func failBody(_ failure: BodyFailure) {
        let sink = self.sink
        self.sink = .none
        if case .none = sink { return }
        machine.inputFailed()
        if watch.kind == .body { watchFor(.none) }
        switch sink {
        case .none: break
        case .collect(let collector): collector.fail(failure)
        case .stream(let stream): stream.fail(failure)
        }
    }

    func readIfWanted() {
        guard !isReading, !isInputClosed, queue.isEmpty, let context, machine.wantsInput || machine.mayReadAhead else {
            return
        }
        if machine.isWaiting, !context.channel.isWritable { return }
        if case .stream(let stream) = sink, !stream.wantsMore {
            if watch.kind == .body { watchFor(.none) }
            return
        }
        if machine.exchange?.input == .wanted, watch.kind == .none { watchFor(.body) }
        isReading = true
        context.read()
    }

    // MARK: After an event

    func perform(_ next: ConnectionMachine.Next) {
        guard let context else { return }
        switch next {
        case .nothing: break
        case .awaitRequest:
            if context.channel.isWritable { watchForRequest() } else { watchFor(.write) }
            advance()
            readIfWanted()
        case .close where http2 != nil:
            // Both sides have ended the stream: it closes by itself when the client has taken the rest.
            needsFlush = false
            context.flush()
        case .linger where http2 != nil:
            needsFlush = false
            // The answer is complete; what the client still sends is dropped for a while, as many a client cannot take a reset.
            http2?.writeEnd {}
            watchFor(.linger)
            readIfWanted()
        case .close:
            needsFlush = false
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(.byteBuffer(ByteBuffer()))).whenComplete { _ in
                bound.value.close(promise: nil)
            }
        case .linger:
            needsFlush = false
            watchFor(.linger)
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(.byteBuffer(ByteBuffer()))).whenComplete { _ in
                bound.value.close(mode: .output, promise: nil)
            }
            readIfWanted()
        }
    }

    func hangUp() {
        guard let context else { return }
        _ = machine.closed()
        context.close(promise: nil)
    }

    func flushIfNeeded() {
        guard needsFlush, let context else { return }
        needsFlush = false
        context.flush()
    }

    /// The Date header, made once a second.
    func date() -> String {
        let now = time.now()
        if now.seconds != dateSecond {
            dateSecond = now.seconds
            dateText = now.httpDate
        }
        return dateText
    }

    // MARK: Slow clients

    /// Sets what the connection waits for now. One timer serves them all: it is moved only when it would ring too late.
    func watchFor(_ kind: IdleWatch.Kind) {
        watch.begin(kind, limits: limits, now: .now(), unsentBytes: 0)
        armTimer()
    }

    private func watchForRequest() { watchFor(hasHeadBegun ? .head : .keepAlive) }

    private func armTimer() {
        guard let context, watch.deadline < timerAt else { return }
        timer?.cancel()
        timerAt = watch.deadline
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: timerAt) { [weak self] in
            self?.timerFired()
        }
    }

    private func timerFired() {
        timer = nil
        timerAt = .distantFuture
        guard let context else { return }
        let unsent = http2?.pendingBytes ?? (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        switch watch.check(limits: limits, now: .now(), unsentBytes: unsent) {
        case .wait: armTimer()
        case .expired(.body):
            if machine.exchange?.output == .finished { hangUp() } else { failBody(.tooSlow) }
        case .expired(.head):
            counters.refused()
            hangUp()
        case .expired: hangUp()
        }
    }
}
