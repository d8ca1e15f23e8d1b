import Contracts
import NIOCore
import Testing
import Wire

@testable import Gateway

/// Collects the body and answers method, path and body.
@Sendable private func echo(_ exchange: HTTPExchange) {
    exchange.collectBody(limit: 1 << 20) { result in
        switch result {
        case .success(let body):
            let head = exchange.request.head
            exchange.respond(.text("\(head.method) \(head.path) \(String(buffer: body))"))
        case .failure(let failure): exchange.respond(.text("\(failure)", status: 413))
        }
    }
}

@Suite struct HTTPServerTests {
    @Test func keepsConnectionsAlive() async throws {
        try await TestServer.with(respond: echo) { server in
            try await server.client { client in
                for index in 0..<3 {
                    let answer = try client.get("/\(index)")
                    #expect(answer.status == 200)
                    #expect(answer.text == "GET /\(index) ")
                    #expect(answer.header("connection") == nil)
                    #expect(answer.header("date")?.hasSuffix(" GMT") == true)
                }
                try client.send("GET /last HTTP/1.1\r\nConnection: close\r\n\r\n")
                #expect(try client.answer().header("connection") == "close")
                #expect(try client.readToEnd().isEmpty)
            }
        }
    }

    @Test func answersPipelinedRequestsInOrder() async throws {
        // Later requests would be ready sooner.
        try await TestServer.with { exchange in
            let number = Int64(exchange.request.head.path.dropFirst()) ?? 0
            exchange.eventLoop.scheduleTask(in: .microseconds(400 - number * 20)) {
                exchange.respond(.text("\(number)"))
            }
        } _: { server in
            try await server.client { client in
                try client.send((0..<20).map { "GET /\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
                for number in 0..<20 { #expect(try client.answer().text == "\(number)") }
            }
        }
    }

    @Test func manyPipelinedRequestsNeedNoStack() async throws {
        let first = Shared<HTTPExchange?>(nil)
        try await TestServer.with { exchange in
            if exchange.request.head.path == "/first" {
                first.change { $0 = exchange }
            } else {
                exchange.respond(.text("x"))
            }
        } _: { server in
            async let received = server.client { client in
                try client.send("GET /first HTTP/1.1\r\n\r\n")
                try client.send((0..<20_000).map { _ in "GET / HTTP/1.1\r\n\r\n" }.joined())
                _ = try client.answer()
                return try (0..<20_000).map { _ in try client.answer().text }.filter { $0 == "x" }.count
            }
            let arrived = try await eventually { first.value != nil }
            #expect(arrived)
            first.value?.respond(.text("first"))
            let count = try await received
            #expect(count == 20_000)
        }
    }

    @Test func readsChunkedBodiesAndLengths() async throws {
        try await TestServer.with(respond: echo) { server in
            try await server.client { client in
                try client.send(
                    "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
                #expect(try client.answer().text == "POST /c abcde")
                try client.send("POST /l HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
                #expect(try client.answer().text == "POST /l hello")
                try client.send("POST /0 HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
                #expect(try client.answer().text == "POST /0 ")
            }
        }
    }

    @Test func sends100ContinueOnlyWhenTheBodyIsWanted() async throws {
        try await TestServer.with { exchange in
            switch exchange.request.head.path {
            case "/no": return exchange.respond(.text("no", status: 403))
            case "/stream-no":
                // The handler has its stream, and refuses without pulling.
                _ = exchange.streamBody()
                return exchange.respond(.text("no", status: 403))
            case "/stream":
                let stream = exchange.streamBody()
                Task {
                    var bytes = ByteBuffer()
                    while var piece = try await stream.next() { bytes.writeBuffer(&piece) }
                    exchange.respond(.text("stream \(String(buffer: bytes))"))
                }
                return
            default: break
            }
            echo(exchange)
        } _: { server in
            try await server.client { client in
                try client.send("PUT /yes HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
                #expect(try client.answer().status == 100)
                try client.send("abc")
                #expect(try client.answer().text == "PUT /yes abc")
                try client.send("PUT /stream HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
                #expect(try client.answer().status == 100)
                try client.send("abc")
                #expect(try client.answer().text == "stream abc")
                // Sent without waiting: nobody needs the 100.
                try client.send("PUT /stream HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
                var answer = try client.answer()
                if answer.status == 100 { answer = try client.answer() }
                #expect(answer.text == "stream abc")
                try client.send("PUT /no HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
                let refused = try client.answer()
                #expect(refused.status == 403)
                #expect(refused.header("connection") == "close")
                client.closeOutput()
                #expect(try client.readToEnd().isEmpty)
            }
            try await server.client { client in
                try client.send("PUT /stream-no HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
                #expect(try client.answer().status == 403)
            }
            try await server.client { client in
                try client.send("PUT /x HTTP/1.1\r\nContent-Length: 3\r\nExpect: something\r\n\r\nabc")
                #expect(try client.answer().status == 417)
            }
        }
    }

    @Test func refusesOversizedHeads() async throws {
        var limits = GatewayLimits()
        limits.headerBytes = 8 << 10
        limits.headerFieldBytes = 4 << 10
        limits.headerFields = 20
        let long = String(repeating: "a", count: 5000)
        let many = (0..<30).map { "x-\($0): y\r\n" }.joined()
        let wide = (0..<15).map { "x-\($0): \(long.prefix(700))\r\n" }.joined()
        try await TestServer.with(limits: limits, respond: echo) { server in
            for head in [
                "GET /\(long) HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nx: \(long)\r\n\r\n",
                "GET / HTTP/1.1\r\n\(many)\r\n", "GET / HTTP/1.1\r\n\(wide)\r\n",
            ] {
                try await server.client { client in
                    try client.send(head)
                    let answer = try client.answer()
                    #expect(answer.status == 431)
                    #expect(answer.header("connection") == "close")
                    client.closeOutput()
                    _ = try client.readToEnd()
                }
            }
        }
    }

    @Test(arguments: [
        "GARBAGE\r\n\r\n", "GET\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "GET nowhere HTTP/1.1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nX: a\u{0}b\r\n\r\n",
    ])
    func refusesMalformedRequests(_ bytes: String) async throws {
        try await TestServer.with(respond: echo) { server in
            try await server.client { client in
                try client.send(bytes)
                let answer = try client.answer()
                #expect(answer.status == 400, "\(bytes.debugDescription)")
                #expect(answer.header("connection") == "close")
                client.closeOutput()
                #expect(try client.readToEnd().isEmpty)
            }
            let status = try await server.client { try $0.get().status }
            #expect(status == 200)
        }
    }

    @Test func malformedChunksFailTheBodyNotTheServer() async throws {
        try await TestServer.with(respond: echo) { server in
            try await server.client { client in
                try client.send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
                let answer = try client.answer()
                #expect(answer.text == "malformed")
                #expect(answer.header("connection") == "close")
            }
        }
    }

    @Test func aGoodRequestIsAnsweredBeforeGarbageBehindIt() async throws {
        try await TestServer.with(respond: echo) { server in
            try await server.client { client in
                try client.send("GET /good HTTP/1.1\r\n\r\nGARBAGE\r\n\r\n")
                #expect(try client.answer().text == "GET /good ")
                #expect(try client.answer().status == 400)
            }
        }
    }

    @Test func boundsBufferedBodies() async throws {
        try await TestServer.with { exchange in
            exchange.collectBody(limit: 10) { result in
                switch result {
                case .success(let body): exchange.respond(.text(String(buffer: body)))
                case .failure(let failure): exchange.respond(.text("\(failure)", status: 413))
                }
            }
        } _: { server in
            try await server.client { client in
                // A little too much is dropped, and the connection kept.
                try client.send("POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n01234567890123456789")
                let small = try client.answer()
                #expect(small.status == 413)
                #expect(small.header("connection") == nil)
                try client.send("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789")
                #expect(try client.answer().text == "0123456789")
                // Unknown length: noticed while it arrives.
                try client.send(
                    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n0\r\n\r\n")
                #expect(try client.answer().text == "tooLarge")
            }
            try await server.client { client in
                try client.send("POST / HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n")
                let huge = try client.answer()
                #expect(huge.status == 413)
                #expect(huge.header("connection") == "close")
            }
        }
    }

    @Test func aBodyThatNobodyReadsIsDroppedLater() async throws {
        var limits = GatewayLimits()
        limits.bodyIdleTimeout = .milliseconds(500)
        try await TestServer.with(limits: limits) { exchange in
            exchange.eventLoop.scheduleTask(in: .milliseconds(20)) { exchange.respond(.text("unread")) }
        } _: { server in
            try await server.client { client in
                for _ in 0..<3 {
                    try client.send("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
                    #expect(try client.answer().text == "unread")
                }
                try client.send("POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
                #expect(try client.answer().text == "unread")
                #expect(try client.readToEnd().isEmpty)
            }
        }
    }

    @Test func refusesBodiesOverTheBudgetOfAll() async throws {
        var limits = GatewayLimits()
        limits.bufferedBodies = 100
        let held = Shared<[HTTPExchange]>([])
        try await TestServer.with(limits: limits) { exchange in
            exchange.collectBody(limit: 1000) { result in
                switch result {
                case .success: held.change { $0.append(exchange) }
                case .failure(let failure): exchange.respond(.text("\(failure)", status: 503))
                }
            }
        } _: { server in
            let body = String(repeating: "x", count: 80)
            async let first = server.client { client in
                try client.send("POST / HTTP/1.1\r\nContent-Length: 80\r\n\r\n\(body)")
                return try client.answer().status
            }
            #expect(try await eventually { held.value.count == 1 })
            try await server.client { client in
                try client.send("POST / HTTP/1.1\r\nContent-Length: 80\r\n\r\n\(body)")
                #expect(try client.answer().text == "overBudget")
            }
            held.change { $0.removeFirst().respond(.text("ok")) }
            #expect(try await first == 200)
            #expect(try await eventually { server.counters.bodies.bytes == 0 })
            async let second = server.client { client in
                try client.send("POST / HTTP/1.1\r\nContent-Length: 80\r\n\r\n\(body)")
                return try client.answer().status
            }
            #expect(try await eventually { held.value.count == 1 })
            held.change { $0.removeFirst().respond(.text("ok")) }
            #expect(try await second == 200)
        }
    }

    @Test func headAnswersKeepTheirLengthWithoutABody() async throws {
        try await TestServer.with { exchange in
            switch exchange.request.head.path {
            case "/announced":
                exchange.respond(HTTPAnswer(status: 200, headers: [("Content-Length", "12345")], body: .none))
            case "/204": exchange.respond(HTTPAnswer(status: 204, headers: [], body: .bytes(ByteBuffer(string: "x"))))
            case "/304": exchange.respond(HTTPAnswer(status: 304, headers: [("ETag", "e")], body: .none))
            case "/lies":
                exchange.respond(
                    HTTPAnswer(status: 200, headers: [("Content-Length", "7")], body: .bytes(ByteBuffer(string: "ab"))))
            default: exchange.respond(.text("hello"))
            }
        } _: { server in
            try await server.client { client in
                for (path, length) in [("/", "5"), ("/announced", "12345")] {
                    try client.send("HEAD \(path) HTTP/1.1\r\n\r\n")
                    #expect(try client.answer(toHead: true).header("content-length") == length)
                }
                for path in ["/204", "/304"] {
                    let answer = try client.get(path)
                    #expect(answer.header("content-length") == nil)
                }
                #expect(try client.get("/lies").text == "ab")
                #expect(try client.get("/").text == "hello")
            }
        }
    }

    @Test func storedLineBreaksCannotMakeHeaders() async throws {
        try await TestServer.with { exchange in
            exchange.respond(
                HTTPAnswer(
                    status: 200,
                    headers: [
                        ("x-amz-meta-a", "1\r\nSet-Cookie: x"), ("bad name", "1"), ("x\r\ny", "2"), ("Connection", "x"),
                    ],
                    body: .none))
        } _: { server in
            try await server.client { client in
                let answer = try client.get()
                #expect(answer.header("x-amz-meta-a") == "1  Set-Cookie: x")
                #expect(answer.headers.map(\.name) == ["x-amz-meta-a", "Date", "Content-Length"])
            }
        }
    }

    @Test func speaksHTTP10() async throws {
        try await TestServer.with { exchange in
            guard exchange.request.head.path == "/stream" else { return exchange.respond(.text("plain")) }
            exchange.respond(
                HTTPAnswer(
                    status: 200, headers: [],
                    body: .stream(length: nil) { try await $0.write(ByteBuffer(string: "abc")) }))
        } _: { server in
            try await server.client { client in
                try client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                let kept = try client.answer()
                #expect(kept.header("connection") == "keep-alive")
                try client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                let streamed = try client.answer()
                #expect(streamed.header("transfer-encoding") == nil)
                #expect(streamed.text == "abc")
            }
        }
    }

    @Test func understandsAbsoluteTargetsAndUpgradeOffers() async throws {
        try await TestServer.with(respond: echo) { server in
            try await server.client { client in
                #expect(try client.get("http://example.com/a?b=c").text == "GET /a ")
                try client.send("GET /up HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n")
                let answer = try client.answer()
                #expect(answer.text == "GET /up ")
                #expect(answer.header("connection") == "close")
            }
        }
    }

    @Test func refusesConnectionsOverTheLimit() async throws {
        try await TestServer.with(connections: 2, respond: echo) { server in
            try await server.client { [port = server.port] first in
                let second = try RawClient(port: port)
                #expect(try first.get().status == 200)
                #expect(try second.get().status == 200)
                let third = try RawClient(port: port)
                #expect(try third.answer().status == 503)
                second.hangUp()
            }
            #expect(try await eventually { server.registry.count == 0 })
            let status = try await server.client { try $0.get().status }
            #expect(status == 200)
        }
    }

    @Test func tellsTheHandlerWhenTheClientIsGone() async throws {
        let outcomes = Shared<[String]>([])
        try await TestServer.with { exchange in
            let path = exchange.request.head.path
            exchange.closed.whenComplete { result in
                let text = if case .success = result { "gone" } else { "answered" }
                outcomes.change { $0.append("\(path) \(text)") }
            }
            if path == "/answered" { exchange.respond(.text("ok")) }
        } _: { server in
            try await server.client { client in
                _ = try client.get("/answered")
                try client.send("GET /waiting HTTP/1.1\r\n\r\n")
                client.hangUp()
            }
            #expect(try await eventually { outcomes.value == ["/answered answered", "/waiting gone"] })
        }
    }
}
