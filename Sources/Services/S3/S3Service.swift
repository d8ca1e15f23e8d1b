public import Contracts
public import Logging
import NIOCore
public import Platform
import Policies
public import Storage
import Synchronization
import Wire

/// Amazon S3: buckets, objects, multipart uploads and event notifications (see the README for what is missing).
///
/// Objects' bytes are in `Blobs`, everything else in the tables of `migrations`. A write is answered after the
/// transaction that stores the row, takes the blob references and puts the notifications into the outbox is on disk.
public final class S3Service: Sendable {
    let database: any Database
    let blobs: Blobs
    let outbox: any DeliveryOutbox
    /// Nil: identities may everything in their own account.
    let authorizer: (any Authorizer)?
    let time: any TimeSource
    let logger: Logger
    let policies = PolicyCache()
    let verifications = Verifications()
    let lifecycle: LifecycleSchedule
    let leftovers = Mutex(LeftoverWork())
    /// Bytes of a part that is not the last; tests of many parts have small ones.
    let smallestPart: Int64
    /// Objects that are being copied for other services.
    private let copies = Gate(limit: Limits.copiesAtOnce, waiting: Limits.copiesWaiting)
    let schema: ServiceSchema
    /// Nil until `connect`.
    let links = Mutex<S3Links?>(nil)

    /// Throws `Failure(.bug)` when the generated schema cannot be read.
    public init(
        database: any Database, blobs: Blobs, outbox: any DeliveryOutbox, authorizer: (any Authorizer)? = nil,
        time: any TimeSource, logger: Logger, smallestPart: Int64? = nil
    ) throws {
        self.database = database
        self.smallestPart = smallestPart ?? Limits.smallestPartBytes
        self.blobs = blobs
        self.outbox = outbox
        self.authorizer = authorizer
        self.time = time
        self.logger = logger
        lifecycle = LifecycleSchedule(time: time)
        schema = try ServiceSchema(text: S3Schema.text)
    }

    public static var migrations: Migrations { S3Tables.migrations }

    public var definition: ServiceDefinition {
        var definition = ServiceDefinition(
            schema: schema, operations: operations, bodyLimit: Limits.requestBodyBytes,
            tooLarge: { _, limit in
                AWSError(
                    "MaxMessageLengthExceeded", status: 400, "Your request was too large.",
                    fields: ["MaxMessageLengthBytes": .string(String(limit))])
            })
        definition.takesAnonymous = true
        definition.preflight = { [self] in try await preflight($0) }
        return definition
    }

    var operations: [String: OperationHandler] {
        [
            "CreateBucket": handler(createBucket),
            "DeleteBucket": handler(deleteBucket),
            "HeadBucket": handler(headBucket),
            "ListBuckets": handler(listBuckets),
            "GetBucketLocation": handler(getBucketLocation),
            "GetBucketNotificationConfiguration": handler(getBucketNotificationConfiguration),
            "PutBucketNotificationConfiguration": handler(putBucketNotificationConfiguration),
            "PutObject": handler(putObject),
            "GetObject": handler(getObject),
            "HeadObject": handler(headObject),
            "GetObjectAttributes": handler(getObjectAttributes),
            "CopyObject": handler(copyObject),
            "DeleteObject": handler(deleteObject),
            "DeleteObjects": handler(deleteObjects),
            "ListObjects": handler(listObjects),
            "ListObjectsV2": handler(listObjectsV2),
            "CreateMultipartUpload": handler(createMultipartUpload),
            "UploadPart": handler(uploadPart),
            "UploadPartCopy": handler(uploadPartCopy),
            "CompleteMultipartUpload": handler(completeMultipartUpload),
            "AbortMultipartUpload": handler(abortMultipartUpload),
            "ListParts": handler(listParts),
            "ListMultipartUploads": handler(listMultipartUploads),
            "ListObjectVersions": handler(listObjectVersions),
            "GetBucketVersioning": handler(getBucketVersioning),
            "PutBucketVersioning": handler(putBucketVersioning),
            "GetObjectTagging": handler(getObjectTagging),
            "PutObjectTagging": handler(putObjectTagging),
            "DeleteObjectTagging": handler(deleteObjectTagging),
            "GetBucketTagging": handler(getBucketTagging),
            "PutBucketTagging": handler(putBucketTagging),
            "DeleteBucketTagging": handler(deleteBucketTagging),
            "RestoreObject": handler(restoreObject),
            "WriteGetObjectResponse": handler(writeGetObjectResponse),
        ].merging(accessOperations) { first, _ in first }.merging(settingOperations) { first, _ in first }
    }

    func handler<Input: Shape>(
        _ body: @escaping @Sendable (Input, OperationRequest) async throws -> OperationResponse
    ) -> OperationHandler {
        .asynchronous { request in
            try S3Service.checkKey(request)
            let run: @Sendable () async throws -> OperationResponse = {
                try await self.recorded(request) { request in
                    try await self.enter(request) { try await body(Input($0.input), $0) }
                }
            }
            guard request.context.foreignPage != nil || request.context.header("origin") != nil else {
                return try await run()
            }
            return try await self.answerPage(request, run)
        }
    }

    /// A key is UTF-8. Bytes that are not were decoded to U+FFFD, under which different keys would meet: refused.
    private static func checkKey(_ request: OperationRequest) throws(AWSError) {
        guard let key = request.input["Key"]?.string, key.unicodeScalars.contains("\u{FFFD}") else { return }
        let uri = request.context.uri
        guard FormEncoding.decodePercent(uri.prefix { $0 != "?" }) == nil else { return }
        throw AWSError(
            "InvalidURI", status: 400, "Couldn't parse the specified URI.", fields: ["URI": .string(uri)])
    }
}

extension S3Service: ObjectReader {
    /// An object that is one whole blob shares it; another one (parts, a copy of a range) is copied piece by piece.
    public func stage(
        bucket name: String, key: String, version: String?, for context: OperationContext, limit: Int64
    ) async throws -> (blob: BlobID, size: Int64) {
        let key = try ObjectKey(key)
        let choice = try VersionChoice(version)
        for _ in 0..<Limits.attempts {
            let object = try await database.read { transaction in
                let action = S3Action.name(operation: "GetObject", ofVersion: version != nil)
                let bucket = try self.bucket(
                    name, AccessRequest(of: context, action: action, key: key), in: transaction,
                    existing: { try self.existing(key, choice, in: $0, transaction) })
                switch try self.find(key, choice, in: bucket, transaction) {
                case .object(let object, _): return object
                case .marker(let marker) where choice != .current: throw S3Error.isDeleteMarker(marker)
                case nil where choice != .current:
                    throw S3Error.noSuchVersion(key: key, version: choice.text ?? "")
                case .marker, nil: throw S3Error.noSuchKey(key.text)
                }
            }
            guard object.size <= limit else {
                throw S3Error.entityTooLarge(proposed: object.size, maximum: limit)
            }
            if let blob = object.wholeBlob {
                if blobs.share(blob) { return (blob, object.size) }
            } else if let copy = try await copies.run({ try await copyBytes(of: object) }) {
                return copy
            }
        }
        throw S3Error.operationAborted
    }

    /// A blob with all bytes of the object; nil when the object was replaced meanwhile.
    private func copyBytes(of object: StoredObject) async throws -> (blob: BlobID, size: Int64)? {
        guard let opened = hold(object) else { return nil }
        defer { opened.release() }
        try await verify(object.slices(first: 0, end: object.size), of: object)
        let writer = try blobs.stage()
        do {
            for part in object.parts where part.length > 0 {
                guard let blob = part.blob else { continue }
                try await read(blob, offset: part.offset, length: part.length) {
                    try await writer.append(ByteBuffer(bytes: $0))
                }
            }
        } catch {
            writer.discard()
            throw error
        }
        let (blob, size) = try await writer.finish()
        return (blob, size)
    }

    /// Reads a part of a blob piece by piece. Throws `Failure(.corrupt)` when the blob ends early.
    func read(
        _ blob: BlobID, offset: Int64, length: Int64, _ use: (_ bytes: [UInt8]) async throws -> Void
    ) async throws {
        var done: Int64 = 0
        while done < length {
            let next = Int(min(length - done, Int64(Limits.hashingChunkBytes)))
            let bytes = try await blobs.read(blob, offset: offset + done, length: next)
            guard !bytes.isEmpty else {
                throw Failure(.corrupt, "blob \(blob) is shorter than the rows that refer to it say")
            }
            try await use(bytes)
            done += Int64(bytes.count)
        }
    }
}

extension StoredObject {
    /// The blob that has exactly the object's bytes, when there is one.
    var wholeBlob: BlobID? {
        guard parts.count == 1, let part = parts.first, part.offset == 0, part.length == part.blobSize else {
            return nil
        }
        return part.blob
    }
}
