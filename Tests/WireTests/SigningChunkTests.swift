import Crypto
import NIOCore
import Platform
import Testing

@testable import Wire

@Suite struct SigningChunkTests {
    // MARK: Checksums

    @Test(arguments: [
        (ChecksumAlgorithm.crc32, "cbf43926"), (.crc32c, "e3069283"), (.crc64nvme, "ae8b14860a799888"),
        (.sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        (.sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ]) func checksumOfTheCheckString(_ algorithm: ChecksumAlgorithm, _ expected: String) {
        var checksum = Checksum(algorithm)
        Array("123456789".utf8).withUnsafeBytes { checksum.update($0) }
        #expect(hexEncoded(checksum.finalize()) == expected)
    }

    @Test(arguments: ChecksumAlgorithm.allCases) func checksumInPiecesIsTheSame(_ algorithm: ChecksumAlgorithm) {
        var generator = WireGenerator(seed: 4)
        let bytes = (0..<1000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        var whole = Checksum(algorithm)
        bytes.withUnsafeBytes { whole.update($0) }
        for _ in 0..<50 {
            var pieces = Checksum(algorithm)
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = min(Int.random(in: 0...40, using: &generator), rest.count)
                rest.prefix(count).withUnsafeBytes { pieces.update($0) }
                rest = rest.dropFirst(count)
            }
            #expect(pieces.finalize() == whole.finalize())
        }
    }

    @Test func base64() {
        let texts = ["": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "fooba": "Zm9vYmE="]
        for (plain, encoded) in texts { #expect(Checksum.base64(Array(plain.utf8)) == encoded) }
        #expect(Checksum.base64([0xFB, 0xFF, 0xFE]) == "+//+")
    }

    // MARK: AWS's own examples

    /// "Signature calculations: transferring a payload in multiple chunks", Amazon S3 API reference.
    @Test func documentedSignedChunks() throws {
        let head = exampleHead("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", length: "66824", [])
        let key = try exampleKey(
            head, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
            "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
                + "x-amz-storage-class")
        let signatures = [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ]
        var body = ""
        for (size, signature) in zip([65_536, 1024, 0], signatures) {
            body += String(size, radix: 16) + ";chunk-signature=\(signature)\r\n" + String(repeating: "a", count: size)
            body += "\r\n"
        }
        var decoder = AWSChunkedDecoder(
            integrity: .signedChunks(trailer: false), key: key, decodedLength: 66_560, trailerNames: [])
        let pieces = try decoder.feed(ByteBuffer(string: body))
        try decoder.finish()
        #expect(pieces.map(\.readableBytes).reduce(0, +) == 66_560 && decoder.decodedBytes == 66_560)
    }

    /// The example with trailing headers of the same reference.
    @Test func documentedSignedTrailer() throws {
        let head = exampleHead(
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", length: nil, [("x-amz-trailer", "x-amz-checksum-crc32c")])
        let key = try exampleKey(
            head, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
            "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;"
                + "x-amz-trailer")
        let signatures = [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ]
        var body = ""
        for (size, signature) in zip([65_536, 1024, 0], signatures) {
            body += String(size, radix: 16) + ";chunk-signature=\(signature)\r\n" + String(repeating: "a", count: size)
            if size > 0 { body += "\r\n" }
        }
        body += "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:"
        body += "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
        var decoder = AWSChunkedDecoder(
            integrity: .signedChunks(trailer: true), key: key, decodedLength: 66_560,
            trailerNames: ["x-amz-checksum-crc32c"])
        _ = try decoder.feed(ByteBuffer(string: body))
        try decoder.finish()
        #expect(decoder.trailers.map(\.value) == ["sOO8/Q=="] && decoder.isFinished)
    }

    private func exampleHead(_ hash: String, length: String?, _ more: [(String, String)]) -> RequestHead {
        var headers: [(name: String, value: String)] = [
            ("host", "s3.amazonaws.com"), ("x-amz-date", "20130524T000000Z"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"), ("x-amz-content-sha256", hash),
            ("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", "66560"),
        ]
        if let length { headers.append(("content-length", length)) }
        headers += more.map { ($0.0, $0.1) }
        return RequestHead(method: "PUT", path: "/examplebucket/chunkObject.txt", query: "", headers: headers)
    }

    private func exampleKey(_ head: RequestHead, _ signature: String, _ signedHeaders: String) throws -> SigningKey {
        var head = head
        head.headers.append(
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                    + "SignedHeaders=\(signedHeaders),Signature=\(signature)"
            ))
        let signed = try #require(try SigV4.parse(head))
        return try SigV4.verify(
            head, signed: signed, secret: Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), payloadHash: nil,
            now: signed.signedAt ?? SignedVector.now, forS3: true)
    }

    // MARK: Round trips

    private static let key = SigningKey(
        bytes: Array(0..<32),
        scope: CredentialScope(accessKeyID: "AKID", date: "20261123", region: "us-east-1", service: "s3"),
        seedSignature: String(repeating: "ab", count: 32), signedAt: "20261123T060000Z")

    /// An encoder of its own, after the reference's text.
    private func encode(
        _ content: [UInt8], sizes: [Int], integrity: BodyIntegrity, trailer: [(String, String)]
    ) -> [UInt8] {
        let isSigned = integrity != .unsignedChunks
        var previous = Self.key.seedSignature
        func sign(_ kind: String, _ rest: String) -> String {
            previous = SigV4.signature(
                of: "\(kind)\n20261123T060000Z\n20261123/us-east-1/s3/aws4_request\n\(previous)\n\(rest)",
                key: Self.key.bytes)
            return previous
        }
        var body: [UInt8] = []
        var rest = content[...]
        for size in sizes + [0] {
            let chunk = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            var line = String(size, radix: 16)
            if isSigned {
                let hash = hexEncoded(SHA256.hash(data: chunk))
                line += ";chunk-signature=" + sign("AWS4-HMAC-SHA256-PAYLOAD", "\(SigV4.emptyHash)\n\(hash)")
            }
            body += Array("\(line)\r\n".utf8) + chunk
            if size > 0 { body += [13, 10] }
        }
        var lines = trailer
        if integrity == .signedChunks(trailer: true) {
            let text = trailer.map { "\($0.0):\($0.1)\n" }.joined()
            let hash = hexEncoded(SHA256.hash(data: Array(text.utf8)))
            lines.append(("x-amz-trailer-signature", sign("AWS4-HMAC-SHA256-TRAILER", hash)))
        }
        for (name, value) in lines { body += Array("\(name):\(value)\r\n".utf8) }
        return body + [13, 10]
    }

    private struct Shape: Sendable, CustomTestStringConvertible {
        var integrity: BodyIntegrity
        var algorithm: ChecksumAlgorithm?
        var testDescription: String { "\(integrity) \(algorithm?.rawValue ?? "no checksum")" }
    }

    private static let shapes: [Shape] =
        [Shape(integrity: .signedChunks(trailer: false)), Shape(integrity: .unsignedChunks)]
        + ChecksumAlgorithm.allCases.flatMap { algorithm in
            [
                Shape(integrity: .signedChunks(trailer: true), algorithm: algorithm),
                Shape(integrity: .unsignedChunks, algorithm: algorithm),
            ]
        }

    private func content(_ count: Int) -> [UInt8] {
        var generator = WireGenerator(seed: UInt64(count))
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    private func body(_ content: [UInt8], sizes: [Int], _ shape: Shape) -> [UInt8] {
        var trailer: [(String, String)] = []
        if let algorithm = shape.algorithm {
            var checksum = Checksum(algorithm)
            content.withUnsafeBytes { checksum.update($0) }
            trailer = [(algorithm.headerName, checksum.base64)]
        }
        return encode(content, sizes: sizes, integrity: shape.integrity, trailer: trailer)
    }

    private func decoder(_ shape: Shape, length: Int?, key: SigningKey? = Self.key) -> AWSChunkedDecoder {
        AWSChunkedDecoder(
            integrity: shape.integrity, key: key, decodedLength: length.map { Int64($0) },
            trailerNames: shape.algorithm.map { [$0.headerName.uppercased()] } ?? [])
    }

    private func decode(_ body: [UInt8], _ decoder: AWSChunkedDecoder, split: (Int) -> Int) throws -> [UInt8] {
        var decoder = decoder
        var out: [UInt8] = []
        var rest = body[...]
        while !rest.isEmpty {
            let count = min(max(split(rest.count), 1), rest.count)
            for piece in try decoder.feed(ByteBuffer(bytes: rest.prefix(count))) { out += piece.readableBytesView }
            rest = rest.dropFirst(count)
        }
        try decoder.finish()
        return out
    }

    @Test(arguments: shapes) private func roundTripsInPiecesOfAnySize(_ shape: Shape) throws {
        var generator = WireGenerator(seed: 9)
        for sizes in [[], [1], [300], [8192, 1], [9000, 8192, 100], [20_000]] {
            let content = content(sizes.reduce(0, +))
            let body = body(content, sizes: sizes, shape)
            #expect(try decode(body, decoder(shape, length: content.count), split: { $0 }) == content)
            #expect(try decode(body, decoder(shape, length: nil), split: { _ in 1 }) == content)
            #expect(try decode(body, decoder(shape, length: content.count, key: nil), split: { _ in 7 }) == content)
            for _ in 0..<5 {
                let decoded = try decode(body, decoder(shape, length: content.count)) {
                    _ in Int.random(in: 1...3000, using: &generator)
                }
                #expect(decoded == content)
            }
        }
    }

    @Test(arguments: shapes) private func truncationAtEveryByteIsNoticed(_ shape: Shape) throws {
        let content = content(200)
        let body = body(content, sizes: [200], shape)
        for count in 0..<body.count {
            #expect(throws: AWSError.self, "\(count) of \(body.count) bytes") {
                _ = try decode(Array(body.prefix(count)), decoder(shape, length: 200), split: { $0 })
            }
        }
    }

    @Test(arguments: shapes) private func changeOfAnyByteIsNoticed(_ shape: Shape) throws {
        // An unsigned body without checksum is only framing.
        guard shape.algorithm != nil || shape.integrity != .unsignedChunks else { return }
        let content = content(200)
        let body = body(content, sizes: [200], shape)
        for index in body.indices {
            var changed = body
            changed[index] ^= 1
            #expect(throws: AWSError.self, "byte \(index) of \(body.count)") {
                _ = try decode(changed, decoder(shape, length: 200), split: { $0 })
            }
        }
    }

    @Test func namesOfErrors() throws {
        let signed = Shape(integrity: .signedChunks(trailer: false))
        let unsigned = Shape(integrity: .unsignedChunks, algorithm: .crc32)
        func code(_ body: [UInt8], _ shape: Shape, length: Int? = nil) -> String? {
            do {
                _ = try decode(body, decoder(shape, length: length), split: { $0 })
                return nil
            } catch { return (error as? AWSError)?.code }
        }
        let small = body(content(200), sizes: [100, 100], signed)
        #expect(code(small, signed) == "InvalidChunkSizeError")
        #expect(code(body(content(200), sizes: [100, 100], unsigned), unsigned) == nil)
        let good = body(content(200), sizes: [200], unsigned)
        #expect(code(good, unsigned, length: 199) == "IncompleteBody")
        #expect(code(good, unsigned, length: 201) == "IncompleteBody")
        #expect(code(Array(good.dropLast()), unsigned) == "IncompleteBody")
        #expect(code(good + [0], unsigned) == "InvalidRequest")
        func text(_ text: String) -> [UInt8] { Array(text.utf8) }
        #expect(code(text("4\r\nabcd\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"), unsigned) == "BadDigest")
        #expect(code(text("4\r\nabcd\r\n0\r\n\r\n"), unsigned) == "MalformedTrailerError")
        #expect(code(text("4\r\nabcd\r\n0\r\nother:1\r\n\r\n"), unsigned) == "MalformedTrailerError")
        #expect(code(text("4\r\nabcd\r\n0\r\nnocolon\r\n\r\n"), unsigned) == "MalformedTrailerError")
        for bad in ["\r\n", "g\r\n", "-1\r\n", "+1\r\n", "11111111111111111\r\n", "8000000000000000\r\n", " 4\r\n"] {
            #expect(code(text(bad), unsigned) == "InvalidRequest", "\(bad)")
        }
        #expect(code([UInt8](repeating: 48, count: 5000), unsigned) == "InvalidRequest")
        #expect(code(text("0\r\n") + [UInt8](repeating: 65, count: 20_000), unsigned) == "InvalidRequest")
        #expect(code(text("4\r\nabcd\r\n0\r\n\r\n"), signed) == "InvalidRequest", "no signature")
        var unknown = AWSChunkedDecoder(
            integrity: .unsignedChunks, key: nil, decodedLength: nil, trailerNames: ["x-amz-checksum-md9"])
        let error = #expect(throws: AWSError.self) { _ = try unknown.feed(ByteBuffer(string: "0\r\n")) }
        #expect(error?.message == "The value specified in the x-amz-trailer header is not supported")
    }

    @Test func errorsStay() throws {
        var decoder = decoder(Shape(integrity: .unsignedChunks), length: nil)
        #expect(throws: AWSError.self) { _ = try decoder.feed(ByteBuffer(string: "x\r\n")) }
        #expect(throws: AWSError.self) { _ = try decoder.feed(ByteBuffer(string: "0\r\n\r\n")) }
        #expect(throws: AWSError.self) { try decoder.finish() }
        #expect(!decoder.isFinished)
    }

    @Test(arguments: shapes) private func anyBytesAreSurvived(_ shape: Shape) throws {
        var generator = WireGenerator(seed: 21)
        let good = body(content(600), sizes: [300, 300], Shape(integrity: .unsignedChunks, algorithm: shape.algorithm))
        for _ in 0..<1500 {
            var bytes = good
            for _ in 0..<Int.random(in: 0...8, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0...3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert(contentsOf: Array("\r\nffff;".utf8), at: index)
                default: bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator))
                }
                if bytes.isEmpty { bytes = [0] }
            }
            var decoder = decoder(shape, length: Bool.random(using: &generator) ? 600 : nil)
            var out = 0
            do {
                var rest = bytes[...]
                while !rest.isEmpty {
                    let count = Int.random(in: 1...200, using: &generator)
                    let pieces = try decoder.feed(ByteBuffer(bytes: rest.prefix(count)))
                    out += pieces.map(\.readableBytes).reduce(0, +)
                    rest = rest.dropFirst(count)
                }
                try decoder.finish()
            } catch {}
            #expect(out <= bytes.count)
        }
    }
}
