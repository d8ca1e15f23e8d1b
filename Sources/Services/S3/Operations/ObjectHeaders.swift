import Contracts
import Platform
import Wire

/// What request headers say of an object to be stored, and what its answers say.
enum ObjectHeaders {
    static let storageClasses: Set<String> = [
        "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE",
        "GLACIER_IR",
    ]
    /// Canned lists that say no more than what holds where lists are disabled.
    static let acceptedACLs: Set<String> = ["private", "bucket-owner-full-control", "bucket-owner-read"]

    /// Headers whose effect is not there yet. Refused by name: ignoring them would pretend success.
    private static let refused: [(prefix: String, what: String)] = [
        ("x-amz-object-lock-", "object lock is not implemented"),
        ("x-amz-server-side-encryption-customer-", "encryption with customer keys is not implemented"),
        ("x-amz-copy-source-server-side-encryption-customer-", "encryption with customer keys is not implemented"),
        ("x-amz-write-offset-bytes", "appending is not implemented"),
    ]

    /// Throws NotImplemented for a header that asks for what Martlet does not have.
    static func refuseUnsupported(_ context: OperationContext) throws {
        for (name, _) in context.headers where name.hasPrefix("x-amz-") {
            if let hit = refused.first(where: { name.hasPrefix($0.prefix) }) {
                throw S3Error.notImplemented(header: name, hit.what)
            }
        }
    }

    /// The stored headers. PutObject, CopyObject and CreateMultipartUpload name these members alike, so one shape reads
    /// all three. Throws MetadataTooLarge.
    static func metadata(_ input: Value) throws -> ObjectMetadata {
        let input = Model.PutObjectRequest(input)
        var metadata = ObjectMetadata()
        metadata.contentType = nonEmpty(input.contentType)
        metadata.cacheControl = nonEmpty(input.cacheControl)
        metadata.contentDisposition = nonEmpty(input.contentDisposition)
        metadata.contentEncoding = withoutChunking(input.contentEncoding)
        metadata.contentLanguage = nonEmpty(input.contentLanguage)
        metadata.expires = nonEmpty(input.expires)
        metadata.websiteRedirect = nonEmpty(input.websiteRedirectLocation)
        metadata.user = (input.metadata ?? []).map { .init(name: $0.key.lowercased(), value: $0.value) }
        let size = metadata.user.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        guard size <= Limits.userMetadataBytes else {
            throw AWSError(
                "MetadataTooLarge", status: 400, "Your metadata headers exceed the maximum allowed metadata size",
                fields: [
                    "Size": .string(String(size)), "MaxSizeAllowed": .string(String(Limits.userMetadataBytes)),
                ])
        }
        metadata.encryption = try encryption(input)
        return metadata
    }

    /// Throws InvalidStorageClass.
    static func storageClass(_ name: String?) throws -> String {
        guard let name, !name.isEmpty else { return StoredObject.standardClass }
        guard storageClasses.contains(name) else {
            throw AWSError(
                "InvalidStorageClass", status: 400, "The storage class you specified is not valid",
                fields: ["StorageClassRequested": .string(name)])
        }
        return name
    }

    private static func encryption(_ input: Model.PutObjectRequest) throws -> EncryptionHeaders {
        var encryption = EncryptionHeaders()
        guard let algorithm = input.serverSideEncryption else { return encryption }
        guard ["AES256", "aws:kms", "aws:kms:dsse"].contains(algorithm) else {
            throw AWSError(
                "InvalidEncryptionAlgorithmError", status: 400,
                "The encryption request you specified is not valid. Supported value: AES256.")
        }
        encryption.algorithm = algorithm
        encryption.isUnnamed = false
        if algorithm != "AES256" {
            encryption.keyID = input.ssekmsKeyId
            encryption.bucketKey = input.bucketKeyEnabled ?? false
        }
        return encryption
    }

    private static func nonEmpty(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }

    /// Without `aws-chunked`, which is the transfer's encoding and not the object's.
    static func withoutChunking(_ encoding: String?) -> String? {
        guard let encoding else { return nil }
        let rest = encoding.split(separator: ",").map { String($0).trimmed }.filter {
            !$0.isEmpty && $0.lowercased() != "aws-chunked"
        }
        return rest.isEmpty ? nil : rest.joined(separator: ",")
    }

    /// Sets the members that GetObject and HeadObject share.
    static func describe(_ object: StoredObject, in output: inout Model.GetObjectOutput) {
        let metadata = object.metadata
        output.acceptRanges = "bytes"
        output.lastModified = object.modified
        output.eTag = "\"\(object.etag)\""
        output.contentType = metadata.contentType ?? ObjectMetadata.defaultContentType
        output.cacheControl = metadata.cacheControl
        output.contentDisposition = metadata.contentDisposition
        output.contentEncoding = metadata.contentEncoding
        output.contentLanguage = metadata.contentLanguage
        output.expires = metadata.expires
        output.websiteRedirectLocation = metadata.websiteRedirect
        output.metadata = metadata.user.isEmpty ? nil : metadata.user.map { ($0.name, $0.value) }
        if !metadata.tags.isEmpty { output.tagCount = metadata.tags.tags.count }
        output.storageClass = object.storageClass == StoredObject.standardClass ? nil : object.storageClass
        encryption(metadata.encryption, on: &output.value)
    }

    /// Sets the encryption members, which all outputs name alike.
    static func encryption(_ encryption: EncryptionHeaders, on value: inout Value) {
        value["ServerSideEncryption"] = .string(encryption.algorithm)
        if let keyID = encryption.keyID { value["SSEKMSKeyId"] = .string(keyID) }
        if encryption.bucketKey { value["BucketKeyEnabled"] = true }
    }
}
