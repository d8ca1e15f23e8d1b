import Platform
import Storage
import Testing
import Wire

@testable import S3

/// Bit by bit, to compare with.
private func crc(_ bytes: [UInt8], polynomial: UInt64, width: UInt64) -> [UInt8] {
    let mask: UInt64 = width == 64 ? .max : (1 << width) - 1
    var value = mask
    for byte in bytes {
        value ^= UInt64(byte)
        for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ polynomial : value >> 1 }
    }
    value ^= mask
    return (0..<Int(width / 8)).map { UInt8(truncatingIfNeeded: value >> (width - 8 - UInt64($0) * 8)) }
}

private func reference(_ algorithm: ChecksumAlgorithm, _ bytes: [UInt8]) -> [UInt8] {
    switch algorithm {
    case .crc32: crc(bytes, polynomial: 0xEDB8_8320, width: 32)
    case .crc32c: crc(bytes, polynomial: 0x82F6_3B78, width: 32)
    default: crc(bytes, polynomial: 0x9A6C_9329_AC4B_C9B5, width: 64)
    }
}

@Suite struct CRCs {
    @Test func referenceVectors() {
        let text = Array("123456789".utf8)
        #expect(hexEncoded(reference(.crc32, text)) == "cbf43926")
        #expect(hexEncoded(reference(.crc32c, text)) == "e3069283")
        #expect(hexEncoded(reference(.crc64nvme, text)) == "ae8b14860a799888")
    }

    @Test(arguments: [ChecksumAlgorithm.crc32, .crc32c, .crc64nvme])
    func combining(_ algorithm: ChecksumAlgorithm) {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<40 {
            let pieces = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
            var combiner = CRCCombiner(algorithm)
            for piece in pieces { combiner.append(crc: reference(algorithm, piece), length: Int64(piece.count)) }
            #expect(combiner.bytes == reference(algorithm, pieces.flatMap { $0 }))
        }
    }
}

@Suite struct Expectations {
    private func code(_ headers: [(name: String, value: String)]) -> String? {
        do {
            _ = try ChecksumExpectation(headers: headers)
            return nil
        } catch { return error.code + ": " + error.message }
    }

    @Test func reading() throws {
        #expect(try ChecksumExpectation(headers: []).algorithm == nil)
        let header = try ChecksumExpectation(headers: [
            ("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "CRC32"),
            ("x-amz-checksum-mode", "ENABLED"),
        ])
        #expect(header.algorithm == .crc32 && header.headerValue == "AAAAAA==")
        let trailer = try ChecksumExpectation(headers: [
            ("x-amz-trailer", "x-amz-checksum-sha256"), ("x-amz-sdk-checksum-algorithm", "SHA256"),
        ])
        #expect(trailer.algorithm == .sha256 && trailer.headerValue == nil)
    }

    @Test func refusals() {
        #expect(
            code([("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-sha1", "x")])
                == "InvalidRequest: Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
        #expect(
            code([("x-amz-sdk-checksum-algorithm", "CRC32")])
                == "InvalidRequest: x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
                + "x-amz-trailer headers were found.")
        #expect(code([("x-amz-sdk-checksum-algorithm", "CRC9")])?.hasPrefix("InvalidRequest") == true)
        #expect(
            code([("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "SHA1")])?
                .hasPrefix("InvalidRequest") == true)
        #expect(code([("x-amz-checksum-xxhash3", "x")])?.hasPrefix("NotImplemented") == true)
    }

    @Test func contentMD5() throws {
        try ContentMD5(nil).check([])
        #expect(throws: AWSError.self) { try ContentMD5("not base64!") }
        #expect(throws: AWSError.self) { try ContentMD5("AAAA") }
        let zero = try ContentMD5(Base64.encode(Array(repeating: 0, count: 16)))
        try zero.check(Array(repeating: 0, count: 16))
        #expect(throws: AWSError.self) { try zero.check(Array(repeating: 1, count: 16)) }
    }

    @Test func plans() throws {
        let implied = try UploadChecksumPlan(algorithm: nil, type: nil)
        #expect(implied.algorithm == .crc64nvme && implied.kind == .fullObject && !implied.isExplicit)
        #expect(try UploadChecksumPlan(algorithm: "CRC32", type: nil).kind == .composite)
        #expect(try UploadChecksumPlan(algorithm: "CRC32", type: "FULL_OBJECT").kind == .fullObject)
        #expect(try UploadChecksumPlan(algorithm: "CRC64NVME", type: nil).kind == .fullObject)
        for (algorithm, type) in [
            ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("CRC9", nil), (nil, "COMPOSITE"), ("CRC32", "X"),
        ] as [(String?, String?)] {
            #expect(throws: AWSError.self) { try UploadChecksumPlan(algorithm: algorithm, type: type) }
        }
    }
}

@Suite struct Completions {
    private let big = Limits.smallestPartBytes

    private func part(_ number: Int, size: Int64, etag: String = "00112233445566778899aabbccddeeff") -> UploadedPart {
        UploadedPart(
            size: size, etag: etag, modified: Instant(nanoseconds: 0),
            part: StoredPart(
                number: number, blob: BlobID(hex: String(repeating: "a", count: 64)), offset: 0, length: size,
                blobSize: size, checksum: [0, 0, 0, UInt8(number)]))
    }

    private func claim(_ number: Int, etag: String = "\"00112233445566778899aabbccddeeff\"", crc: String? = nil)
        -> Completion.Claim
    {
        Completion.Claim(number: number, etag: etag, checksums: crc.map { ["CRC32": $0] } ?? [:])
    }

    private func code(
        _ claims: [Completion.Claim], _ parts: [UploadedPart], plan: UploadChecksumPlan? = nil, size: Int64? = nil
    ) -> String? {
        do {
            _ = try Completion(
                Completion.Request(uploadID: "u", claims: claims, size: size),
                plan: plan ?? UploadChecksumPlan(algorithm: .crc64nvme, kind: .fullObject, isExplicit: false),
                uploaded: parts)
            return nil
        } catch { return error.code }
    }

    @Test func refusals() {
        let parts = [part(1, size: big), part(2, size: big), part(3, size: 1)]
        #expect(code([], parts) == "MalformedXML")
        #expect(code([claim(2), claim(1)], parts) == "InvalidPartOrder")
        #expect(code([claim(1), claim(1)], parts) == "InvalidPartOrder")
        #expect(code([claim(1), claim(4)], parts) == "InvalidPart")
        #expect(code([claim(1, etag: "x")], parts) == "InvalidPart")
        #expect(code([claim(3), claim(4)], parts + [part(4, size: 1)]) == "EntityTooSmall")
        #expect(code([claim(1), claim(3)], parts, size: 5) == "InvalidRequest")
        #expect(code([claim(1), claim(3)], parts, size: big + 1) == nil)
        let composite = UploadChecksumPlan(algorithm: .crc32, kind: .composite, isExplicit: true)
        #expect(code([claim(1)], parts, plan: composite) == "InvalidRequest")
        #expect(code([claim(1, crc: "AAAAAg==")], parts, plan: composite) == "InvalidPart")
        #expect(code([claim(1, crc: "AAAAAQ==")], parts, plan: composite) == nil)
    }

    @Test func result() throws {
        let plan = UploadChecksumPlan(algorithm: .crc64nvme, kind: .fullObject, isExplicit: false)
        let completion = try Completion(
            Completion.Request(uploadID: "u", claims: [claim(1), claim(3)]), plan: plan,
            uploaded: [part(1, size: big), part(2, size: big), part(3, size: 7)])
        #expect(completion.size == big + 7)
        #expect(completion.parts.map(\.number) == [1, 3])
        #expect(completion.unused.map(\.number) == [2])
        // printf '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff' | xxd -r -p | md5sum
        #expect(completion.etag == "99556f33a844eb186c38a2f61f5350d3-2")
    }
}
