import NIOCore
import Platform
import Testing

@testable import CloudWatchLogs
@testable import Execution
@testable import Lambda
@testable import S3
@testable import Sandbox
@testable import Wire

/// The decoders of single rooms: what functions, cells and users may write into them.
@Suite struct RoomFuzz {
    @Test(arguments: Mutator.seeds) func runtimeAPI(seed: UInt64) {
        var random = Mutator(seed: seed)
        let requests = Array(
            ("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n"
                + "POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"
                + "POST /e HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;e=1\r\n0123456789\r\n0\r\nLambda-Runtime-Function-"
                + "Error-Type: Function.Bad\r\n\r\nPOST /s HTTP/1.1\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\nGET / HTTP/1.0\r\n\r\n").utf8)
        for _ in 0..<(300 * Mutator.factor) {
            var parser = RequestParser()
            reading: for piece in random.pieces(random.mutated(requests)) {
                parser.append(ByteBuffer(bytes: piece))
                do {
                    while let event = try parser.next() {
                        if case .streamHead = event { parser.passesBody = random.next() % 2 == 0 }
                    }
                } catch { break reading }
                #expect(parser.heldBytes < 1 << 20)
            }
        }
    }

    @Test(arguments: Mutator.seeds) func logLines(seed: UInt64) {
        var random = Mutator(seed: seed)
        let frame: [UInt8] = [0xA5, 0x5A, 0, 0x0E, 0, 0, 0, 5] + [UInt8](repeating: 1, count: 8) + Array("a\nbcd".utf8)
        let bytes = Array("one\n".utf8) + frame + Array("two\n".utf8) + frame
        for _ in 0..<(1_000 * Mutator.factor) {
            let changed = random.mutated(bytes)
            var splitter = LogSplitter(readsFrames: true)
            var count = 0
            for piece in random.pieces(changed) {
                piece.withUnsafeBytes { splitter.feed($0) { count += $0.count } }
            }
            splitter.flush { count += $0.count }
            // A newline may be added to each of a few unfinished pieces.
            #expect(count <= changed.count + 8)
        }
    }

    @Test(arguments: Mutator.seeds) func reportsOfCells(seed: UInt64) throws {
        var random = Mutator(seed: seed)
        var ready = MessageWriter(kind: 1)
        for number in [42, 2, 9001, 4566] as [UInt32] { ready.number(number) }
        var failed = MessageWriter(kind: 2)
        failed.number(UInt32(2))
        try failed.string("bind /x at /y")
        try failed.string("the source is missing")
        #expect(ControlReport(ready.bytes) != nil && ControlReport(failed.bytes) != nil)
        for _ in 0..<(1_500 * Mutator.factor) {
            _ = ControlReport(random.mutated(ready.bytes))
            _ = ControlReport(random.mutated(failed.bytes))
        }
    }

    /// A zip of two files without compression, made by Python's zipfile.
    private static let zip =
        Base64.decode(
            "UEsDBBQAAAAAAAAAIQDCQSQ1AwAAAAMAAAABAAAAYWFiY1BLAwQUAAAAAAAAACEAYeHEDAMAAAADAAAAAwAAAGIvY2RlZlBLAQIU"
                + "AxQAAAAAAAAAIQDCQSQ1AwAAAAMAAAABAAAAAAAAAAAAAACAAQAAAABhUEsBAhQDFAAAAAAAAAAhAGHhxAwDAAAAAwAAAAMAAAAA"
                + "AAAAAAAAAIABIgAAAGIvY1BLBQYAAAAAAgACAGAAAABGAAAAAAA=") ?? []

    @Test(arguments: Mutator.seeds) func zipDirectories(seed: UInt64) throws {
        var random = Mutator(seed: seed)
        func scan(_ bytes: [UInt8]) throws -> ZipDirectory {
            try ZipDirectory.scan(size: bytes.count) { offset, count in
                // What a file answers: nothing behind its end.
                guard offset >= 0, offset <= bytes.count, count >= 0 else { throw POSIXRange() }
                return Array(bytes[offset..<min(bytes.count, offset + count)])
            }
        }
        #expect(try scan(Self.zip).entries == 2)
        for _ in 0..<(2_000 * Mutator.factor) {
            do { _ = try scan(random.mutated(Self.zip)) } catch is POSIXRange {
                Issue.record("read outside of the file")
            } catch {}
        }
    }
    private struct POSIXRange: Error {}

    @Test(arguments: Mutator.seeds) func filterPatterns(seed: UInt64) {
        var random = Mutator(seed: seed)
        let patterns = [
            #"{ ($.a = "b*") && ($.c >= 1.5e3) || $.d[0] IS NULL && $.e.f NOT EXISTS }"#,
            #"ERROR "two words" -not ?either ?or"#, #"{ $.a = %^b[c-e]{1,3}|\x41+$% || $.*.f != *x* }"#,
            #"[ip = %1[0-9]*%, ..., (code = 4* && code != 404) || code > 5e2, "x" ]"#, #"%\d{2,}|[^a-z\s].?$%"#,
        ]
        for _ in 0..<(400 * Mutator.factor) {
            for pattern in patterns {
                _ = (try? FilterPattern(random.mutated(pattern)))?.matches(
                    #"{"a":"bcd","c":1500,"d":[null],"e":{"f":1}} ERROR two words"#)
            }
        }
    }

    @Test(arguments: Mutator.seeds) func namesAndHeaders(seed: UInt64) {
        var random = Mutator(seed: seed)
        let scope = AccountRegion(account: "000000000000", region: "us-east-1")
        let now = Instant(milliseconds: 1_795_413_600_000)
        for _ in 0..<(400 * Mutator.factor) {
            _ = try? FunctionTarget(
                random.mutated("arn:aws:lambda:us-east-1:000000000000:function:name:alias"), qualifier: "1", in: scope)
            _ = LayerName(random.mutated("arn:aws:lambda:us-east-1:000000000000:layer:name:3"), in: scope)
            _ = ByteRange(header: random.mutated("bytes=0-5,7-9"), size: 10)
            _ = ByteRange(header: random.mutated("bytes=-5"), size: .max)
            _ = FormEncoding.decodePercent(random.mutated("a%20b%C3%A4"))
            _ = TraceHeader.honoured(
                random.mutated("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"), now: now)
            _ = Instant(iso8601: random.mutated("2026-11-23T06:00:00.123456789+01:00"))
            _ = Instant(httpDate: random.mutated("Wed, 21 Oct 2026 07:28:00 GMT"))
            _ = Base64.decode(random.mutated("AQIDBA=="))
        }
    }
}
