import Platform
import Storage

/// A run of bytes of one blob; an object is a list of them. Each holds one reference to its blob.
struct StoredPart: Sendable, Hashable {
    /// The part number of a multipart upload; 1 otherwise.
    var number: Int
    var blob: BlobID?
    /// Where the part starts in the blob: copies of ranges share blobs.
    var offset: Int64
    var length: Int64
    /// Bytes of the whole blob.
    var blobSize: Int64
    /// Raw checksum by the object's algorithm; empty when there is none.
    var checksum: [UInt8]
}

extension StoredPart {
    var isWholeBlob: Bool { offset == 0 && length == blobSize }

    static func pack(_ parts: [StoredPart]) -> [UInt8] {
        var packer = Packer()
        packer.int(Int64(parts.count))
        for part in parts {
            packer.int(Int64(part.number))
            packer.data(part.blob.map { rawDigest(hex: $0.hex) } ?? [])
            packer.int(part.offset)
            packer.int(part.length)
            packer.int(part.blobSize)
            packer.data(part.checksum)
        }
        return packer.bytes
    }

    static func unpack(_ bytes: [UInt8]) throws -> [StoredPart] {
        var unpacker = Unpacker(bytes)
        let count = try unpacker.count()
        var parts: [StoredPart] = []
        parts.reserveCapacity(count)
        var total: Int64 = 0
        for _ in 0..<count {
            let number = Int(try unpacker.int())
            let digest = try unpacker.data()
            let part = StoredPart(
                number: number, blob: BlobID(hex: hexEncoded(digest)), offset: try unpacker.int(),
                length: try unpacker.int(), blobSize: try unpacker.int(), checksum: try unpacker.data())
            let (end, overflow) = part.offset.addingReportingOverflow(part.length)
            let (sum, tooLong) = total.addingReportingOverflow(max(part.length, 0))
            guard part.offset >= 0, part.length >= 0, !overflow, !tooLong, end <= part.blobSize,
                part.blob != nil || part.length == 0
            else { throw Failure(.corrupt, "an object's list of parts is not consistent") }
            total = sum
            parts.append(part)
        }
        return parts
    }
}

/// The encryption headers of an object: kept and returned, nothing is encrypted (see the README).
struct EncryptionHeaders: Sendable, Hashable {
    var algorithm = "AES256"
    var keyID: String?
    var bucketKey = false
    /// The request named none: the bucket's default is put in its place when the object is stored.
    var isUnnamed = true
}

/// The headers that are stored with an object and returned with it.
struct ObjectMetadata: Sendable, Hashable {
    var contentType: String?
    var cacheControl: String?
    var contentDisposition: String?
    var contentEncoding: String?
    var contentLanguage: String?
    var expires: String?
    var websiteRedirect: String?
    var user: [UserField] = []
    var encryption = EncryptionHeaders()
    var tags = TagSet()
    /// Nil: only the bucket's owner, who owns the object.
    var acl: AccessControl?

    struct UserField: Sendable, Hashable {
        var name: String
        var value: String
    }

    static let defaultContentType = "binary/octet-stream"

    func packed() -> [UInt8] {
        var packer = Packer()
        // The version of this layout: 2 is 1 with tags and an access control list behind it.
        let isExtended = !tags.isEmpty || acl != nil
        packer.int(isExtended ? 2 : 1)
        for text in [
            contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage, expires, websiteRedirect,
            encryption.keyID,
        ] { packer.optionalText(text) }
        packer.text(encryption.algorithm)
        packer.int(encryption.bucketKey ? 1 : 0)
        packer.int(Int64(user.count))
        for field in user {
            packer.text(field.name)
            packer.text(field.value)
        }
        guard isExtended else { return packer.bytes }
        packer.int(Int64(tags.tags.count))
        for tag in tags.tags {
            packer.text(tag.key)
            packer.text(tag.value)
        }
        packer.int(acl == nil ? 0 : 1)
        acl?.pack(into: &packer)
        return packer.bytes
    }

    init() {}

    init(packed bytes: [UInt8]) throws {
        var unpacker = Unpacker(bytes)
        let layout = try unpacker.int()
        guard layout == 1 || layout == 2 else {
            throw Failure(.corrupt, "an object's metadata has an unknown layout")
        }
        contentType = try unpacker.optionalText()
        cacheControl = try unpacker.optionalText()
        contentDisposition = try unpacker.optionalText()
        contentEncoding = try unpacker.optionalText()
        contentLanguage = try unpacker.optionalText()
        expires = try unpacker.optionalText()
        websiteRedirect = try unpacker.optionalText()
        encryption.keyID = try unpacker.optionalText()
        encryption.algorithm = try unpacker.text()
        encryption.bucketKey = try unpacker.int() != 0
        encryption.isUnnamed = false
        for _ in 0..<(try unpacker.count()) {
            user.append(UserField(name: try unpacker.text(), value: try unpacker.text()))
        }
        guard layout == 2 else { return }
        for _ in 0..<(try unpacker.count()) {
            tags.tags.append(TagSet.Tag(key: try unpacker.text(), value: try unpacker.text()))
        }
        if try unpacker.int() != 0 { acl = try AccessControl(from: &unpacker) }
    }
}

/// An object, as its row says.
struct StoredObject: Sendable {
    var key: ObjectKey
    /// Changes with every write of the key: two reads with the same id saw the same object.
    var id: String
    var size: Int64
    /// Without quotes.
    var etag: String
    /// Whole seconds, as S3 shows it.
    var modified: Instant
    var storageClass: String
    var checksum: StoredChecksum?
    /// Made by a multipart upload: its parts can be asked for by number.
    var isMultipart: Bool
    /// The upload that made it, so that a repeated completion is recognised.
    var uploadID: String?
    var metadata: ObjectMetadata
    var parts: [StoredPart]
    /// Nil: the null version.
    var version: String?
    var rank = VersionID.oldestRank

    /// As a client names it.
    var versionText: String { version ?? "null" }

    static let standardClass = "STANDARD"
}

/// A key: 1 to 1,024 bytes of UTF-8, ordered by them.
struct ObjectKey: Sendable, Hashable {
    let bytes: [UInt8]
    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Throws KeyTooLongError.
    init(_ text: String?) throws {
        bytes = Array((text ?? "").utf8)
        guard bytes.count <= Limits.keyBytes else { throw S3Error.keyTooLong(bytes.count) }
    }

    init(stored bytes: [UInt8]) { self.bytes = bytes }
}
