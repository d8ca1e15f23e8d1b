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

    /// `20261123/us-east-1/lambda/aws4_request`, as it stands in the string to sign.
    var text: String { "\(date)/\(region)/\(service)/\(SigV4.terminator)" }
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
    /// Presigned with signature version 2: to be checked by `SigV2Query`, and without date and Region in the scope.
    public var isVersion2 = false
    /// When a URL of version 2 ends.
    public var expiresAt: Instant?
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

/// AWS Signature Version 4: reading (`parse`, `bodyIntegrity`) and checking (`verify`) of requests.
///
/// Every function takes the head **as it was sent**: what the client has signed is the path with a virtual host's bucket
/// still in the Host header, not moved into the path.
public enum SigV4 {
    static let algorithm = "AWS4-HMAC-SHA256"
    static let terminator = "aws4_request"
    /// The hex SHA-256 of no bytes.
    static let emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    static let unsignedPayload = "UNSIGNED-PAYLOAD"

    enum Limits {
        /// How far a request's time may be from ours, in seconds (S3: RequestTimeTooSkewed, 15 minutes).
        static let skewSeconds = 900
        /// Longest life of a presigned URL, in seconds (7 days).
        static let presignedSeconds = 604_800
        /// Characters of an access key id (IAM: 16 to 128).
        static let accessKeyCharacters = 128
        /// Headers that one signature may cover; real ones cover about ten.
        static let signedHeaders = 128
        /// Derived signing keys that are kept; about 200 bytes each.
        static let recentKeys = 256
        /// Bytes of the line that begins a chunk: size, `;chunk-signature=` and 64 digits are 97.
        static let chunkLineBytes = 512
        /// Bytes of all trailing headers together.
        static let trailerBytes = 8192
        /// Every signed chunk but the last has at least so many bytes (S3: InvalidChunkSizeError).
        static let smallestSignedChunk: Int64 = 8192
    }
}

/// The derived key of one day, Region and service.
public struct SigningKey: Sendable {
    let bytes: [UInt8]
    let scope: CredentialScope
    /// The signature of the head: the first chunk's signature continues it.
    let seedSignature: String
    /// `20261123T060000Z`.
    let signedAt: String
}
