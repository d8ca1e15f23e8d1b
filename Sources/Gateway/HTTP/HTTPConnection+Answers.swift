import NIOCore
import Platform
import Wire

/// How answers leave.
extension HTTPConnection {
    func respond(_ number: UInt64, _ answer: HTTPAnswer) {
        guard let context, let exchange = current, number == self.number, machine.awaitsAnswer, sender == nil else {
            return answer.body.release()
        }
        let request = exchange.request
        let bodyLeft = request.isChunked ? nil : request.contentLength.map { $0 - bodyReceived }
        switch answer.body {
        case .none, .bytes:
            start(answer, request, bodyLeft)
            finished()
        case .files(_, let release) where request.isHead || answer.status == 304:
            release()
            start(answer, request, bodyLeft)
            finished()
        case .files(let parts, let release):
            let sender = FileSender(
                parts: parts, release: release, channel: context.channel, limits: limits,
                isSecure: info.isSecure || http2 != nil, counters: counters)
            self.sender = sender
            sender.open { [self] result in
                switch result {
                case .success(let first): start(answer, request, bodyLeft, first: first)
                case .failure(let error):
                    self.sender = nil
                    let status500 = HTTPAnswer(status: 500, headers: [], body: .none)
                    respond(number, answer.onFailure?(error) ?? status500)
                }
            } done: { [self] whole in
                senderDone(whole)
            }
        case .stream where request.isHead || answer.status == 304 || answer.status == 204:
            start(answer, request, bodyLeft)
            finished()
        case .stream(let length, let produce):
            let framing = start(answer, request, bodyLeft)
            let sender = StreamSender(
                channel: context.channel, length: length, isChunked: framing == .chunked && http2 == nil,
                counters: counters
            ) { [self] whole in senderDone(whole) }
            self.sender = sender
            context.flush()
            sender.run(produce)
        }
    }

    /// Writes the head, and a body that is at hand. Nothing is flushed while more requests are being taken.
    @discardableResult
    private func start(
        _ answer: HTTPAnswer, _ request: HTTPRequest, _ bodyLeft: Int64?, first: ByteBuffer? = nil
    ) -> BodyFraming {
        let framing = BodyFraming(answer: answer, isHead: request.isHead, isHTTP11: request.isHTTP11)
        var keepAlive = machine.answerStarted(bodyLeft: bodyLeft)
        if framing == .untilClose {
            machine.closesAfterAnswer()
            keepAlive = false
        }
        watchFor(.write)
        writeHead(answer, framing: framing, keepAlive: keepAlive, isHTTP11: request.isHTTP11, first: first)
        return framing
    }

    func writeHead(
        _ answer: HTTPAnswer, framing: BodyFraming, keepAlive: Bool, isHTTP11: Bool, first: ByteBuffer? = nil
    ) {
        guard let context else { return }
        var body = first
        if case .bytes(let bytes) = answer.body, case .length = framing { body = bytes }
        needsFlush = true
        if let http2 {
            http2.writeHead(status: answer.status, headers: ResponseHead.fields(answer, framing: framing, date: date()))
            if let body, body.readableBytes > 0 {
                counters.sent(body.readableBytes)
                context.write(wrapOutboundOut(.byteBuffer(body)), promise: nil)
            }
            return
        }
        let joined = (body?.readableBytes ?? 0) <= limits.joinedBodyBytes
        var out = context.channel.allocator.buffer(capacity: 512 + (joined ? body?.readableBytes ?? 0 : 0))
        ResponseHead.write(
            answer, framing: framing, keepAlive: keepAlive, isHTTP11: isHTTP11, date: date(), into: &out)
        if var bytes = body {
            counters.sent(bytes.readableBytes)
            if joined {
                out.writeBuffer(&bytes)
                context.write(wrapOutboundOut(.byteBuffer(out)), promise: nil)
            } else {
                context.write(wrapOutboundOut(.byteBuffer(out)), promise: nil)
                context.write(wrapOutboundOut(.byteBuffer(bytes)), promise: nil)
            }
        } else {
            context.write(wrapOutboundOut(.byteBuffer(out)), promise: nil)
        }
    }

    func finished() {
        let exchange = current
        current = nil
        let next = machine.answerFinished()
        // With input still to come, the end is written when it is known that nobody waits for that.
        if let http2, next != .linger { http2.writeEnd {} }
        // Whoever still reads the body has been overtaken by the answer.
        switch sink {
        case .none: break
        case .collect(let collector): collector.fail(.abandoned)
        case .stream(let stream): stream.fail(BodyFailure.abandoned)
        }
        sink = .none
        exchange?.answerWritten()
        if next == .nothing { watchFor(.body) }
        perform(next)
        // Parts of a body that nobody asked for may wait in the queue.
        advance()
        if !isAdvancing, !isInRead { flushIfNeeded() }
        readIfWanted()
    }

    private func senderDone(_ whole: Bool) {
        guard sender != nil else { return }
        sender = nil
        // A body that is shorter than its head said can only be told by cutting the connection.
        guard whole else { return hangUp() }
        finished()
    }
}
