import Crypto
import Platform

/// The checksum algorithms of S3's `x-amz-checksum-*`.
public enum ChecksumAlgorithm: String, Sendable, CaseIterable {
    case crc32 = "CRC32"
    case crc32c = "CRC32C"
    case crc64nvme = "CRC64NVME"
    case sha1 = "SHA1"
    case sha256 = "SHA256"

    /// `x-amz-checksum-crc32` and so on.
    public var headerName: String { "x-amz-checksum-" + rawValue.lowercased() }

    /// What S3 says of a body with another checksum.
    public var mismatch: AWSError {
        AWSError("BadDigest", "The \(rawValue) you specified did not match the calculated checksum.")
    }
}

/// A running checksum.
public struct Checksum: Sendable {
    private enum State {
        case crc32(UInt32)
        case crc32c(UInt32)
        case crc64(UInt64)
        case sha1(Insecure.SHA1)
        case sha256(SHA256)
    }

    public let algorithm: ChecksumAlgorithm
    private var state: State

    public init(_ algorithm: ChecksumAlgorithm) {
        self.algorithm = algorithm
        switch algorithm {
        case .crc32: state = .crc32(.max)
        case .crc32c: state = .crc32c(.max)
        case .crc64nvme: state = .crc64(.max)
        case .sha1: state = .sha1(Insecure.SHA1())
        case .sha256: state = .sha256(SHA256())
        }
    }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        switch state {
        case .crc32(let value): state = .crc32(CRCTables.crc32.update(value, bytes))
        case .crc32c(let value): state = .crc32c(CRCTables.crc32c.update(value, bytes))
        case .crc64(let value): state = .crc64(CRCTables.crc64nvme.update(value, bytes))
        case .sha1(var hash):
            // Given up before it is changed, so that the hash is not copied.
            state = .crc32(0)
            hash.update(bufferPointer: bytes)
            state = .sha1(hash)
        case .sha256(var hash):
            state = .crc32(0)
            hash.update(bufferPointer: bytes)
            state = .sha256(hash)
        }
    }

    /// The raw bytes, big-endian for CRCs, as base64-encoded in headers.
    public func finalize() -> [UInt8] {
        switch state {
        case .crc32(let value), .crc32c(let value): withUnsafeBytes(of: (~value).bigEndian, Array.init)
        case .crc64(let value): withUnsafeBytes(of: (~value).bigEndian, Array.init)
        case .sha1(let hash): Array(hash.finalize())
        case .sha256(let hash): Array(hash.finalize())
        }
    }

    /// The value of the header or trailer.
    public var base64: String { Self.base64(finalize()) }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var group = UInt32(bytes[start]) << 16
            if count > 1 { group |= UInt32(bytes[start + 1]) << 8 }
            if count > 2 { group |= UInt32(bytes[start + 2]) }
            for position in 0..<4 {
                let digit = alphabet[Int(group >> UInt32(18 - 6 * position)) & 63]
                text.append(position <= count ? digit : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
