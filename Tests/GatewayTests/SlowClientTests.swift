import Glibc
import NIOCore
import Synchronization
import Testing
import Wire

@testable import Gateway

@Suite struct SlowClientTests {
    private static func limits(_ change: (inout GatewayLimits) -> Void) -> GatewayLimits {
        var limits = GatewayLimits()
        change(&limits)
        return limits
    }

    @Test func closesOnAHeadThatDoesNotEnd() async throws {
        try await TestServer.with(limits: SlowClientTests.limits { $0.headTimeout = .milliseconds(150) }) { exchange in
            exchange.respond(.text("x"))
        } _: { server in
            try await server.client { client in
                try client.send("GET / HTTP/1.1\r\nX-A: ")
                #expect(try client.readToEnd().isEmpty)
            }
            // Also behind a whole request.
            try await server.client { client in
                _ = try client.get()
                try client.send("GET / HT")
                #expect(try client.readToEnd().isEmpty)
            }
        }
    }

    /// The head of the next request begins while the first is answered: it has the time of a head, not of an idle connection.
    @Test func closesOnAHeadThatBeganEarlyAndDoesNotEnd() async throws {
        let arrived = Mutex(false)
        try await TestServer.with(limits: SlowClientTests.limits { $0.headTimeout = .milliseconds(150) }) { exchange in
            arrived.withLock { $0 = true }
            exchange.eventLoop.scheduleTask(in: .milliseconds(300)) { exchange.respond(.text("x")) }
        } _: { server in
            try await server.client { client in
                try client.send("GET / HTTP/1.1\r\n\r\n")
                // In a read of its own: of what comes with the end of a request the parser does not tell.
                for _ in 0..<5_000 where !arrived.withLock({ $0 }) { usleep(1_000) }
                try client.send("GET / HT")
                #expect(try client.answer().status == 200)
                #expect(try client.readToEnd().isEmpty)
            }
        }
    }

    @Test func closesIdleConnections() async throws {
        try await TestServer.with(limits: SlowClientTests.limits { $0.keepAliveTimeout = .milliseconds(150) }) {
            exchange in
            exchange.respond(.text("x"))
        } _: { server in
            try await server.client { client in
                _ = try client.get()
                #expect(try client.readToEnd().isEmpty)
            }
        }
    }

    /// HTTP/2 without a stream, and half of its preface.
    @Test(arguments: ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0", "PRI ", "PR"])
    func closesIdleConnectionsOfHTTP2(_ beginning: String) async throws {
        let limits = SlowClientTests.limits {
            $0.keepAliveTimeout = .milliseconds(150)
            $0.headTimeout = .milliseconds(150)
            // How long the client has to take note of the end.
            $0.writeIdleTimeout = .milliseconds(150)
        }
        try await TestServer.with(limits: limits) {
            $0.respond(.text("x"))
        } _: { server in
            try await server.client { client in
                try client.send(beginning)
                _ = try client.readToEnd()
            }
        }
    }

    @Test func aBodyThatStopsIsTooSlow() async throws {
        try await TestServer.with(limits: SlowClientTests.limits { $0.bodyIdleTimeout = .milliseconds(150) }) {
            exchange in
            exchange.collectBody(limit: 100) { result in
                if case .failure(let failure) = result { exchange.respond(.text("\(failure)", status: 408)) }
            }
        } _: { server in
            try await server.client { client in
                try client.send("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
                let answer = try client.answer()
                #expect(answer.text == "tooSlow")
                #expect(answer.header("connection") == "close")
            }
        }
    }

    @Test func aHandlerThatTakesItsTimeIsNotAClientsFault() async throws {
        let limits = SlowClientTests.limits {
            $0.headTimeout = .milliseconds(100)
            $0.bodyIdleTimeout = .milliseconds(100)
            $0.writeIdleTimeout = .milliseconds(100)
            $0.keepAliveTimeout = .milliseconds(100)
        }
        try await TestServer.with(limits: limits) { exchange in
            exchange.eventLoop.scheduleTask(in: .milliseconds(400)) { exchange.respond(.text("late")) }
        } _: { server in
            let text = try await server.client { try $0.get().text }
            #expect(text == "late")
        }
    }

    @Test func closesOnAClientThatDoesNotTakeItsAnswer() async throws {
        let released = Shared(false)
        try await TestServer.with(limits: SlowClientTests.limits { $0.writeIdleTimeout = .milliseconds(200) }) {
            exchange in
            let piece = ByteBuffer(repeating: 1, count: 1 << 20)
            exchange.respond(
                HTTPAnswer(
                    status: 200, headers: [],
                    body: .stream(length: nil) { writer in
                        defer { released.change { $0 = true } }
                        for _ in 0..<1000 { try await writer.write(piece) }
                    }))
        } _: { server in
            let port = server.port
            let client = try await blocking {
                let client = try RawClient(port: port, receiveBuffer: 16 << 10)
                try client.send("GET / HTTP/1.1\r\n\r\n")
                return NIOLoopBoundFree(client)
            }
            #expect(try await eventually { released.value && server.registry.count == 0 })
            _ = client
        }
    }

    @Test func aSlowButMovingReaderIsServed() async throws {
        let size = 12 << 20
        try await TestServer.with(limits: SlowClientTests.limits { $0.writeIdleTimeout = .milliseconds(300) }) {
            exchange in
            exchange.respond(
                HTTPAnswer(status: 200, headers: [], body: .bytes(ByteBuffer(repeating: 7, count: size))))
        } _: { server in
            let port = server.port
            try await blocking {
                let client = try RawClient(port: port, receiveBuffer: 64 << 10)
                try client.send("GET / HTTP/1.1\r\n\r\n")
                #expect(try client.answer().body.count == size)
            }
        }
    }

    @Test func aCutBodyFailsItsReader() async throws {
        let outcome = Shared("")
        try await TestServer.with { exchange in
            let stream = exchange.streamBody()
            Task {
                var bytes = 0
                do {
                    while let piece = try await stream.next() { bytes += piece.readableBytes }
                    outcome.change { $0 = "whole" }
                } catch {
                    outcome.change { $0 = "\(error) after \(bytes)" }
                    exchange.respond(.text("cut", status: 400))
                }
            }
        } _: { server in
            try await server.client { client in
                try client.send("PUT / HTTP/1.1\r\nContent-Length: 100\r\n\r\n" + String(repeating: "x", count: 40))
                client.closeOutput()
                #expect(try client.answer().status == 400)
            }
            #expect(outcome.value == "cutShort after 40")
        }
    }
}

/// Keeps a client of one thread alive from another, unused.
struct NIOLoopBoundFree<Value>: @unchecked Sendable {
    // Only held, never used, outside the thread that made it.
    let value: Value
    init(_ value: Value) { self.value = value }
}
