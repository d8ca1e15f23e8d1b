import NIOCore
import Testing

@testable import Execution

struct RequestParserTests {
    private func parse(_ pieces: [String]) throws -> [RequestParser.Event] {
        var parser = RequestParser()
        var events: [RequestParser.Event] = []
        for piece in pieces {
            parser.append(ByteBuffer(string: piece))
            while let event = try parser.next() { events.append(event) }
        }
        return events
    }

    private func requests(_ pieces: [String]) throws -> [RuntimeRequest] {
        try parse(pieces).compactMap { if case .request(let request) = $0 { request } else { nil } }
    }

    @Test func getAndPost() throws {
        let text =
            "GET /next HTTP/1.1\r\nHost: x\r\nUser-Agent: aws\r\n\r\n"
            + "POST /a/b HTTP/1.1\r\ncontent-length:  5 \r\nLAMBDA-RUNTIME-FUNCTION-ERROR-TYPE: Runtime.X\r\n"
            + "Content-Type: application/json\r\n\r\nhello"
        let found = try requests([text])
        #expect(found.count == 2)
        #expect(found[0].method == .get && found[0].target == "/next" && found[0].body.readableBytes == 0)
        #expect(found[1].method == .post && String(buffer: found[1].body) == "hello")
        #expect(found[1].errorType == "Runtime.X")
        #expect(found[1].contentType == "application/json")
        // The same, a byte at a time.
        #expect(try requests(text.map { String($0) }.flatMap { $0.utf8.map { String(UnicodeScalar($0)) } }) == found)
    }

    @Test func chunkedWithTrailers() throws {
        let text =
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\n"
            + "Lambda-Runtime-Function-Error-Type: Function.Bad\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n"
        for pieces in [[text], text.utf8.map { String(UnicodeScalar($0)) }] {
            let found = try requests(pieces)
            #expect(found.count == 1)
            #expect(found.first.map { String(buffer: $0.body) } == "abc0123456789")
            #expect(found.first?.trailingErrorType == "Function.Bad")
            #expect(found.first?.trailingErrorBody == "e30=")
        }
    }

    @Test func continues() throws {
        let events = try parse(["POST /a HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n", "ok"])
        #expect(events.count == 2)
        #expect(events.first == .wantsContinue)
        #expect(try parse(["POST /a HTTP/1.1\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n"]).count == 1)
    }

    @Test func connectionHeader() throws {
        #expect(try requests(["GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"]).first?.closesConnection == true)
        #expect(try requests(["GET / HTTP/1.0\r\n\r\n"]).first?.closesConnection == true)
        #expect(try requests(["GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"]).first?.closesConnection == false)
        #expect(try requests(["\r\n\r\nGET / HTTP/1.1\r\n\r\n"]).first?.closesConnection == false)
    }

    @Test(arguments: [
        "GET\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET  HTTP/1.1\r\n\r\n", "GET /\u{1} HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\na b: x\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "GET /" + String(repeating: "x", count: 2000) + " HTTP/1.1\r\n\r\n",
    ])
    func malformed(text: String) {
        #expect(throws: RequestParser.Failure.self) { try parse([text]) }
        #expect(throws: RequestParser.Failure.self) { try parse(text.utf8.map { String(UnicodeScalar($0)) }) }
    }

    @Test func endlessHeadIsRefused() {
        var parser = RequestParser()
        #expect(throws: RequestParser.Failure.tooLarge) {
            for _ in 0..<100 {
                parser.append(ByteBuffer(string: "X: " + String(repeating: "y", count: 65_536)))
                _ = try parser.next()
            }
        }
    }

    /// Reads that end inside the next request, one after the other: what was read before is not kept.
    @Test func whatWasReadIsGivenUp() throws {
        var parser = RequestParser()
        parser.append(ByteBuffer(string: "G"))
        var count = 0
        for _ in 0..<10_000 {
            parser.append(ByteBuffer(string: "ET /ping HTTP/1.1\r\nHost: a\r\n\r\nG"))
            while let event = try parser.next() { if case .request = event { count += 1 } }
        }
        #expect(count == 10_000)
        #expect(parser.bufferCapacity < 65_536)
    }

    @Test func bodyOverTheLimitIsDropped() throws {
        for head in ["Content-Length: 6291557\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n600065\r\n"] {
            var parser = RequestParser()
            parser.append(ByteBuffer(string: "POST / HTTP/1.1\r\n" + head))
            var left = 6_291_557
            var found: RuntimeRequest?
            while left > 0 {
                let count = min(left, 100_000)
                parser.append(ByteBuffer(repeating: 0x78, count: count))
                left -= count
                if left == 0, head.hasPrefix("T") { parser.append(ByteBuffer(string: "\r\n0\r\n\r\n")) }
                while let event = try parser.next() { if case .request(let request) = event { found = request } }
                #expect(parser.heldBytes <= Limits.responseBytes * 2)
            }
            #expect(found?.isTooLarge == true)
            #expect(found?.body.readableBytes == 0)
        }
    }

    /// Bytes of a response that streams are given out as they come, in whatever pieces; trailers at the end.
    @Test func streams() throws {
        let head =
            "POST /a HTTP/1.1\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: text/x\r\n"
        let bodies = [
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n"
                + "Lambda-Runtime-Function-Error-Type: Function.Bad\r\n\r\n",
            "Content-Length: 13\r\n\r\nabc0123456789",
            "Expect: 100-continue\r\nContent-Length: 13\r\n\r\nabc0123456789",
        ]
        for body in bodies {
            let text = head + body + "GET /next HTTP/1.1\r\n\r\n"
            for pieces in [[text], text.utf8.map { String(UnicodeScalar($0)) }] {
                for passes in [true, false] {
                    var parser = RequestParser()
                    var streamed = ByteBuffer()
                    var heads = 0
                    var found: [RuntimeRequest] = []
                    for piece in pieces {
                        parser.append(ByteBuffer(string: piece))
                        while let event = try parser.next() {
                            switch event {
                            case .wantsContinue: #expect(body.hasPrefix("Expect"))
                            case .streamHead(let request):
                                heads += 1
                                #expect(request.contentType == "text/x" && request.isStreaming)
                                parser.passesBody = passes
                            case .piece(var piece): streamed.writeBuffer(&piece)
                            case .request(let request): found.append(request)
                            }
                        }
                        #expect(!passes || parser.heldBytes <= text.utf8.count)
                    }
                    #expect(heads == 1 && found.count == 2 && found.last?.target == "/next")
                    let collected = String(buffer: found.first?.body ?? ByteBuffer())
                    #expect((passes ? String(buffer: streamed) : collected) == "abc0123456789")
                    #expect((passes ? collected : String(buffer: streamed)).isEmpty)
                    if body.hasPrefix("T") { #expect(found.first?.trailingErrorType == "Function.Bad") }
                }
            }
        }
    }

    /// Random bytes and mutated requests, in random pieces: an error or requests, never a trap, and bounded memory.
    @Test(arguments: 0..<200)
    func anyBytes(seed: UInt64) {
        var random = SplitMix(state: seed)
        let valid = Array(
            ("POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"
                + "4\r\nabcd\r\n0\r\nT: v\r\n\r\nGET /ping HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").utf8)
        for _ in 0..<50 {
            var bytes = valid
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert([13, 10, 58, 48, 255].randomElement(using: &random) ?? 0, at: place)
                }
            }
            var parser = RequestParser()
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...40, using: &random))
                rest = rest.dropFirst(piece.count)
                parser.append(ByteBuffer(bytes: piece))
                do { while try parser.next() != nil {} } catch { break }
            }
            #expect(
                parser.heldBytes < 100_000 || !parser.isInsideRequest
                    || parser.heldBytes <= Limits.responseBytes + 100_000)
        }
    }
}
