import Contracts
import NIOCore
import NIOPosix
import Platform
import Testing

@testable import Outbound

@Suite struct OutboundClientTests {
    @Test func sendsAndReads() async throws {
        let server = try await RawServer.answering("HTTP/1.1 201 Created\r\nx-a: b\r\ncontent-length: 2\r\n\r\nok")
        let client = OutboundClient(group: NIOSingletons.posixEventLoopGroup, mark: OutboundMark())
        let answer = try await client.send(server.request(body: "hello", headers: [("x-one", "1")]), bodyLimit: 10)
        #expect(answer.status == 201 && answer.body == Array("ok".utf8))
        #expect(answer.headers.contains { $0.name == "x-a" && $0.value == "b" })
        let seen = try await server.firstRequest.get()
        #expect(seen.hasPrefix("POST /path?q=1 HTTP/1.1\r\n"))
        #expect(seen.lowercased().contains("x-one: 1\r\n") && seen.lowercased().contains("content-length: 5\r\n"))
        await client.shutdown()
        await #expect(throws: Failure.self) { try await client.send(server.request(), bodyLimit: 10) }
        try await server.close()
    }

    @Test func everyRequestCarriesTheMarkAndNoOther() async throws {
        let server = try await RawServer.answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        let mark = OutboundMark()
        let client = OutboundClient(group: NIOSingletons.posixEventLoopGroup, mark: mark)
        _ = try await client.send(server.request(headers: [("X-Martlet-Outbound", "another")]), bodyLimit: 10)
        let seen = try await server.firstRequest.get().lowercased()
        #expect(mark.reveal().utf8.count == 32 && mark.reveal() != OutboundMark().reveal())
        #expect(seen.contains("\r\nx-martlet-outbound: \(mark.reveal())\r\n") && !seen.contains("another"))
        await client.shutdown()
        try await server.close()
    }

    @Test func redirectsAreAnswersAndNotFollowed() async throws {
        let server = try await RawServer.answering(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
        let client = OutboundClient(group: NIOSingletons.posixEventLoopGroup, mark: OutboundMark())
        #expect(try await client.send(server.request(), bodyLimit: 10).status == 302)
        await client.shutdown()
        try await server.close()
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
        "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe", "", "HTTP/1.1 200 OK\r\n",
    ])
    func tooMuchOrTooLittleIsAFailure(_ answer: String) async throws {
        let server = try await RawServer.answering(answer)
        let client = OutboundClient(group: NIOSingletons.posixEventLoopGroup, mark: OutboundMark())
        // Where the answer just stops, the timeout ends it.
        await #expect(throws: Failure.self) {
            try await client.send(server.request(timeout: .milliseconds(300)), bodyLimit: 10)
        }
        await client.shutdown()
        try await server.close()
    }

    @Test(arguments: [
        "HTTP/1.1 202 OK\r\ncontent-length: 11\r\n\r\nhello world",
        "HTTP/1.1 202 OK\r\ncontent-length: 300000\r\n\r\n" + String(repeating: "x", count: 300_000),
        "HTTP/1.1 202 OK\r\ncontent-length: 5\r\n\r\nhe", "HTTP/1.1 202 OK\r\ncontent-length: 0\r\n\r\n",
    ])
    func aBodyThatNobodyWantsMayBeAnything(_ answer: String) async throws {
        let server = try await RawServer.answering(answer)
        let client = OutboundClient(group: NIOSingletons.posixEventLoopGroup, mark: OutboundMark())
        var request = server.request()
        request.wantsBody = false
        let response = try await client.send(request, bodyLimit: 0)
        #expect(response.status == 202 && response.body.isEmpty)
        await client.shutdown()
        try await server.close()
    }

    @Test func streamsAreReadToTheirEnd() async throws {
        let server = try await RawServer.answering("HTTP/1.1 201 Created\r\nx-a: b\r\ncontent-length: 2\r\n\r\nok")
        let client = OutboundClient(group: NIOSingletons.posixEventLoopGroup, mark: OutboundMark())
        let answer = try await client.open(server.request(), longest: .seconds(60), idle: .seconds(60))
        #expect(answer.status == 201 && answer.headers.contains { $0.name == "x-a" && $0.value == "b" })
        let read = Pieces()
        try await answer.read { piece in await read.add(piece) }
        #expect(await read.text == "ok")
        await client.shutdown()
        try await server.close()
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ])
    func streamsThatStopFail(_ text: String) async throws {
        let server = try await RawServer.answering(text)
        let client = OutboundClient(group: NIOSingletons.posixEventLoopGroup, mark: OutboundMark())
        // Where the body just stops, the pause ends it.
        let answer = try await client.open(server.request(), longest: .seconds(60), idle: .milliseconds(300))
        await #expect(throws: Failure.self) { try await answer.read { _ in } }
        let other = try await client.open(server.request(), longest: .milliseconds(300), idle: .seconds(60))
        await #expect(throws: Failure.self) { try await other.read { _ in } }
        await client.shutdown()
        try await server.close()
    }

    @Test func theTimeOfWhoTakesPiecesDoesNotCountAsAPause() {
        let start = ContinuousClock.now
        func at(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }
        var watch = StreamWatch(now: start, longest: .seconds(100), idle: .seconds(10))
        watch.asked(now: at(5))
        #expect(watch.check(now: at(6)) == at(15) && watch.check(now: at(15)) == nil)
        watch.came()
        #expect(watch.check(now: at(60)) == at(70))
        watch.asked(now: at(95))
        #expect(watch.check(now: at(96)) == at(100) && watch.check(now: at(100)) == nil)
    }

    @Test func whatCannotBeReachedIsAFailure() async throws {
        let server = try await RawServer.answering("")
        let request = server.request()
        try await server.close()
        let client = OutboundClient(group: NIOSingletons.posixEventLoopGroup, mark: OutboundMark())
        await #expect(throws: Failure.self) { try await client.send(request, bodyLimit: 10) }
        for url in ["nonsense", "ftp://localhost/", "http://", "http://no.such.host.invalid/"] {
            var other = request
            other.url = url
            await #expect(throws: Failure.self) { try await client.send(other, bodyLimit: 10) }
        }
        var injecting = request
        injecting.headers = [(name: "x", value: "a\r\ny: b")]
        await #expect(throws: Failure.self) { try await client.send(injecting, bodyLimit: 10) }
        await client.shutdown()
    }
}

private actor Pieces {
    private(set) var text = ""
    func add(_ piece: ByteBuffer) { text += String(buffer: piece) }
}

/// Answers every request with the same bytes, whatever it is.
private struct RawServer {
    let channel: any Channel
    private let promise: EventLoopPromise<String>
    var firstRequest: EventLoopFuture<String> { promise.futureResult }

    static func answering(_ text: String) async throws -> RawServer {
        let loop = NIOSingletons.posixEventLoopGroup.next()
        let promise = loop.makePromise(of: String.self)
        let channel = try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Answerer(text, promise))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return RawServer(channel: channel, promise: promise)
    }

    func request(
        body: String = "", headers: [(name: String, value: String)] = [], timeout: Duration = .seconds(10)
    ) -> OutboundRequest {
        OutboundRequest(
            method: "POST", url: "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/path?q=1", headers: headers,
            body: Array(body.utf8), timeout: timeout)
    }

    func close() async throws {
        promise.fail(ChannelError.eof)
        try await channel.close()
    }
}

private final class Answerer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let text: String
    private let first: EventLoopPromise<String>
    private var seen = ""

    init(_ text: String, _ first: EventLoopPromise<String>) {
        self.text = text
        self.first = first
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        seen += String(buffer: unwrapInboundIn(data))
        guard seen.contains("\r\n\r\n") else { return }
        first.succeed(seen)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }

}
