import NIOCore
import Platform
import Testing

@testable import Wire

@Suite struct BinaryTests {
    private static let everything: Value = [
        "a": [1, -1, 23, 24, 255, 256, 65_536, .int(.max), .int(.min)], "b": .blob([0, 255]), "c": 1.5,
        "d": .double(.infinity),
        "e": [true, false, .null], "f": "é😀", "g": .timestamp(Instant(milliseconds: 1_732_345_678_250)), "h": [:],
        "i": [],
    ]

    @Test func cborRoundTrip() throws {
        #expect(try CBOR.parse(CBOR.encode(Self.everything)) == Self.everything)
    }

    /// Forms that we read but do not write: RFC 8949, appendix A.
    @Test(
        arguments: [
            ([0xf9, 0x3c, 0x00], 1.0), ([0xf9, 0x7c, 0x00], .double(.infinity)),
            ([0xf9, 0x00, 0x01], .double(5.960464477539063e-8)),
            ([0xfa, 0x47, 0xc3, 0x50, 0x00], 100000.0), ([0x9f, 0x01, 0x82, 0x02, 0x03, 0xff], [1, [2, 3]]),
            ([0xbf, 0x61, 0x61, 0x01, 0xff], ["a": 1]), ([0x7f, 0x61, 0x61, 0x61, 0x62, 0xff], "ab"),
            ([0x5f, 0x41, 0x01, 0x41, 0x02, 0xff], .blob([1, 2])),
            ([0xc1, 0x1a, 0x51, 0x4b, 0x67, 0xb0], .timestamp(Instant(milliseconds: 1_363_896_240_000))),
            ([0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], .double(18_446_744_073_709_551_615)),
        ] as [([UInt8], Value)])
    func cborForms(bytes: [UInt8], value: Value) throws {
        #expect(try CBOR.parse(bytes) == value)
    }

    @Test(
        arguments: [
            [], [0x18], [0x61], [0x61, 0xff], [0x9f], [0x82, 0x01], [0xa1, 0x01, 0x01], [0x01, 0x01], [0x1c], [0xff],
            [0xc1, 0x60],
            [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            [0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            [UInt8](repeating: 0x81, count: 100_000), [0xf8, 0x20], [0x7f, 0x41, 0x61, 0xff],
        ] as [[UInt8]])
    func refusesCBOR(bytes: [UInt8]) {
        #expect(throws: CBOR.Malformed.self) { try CBOR.parse(bytes) }
    }

    private static let message = EventStreamMessage(
        headers: [
            .init(":event-type", .string("PayloadChunk")), .init("t", .bool(true)), .init("f", .bool(false)),
            .init("b", .byte(-1)),
            .init("s", .short(-2)), .init("i", .int(.min)), .init("l", .long(.max)), .init("y", .bytes([1, 2])),
            .init("m", .timestamp(Instant(milliseconds: 1_234))), .init("u", .uuid(Array(0..<16))),
        ], payload: Array("hello".utf8))

    @Test func eventsInPieces() throws {
        var whole = Self.message.encoded()
        var second = EventStreamMessage(headers: [], payload: []).encoded()
        whole.writeBuffer(&second)
        let bytes = Array(whole.readableBytesView)
        for size in [1, 7, bytes.count] {
            var decoder = EventStreamDecoder()
            var found: [EventStreamMessage] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                found += try decoder.feed(ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)]))
            }
            try decoder.finish()
            #expect(found == [Self.message, EventStreamMessage(headers: [], payload: [])])
        }
    }

    /// The smallest message, as Amazon's documentation has it.
    @Test func emptyEvent() {
        let bytes = Array(EventStreamMessage(headers: [], payload: []).encoded().readableBytesView)
        #expect(bytes == [0, 0, 0, 16, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff])
    }

    @Test func damagedEvents() {
        let bytes = Array(Self.message.encoded().readableBytesView)
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 1
            var decoder = EventStreamDecoder()
            let found = (try? decoder.feed(ByteBuffer(bytes: damaged))) ?? []
            #expect(found.isEmpty)
        }
        var huge = EventStreamDecoder()
        #expect(throws: AWSError.self) {
            try huge.feed(ByteBuffer(bytes: [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]))
        }
    }

    @Test func eventsOfLambda() throws {
        let operation = try #require(Schemas.lambda.operations["InvokeWithResponseStream"])
        let match = OperationMatch(schema: Schemas.lambda, operation: operation, wireProtocol: .restJSON, labels: [])
        var decoder = EventStreamDecoder()
        let chunk = try #require(Codec.encodeEvent("PayloadChunk", ["Payload": .blob([1, 2])], for: match))
        let complete = try #require(Codec.encodeEvent("InvokeComplete", ["ErrorCode": "E"], for: match))
        #expect(Codec.encodeEvent("Nothing", [:], for: match) == nil)
        let found = try decoder.feed(chunk) + decoder.feed(complete)
        #expect(found[0].header(":event-type") == .string("PayloadChunk"))
        #expect(found[0].header(":content-type") == .string("application/octet-stream"))
        #expect(found[0].payload == [1, 2])
        #expect(found[1].payload == Array("{\"ErrorCode\":\"E\"}".utf8))
        let failed = try decoder.feed(Codec.encodeEventException(AWSError("Boom", "why"), for: match))
        #expect(failed[0].header(":exception-type") == .string("Boom"))
        let head = Codec.encode([:], for: match, requestID: "r", payloadApart: true)
        #expect(head.headers.contains { $0 == ("Content-Type", "application/vnd.amazon.eventstream") })
    }
}

/// Seeded mutations of valid messages: every decoder answers or refuses, and none traps.
@Suite struct MutationTests {
    @Test(arguments: 0..<8 as Range<UInt64>)
    func requests(seed: UInt64) {
        var random = SplitMix(seed)
        let json = Array(
            "{\"FunctionName\":\"f\",\"Role\":\"arn:aws:iam::000000000000:role/r\",\"Code\":{\"ZipFile\":\"AQID\"},\"Timeout\":3,\"Environment\":{\"Variables\":{\"AB\":\"1\"}},\"Layers\":[\"x\"]}"
                .utf8)
        let xml = Array(
            "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a&amp;b</Key><LastModifiedTime>Thu, 01 Jan 1970 00:00:00 GMT</LastModifiedTime><Size>1</Size></Object><Quiet>true</Quiet><![CDATA[x]]></Delete>"
                .utf8)
        let form = Array(
            "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&MaxSessionDuration=3600&Tags.member.1.Key=a&Tags.member.1.Value=1"
                .utf8)
        for _ in 0..<400 {
            for (schema, uri, original, method) in [
                (Schemas.lambda, "/2015-03-31/functions", json, "POST"), (Schemas.s3, "/b?delete", xml, "POST"),
                (Schemas.iam, "/", form, "POST"),
            ] {
                let head = request(method, uri)
                let body = ByteBuffer(bytes: random.mutated(original))
                guard let match = try? Codec.match(head, body: body, schema: schema) else { continue }
                _ = try? Codec.decode(match, head: head, body: body)
            }
        }
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func headsAndFrames(seed: UInt64) {
        var random = SplitMix(seed)
        let uri = Array("/b/a%20b/c?uploadId=x&partNumber=12&x-id=a%2".utf8)
        let cbor = CBOR.encode([
            "a": [1, 2.5, "x", .blob([1]), .null], "b": ["c": .timestamp(Instant(milliseconds: 5))],
        ])
        let frame = Array(
            EventStreamMessage(headers: [.init("a", .string("b")), .init("c", .int(1))], payload: [1, 2, 3]).encoded()
                .readableBytesView)
        for _ in 0..<1_000 {
            let head = request(
                "PUT", String(decoding: random.mutated(uri), as: UTF8.self),
                headers: [
                    ("content-length", String(decoding: random.mutated(Array("123".utf8)), as: UTF8.self)),
                    (
                        "x-amz-object-lock-retain-until-date",
                        String(decoding: random.mutated(Array("2026-11-23T06:00:00.5+01:00".utf8)), as: UTF8.self)
                    ),
                ])
            if let match = try? Codec.match(head, schema: Schemas.s3) {
                _ = try? Codec.decode(match, head: head, body: ByteBuffer())
            }
            if let value = try? CBOR.parse(random.mutated(cbor)) { _ = try? CBOR.parse(CBOR.encode(value)) }
            var decoder = EventStreamDecoder()
            _ = try? decoder.feed(ByteBuffer(bytes: random.mutated(frame)))
            _ = try? Pattern(
                String(decoding: random.mutated(Array("((?!^\\d+$)^[0-9a-zA-Z-_]+$){1,3}|\\p{L}*".utf8)), as: UTF8.self)
            ).matches("v2")
        }
    }

    @Test func wideForms() {
        let deep =
            "Action=CreateRole&"
            + (0..<5_000).map { "\($0)" + String(repeating: ".a", count: 120) + "=1" }.joined(separator: "&")
        #expect(refusal(Schemas.iam, "POST", "/", body: deep)?.code == "MalformedInput")
        let indices = "Action=CreateRole&Tags.member.99999999999999999999.Key=a&Tags.member.-1.Key=b"
        #expect(refusal(Schemas.iam, "POST", "/", body: indices)?.code == "ValidationError")
    }
}
