import Contracts
import Platform
import Storage
import Wire

/// CopyObject. Bytes are shared, not copied; they are read again only when the copy needs sums that the source has not.
extension S3Service {
    func copyObject(_ input: Model.CopyObjectRequest, _ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let key = try ObjectKey(input.key)
        try ObjectHeaders.refuseUnsupported(context)
        let source = try copySource(input.copySource)
        let sourceKey = try ObjectKey(source.key)
        let replaces = try replacesMetadata(input)
        let storageClass = try ObjectHeaders.storageClass(input.storageClass)
        let given = try ObjectHeaders.metadata(input.value)
        let headers = try WriteHeaders(input.value)
        let replacesTags = input.taggingDirective == "REPLACE"
        let conditions = try WriteConditions(ifMatch: input.ifMatch, ifNoneMatch: input.ifNoneMatch)
        var algorithm: ChecksumAlgorithm?
        if let name = input.checksumAlgorithm {
            algorithm = try UploadChecksumPlan(algorithm: name, type: nil).algorithm
        }
        for _ in 0..<Limits.attempts {
            let (original, sourceVersion) = try await findCopySource(
                source, key: sourceKey, conditions: input.sourceConditions, request)
            guard original.size <= Limits.singleUploadBytes else {
                throw S3Error.invalidRequest(
                    "The specified copy source is larger than the maximum allowable size for a copy source: "
                        + "\(Limits.singleUploadBytes)")
            }
            try checkSelfCopy(input, source: source, replaces: replaces, original: original)
            guard
                let sums = try await self.sums(
                    original, algorithm: algorithm ?? original.checksum?.algorithm ?? .crc64nvme)
            else { continue }
            var metadata = replaces ? given : original.metadata
            metadata.websiteRedirect = given.websiteRedirect
            metadata.encryption = given.encryption
            metadata.tags = replacesTags ? headers.tags ?? TagSet() : original.metadata.tags
            metadata.acl = nil
            let copy = StoredObject(
                key: key, id: Identifier.hex(16), size: original.size, etag: sums.etag,
                modified: wholeSeconds(time.now()), storageClass: storageClass, checksum: sums.checksum,
                isMultipart: false, uploadID: nil, metadata: metadata, parts: original.parts)
            var ours = headers
            if !replacesTags { ours.tags = nil }
            let done = try await commit(
                copy, ours, of: original, source: source, conditions: conditions, input, request)
            if let (stored, bucket, expiration) = done {
                var output = answer(stored)
                output.versionId = bucket.shownVersion(stored)
                output.copySourceVersionId = sourceVersion
                output.expiration = expiration
                return OperationResponse(output.value)
            }
        }
        throw S3Error.operationAborted
    }

    /// Stores the copy unless its source has changed since it was looked at: then nil.
    private func commit(
        _ copy: StoredObject, _ headers: WriteHeaders, of original: StoredObject, source: CopySource,
        conditions: WriteConditions, _ input: Model.CopyObjectRequest, _ request: OperationRequest
    ) async throws -> (StoredObject, StoredBucket, expiration: String?)? {
        let context = request.context
        return try await database.write { transaction in
            var copy = copy
            let bucket = try self.bucket(
                input.bucket, AccessRequest(context, key: copy.key, tags: headers.tags),
                expectedOwner: input.expectedBucketOwner, in: transaction)
            guard try self.isStill(original, source, in: transaction) else { return nil }
            let existing = try ObjectTable.find(copy.key, bucket: bucket.name, in: transaction)
            try conditions.check(currentETag: existing?.etag, key: copy.key.text)
            try self.dress(&copy.metadata, headers, key: copy.key, bucket: bucket, context, in: transaction)
            try self.retain(copy.parts, in: transaction)
            let stored = try self.store(
                copy, replacing: existing, bucket: bucket, event: EventName.copy,
                cause: EventCause(context), in: transaction)
            return (stored, bucket, try self.expiration(of: stored, in: bucket, transaction))
        }
    }

    /// Whether the source of a copy is what it was when it was looked at.
    func isStill(_ original: StoredObject, _ source: CopySource, in transaction: any ReadTransaction) throws -> Bool {
        guard let bucket = try BucketTable.find(source.bucket, in: transaction),
            case .object(let now, _) = try find(
                original.key, try VersionChoice(source.versionID), in: bucket, transaction)
        else { return false }
        return now.id == original.id
    }

    private func answer(_ copy: StoredObject) -> Model.CopyObjectOutput {
        var result = Model.CopyObjectResult()
        result.eTag = "\"\(copy.etag)\""
        result.lastModified = copy.modified
        copy.checksum?.set(on: &result.value, withType: true)
        var output = Model.CopyObjectOutput()
        output.copyObjectResult = result
        ObjectHeaders.encryption(copy.metadata.encryption, on: &output.value)
        return output
    }

    /// The source named by a header. Throws InvalidArgument.
    func copySource(_ header: String?) throws -> CopySource {
        guard let source = CopySource(header ?? "") else {
            throw S3Error.invalidArgument(
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
                name: "x-amz-copy-source", value: header ?? "")
        }
        if source.bucket.hasPrefix("arn:") { throw S3Error.notImplemented("Copying from an access point") }
        _ = try VersionChoice(source.versionID)
        return source
    }

    /// Reads the source's row and checks the caller's conditions on it. Answers its version too, as the copy's answer shows
    /// it.
    func findCopySource(
        _ source: CopySource, key: ObjectKey, conditions: ReadConditions, _ request: OperationRequest
    ) async throws -> (object: StoredObject, version: String?) {
        let context = request.context
        let choice = try VersionChoice(source.versionID)
        let (object, version) = try await database.read { transaction in
            let action = S3Action.name(operation: "GetObject", ofVersion: source.versionID != nil)
            let bucket = try self.bucket(
                source.bucket, AccessRequest(context, action: action, key: key),
                expectedOwner: context.header("x-amz-source-expected-bucket-owner"), in: transaction,
                existing: { try self.existing(key, choice, in: $0, transaction) })
            do {
                let object = try self.object(key, choice, in: bucket, context, transaction)
                return (object, bucket.shownVersion(object))
            } catch let error as AWSError where error.code == "MethodNotAllowed" {
                throw S3Error.invalidRequest(
                    "The source of a copy request may not specifically refer to a delete marker by version id.")
            }
        }
        try conditions.checkCopySource(etag: object.etag, modified: object.modified, now: time.now())
        return (object, version)
    }

    /// The object that an access check looks at.
    func existing(
        _ key: ObjectKey, _ choice: VersionChoice, in bucket: StoredBucket, _ transaction: any ReadTransaction
    ) throws -> StoredObject? {
        guard case .object(let object, _) = try find(key, choice, in: bucket, transaction) else { return nil }
        return object
    }

    private func replacesMetadata(_ input: Model.CopyObjectRequest) throws -> Bool {
        if let directive = input.taggingDirective, !["COPY", "REPLACE"].contains(directive) {
            throw S3Error.invalidArgument(
                "Unknown tagging directive.", name: "x-amz-tagging-directive", value: directive)
        }
        switch input.metadataDirective ?? "COPY" {
        case "COPY": return false
        case "REPLACE": return true
        case let other:
            throw S3Error.invalidArgument(
                "Unknown metadata directive.", name: "x-amz-metadata-directive", value: other)
        }
    }

    private func checkSelfCopy(
        _ input: Model.CopyObjectRequest, source: CopySource, replaces: Bool, original: StoredObject
    ) throws {
        let changes =
            replaces || input.storageClass != nil || input.websiteRedirectLocation != nil
            || input.serverSideEncryption != nil || source.versionID != nil
            || (input.checksumAlgorithm != nil && input.checksumAlgorithm != original.checksum?.algorithm.rawValue)
        guard source.bucket == input.bucket, source.key == input.key, !changes else { return }
        throw S3Error.invalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
                + "object's metadata, storage class, website redirect location or encryption attributes.")
    }

    /// ETag and checksum of a copy: those of a plain object, so a multipart source is read and summed as one.
    /// Nil when the source was replaced meanwhile.
    private func sums(_ object: StoredObject, algorithm: ChecksumAlgorithm) async throws
        -> (etag: String, checksum: StoredChecksum)?
    {
        let isPlain = !object.etag.contains("-")
        if isPlain, let checksum = object.checksum, checksum.algorithm == algorithm, checksum.kind == .fullObject {
            return (object.etag, checksum)
        }
        guard let digest = try await digest(of: object, first: 0, end: object.size, algorithm: algorithm) else {
            return nil
        }
        let checksum = StoredChecksum(
            algorithm: algorithm, kind: .fullObject, value: Base64.encode(digest.checksum(algorithm)))
        return (hexEncoded(digest.md5Bytes), checksum)
    }

    /// Reads the bytes `first..<end` of an object and sums them; nil when it was replaced meanwhile.
    func digest(of object: StoredObject, first: Int64, end: Int64, algorithm: ChecksumAlgorithm) async throws
        -> BodyDigest?
    {
        guard let opened = hold(object, first: first, end: end) else { return nil }
        defer { opened.release() }
        let slices = object.slices(first: first, end: end)
        // A range of one large blob is not compared: it stays under the blob's name, and who reads it finds the damage.
        let isShared = slices.count == 1 && slices.allSatisfy { !$0.isWholeBlob }
        let isLarge = slices.contains { $0.blobSize > Limits.verifiedForRangeBytes }
        if !isShared || !isLarge { try await verify(slices, of: object) }
        var digest = BodyDigest([algorithm])
        for slice in slices {
            guard let blob = slice.blob else { continue }
            try await read(blob, offset: slice.offset, length: slice.length) { digest.update($0) }
        }
        return digest
    }
}

extension StoredObject {
    /// The pieces of blobs that make up the bytes `first..<end`.
    func slices(first: Int64, end: Int64) -> [StoredPart] {
        var slices: [StoredPart] = []
        var position: Int64 = 0
        for part in parts {
            let next = position + part.length
            if next > first, position < end, part.length > 0 {
                var slice = part
                slice.offset = part.offset + max(first - position, 0)
                slice.length = min(end, next) - max(first, position)
                slice.checksum = []
                slices.append(slice)
            }
            position = next
        }
        return slices
    }
}

extension Model.CopyObjectRequest {
    var sourceConditions: ReadConditions {
        ReadConditions(
            ifMatch: copySourceIfMatch, ifNoneMatch: copySourceIfNoneMatch, ifModifiedSince: copySourceIfModifiedSince,
            ifUnmodifiedSince: copySourceIfUnmodifiedSince)
    }
}
