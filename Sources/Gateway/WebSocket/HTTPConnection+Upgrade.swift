import Contracts
import NIOCore
import NIOHTTP1
import Platform

/// How a connection becomes a WebSocket.
extension HTTPConnection {
    func upgrade(_ number: UInt64, _ handshake: WebSocketHandshake, _ acceptance: WebSocketAcceptance) {
        guard let context, http2 == nil, let exchange = current, number == self.number, machine.awaitsAnswer else {
            return acceptance.gone()
        }
        // A client that says nothing more has no use for a WebSocket.
        guard !isInputClosed, context.channel.isActive else {
            acceptance.gone()
            return hangUp()
        }
        let pipeline = context.pipeline.syncOperations
        let socket = WebSocketConnection(
            limits: limits, socketLimits: acceptance.limits, counters: counters, bodies: bodies)
        do {
            let decoder = try pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self)
            // Idle sockets are many: what the next read brings is small, most often.
            try context.channel.syncOptions?.setOption(
                .recvAllocator,
                value: ReadBuffers(
                    first: limits.socketReadBytes, later: limits.socketReadBytes, most: limits.readBytes))
            try pipeline.addHandler(socket, position: .before(self))
            writeSwitch(handshake, acceptance)
            current = nil
            exchange.answerWritten()
            let isDraining = machine.isDraining
            let (loop, channel) = (context.eventLoop, context.channel)
            pipeline.removeHandler(self, promise: nil)
            socket.begin(
                acceptance.opened(ConnectionWebSocket(socket, limits: acceptance.limits, eventLoop: loop)))
            // A client that has its answer finds the door ready.
            channel.flush()
            // What the client has sent behind its handshake comes when the decoder lets go of it.
            let removed = loop.makePromise(of: Void.self)
            removed.futureResult.assumeIsolated().whenComplete { _ in
                socket.start()
                if isDraining { socket.close(WebSocketClose(code: 1001, reason: "Going away")) }
            }
            pipeline.removeHandler(context: decoder, promise: removed)
        } catch {
            acceptance.gone()
            hangUp()
        }
    }

    private func writeSwitch(_ handshake: WebSocketHandshake, _ acceptance: WebSocketAcceptance) {
        guard let context else { return }
        let answer = HTTPAnswer(
            status: 101,
            headers: [
                (name: "Upgrade", value: "websocket"), (name: "Sec-WebSocket-Accept", value: handshake.accept),
            ] + acceptance.headers, body: .none)
        var out = context.channel.allocator.buffer(capacity: 256)
        ResponseHead.writeSwitch(answer, date: date(), into: &out)
        context.write(wrapOutboundOut(.byteBuffer(out)), promise: nil)
    }
}
