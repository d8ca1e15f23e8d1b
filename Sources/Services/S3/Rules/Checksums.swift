import Crypto
import NIOCore
import Platform
import Wire

enum ChecksumKind: String, Sendable, Hashable {
    case fullObject = "FULL_OBJECT"
    case composite = "COMPOSITE"
}

/// A checksum as it is stored and returned.
struct StoredChecksum: Sendable, Hashable {
    var algorithm: ChecksumAlgorithm
    var kind: ChecksumKind
    /// Base64; a composite one ends in `-` and the number of parts.
    var value: String

    /// Sets the `Checksum…` member (and `ChecksumType` if asked) of an output structure: all have the same names.
    func set(on value: inout Value, withType: Bool) {
        value["Checksum" + algorithm.rawValue] = .string(self.value)
        if withType { value["ChecksumType"] = .string(kind.rawValue) }
    }
}

extension ChecksumAlgorithm {
    /// Bytes of a raw checksum.
    var length: Int {
        switch self {
        case .crc32, .crc32c: 4
        case .crc64nvme: 8
        case .sha1: 20
        case .sha256: 32
        }
    }

    /// Names of checksums that S3 has and Martlet has not.
    static let unsupportedNames: Set<String> = ["sha512", "md5", "xxhash64", "xxhash3", "xxhash128"]

    /// From the end of a header name (`crc32`) or a member's value (`CRC32`). Throws NotImplemented for algorithms that
    /// Martlet does not have; nil for what is none.
    static func named(_ name: String, header: String) throws(AWSError) -> ChecksumAlgorithm? {
        let lower = name.lowercased()
        if unsupportedNames.contains(lower) {
            throw S3Error.notImplemented(header: header, "\(lower) checksums are not implemented")
        }
        return ChecksumAlgorithm(rawValue: name.uppercased())
    }
}

/// What a request says of its body's checksum, in a header or announced for the trailer.
struct ChecksumExpectation: Sendable, Hashable {
    var algorithm: ChecksumAlgorithm?
    /// Base64 from the header; nil when it comes in the trailer (or there is none).
    var headerValue: String?

    static let none = ChecksumExpectation(algorithm: nil, headerValue: nil)

    private init(algorithm: ChecksumAlgorithm?, headerValue: String?) {
        self.algorithm = algorithm
        self.headerValue = headerValue
    }

    /// Throws InvalidRequest when there are several, or the SDK's announcement fits none.
    init(headers: [(name: String, value: String)]) throws(AWSError) {
        let prefix = "x-amz-checksum-"
        var found: [(ChecksumAlgorithm, String?)] = []
        for (name, value) in headers where name.hasPrefix(prefix) {
            let end = String(name.dropFirst(prefix.count))
            if ["mode", "algorithm", "type"].contains(end) { continue }
            if let algorithm = try ChecksumAlgorithm.named(end, header: name) { found.append((algorithm, value)) }
        }
        for name in ChecksumExpectation.trailerNames(headers) where name.hasPrefix(prefix) {
            if let algorithm = try ChecksumAlgorithm.named(String(name.dropFirst(prefix.count)), header: name) {
                found.append((algorithm, nil))
            }
        }
        guard found.count <= 1 else {
            throw S3Error.invalidRequest(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
        }
        algorithm = found.first?.0
        headerValue = found.first?.1
        try checkAnnouncement(headers.first { $0.name == "x-amz-sdk-checksum-algorithm" }?.value)
    }

    private static func trailerNames(_ headers: [(name: String, value: String)]) -> [String] {
        headers.filter { $0.name == "x-amz-trailer" }.flatMap {
            $0.value.split(separator: ",").map { String($0).trimmed.lowercased() }
        }
    }

    private func checkAnnouncement(_ announced: String?) throws(AWSError) {
        guard let announced, !announced.isEmpty else { return }
        guard
            let named = try ChecksumAlgorithm.named(announced, header: "x-amz-sdk-checksum-algorithm")
        else { throw S3Error.invalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.") }
        guard let algorithm else {
            throw S3Error.invalidRequest(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
                    + "were found.")
        }
        guard algorithm == named else {
            throw S3Error.invalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
        }
    }

    /// Compares with what was received. Throws InvalidRequest for a value that is none, BadDigest for another one.
    func check(_ digest: BodyDigest, trailers: [(name: String, value: String)]) throws(AWSError) {
        guard let algorithm else { return }
        let text = headerValue ?? trailers.first { $0.name == algorithm.headerName }?.value
        guard let text else {
            throw AWSError(
                "MalformedTrailerError", status: 400,
                "The request contained trailing data that was not well-formed or did not conform to our published schema."
            )
        }
        guard let expected = Base64.decode(text.trimmed), expected.count == algorithm.length else {
            throw S3Error.invalidRequest("Value for \(algorithm.headerName) header is invalid.")
        }
        guard digest.checksum(algorithm) == expected else {
            throw AWSError(
                "BadDigest", status: 400,
                "The \(algorithm.rawValue) you specified did not match the calculated checksum.")
        }
    }
}

/// The `Content-MD5` header.
struct ContentMD5: Sendable, Hashable {
    var expected: [UInt8]?

    /// Throws InvalidDigest for what is not base64 of 16 bytes.
    init(_ header: String?) throws(AWSError) {
        guard let header else { return }
        guard let bytes = Base64.decode(header.trimmed), bytes.count == 16 else {
            throw AWSError(
                "InvalidDigest", status: 400, "The Content-MD5 you specified was invalid.",
                fields: ["Content-MD5": .string(header)])
        }
        expected = bytes
    }

    func check(_ md5: [UInt8]) throws(AWSError) {
        guard let expected, expected != md5 else { return }
        throw AWSError(
            "BadDigest", status: 400, "The Content-MD5 you specified did not match what we received.",
            fields: [
                "ExpectedDigest": .string(hexEncoded(expected)), "CalculatedDigest": .string(Base64.encode(md5)),
            ])
    }
}

/// The running digests of a body: MD5 for the ETag, and the checksums that are wanted.
struct BodyDigest: Sendable {
    private var md5 = Insecure.MD5()
    private var checksums: [Checksum]
    private(set) var size: Int64 = 0

    init(_ algorithms: Set<ChecksumAlgorithm>) { checksums = algorithms.map { Checksum($0) } }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        size += Int64(bytes.count)
        md5.update(bufferPointer: bytes)
        for index in checksums.indices { checksums[index].update(bytes) }
    }

    mutating func update(_ buffer: ByteBuffer) { buffer.withUnsafeReadableBytes { update($0) } }
    mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    var md5Bytes: [UInt8] { Array(md5.finalize()) }

    /// Raw bytes; empty for an algorithm that was not asked for.
    func checksum(_ algorithm: ChecksumAlgorithm) -> [UInt8] {
        checksums.first { $0.algorithm == algorithm }?.finalize() ?? []
    }
}

/// What an upload's parts are summed with, and how they make the object's checksum.
struct UploadChecksumPlan: Sendable, Hashable {
    var algorithm: ChecksumAlgorithm
    var kind: ChecksumKind
    /// The client named the algorithm: its parts must then carry it, and listings show it.
    var isExplicit: Bool

    /// From `x-amz-checksum-algorithm` and `x-amz-checksum-type`. Throws InvalidRequest for pairs that S3 does not have.
    init(algorithm name: String?, type: String?) throws(AWSError) {
        guard let name, !name.isEmpty else {
            guard type == nil else {
                throw S3Error.invalidRequest(
                    "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
            }
            (algorithm, kind, isExplicit) = (.crc64nvme, .fullObject, false)
            return
        }
        guard let algorithm = try ChecksumAlgorithm.named(name, header: "x-amz-checksum-algorithm") else {
            throw S3Error.invalidRequest(
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
                    + "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
        }
        self.algorithm = algorithm
        isExplicit = true
        guard let type else {
            kind = algorithm == .crc64nvme ? .fullObject : .composite
            return
        }
        guard let kind = ChecksumKind(rawValue: type.uppercased()) else {
            throw S3Error.invalidRequest("Value for x-amz-checksum-type header is invalid.")
        }
        let sha = algorithm == .sha1 || algorithm == .sha256
        guard !(sha && kind == .fullObject), !(algorithm == .crc64nvme && kind == .composite) else {
            throw S3Error.invalidRequest(
                "The \(kind.rawValue) checksum type cannot be used with the \(name.lowercased()) checksum algorithm.")
        }
        self.kind = kind
    }

    init(algorithm: ChecksumAlgorithm, kind: ChecksumKind, isExplicit: Bool) {
        self.algorithm = algorithm
        self.kind = kind
        self.isExplicit = isExplicit
    }

    /// The object's checksum from its parts' raw ones, in order.
    func combine(_ parts: [(checksum: [UInt8], length: Int64)]) -> StoredChecksum {
        switch kind {
        case .fullObject:
            var combiner = CRCCombiner(algorithm)
            for part in parts { combiner.append(crc: part.checksum, length: part.length) }
            return StoredChecksum(algorithm: algorithm, kind: kind, value: Base64.encode(combiner.bytes))
        case .composite:
            var digest = Checksum(algorithm)
            for part in parts { part.checksum.withUnsafeBytes { digest.update($0) } }
            return StoredChecksum(
                algorithm: algorithm, kind: kind, value: Base64.encode(digest.finalize()) + "-\(parts.count)")
        }
    }
}
