import NIOCore
import NIOEmbedded
import NIOHTTP1
import Platform
import Testing
import Wire

@testable import Gateway

@Suite struct ConnectionMachineTests {
    private func machine() -> ConnectionMachine { ConnectionMachine(discardLimit: 100, lingerLimit: 1000) }

    @Test func aRequestWithoutBodyIsFollowedByTheNext() {
        var machine = machine()
        machine.requestArrived(hasBody: false, keepAlive: true, expectsContinue: false)
        #expect(!machine.wantsInput)
        #expect(machine.answerStarted(bodyLeft: 0) == true)
        #expect(machine.answerFinished() == .awaitRequest)
        #expect(machine.wantsInput)
    }

    @Test func continueIsOwedOnceAndOnlyBeforeTheAnswer() {
        var machine = machine()
        machine.requestArrived(hasBody: true, keepAlive: true, expectsContinue: true)
        #expect(machine.bodyWanted() == true)
        #expect(machine.bodyWanted() == false)
        var answered = self.machine()
        answered.requestArrived(hasBody: true, keepAlive: true, expectsContinue: true)
        #expect(answered.answerStarted(bodyLeft: 3) == false)
        #expect(answered.bodyWanted() == false)
    }

    @Test func theRestOfABodyIsDiscardedUpToALimit() {
        var machine = machine()
        machine.requestArrived(hasBody: true, keepAlive: true, expectsContinue: false)
        #expect(machine.answerStarted(bodyLeft: nil) == true)
        #expect(machine.answerFinished() == .nothing)
        #expect(machine.bodyArrived(bytes: 60) == .drop)
        var fits = machine
        #expect(fits.inputEnded() == .awaitRequest)
        #expect(machine.bodyArrived(bytes: 60) == .close)
    }

    @Test func aLongRestClosesTheConnection() {
        var machine = machine()
        machine.requestArrived(hasBody: true, keepAlive: true, expectsContinue: false)
        #expect(machine.answerStarted(bodyLeft: 101) == false)
        #expect(machine.answerFinished() == .linger)
        #expect(machine.bodyArrived(bytes: 1000) == .drop)
        #expect(machine.bodyArrived(bytes: 1) == .close)
    }

    @Test func drainingEndsWithTheRequestInFlight() {
        var idle = machine()
        #expect(idle.drain() == .close)
        var busy = machine()
        busy.requestArrived(hasBody: false, keepAlive: true, expectsContinue: false)
        #expect(busy.drain() == .nothing)
        #expect(busy.answerStarted(bodyLeft: 0) == false)
        #expect(busy.answerFinished() == .close)
        var late = machine()
        late.requestArrived(hasBody: false, keepAlive: true, expectsContinue: false)
        #expect(late.answerStarted(bodyLeft: 0) == true)
        #expect(late.drain() == .nothing)
        #expect(late.answerFinished() == .close)
    }

    /// Random orders of all events: no trap, no second answer, nothing after the end.
    @Test func anyOrderOfEventsHolds() {
        var generator = SplitMix(state: 7)
        for _ in 0..<2000 {
            var machine = machine()
            var starts = 0
            var requests = 0
            for _ in 0..<40 {
                let wasClosed = machine.state == .closed
                switch generator.next() % 9 {
                case 0 where machine.isWaiting:
                    requests += 1
                    machine.requestArrived(
                        hasBody: generator.next() % 2 == 0, keepAlive: generator.next() % 4 != 0,
                        expectsContinue: generator.next() % 4 == 0)
                case 1: _ = machine.bodyWanted()
                case 2: _ = machine.bodyArrived(bytes: Int(generator.next() % 80))
                case 3: _ = machine.inputEnded()
                case 4: machine.inputFailed()
                case 5:
                    let awaited = machine.awaitsAnswer
                    _ = machine.answerStarted(bodyLeft: Int64(generator.next() % 200))
                    if awaited { starts += 1 }
                case 6: _ = machine.answerFinished()
                case 7 where generator.next() % 20 == 0: _ = machine.drain()
                case 8 where generator.next() % 20 == 0: _ = machine.closed()
                default: break
                }
                if wasClosed { #expect(machine.state == .closed) }
                #expect(starts <= requests)
            }
        }
    }
}

/// Steele, Lea, Flood: SplitMix64; seeded, so that failures repeat.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite struct BodyStreamMachineTests {
    private func piece(_ count: Int) -> ByteBuffer { ByteBuffer(repeating: 1, count: count) }

    @Test func pausesAtTheHighWaterMarkAndResumesBelowHalf() {
        var machine = BodyStreamMachine<Int>(highWater: 100)
        #expect(machine.push(piece(60)) == nil)
        #expect(machine.wantsMore)
        #expect(machine.push(piece(60)) == nil)
        #expect(!machine.wantsMore)
        guard case .piece(_, let resumes) = machine.pull(1) else { return #expect(Bool(false)) }
        #expect(!resumes)
        guard case .piece(_, let resumesNow) = machine.pull(2) else { return #expect(Bool(false)) }
        #expect(resumesNow)
        guard case .wait = machine.pull(3) else { return #expect(Bool(false)) }
        #expect(machine.push(piece(1)) == 3)
    }

    @Test func endsAndFailuresReachTheWaiterOrTheNextPull() {
        var ended = BodyStreamMachine<Int>(highWater: 100)
        guard case .wait = ended.pull(1) else { return #expect(Bool(false)) }
        #expect(ended.finish(nil) == 1)
        guard case .end = ended.pull(2) else { return #expect(Bool(false)) }
        var failed = BodyStreamMachine<Int>(highWater: 100)
        _ = failed.push(piece(5))
        #expect(failed.finish(BodyFailure.cutShort) == nil)
        #expect(failed.finish(nil) == nil)
        guard case .piece = failed.pull(1) else { return #expect(Bool(false)) }
        guard case .failure(let error) = failed.pull(2) else { return #expect(Bool(false)) }
        #expect(error as? BodyFailure == .cutShort)
    }
}

@Suite struct IdleWatchTests {
    @Test func expiresOnlyWithoutProgress() {
        let limits = GatewayLimits()
        let start = NIODeadline.uptimeNanoseconds(1_000)
        var watch = IdleWatch()
        watch.begin(.write, limits: limits, now: start, unsentBytes: 0)
        #expect(watch.check(limits: limits, now: start + .seconds(59), unsentBytes: 500) == .wait)
        #expect(watch.check(limits: limits, now: start + .seconds(60), unsentBytes: 500) == .wait)
        #expect(watch.check(limits: limits, now: start + .seconds(120), unsentBytes: 400) == .wait)
        #expect(watch.check(limits: limits, now: start + .seconds(180), unsentBytes: 400) == .expired(.write))
        watch.begin(.head, limits: limits, now: start, unsentBytes: 0)
        #expect(watch.check(limits: limits, now: start + .seconds(29), unsentBytes: 0) == .wait)
        #expect(watch.check(limits: limits, now: start + .seconds(30), unsentBytes: 0) == .expired(.head))
        watch.begin(.none, limits: limits, now: start, unsentBytes: 0)
        #expect(watch.deadline == .distantFuture)
    }
}

/// The handler on an embedded channel: exact control over what one read brings.
@Suite struct EmbeddedConnectionTests {
    private static func channel(
        reads: ReadCounter = ReadCounter(), _ respond: @escaping @Sendable (HTTPExchange) -> Void
    ) throws -> EmbeddedChannel {
        let limits = GatewayLimits()
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(reads)
        try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(HTTPRequestDecoder()))
        try channel.pipeline.syncOperations.addHandler(
            HTTPConnection(
                responder: ClosureResponder(handle: respond),
                info: ConnectionInfo(origin: .outside, isSecure: false, sourceIP: "127.0.0.1", localAuthority: "a:1"),
                limits: limits, counters: GatewayCounters(limits: limits), bodies: BodyBudget(limit: 1 << 20),
                time: ManualTime(), isDraining: false))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    private static func output(_ channel: EmbeddedChannel) throws -> String {
        var text = ""
        while let data = try channel.readOutbound(as: IOData.self) {
            if case .byteBuffer(let bytes) = data { text += String(buffer: bytes) }
        }
        return text
    }

    /// What is asked for is answered by `writeInbound`; so a read is outstanding when there were more of them than writes.
    final class ReadCounter: ChannelOutboundHandler {
        typealias OutboundIn = Never
        var count = 0
        func read(context: ChannelHandlerContext) {
            count += 1
            context.read()
        }
    }

    /// The socket is left registered while a request is being answered, for one read and no more.
    @Test func oneReadIsAskedForAhead() throws {
        let reads = ReadCounter()
        let exchanges = Shared<[HTTPExchange]>([])
        let channel = try EmbeddedConnectionTests.channel(reads: reads) { exchange in
            exchanges.change { $0.append(exchange) }
        }
        let get = ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n")
        #expect(reads.count == 1)
        try channel.writeInbound(get)
        #expect(reads.count == 2, "one ahead while the first is answered")
        exchanges.value[0].respond(.text("one"))
        #expect(reads.count == 2, "it is outstanding still")
        try channel.writeInbound(get)
        #expect(reads.count == 3)
        try channel.writeInbound(get)
        #expect(reads.count == 3, "the next request waits: nothing more is read")
        #expect(exchanges.value.count == 2)
        exchanges.value[1].respond(.text("two"))
        #expect(exchanges.value.count == 3)
        #expect(reads.count == 4)
        exchanges.value[2].respond(.text("three"))
        try channel.writeInbound(ByteBuffer(string: "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"))
        #expect(reads.count == 4, "a body that nobody has asked for stays in the kernel")
        exchanges.value[3].collectBody(limit: 10) { _ in exchanges.value[3].respond(.text("four")) }
        #expect(reads.count == 5)
        try channel.writeInbound(ByteBuffer(string: "123456789"))
        #expect(reads.count == 6)
        try channel.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"))
        #expect(reads.count == 6, "the last request of its connection")
        exchanges.value[4].respond(.text("five"))
        #expect(try EmbeddedConnectionTests.output(channel).split(separator: "HTTP/1.1 200 OK").count == 5)
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    @Test func requestsMaySplitAnywhere() throws {
        let respond: @Sendable (HTTPExchange) -> Void = { exchange in
            exchange.collectBody(limit: 100) { result in
                guard case .success(let body) = result else { return exchange.respond(.text("failed", status: 400)) }
                exchange.respond(.text("\(exchange.request.uri)=\(String(buffer: body));"))
            }
        }
        let bytes = Array(
            ("POST /one HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
                + "PUT /two HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"
                + "GET /three?x=y HTTP/1.1\r\n\r\n").utf8)
        let whole = try EmbeddedConnectionTests.channel(respond)
        try whole.writeInbound(ByteBuffer(bytes: bytes))
        let expected = try EmbeddedConnectionTests.output(whole)
        #expect(expected.contains("/one=hello;") && expected.contains("/two=abc;") && expected.contains("/three?x=y=;"))
        for cut in 1..<bytes.count {
            let channel = try EmbeddedConnectionTests.channel(respond)
            try channel.writeInbound(ByteBuffer(bytes: bytes[..<cut]))
            try channel.writeInbound(ByteBuffer(bytes: bytes[cut...]))
            #expect(try EmbeddedConnectionTests.output(channel) == expected, "cut at \(cut)")
            _ = try? channel.finish(acceptAlreadyClosed: true)
        }
        let slow = try EmbeddedConnectionTests.channel(respond)
        for byte in bytes { try slow.writeInbound(ByteBuffer(bytes: [byte])) }
        #expect(try EmbeddedConnectionTests.output(slow) == expected)
        _ = try? slow.finish(acceptAlreadyClosed: true)
        _ = try? whole.finish(acceptAlreadyClosed: true)
    }

    /// Mutations of good requests: whatever comes, there is no crash, and every answer is well-formed HTTP.
    @Test func hostileBytesDoNoHarm() throws {
        let good = Array(
            ("PUT /b/k HTTP/1.1\r\nHost: b.localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
                + "5\r\nabcde\r\n0\r\n\r\nGET /x?y=z HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").utf8)
        var generator = SplitMix(state: 99)
        for _ in 0..<3000 {
            var bytes = good
            for _ in 0..<(1 + generator.next() % 6) {
                let at = Int(generator.next() % UInt64(bytes.count))
                switch generator.next() % 4 {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: generator.next())
                case 1: bytes.remove(at: at)
                case 2: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: at)
                default: bytes.replaceSubrange(at..., with: bytes[..<at])
                }
                if bytes.isEmpty { bytes = good }
            }
            let collects = generator.next() % 2 == 0
            let channel = try EmbeddedConnectionTests.channel { exchange in
                guard collects else { return exchange.respond(.text("x")) }
                exchange.collectBody(limit: 50) { _ in exchange.respond(.text("y")) }
            }
            let cut = Int(generator.next() % UInt64(bytes.count + 1))
            _ = try? channel.writeInbound(ByteBuffer(bytes: bytes[..<cut]))
            _ = try? channel.writeInbound(ByteBuffer(bytes: bytes[cut...]))
            let answer = try EmbeddedConnectionTests.output(channel)
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 "))
            _ = try? channel.finish(acceptAlreadyClosed: true)
        }
    }

    /// RFC 9113, 8.2.3: an application knows one field.
    @Test func cookiesOfHTTP2ArePutTogether() throws {
        let fields = [("host", "h"), ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]
        for (version, expected) in [(HTTPVersion.http2, ["a=1; b=2; c=3"]), (.http1_1, ["a=1", "b=2", "c=3"])] {
            var head = HTTPRequestHead(version: version, method: .GET, uri: "/")
            for (name, value) in fields { head.headers.add(name: name, value: value) }
            let request = try HTTPRequest(head, limits: GatewayLimits())
            #expect(request.head.headers.filter { $0.name == "cookie" }.map(\.value) == expected)
            #expect(request.head.headers.count == expected.count + 2)
        }
    }
}
