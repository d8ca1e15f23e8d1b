import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// A body that has been received whole: on disk as a blob, summed, not yet referred to by any row.
struct ReceivedBody: Sendable {
    var size: Int64
    var md5: [UInt8]
    var blob: BlobID?
    var digest: BodyDigest

    var etag: String { hexEncoded(md5) }

    /// As the one part of an object or upload, summed with `algorithm`.
    func part(number: Int = 1, algorithm: ChecksumAlgorithm) -> StoredPart {
        StoredPart(
            number: number, blob: blob, offset: 0, length: size, blobSize: size,
            checksum: digest.checksum(algorithm))
    }
}

extension S3Service {
    /// Streams a body into a blob, computing its digests on the way, and checks it against what the request says of it.
    func receive(
        _ request: OperationRequest, expecting expectation: ChecksumExpectation, md5: ContentMD5,
        algorithms: Set<ChecksumAlgorithm>
    ) async throws -> ReceivedBody {
        var digest = BodyDigest(algorithms)
        guard let stream = request.stream else {
            try md5.check(digest.md5Bytes)
            try expectation.check(digest, trailers: [])
            return ReceivedBody(size: 0, md5: digest.md5Bytes, blob: nil, digest: digest)
        }
        guard let announced = stream.contentLength else { throw S3Error.missingContentLength }
        guard announced <= Limits.singleUploadBytes else {
            throw S3Error.entityTooLarge(proposed: announced, maximum: Limits.singleUploadBytes)
        }
        let writer = announced == 0 ? nil : try blobs.stage()
        do {
            while let piece = try await stream.next() {
                guard digest.size + Int64(piece.readableBytes) <= announced, let writer else {
                    if piece.readableBytes == 0 { continue }
                    throw S3Error.incompleteBody
                }
                if piece.readableBytes >= Limits.overlapBytes {
                    async let written: Void = writer.append(piece)
                    digest.update(piece)
                    try await written
                } else {
                    digest.update(piece)
                    try await writer.append(piece)
                }
            }
            guard digest.size == announced else { throw S3Error.incompleteBody }
            let sum = digest.md5Bytes
            try md5.check(sum)
            try expectation.check(digest, trailers: stream.trailers)
            let blob = try await writer?.finish()
            return ReceivedBody(size: digest.size, md5: sum, blob: blob?.id, digest: digest)
        } catch {
            writer?.discard()
            throw error
        }
    }

    /// Runs the commit that is to refer to a new blob; when it fails, the blob goes.
    func keeping<T>(_ blob: BlobID?, _ commit: () async throws -> T) async throws -> T {
        do {
            return try await commit()
        } catch {
            if let blob { blobs.abandon(blob) }
            throw error
        }
    }

    func putObject(_ input: Model.PutObjectRequest, _ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let key = try ObjectKey(input.key)
        try ObjectHeaders.refuseUnsupported(context)
        let metadata = try ObjectHeaders.metadata(input.value)
        let headers = try WriteHeaders(input.value)
        let access = AccessRequest(context, key: key, tags: headers.tags)
        let storageClass = try ObjectHeaders.storageClass(input.storageClass)
        let conditions = try WriteConditions(ifMatch: input.ifMatch, ifNoneMatch: input.ifNoneMatch)
        let expectation = try ChecksumExpectation(headers: context.headers)
        let md5 = try ContentMD5(input.contentMD5)
        // Looked at before the body is read, so that no client sends gigabytes in vain; and again when it commits.
        try await database.read { transaction in
            let bucket = try self.bucket(
                input.bucket, access, expectedOwner: input.expectedBucketOwner, in: transaction)
            if conditions.rule != .none {
                let etag = try ObjectTable.find(key, bucket: bucket.name, in: transaction)?.etag
                try conditions.check(currentETag: etag, key: key.text)
            }
        }
        let algorithm = expectation.algorithm ?? .crc64nvme
        let body = try await receive(request, expecting: expectation, md5: md5, algorithms: [algorithm])
        let part = body.part(algorithm: algorithm)
        let checksum = StoredChecksum(algorithm: algorithm, kind: .fullObject, value: Base64.encode(part.checksum))
        let object = StoredObject(
            key: key, id: Identifier.hex(16), size: body.size, etag: body.etag, modified: wholeSeconds(time.now()),
            storageClass: storageClass, checksum: checksum, isMultipart: false, uploadID: nil, metadata: metadata,
            parts: [part])
        let (stored, bucket, expiration) = try await keeping(body.blob) {
            try await database.write { transaction in
                var object = object
                let bucket = try self.bucket(input.bucket, access, in: transaction)
                let existing = try ObjectTable.find(key, bucket: bucket.name, in: transaction)
                try conditions.check(currentETag: existing?.etag, key: key.text)
                try self.dress(&object.metadata, headers, key: key, bucket: bucket, context, in: transaction)
                try self.retain(object.parts, in: transaction)
                let stored = try self.store(
                    object, replacing: existing, bucket: bucket, event: EventName.put,
                    cause: EventCause(context), in: transaction)
                return (stored, bucket, try self.expiration(of: stored, in: bucket, transaction))
            }
        }
        var output = Model.PutObjectOutput()
        output.eTag = "\"\(stored.etag)\""
        output.versionId = bucket.shownVersion(stored)
        output.expiration = expiration
        checksum.set(on: &output.value, withType: true)
        ObjectHeaders.encryption(stored.metadata.encryption, on: &output.value)
        return OperationResponse(output.value)
    }

    /// S3 keeps modification times in whole seconds.
    func wholeSeconds(_ instant: Instant) -> Instant { Instant(milliseconds: instant.seconds &* 1000) }

    /// Stores an object whose blobs are referenced already as its key's current version, lets go of what it replaces, and
    /// puts the event's notifications into the outbox: one transaction. Answers the object with its version.
    func store(
        _ object: StoredObject, replacing existing: StoredObject?, bucket: StoredBucket, event: String,
        cause: EventCause, in transaction: any WriteTransaction
    ) throws -> StoredObject {
        let stored = try place(object, over: existing, in: bucket, transaction)
        try notify(event, of: EventSubject(created: stored), bucket: bucket, cause: cause, in: transaction)
        return stored
    }
}
