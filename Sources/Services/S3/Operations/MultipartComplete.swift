import Contracts
import Platform
import Storage
import Wire

/// CompleteMultipartUpload, ListParts, ListMultipartUploads.
extension S3Service {
    func completeMultipartUpload(
        _ input: Model.CompleteMultipartUploadRequest, _ request: OperationRequest
    ) async throws -> OperationResponse {
        let key = try ObjectKey(input.key)
        let conditions = try WriteConditions(ifMatch: input.ifMatch, ifNoneMatch: input.ifNoneMatch)
        // The decision is made on a snapshot, so that ten thousand parts do not hold up the one writer; it is carried out
        // only if no part came in between.
        for _ in 0..<Limits.attempts {
            switch try await prepare(input, key: key, request) {
            case .alreadyDone(let object, let bucket):
                return OperationResponse(answer(object, bucket, input, request).value)
            case .ready(let upload, let completion):
                // "For multipart uploads, the object creation date is the date of initiation of the multipart upload" (S3 user
                // guide, "Working with object metadata").
                let object = StoredObject(
                    key: key, id: Identifier.hex(16), size: completion.size, etag: completion.etag,
                    modified: upload.initiated, storageClass: upload.storageClass,
                    checksum: completion.checksum, isMultipart: true, uploadID: upload.id, metadata: upload.metadata,
                    parts: completion.parts)
                let done = try await commit(
                    object, upload: upload, unused: completion.unused, conditions: conditions, input, request)
                if let (stored, bucket, expiration) = done {
                    var output = answer(stored, bucket, input, request)
                    output.expiration = expiration
                    return OperationResponse(output.value)
                }
            }
        }
        throw S3Error.operationAborted
    }

    private enum Preparation: Sendable {
        case ready(StoredUpload, Completion)
        /// The same completion succeeded before; its answer may not have reached the client.
        case alreadyDone(StoredObject, StoredBucket)
    }

    private func prepare(
        _ input: Model.CompleteMultipartUploadRequest, key: ObjectKey, _ request: OperationRequest
    ) async throws -> Preparation {
        let context = request.context
        let claim = Completion.Request(input)
        return try await database.read { transaction in
            let bucket = try self.bucket(
                input.bucket, for: context, key: key, expectedOwner: input.expectedBucketOwner, in: transaction)
            let id = input.uploadId ?? ""
            guard let upload = try UploadTable.find(id, key: key, bucket: bucket.name, in: transaction) else {
                let object = try ObjectTable.find(key, bucket: bucket.name, in: transaction)
                guard let object, object.uploadID == id else { throw S3Error.noSuchUpload(id) }
                return .alreadyDone(object, bucket)
            }
            let parts = try PartTable.list(upload: upload.id, after: 0, limit: Limits.parts, in: transaction)
            let completion = try Completion(
                claim, plan: upload.plan, uploaded: parts, smallestPart: self.smallestPart)
            return .ready(upload, completion)
        }
    }

    private func commit(
        _ object: StoredObject, upload: StoredUpload, unused: [StoredPart], conditions: WriteConditions,
        _ input: Model.CompleteMultipartUploadRequest, _ request: OperationRequest
    ) async throws -> (StoredObject, StoredBucket, expiration: String?)? {
        let context = request.context
        return try await database.write { transaction in
            let bucket = try self.bucket(input.bucket, for: context, key: object.key, in: transaction)
            let now = try UploadTable.find(upload.id, key: object.key, bucket: bucket.name, in: transaction)
            guard let now, now.changes == upload.changes else { return nil }
            let existing = try ObjectTable.find(object.key, bucket: bucket.name, in: transaction)
            try conditions.check(currentETag: existing?.etag, key: object.key.text)
            // The references of the parts become the object's.
            try self.end(upload, holds: false, bucket: bucket.name, in: transaction)
            try self.release(unused, in: transaction)
            let stored = try self.store(
                object, replacing: existing, bucket: bucket, event: EventName.complete,
                cause: EventCause(context), in: transaction)
            return (stored, bucket, try self.expiration(of: stored, in: bucket, transaction))
        }
    }

    private func answer(
        _ object: StoredObject, _ bucket: StoredBucket, _ input: Model.CompleteMultipartUploadRequest,
        _ request: OperationRequest
    ) -> Model.CompleteMultipartUploadOutput {
        var output = Model.CompleteMultipartUploadOutput()
        output.versionId = bucket.shownVersion(object)
        let path = FormEncoding.encodePath(object.key.bytes)
        output.location = "\(request.context.endpoint)/\(input.bucket ?? "")/\(path)"
        output.bucket = input.bucket
        output.key = object.key.text
        output.eTag = "\"\(object.etag)\""
        object.checksum?.set(on: &output.value, withType: true)
        ObjectHeaders.encryption(object.metadata.encryption, on: &output.value)
        return output
    }

    func listParts(_ input: Model.ListPartsRequest, _ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let key = try ObjectKey(input.key)
        let limit = try pageSize(input.maxParts, name: "max-parts")
        let marker = input.partNumberMarker ?? 0
        guard (0...Int(Int32.max)).contains(marker) else {
            throw S3Error.invalidArgument(
                "Argument part-number-marker must be an integer between 0 and 2147483647", name: "part-number-marker",
                value: String(marker))
        }
        let (bucket, upload, parts) = try await database.read { transaction in
            let bucket = try self.bucket(
                input.bucket, for: context, key: key, expectedOwner: input.expectedBucketOwner, in: transaction)
            let upload = try self.upload(input.uploadId, key: key, bucket: bucket, in: transaction)
            return (
                bucket, upload,
                try PartTable.list(upload: upload.id, after: marker, limit: limit + 1, in: transaction)
            )
        }
        let page = parts.prefix(limit)
        var output = Model.ListPartsOutput()
        output.bucket = bucket.name
        output.key = key.text
        output.uploadId = upload.id
        output.partNumberMarker = marker
        output.nextPartNumberMarker = page.last?.number ?? 0
        output.maxParts = limit
        output.isTruncated = limit > 0 && parts.count > limit
        output.storageClass = upload.storageClass
        output.owner = owner(bucket.account)
        output.initiator = initiator(upload, bucket)
        if upload.plan.isExplicit {
            output.checksumAlgorithm = upload.plan.algorithm.rawValue
            output.checksumType = upload.plan.kind.rawValue
        }
        let items = page.map { listed($0, plan: upload.plan) }
        if !items.isEmpty { output.parts = items }
        return OperationResponse(output.value)
    }

    private func listed(_ part: UploadedPart, plan: UploadChecksumPlan) -> Model.Part {
        var item = Model.Part()
        item.partNumber = part.number
        item.lastModified = part.modified
        item.eTag = "\"\(part.etag)\""
        item.size = Int(part.size)
        if plan.isExplicit {
            StoredChecksum(algorithm: plan.algorithm, kind: plan.kind, value: Base64.encode(part.part.checksum))
                .set(on: &item.value, withType: false)
        }
        return item
    }

    private func initiator(_ upload: StoredUpload, _ bucket: StoredBucket) -> Model.Initiator {
        var initiator = Model.Initiator()
        let isAccount = upload.initiator.hasSuffix(":root")
        initiator.id = isAccount ? CanonicalUser.id(account: bucket.account) : upload.initiator
        return initiator
    }

    func listMultipartUploads(_ input: Model.ListMultipartUploadsRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        let style = try ListingStyle(encodingType: input.encodingType)
        let limit = try pageSize(input.maxUploads, name: "max-uploads")
        // An upload-id-marker counts only together with a key-marker (API reference).
        let keyMarker = input.keyMarker.flatMap { $0.isEmpty ? nil : $0 }
        let idMarker = keyMarker == nil ? nil : input.uploadIdMarker.flatMap { $0.isEmpty ? nil : $0 }
        let start = ListingMachine<StoredUpload>(
            prefix: Array((input.prefix ?? "").utf8), delimiter: Array((input.delimiter ?? "").utf8),
            marker: keyMarker.map { Array($0.utf8) }, markerTie: idMarker, limit: limit)
        let (bucket, listed) = try await database.read { transaction in
            let bucket = try self.bucket(
                input.bucket, for: context, expectedOwner: input.expectedBucketOwner, in: transaction)
            var machine = start
            var action = machine.start()
            while case .fetch(let position, let end, let limit) = action {
                action = machine.received(
                    try UploadTable.list(bucket: bucket.name, at: position, end: end, limit: limit, in: transaction))
            }
            return (bucket, machine)
        }
        var output = Model.ListMultipartUploadsOutput()
        output.bucket = bucket.name
        output.keyMarker = style.text(input.keyMarker ?? "")
        output.uploadIdMarker = input.uploadIdMarker ?? ""
        output.prefix = style.text(input.prefix ?? "")
        output.delimiter = input.delimiter.map { style.text($0) }
        output.encodingType = input.encodingType
        output.maxUploads = limit
        output.isTruncated = listed.isTruncated
        if listed.isTruncated, let last = listed.last {
            output.nextKeyMarker = style.text(last.key)
            output.nextUploadIdMarker = last.tie
        }
        let items = listed.entries.map { item($0, bucket: bucket, style: style) }
        if !items.isEmpty { output.uploads = items }
        if !listed.commonPrefixes.isEmpty { output.commonPrefixes = listed.commonPrefixes.map(style.commonPrefix) }
        return OperationResponse(output.value)
    }

    private func item(_ upload: StoredUpload, bucket: StoredBucket, style: ListingStyle) -> Model.MultipartUpload {
        var item = Model.MultipartUpload()
        item.uploadId = upload.id
        item.key = style.text(upload.keyBytes)
        item.initiated = upload.initiated
        item.storageClass = upload.storageClass
        item.owner = owner(bucket.account)
        item.initiator = initiator(upload, bucket)
        if upload.plan.isExplicit {
            item.checksumAlgorithm = upload.plan.algorithm.rawValue
            item.checksumType = upload.plan.kind.rawValue
        }
        return item
    }
}

extension Completion.Request {
    init(_ input: Model.CompleteMultipartUploadRequest) {
        uploadID = input.uploadId ?? ""
        claims = (input.multipartUpload?.parts ?? []).map { part in
            Completion.Claim(
                number: part.partNumber ?? 0, etag: part.eTag ?? "",
                checksums: Completion.Request.checksums(in: part.value))
        }
        checksums = Completion.Request.checksums(in: input.value)
        checksumType = input.checksumType
        size = input.mpuObjectSize.map { Int64($0) }
    }

    /// The `Checksum…` members of a structure, by algorithm.
    private static func checksums(in value: Value) -> [String: String] {
        var found: [String: String] = [:]
        for algorithm in ChecksumAlgorithm.allCases {
            if let text = value["Checksum" + algorithm.rawValue]?.string { found[algorithm.rawValue] = text }
        }
        return found
    }
}
