import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// CreateMultipartUpload, UploadPart, UploadPartCopy, AbortMultipartUpload.
extension S3Service {
    func createMultipartUpload(_ input: Model.CreateMultipartUploadRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        let key = try ObjectKey(input.key)
        try ObjectHeaders.refuseUnsupported(context)
        let now = time.now()
        let headers = try WriteHeaders(input.value)
        let prepared = StoredUpload(
            key: key, id: UploadID.make(now: now), initiated: now, initiator: context.principal.arn,
            storageClass: try ObjectHeaders.storageClass(input.storageClass),
            plan: try UploadChecksumPlan(algorithm: input.checksumAlgorithm, type: input.checksumType), changes: 0,
            metadata: try ObjectHeaders.metadata(input.value))
        let (bucket, upload, abort) = try await database.write { transaction in
            var upload = prepared
            let bucket = try self.bucket(
                input.bucket, AccessRequest(context, key: key, tags: headers.tags),
                expectedOwner: input.expectedBucketOwner, in: transaction)
            try self.dress(&upload.metadata, headers, key: key, bucket: bucket, context, in: transaction)
            try UploadTable.insert(upload, bucket: bucket.name, in: transaction)
            return (bucket, upload, try self.abortion(of: upload, in: bucket, transaction))
        }
        var output = Model.CreateMultipartUploadOutput()
        output.bucket = bucket.name
        output.key = key.text
        output.uploadId = upload.id
        output.abortDate = abort?.date
        output.abortRuleId = abort?.rule
        if upload.plan.isExplicit {
            output.checksumAlgorithm = upload.plan.algorithm.rawValue
            output.checksumType = upload.plan.kind.rawValue
        }
        ObjectHeaders.encryption(upload.metadata.encryption, on: &output.value)
        return OperationResponse(output.value)
    }

    /// The upload under way. Throws NoSuchUpload.
    func upload(_ id: String?, key: ObjectKey, bucket: StoredBucket, in transaction: any ReadTransaction) throws
        -> StoredUpload
    {
        guard let upload = try UploadTable.find(id ?? "", key: key, bucket: bucket.name, in: transaction) else {
            throw S3Error.noSuchUpload(id ?? "")
        }
        return upload
    }

    private func checkPartNumber(_ number: Int?) throws -> Int {
        guard let number, (1...Limits.parts).contains(number) else {
            throw S3Error.invalidArgument(
                "Part number must be an integer between 1 and 10000, inclusive", name: "partNumber",
                value: number.map(String.init) ?? "")
        }
        return number
    }

    func uploadPart(_ input: Model.UploadPartRequest, _ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let key = try ObjectKey(input.key)
        let number = try checkPartNumber(input.partNumber)
        try ObjectHeaders.refuseUnsupported(context)
        let expectation = try ChecksumExpectation(headers: context.headers)
        let md5 = try ContentMD5(input.contentMD5)
        let upload = try await database.read { transaction in
            let bucket = try self.bucket(
                input.bucket, for: context, key: key, expectedOwner: input.expectedBucketOwner, in: transaction)
            return try self.upload(input.uploadId, key: key, bucket: bucket, in: transaction)
        }
        let plan = upload.plan
        if plan.isExplicit, expectation.algorithm != plan.algorithm {
            throw S3Error.invalidRequest(
                "Checksum Type mismatch occurred, expected checksum Type: \(plan.algorithm.rawValue.lowercased()), "
                    + "actual checksum Type: \(expectation.algorithm?.rawValue.lowercased() ?? "null")")
        }
        let shown = expectation.algorithm ?? plan.algorithm
        let body = try await receive(request, expecting: expectation, md5: md5, algorithms: [plan.algorithm, shown])
        let part = UploadedPart(
            size: body.size, etag: body.etag, modified: wholeSeconds(time.now()),
            part: body.part(number: number, algorithm: plan.algorithm))
        try await keeping(body.blob) {
            try await database.write { transaction in
                let bucket = try self.bucket(input.bucket, for: context, key: key, in: transaction)
                let upload = try self.upload(input.uploadId, key: key, bucket: bucket, in: transaction)
                try self.store(part, of: upload, bucket: bucket, in: transaction)
            }
        }
        var output = Model.UploadPartOutput()
        output.eTag = "\"\(part.etag)\""
        StoredChecksum(
            algorithm: shown, kind: .fullObject, value: Base64.encode(body.digest.checksum(shown))
        ).set(on: &output.value, withType: false)
        ObjectHeaders.encryption(upload.metadata.encryption, on: &output.value)
        return OperationResponse(output.value)
    }

    /// Takes the part's reference and lets go of the part of this number that was there before.
    private func store(
        _ part: UploadedPart, of upload: StoredUpload, bucket: StoredBucket, in transaction: any WriteTransaction
    ) throws {
        let before = try PartTable.find(part.number, upload: upload.id, in: transaction)
        try retain([part.part], in: transaction)
        try PartTable.put(part, of: upload, bucket: bucket.name, in: transaction)
        if let before { try release([before.part], in: transaction) }
    }

    func uploadPartCopy(_ input: Model.UploadPartCopyRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        let key = try ObjectKey(input.key)
        let number = try checkPartNumber(input.partNumber)
        try ObjectHeaders.refuseUnsupported(context)
        let source = try copySource(input.copySource)
        let sourceKey = try ObjectKey(source.key)
        for _ in 0..<Limits.attempts {
            let upload = try await database.read { transaction in
                let bucket = try self.bucket(
                    input.bucket, for: context, key: key, expectedOwner: input.expectedBucketOwner, in: transaction)
                return try self.upload(input.uploadId, key: key, bucket: bucket, in: transaction)
            }
            let (original, sourceVersion) = try await findCopySource(
                source, key: sourceKey, conditions: input.sourceConditions, request)
            var (first, end) = (Int64(0), original.size)
            if let range = input.copySourceRange {
                let bounds = try ByteRange.copySource(range, size: original.size)
                (first, end) = (bounds.first, bounds.last + 1)
            }
            guard end - first <= Limits.singleUploadBytes else {
                throw S3Error.invalidRequest(
                    "The specified copy source is larger than the maximum allowable size for a copy source: "
                        + "\(Limits.singleUploadBytes)")
            }
            guard let part = try await copiedPart(number, of: original, first: first, end: end, plan: upload.plan)
            else {
                continue
            }
            // Several pieces became a blob of their own.
            let made = original.slices(first: first, end: end).count > 1 ? part.part.blob : nil
            let isDone = try await keeping(made) {
                try await database.write { transaction in
                    let bucket = try self.bucket(input.bucket, for: context, key: key, in: transaction)
                    let upload = try self.upload(input.uploadId, key: key, bucket: bucket, in: transaction)
                    guard try self.isStill(original, source, in: transaction) else { return false }
                    try self.store(part, of: upload, bucket: bucket, in: transaction)
                    return true
                }
            }
            if !isDone, let made { blobs.abandon(made) }
            if isDone {
                var output = answer(part, upload)
                output.copySourceVersionId = sourceVersion
                return OperationResponse(output.value)
            }
        }
        throw S3Error.operationAborted
    }

    private func answer(_ part: UploadedPart, _ upload: StoredUpload) -> Model.UploadPartCopyOutput {
        var result = Model.CopyPartResult()
        result.eTag = "\"\(part.etag)\""
        result.lastModified = part.modified
        if upload.plan.isExplicit {
            StoredChecksum(
                algorithm: upload.plan.algorithm, kind: upload.plan.kind, value: Base64.encode(part.part.checksum)
            ).set(on: &result.value, withType: false)
        }
        var output = Model.UploadPartCopyOutput()
        output.copyPartResult = result
        ObjectHeaders.encryption(upload.metadata.encryption, on: &output.value)
        return output
    }

    /// A part with the bytes `first..<end` of an object. Within one blob they are shared; a range over several is
    /// written into a blob of its own, so that a part is always one piece and objects cannot grow long lists by copying.
    /// Nil when the object was replaced meanwhile.
    private func copiedPart(
        _ number: Int, of object: StoredObject, first: Int64, end: Int64, plan: UploadChecksumPlan
    ) async throws -> UploadedPart? {
        guard let digest = try await digest(of: object, first: first, end: end, algorithm: plan.algorithm) else {
            return nil
        }
        let slices = object.slices(first: first, end: end)
        var part = StoredPart(
            number: number, blob: nil, offset: 0, length: 0, blobSize: 0, checksum: digest.checksum(plan.algorithm))
        if let only = slices.first, slices.count == 1 {
            (part.blob, part.offset, part.length, part.blobSize) = (only.blob, only.offset, only.length, only.blobSize)
        } else if !slices.isEmpty {
            guard let blob = try await joined(object, slices, first: first, end: end) else { return nil }
            (part.blob, part.length, part.blobSize) = (blob, end - first, end - first)
        }
        return UploadedPart(
            size: end - first, etag: hexEncoded(digest.md5Bytes), modified: wholeSeconds(time.now()), part: part)
    }

    private func joined(_ object: StoredObject, _ slices: [StoredPart], first: Int64, end: Int64) async throws
        -> BlobID?
    {
        guard let opened = hold(object, first: first, end: end) else { return nil }
        defer { opened.release() }
        let writer = try blobs.stage()
        do {
            for slice in slices {
                guard let blob = slice.blob else { continue }
                try await read(blob, offset: slice.offset, length: slice.length) { bytes in
                    try await writer.append(ByteBuffer(bytes: bytes))
                }
            }
            return try await writer.finish().id
        } catch {
            writer.discard()
            throw error
        }
    }

    func abortMultipartUpload(_ input: Model.AbortMultipartUploadRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        let key = try ObjectKey(input.key)
        if input.ifMatchInitiatedTime != nil {
            throw S3Error.notImplemented(
                header: "x-amz-if-match-initiated-time", "aborting on time (directory buckets) is not implemented")
        }
        try await database.write { transaction in
            let bucket = try self.bucket(
                input.bucket, for: context, key: key, expectedOwner: input.expectedBucketOwner, in: transaction)
            let upload = try self.upload(input.uploadId, key: key, bucket: bucket, in: transaction)
            try self.end(upload, holds: true, bucket: bucket.name, in: transaction)
        }
        return OperationResponse()
    }
}

/// Ids of uploads: sort by time, cannot be guessed.
enum UploadID {
    static func make(now: Instant) -> String {
        let time = String(UInt64(bitPattern: now.nanoseconds), radix: 16)
        return String(repeating: "0", count: 16 - time.count) + time + Identifier.hex(48)
    }
}

extension Model.UploadPartCopyRequest {
    fileprivate var sourceConditions: ReadConditions {
        ReadConditions(
            ifMatch: copySourceIfMatch, ifNoneMatch: copySourceIfNoneMatch, ifModifiedSince: copySourceIfModifiedSince,
            ifUnmodifiedSince: copySourceIfUnmodifiedSince)
    }
}
