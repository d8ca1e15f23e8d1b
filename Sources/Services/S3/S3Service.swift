public import Contracts
public import Logging
public import Platform
public import Storage
import Wire

/// Amazon S3: buckets, objects, multipart uploads and event notifications (see the README for what is missing).
///
/// Objects' bytes are in `Blobs`, everything else in the tables of `migrations`. A write is answered after the
/// transaction that stores the row, takes the blob references and puts the notifications into the outbox is on disk.
public final class S3Service: Sendable {
    let database: any Database
    let blobs: Blobs
    let outbox: any DeliveryOutbox
    let time: any TimeSource
    let logger: Logger
    private let schema: ServiceSchema

    /// Throws `Failure(.bug)` when the generated schema cannot be read.
    public init(
        database: any Database, blobs: Blobs, outbox: any DeliveryOutbox, time: any TimeSource, logger: Logger
    ) throws {
        self.database = database
        self.blobs = blobs
        self.outbox = outbox
        self.time = time
        self.logger = logger
        schema = try ServiceSchema(text: S3Schema.text)
    }

    public static var migrations: Migrations { S3Tables.migrations }

    public var definition: ServiceDefinition {
        ServiceDefinition(
            schema: schema, operations: operations, bodyLimit: Limits.requestBodyBytes,
            tooLarge: { _, limit in
                AWSError(
                    "MaxMessageLengthExceeded", status: 400, "Your request was too large.",
                    fields: ["MaxMessageLengthBytes": .string(String(limit))])
            })
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
            "GetObjectTagging": .asynchronous { try await self.getObjectTagging($0) },
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
        ]
    }

    private func handler<Input: Shape>(
        _ body: @escaping @Sendable (Input, OperationRequest) async throws -> OperationResponse
    ) -> OperationHandler {
        .asynchronous { request in
            try S3Service.checkKey(request)
            return try await body(Input(request.input), request)
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

    /// The bucket, if it exists and belongs to the caller's account. Throws NoSuchBucket, AccessDenied.
    func bucket(
        _ name: String?, for principal: Principal, expectedOwner: String? = nil, in transaction: any ReadTransaction
    ) throws -> StoredBucket {
        let name = name ?? ""
        guard let bucket = try BucketTable.find(name, in: transaction) else { throw S3Error.noSuchBucket(name) }
        guard bucket.account == principal.account, expectedOwner == nil || expectedOwner == bucket.account else {
            throw S3Error.accessDenied
        }
        return bucket
    }
}

extension S3Service: ObjectReader {
    public func read(
        bucket name: String, key: String, version: String?, scope: AccountRegion, principal: Principal, limit: Int
    ) async throws -> [UInt8] {
        let key = try ObjectKey(key)
        try checkVersion(version)
        let opened = try await open(key: key, limit: limit) { transaction in
            try self.bucket(name, for: principal, in: transaction).name
        }
        defer { opened.release() }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(opened.object.size))
        for part in opened.object.parts {
            guard let blob = part.blob, part.length > 0 else { continue }
            try await read(blob, offset: part.offset, length: part.length) { bytes += $0 }
        }
        guard bytes.count == opened.object.size else {
            throw Failure(.corrupt, "object \(key.text) of bucket \(name) is shorter than its row says")
        }
        return bytes
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

    /// Finds an object and holds its blobs. Throws EntityTooLarge over `limit` bytes.
    private func open(
        key: ObjectKey, limit: Int, bucket: @escaping @Sendable (any ReadTransaction) throws -> String
    ) async throws -> OpenObject {
        for _ in 0..<Limits.attempts {
            let object = try await database.read { transaction in
                guard let object = try ObjectTable.find(key, bucket: try bucket(transaction), in: transaction) else {
                    throw S3Error.noSuchKey(key.text)
                }
                return object
            }
            guard object.size <= Int64(limit) else {
                throw S3Error.entityTooLarge(proposed: object.size, maximum: Int64(limit))
            }
            if let opened = hold(object) { return opened }
        }
        throw S3Error.operationAborted
    }
}
