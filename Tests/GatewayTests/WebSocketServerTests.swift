import Contracts
import NIOCore
import Platform
import Synchronization
import Testing

@testable import Gateway

/// Says back what it gets; keeps how it ended.
private final class Echo: WebSocketReceiver {
    let socket: any WebSocket
    let ends: Shared<[WebSocketClose]>
    init(_ socket: any WebSocket, _ ends: Shared<[WebSocketClose]>) {
        self.socket = socket
        self.ends = ends
    }
    func received(_ message: WebSocketMessage) -> Bool {
        if String(buffer: message.bytes) == "bye" {
            socket.close(WebSocketClose(code: 1000, reason: "as asked"))
            return true
        }
        // One at a time.
        socket.send(message) { [socket] _ in socket.resume() }
        return false
    }
    func heard() {}
    func closed(_ close: WebSocketClose) { ends.change { $0.append(close) } }
}

private let request =
    "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

extension RawClient {
    /// One frame of the server.
    fileprivate func frame() throws -> (opcode: UInt8, payload: [UInt8]) {
        let head = try take(2)
        var length = Int(head[1])
        if length == 126 {
            length = try take(2).reduce(0) { $0 << 8 | Int($1) }
        } else if length == 127 {
            length = try take(8).reduce(0) { $0 << 8 | Int($1) }
        }
        return (head[0] & 15, try take(length))
    }

    fileprivate func closeCode() throws -> Int {
        let frame = try frame()
        guard frame.opcode == 8, frame.payload.count >= 2 else { throw Broken(what: "not closed: \(frame)") }
        return Int(frame.payload[0]) << 8 | Int(frame.payload[1])
    }
}

@Suite(.serialized) struct WebSocketServerTests {
    private func serve<T: Sendable>(
        _ ends: Shared<[WebSocketClose]> = Shared([]), sockets: Shared<[any WebSocket]> = Shared([]),
        _ body: @Sendable (TestServer) async throws -> T
    ) async throws -> T {
        let socketLimits = WebSocketLimits(frame: 32 << 10, message: 128 << 10, unsent: 256 << 10)
        return try await TestServer.with { exchange in
            guard let handshake = WebSocketHandshake(exchange.request) else { return exchange.respond(.text("plain")) }
            exchange.upgrade(
                handshake,
                WebSocketAcceptance(
                    headers: [("X-More", "1")], limits: socketLimits,
                    opened: { socket in
                        sockets.change { $0.append(socket) }
                        return Echo(socket, ends)
                    }, gone: {}))
        } _: { server in
            try await body(server)
        }
    }

    @Test func messagesGoBothWaysAndTheClientCloses() async throws {
        let ends = Shared<[WebSocketClose]>([])
        try await serve(ends) { server in
            try await server.client { client in
                // What comes behind the handshake at once is not lost.
                try client.send(Array(request.utf8) + clientFrame(1, Array("first".utf8)))
                let answer = try client.answer()
                #expect(answer.status == 101 && answer.header("x-more") == "1")
                #expect(answer.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                #expect(try client.frame().payload == Array("first".utf8))
                for count in [0, 125, 126, 65_535, 65_536, 131_072] {
                    let payload = [UInt8](repeating: 0x42, count: count)
                    var rest = payload[...]
                    var opcode: UInt8 = 2
                    repeat {
                        let part = rest.prefix(30_000)
                        rest = rest.dropFirst(part.count)
                        try client.send(clientFrame(opcode, Array(part), isFinal: rest.isEmpty))
                        opcode = 0
                    } while !rest.isEmpty
                    let frame = try client.frame()
                    #expect(frame.opcode == 2 && frame.payload == payload)
                }
                try client.send(clientFrame(9, [1, 2, 3]))
                let pong = try client.frame()
                #expect(pong.opcode == 10 && pong.payload == [1, 2, 3])
                try client.send(clientFrame(8, [0x0F, 0xA0] + Array("done".utf8)))
                #expect(try client.closeCode() == 4000)
                #expect(try client.readToEnd().isEmpty)
            }
        }
        #expect(ends.value == [WebSocketClose(code: 4000, reason: "done")])
    }

    @Test func thisSideCloses() async throws {
        let ends = Shared<[WebSocketClose]>([])
        try await serve(ends) { server in
            try await server.client { client in
                try client.send(request)
                _ = try client.answer()
                try client.send(clientFrame(1, Array("bye".utf8)))
                #expect(try client.closeCode() == 1000)
                try client.send(clientFrame(8, [0x03, 0xE8]))
                #expect(try client.readToEnd().isEmpty)
            }
        }
        #expect(ends.value == [WebSocketClose(code: 1000, reason: "as asked")])
    }

    @Test func violationsAndBrokenConnectionsEnd() async throws {
        let ends = Shared<[WebSocketClose]>([])
        try await serve(ends) { server in
            try await server.client { client in
                try client.send(request)
                _ = try client.answer()
                try client.send(clientFrame(1, [65], isMasked: false))
                #expect(try client.closeCode() == 1002)
            }
            try await server.client { client in
                try client.send(request)
                _ = try client.answer()
                client.hangUp()
            }
            let isOver = try await eventually { ends.value.count == 2 && server.registry.count == 0 }
            #expect(isOver)
            #expect(server.counters.webSockets.load(ordering: .relaxed) == 0)
            #expect(server.counters.bodies.bytes == 0)
        }
        // The server hears of the first's end when it likes.
        #expect(ends.value.map(\.code).sorted() == [1002, 1006])
    }

    /// The door answers when the client has closed its side already: nothing is left open.
    @Test func aClientThatGaveUpIsLetGo() async throws {
        let gone = Shared(0)
        let asked = Shared<[HTTPExchange]>([])
        try await TestServer.with { exchange in
            asked.change { $0.append(exchange) }
        } _: { server in
            try await server.client { client in
                try client.send(request)
                client.closeOutput()
                while asked.value.isEmpty { try client.pause() }
                let exchange = asked.value[0]
                let closed = exchange.closed
                _ = try? closed.wait()
                guard let handshake = WebSocketHandshake(exchange.request) else { return }
                exchange.upgrade(
                    handshake,
                    WebSocketAcceptance(
                        headers: [], limits: WebSocketLimits(frame: 1, message: 1, unsent: 1),
                        opened: { Echo($0, Shared([])) }, gone: { gone.change { $0 += 1 } }))
                #expect(try client.readToEnd().isEmpty)
            }
            let isOver = try await eventually { server.registry.count == 0 }
            #expect(isOver && gone.value == 1)
            asked.change { $0 = [] }
        }
    }

    @Test func drainingSaysGoodbye() async throws {
        let ends = Shared<[WebSocketClose]>([])
        try await serve(ends) { server in
            try await server.client { client in
                try client.send(request)
                _ = try client.answer()
                let loop = server.channel.eventLoop
                let promise = loop.makePromise(of: Void.self)
                server.registry.drain(promise)
                #expect(try client.closeCode() == 1001)
                try client.send(clientFrame(8, [0x03, 0xE9]))
                #expect(try client.readToEnd().isEmpty)
                try promise.futureResult.wait()
            }
        }
        #expect(ends.value.map(\.code) == [1001])
    }

    /// Messages for a client that does not read are refused when there are too many, and the others arrive.
    @Test func aSlowReaderIsBounded() async throws {
        let sockets = Shared<[any WebSocket]>([])
        try await serve(sockets: sockets) { server in
            let port = server.port
            try await blocking {
                let client = try RawClient(port: port, receiveBuffer: 16 << 10)
                try client.send(request)
                _ = try client.answer()
                let socket = sockets.value[0]
                let message = WebSocketMessage.binary(ByteBuffer(repeating: 7, count: 64 << 10))
                let (taken, full) = (Shared(0), Shared(0))
                var asked = 0
                while full.value == 0, asked < 2_000 {
                    asked += 1
                    socket.send(message) { result in
                        if case .success = result { taken.change { $0 += 1 } } else { full.change { $0 += 1 } }
                    }
                }
                #expect(full.value > 0 && asked < 2_000)
                var count = 0
                while count < asked - full.value {
                    #expect(try client.frame().payload.count == 64 << 10)
                    count += 1
                }
                while taken.value < count { try client.pause() }
                // It may be sent to again.
                socket.send(.text(ByteBuffer(string: "more"))) { _ in }
                #expect(try client.frame().payload == Array("more".utf8))
            }
        }
    }

    @Test(arguments: [
        ("Upgrade: WebSocket", "Upgrade: h2c"), ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 12"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), ("Connection: keep-alive, Upgrade", "Connection: keep-alive"),
        ("GET ", "POST "), ("HTTP/1.1", "HTTP/1.0"),
    ])
    func whatIsNoHandshakeIsAnOrdinaryRequest(_ change: (from: String, to: String)) async throws {
        try await serve { server in
            try await server.client { client in
                try client.send(request.replacing(change.from, with: change.to))
                let answer = try client.answer()
                #expect(answer.status == 200 && answer.text == "plain")
            }
        }
    }
}
