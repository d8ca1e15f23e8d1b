import NIOCore
import Testing

@testable import Gateway

/// Clients that close their side when they have sent everything (`nc -N`, some proxies and health checks) get their answers.
@Suite struct HalfClosedTests {
    private static let request = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"

    private func echoLater(_ exchange: HTTPExchange) {
        exchange.collectBody(limit: 100) { result in
            exchange.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(50)) {
                switch result {
                case .success(let bytes): exchange.respond(.text(String(buffer: bytes)))
                case .failure(let failure): exchange.respond(.text("\(failure)", status: 400))
                }
            }
        }
    }

    @Test func aWholeRequestIsAnswered() async throws {
        try await TestServer.with(respond: echoLater) { server in
            let (answer, rest) = try await server.client { client in
                try client.send(Self.request)
                client.closeOutput()
                return (try client.answer(), try client.readToEnd())
            }
            #expect(answer.status == 200 && answer.text == "hello")
            #expect(rest.isEmpty, "closed after it")
            #expect(try await eventually { server.registry.count == 0 })
        }
    }

    @Test func pipelinedRequestsAreAllAnswered() async throws {
        try await TestServer.with(respond: echoLater) { server in
            let answers = try await server.client { client in
                try client.send(Self.request + Self.request + "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                client.closeOutput()
                return try (0..<3).map { _ in try client.answer().text }
            }
            #expect(answers == ["hello", "hello", ""])
            #expect(try await eventually { server.registry.count == 0 })
        }
    }

    @Test func aCutBodyIsAnswered() async throws {
        try await TestServer.with(respond: echoLater) { server in
            let answer = try await server.client { client in
                try client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello")
                client.closeOutput()
                return try client.answer()
            }
            #expect(answer.status == 400 && answer.text == "cutShort")
            #expect(try await eventually { server.registry.count == 0 })
        }
    }

    /// The end comes before anybody asked for the body.
    @Test func aBodyThatIsAskedForLaterIsWhole() async throws {
        try await TestServer.with { exchange in
            exchange.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(50)) { self.echoLater(exchange) }
        } _: { server in
            let answers = try await server.client { client in
                try client.send(Self.request)
                client.closeOutput()
                let whole = try client.answer().text
                let other = try RawClient(port: server.port)
                try other.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello")
                other.closeOutput()
                return [whole, try other.answer().text]
            }
            #expect(answers == ["hello", "cutShort"])
            #expect(try await eventually { server.registry.count == 0 })
        }
    }

    /// A body that nobody wants, cut: the answer is out, and nothing more is waited for.
    @Test func anIgnoredBodyThatIsCutEndsTheConnection() async throws {
        try await TestServer.with { exchange in
            exchange.respond(.text("early"))
        } _: { server in
            let text = try await server.client { client in
                try client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello")
                let text = try client.answer().text
                client.closeOutput()
                return text
            }
            #expect(text == "early")
            #expect(try await eventually(seconds: 2) { server.registry.count == 0 })
        }
    }

    /// An idle connection and one inside a head are closed at once.
    @Test(arguments: ["", "GET / HT"]) func nothingToAnswer(sent: String) async throws {
        try await TestServer.with(respond: echoLater) { server in
            let rest = try await server.client { client in
                try client.send(sent)
                client.closeOutput()
                return try client.readToEnd()
            }
            #expect(rest.isEmpty)
            #expect(try await eventually { server.registry.count == 0 })
        }
    }

    /// Whether a half-closed client still reads cannot be told: a long poll is told that it is gone, so that it takes
    /// nothing for nobody.
    @Test func longPollsAreTold() async throws {
        try await TestServer.with { exchange in
            exchange.closed.whenSuccess { exchange.respond(.text("ended early")) }
        } _: { server in
            let text = try await server.client { client in
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                client.closeOutput()
                return try client.answer().text
            }
            #expect(text == "ended early")
        }
    }
}
