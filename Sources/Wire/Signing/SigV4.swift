public import NIOCore
public import Platform

/// The credential scope of a signature: `AKID/20261123/us-east-1/lambda/aws4_request`.
public struct CredentialScope: Sendable, Hashable {
    public var accessKeyID: String
    public var date: String
    public var region: String
    public var service: String

    public init(accessKeyID: String, date: String, region: String, service: String) {
        self.accessKeyID = accessKeyID
        self.date = date
        self.region = region
        self.service = service
    }
}

/// How a request was signed and what its body must satisfy.
public struct SignedRequest: Sendable {
    public var scope: CredentialScope
    public var sessionToken: String?
    /// Presigned query (`X-Amz-Signature` among the parameters).
    public var isPresigned: Bool
    public var signedHeaders: [String]
    public var signature: String
    /// The signing time (`X-Amz-Date`), when readable.
    public var signedAt: Instant?
    /// Presigned lifetime in seconds.
    public var expiresSeconds: Int?
}

/// What the body must be, from `x-amz-content-sha256`.
public enum BodyIntegrity: Sendable, Hashable {
    case unsigned
    /// The hex SHA-256 of the whole body.
    case digest(String)
    /// aws-chunked, each chunk signed; `trailer` when trailing checksum headers are signed too.
    case signedChunks(trailer: Bool)
    /// aws-chunked without chunk signatures, checksum in the trailer.
    case unsignedChunks
}

public enum SigV4 {
    /// Reads the authorization of a request without checking it; nil when there is none. Throws `AWSError` when it is
    /// malformed (`IncompleteSignatureException`, `AuthorizationQueryParametersError`, …).
    public static func parse(_ head: RequestHead) throws(AWSError) -> SignedRequest? {
        throw AWSError.internalFailure()
    }

    /// What the head says of the body. Throws for unknown `x-amz-content-sha256` forms.
    public static func bodyIntegrity(_ head: RequestHead, signed: SignedRequest?) throws(AWSError) -> BodyIntegrity {
        throw AWSError.internalFailure()
    }

    /// Checks the signature of the head against the secret, the clock skew (±15 min; S3 RequestTimeTooSkewed) and a
    /// presigned request's expiry. `payloadHash` is the body's actual hash for `.digest` requests of buffered
    /// operations, or nil to take the header's word (the body is then checked while it streams).
    /// Returns the key for chunk signatures. Throws SignatureDoesNotMatch / InvalidSignatureException and the like:
    /// the form depends on the service (`forS3`).
    public static func verify(
        _ head: RequestHead, signed: SignedRequest, secret: Secret<String>, payloadHash: String?, now: Instant,
        forS3: Bool
    ) throws(AWSError) -> SigningKey {
        throw AWSError.internalFailure()
    }
}

/// The derived key of one day, Region and service.
public struct SigningKey: Sendable {
    let bytes: [UInt8]
    let scope: CredentialScope
    let seedSignature: String
    let signedAt: String
}

/// Removes aws-chunked framing, checking chunk signatures and trailing checksums as it goes. A value-type machine: feed
/// bytes, take decoded pieces.
public struct AWSChunkedDecoder: Sendable {
    /// Trailing headers, lower case; complete once `isFinished`.
    public private(set) var trailers: [(name: String, value: String)] = []
    public private(set) var isFinished = false

    /// `key` is nil when authentication is off: signatures are then not checked, framing and checksums still are.
    public init(integrity: BodyIntegrity, key: SigningKey?, decodedLength: Int64?, trailerNames: [String]) {}

    /// Decodes what has come; answers decoded pieces. Throws `AWSError` (SignatureDoesNotMatch, IncompleteBody,
    /// InvalidChunkSizeError, BadDigest, …).
    public mutating func feed(_ bytes: ByteBuffer) throws(AWSError) -> [ByteBuffer] { throw AWSError.internalFailure() }

    /// The client has sent its last byte. Throws when framing is incomplete.
    public mutating func finish() throws(AWSError) { throw AWSError.internalFailure() }
}

/// The checksum algorithms of S3's `x-amz-checksum-*`.
public enum ChecksumAlgorithm: String, Sendable, CaseIterable {
    case crc32 = "CRC32"
    case crc32c = "CRC32C"
    case crc64nvme = "CRC64NVME"
    case sha1 = "SHA1"
    case sha256 = "SHA256"

    /// `x-amz-checksum-crc32` and so on.
    public var headerName: String { "x-amz-checksum-" + rawValue.lowercased() }
}

/// A running checksum.
public struct Checksum: Sendable {
    public let algorithm: ChecksumAlgorithm
    public init(_ algorithm: ChecksumAlgorithm) { self.algorithm = algorithm }
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {}
    /// The raw bytes, big-endian for CRCs, as base64-encoded in headers.
    public func finalize() -> [UInt8] { [] }
}
