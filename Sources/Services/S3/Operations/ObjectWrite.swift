public import Contracts
public import Platform
public import Storage
import Wire

/// Who caused an object's event, and how.
struct EventCause: Sendable {
    var requestID: String
    var sourceIP: String
    var principal: Principal
    /// `X-Amzn-Trace-Id`: a function's lineage is in it.
    var traceHeader: String?
    /// The call that is to be recorded with it.
    var call: RecordedCall?

    init(requestID: String, sourceIP: String, principal: Principal, traceHeader: String? = nil) {
        self.requestID = requestID
        self.sourceIP = sourceIP
        self.principal = principal
        self.traceHeader = traceHeader
    }

    /// What S3 does by itself.
    init(
        s3For bucket: StoredBucket, requestID: String = Identifier.hex(16).uppercased(), traceHeader: String? = nil
    ) {
        self.init(
            requestID: requestID, sourceIP: "s3.amazonaws.com", principal: bucket.principal, traceHeader: traceHeader)
    }

    init(_ context: OperationContext) {
        self.init(
            requestID: context.requestID, sourceIP: context.sourceIP, principal: context.principal,
            traceHeader: context.header("x-amzn-trace-id").flatMap { $0.utf8.count <= 1_024 ? $0 : nil })
        call = context.recordedCall
    }
}

/// Other services put small objects: as PutObject does, with its events.
extension S3Service: ObjectWriter {
    public func write(
        _ bytes: [UInt8], bucket name: String, key: String, contentType: String, scope: AccountRegion,
        principal: Principal, traceHeader: String?
    ) async throws {
        let key = try ObjectKey(key)
        try await database.read { transaction in
            _ = try self.bucket(
                name, AccessRequest(principal: principal, action: "s3:PutObject", key: key), in: transaction)
        }
        var digest = BodyDigest([.crc64nvme])
        digest.update(bytes)
        let blob = bytes.isEmpty ? nil : try await blobs.store(bytes).id
        let body = ReceivedBody(size: Int64(bytes.count), md5: digest.md5Bytes, blob: blob, digest: digest)
        let part = body.part(algorithm: .crc64nvme)
        var metadata = ObjectMetadata()
        metadata.contentType = contentType
        let object = StoredObject(
            key: key, id: Identifier.hex(16), size: body.size, etag: body.etag, modified: wholeSeconds(time.now()),
            storageClass: StoredObject.standardClass,
            checksum: StoredChecksum(
                algorithm: .crc64nvme, kind: .fullObject, value: Base64.encode(part.checksum)),
            isMultipart: false, uploadID: nil, metadata: metadata, parts: [part])
        // A service acts: the address that records show is its name, as on AWS.
        let cause = EventCause(
            requestID: Identifier.uuid(), sourceIP: "lambda.amazonaws.com", principal: principal,
            traceHeader: traceHeader)
        try await keeping(body.blob) {
            try await database.write { transaction in
                var object = object
                let bucket = try self.bucket(
                    name, AccessRequest(principal: principal, action: "s3:PutObject", key: key), in: transaction)
                let existing = try ObjectTable.find(key, bucket: bucket.name, in: transaction)
                if let standard = bucket.encryption { object.metadata.encryption = standard }
                try self.retain(object.parts, in: transaction)
                _ = try self.store(
                    object, replacing: existing, bucket: bucket, event: EventName.put, cause: cause, in: transaction)
            }
        }
    }

    public func validate(bucket: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        // No key is known yet: policies for a part of the bucket are asked when something is written.
        guard let found = try BucketTable.find(bucket, in: transaction) else { throw S3Error.noSuchBucket(bucket) }
        guard found.account == principal.account || found.policy != nil else { throw S3Error.accessDenied }
    }
}
