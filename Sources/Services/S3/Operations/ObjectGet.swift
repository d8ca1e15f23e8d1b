import Contracts
import Glibc
import Platform
import Storage
import Wire

/// An object whose blobs (those that are needed) cannot go away until `release`.
struct OpenObject: Sendable {
    var object: StoredObject
    /// The wanted bytes, in order.
    var files: [FilePart]
    var release: @Sendable () -> Void
}

/// What of an object a read asks for.
struct Selection: Sendable, Hashable {
    var first: Int64
    /// One beyond the last byte.
    var end: Int64
    /// Status 206 and a Content-Range.
    var isPartial: Bool
    /// The part asked for by number.
    var part: Int?
}

extension S3Service {
    /// Holds the blobs of `object` that have the bytes `first..<end`; nil when one is gone, because the object was
    /// replaced after its row was read.
    func hold(_ object: StoredObject, first: Int64 = 0, end: Int64 = .max) -> OpenObject? {
        var files: [FilePart] = []
        var holds: [BlobHold] = []
        var position: Int64 = 0
        for part in object.parts where part.length > 0 {
            let next = position + part.length
            defer { position = next }
            guard next > first, position < end, let blob = part.blob else { continue }
            let skip = max(first - position, 0)
            let length = min(end, next) - max(first, position)
            let hold = blobs.hold(blob)
            holds.append(hold)
            guard access(hold.path, R_OK) == 0 else {
                for hold in holds { hold.release() }
                return nil
            }
            files.append(FilePart(path: hold.path, offset: part.offset + skip, length: length))
        }
        let held = holds
        return OpenObject(object: object, files: files) { for hold in held { hold.release() } }
    }

    func getObject(_ input: Model.GetObjectRequest, _ request: OperationRequest) async throws -> OperationResponse {
        var missing: String?
        for _ in 0..<Limits.attempts {
            let found = try await select(input, request)
            let object = found.object
            guard let selection = found.selection else { return notModified(found) }
            guard let opened = hold(object, first: selection.first, end: selection.end) else {
                // Gone because the object was replaced meanwhile: look again. Gone under the same row: damage.
                if missing == object.id {
                    throw Failure(.corrupt, "a blob of object \(object.key.text) is missing from the data directory")
                }
                missing = object.id
                continue
            }
            let (output, status) = answer(found, selection, input)
            let payload = try await verified(opened, selection)
            return OperationResponse(output.value, payload: payload, status: status)
        }
        throw S3Error.operationAborted
    }

    func headObject(_ input: Model.HeadObjectRequest, _ request: OperationRequest) async throws -> OperationResponse {
        // GetObject has all of HeadObject's members under the same names.
        let input = Model.GetObjectRequest(input.value)
        let found = try await select(input, request)
        guard let selection = found.selection else { return notModified(found) }
        let (output, status) = answer(found, selection, input)
        return OperationResponse(output.value, status: status)
    }

    /// What a read has found.
    struct Found: Sendable {
        var object: StoredObject
        /// As answers show it.
        var version: String?
        var expiration: String?
        /// Until when an archived object is restored.
        var restoredUntil: Instant?
        /// Nil when the caller's copy is still good.
        var selection: Selection?
    }

    /// Finds the object and what of it is wanted.
    func select(_ input: Model.GetObjectRequest, _ request: OperationRequest) async throws -> Found {
        let context = request.context
        let key = try ObjectKey(input.key)
        if context.header("x-amz-server-side-encryption-customer-algorithm") != nil {
            try ObjectHeaders.refuseUnsupported(context)
        }
        let choice = try VersionChoice(input.versionId)
        if input.range != nil, input.partNumber != nil {
            throw S3Error.invalidRequest("Cannot specify both Range header and partNumber query parameter")
        }
        var found = try await database.read { transaction in
            let bucket = try self.bucket(
                input.bucket, AccessRequest(context, key: key, version: input.versionId),
                expectedOwner: input.expectedBucketOwner, in: transaction,
                existing: { try self.existing(key, choice, in: $0, transaction) })
            let object = try self.object(key, choice, in: bucket, context, transaction)
            return Found(
                object: object, version: bucket.shownVersion(object),
                expiration: try self.expiration(of: object, in: bucket, transaction),
                restoredUntil: try self.restoredUntil(object, in: bucket, transaction))
        }
        let object = found.object
        let conditions = ReadConditions(
            ifMatch: input.ifMatch, ifNoneMatch: input.ifNoneMatch, ifModifiedSince: input.ifModifiedSince,
            ifUnmodifiedSince: input.ifUnmodifiedSince)
        switch conditions.evaluate(etag: object.etag, modified: object.modified, now: time.now()) {
        case .failed(let condition): throw S3Error.preconditionFailed(condition)
        case .notModified: break
        case .proceed: found.selection = try selection(of: object, range: input.range, part: input.partNumber)
        }
        return found
    }

    private func selection(of object: StoredObject, range: String?, part number: Int?) throws -> Selection {
        if let number {
            guard (1...Limits.parts).contains(number) else {
                throw S3Error.invalidArgument(
                    "Part number must be an integer between 1 and 10000, inclusive", name: "partNumber",
                    value: String(number))
            }
            guard object.isMultipart else {
                guard number == 1 else { throw S3Error.invalidPartNumber(requested: number, actual: 1) }
                return Selection(first: 0, end: object.size, isPartial: object.size > 0, part: 1)
            }
            // Parts are counted from 1 in their order, whatever numbers they were uploaded under.
            guard number <= object.parts.count else {
                throw S3Error.invalidPartNumber(requested: number, actual: object.parts.count)
            }
            let first = object.parts[..<(number - 1)].reduce(Int64(0)) { $0 + $1.length }
            let end = first + object.parts[number - 1].length
            return Selection(first: first, end: end, isPartial: end > first, part: number)
        }
        guard let range else { return Selection(first: 0, end: object.size, isPartial: false, part: nil) }
        switch ByteRange(header: range, size: object.size) {
        case .whole: return Selection(first: 0, end: object.size, isPartial: false, part: nil)
        case .part(let first, let last): return Selection(first: first, end: last + 1, isPartial: true, part: nil)
        case .unsatisfiable: throw S3Error.invalidRange(size: object.size, requested: range)
        }
    }

    private func answer(_ found: Found, _ selection: Selection, _ input: Model.GetObjectRequest)
        -> (Model.GetObjectOutput, status: Int?)
    {
        let object = found.object
        var output = Model.GetObjectOutput()
        ObjectHeaders.describe(object, in: &output)
        output.versionId = found.version
        output.expiration = found.expiration
        output.restore = found.restoredUntil.map { "ongoing-request=\"false\", expiry-date=\"\($0.httpDate)\"" }
        output.contentLength = Int(selection.end - selection.first)
        if selection.isPartial {
            output.contentRange = "bytes \(selection.first)-\(selection.end - 1)/\(object.size)"
        }
        if object.isMultipart, selection.part != nil { output.partsCount = object.parts.count }
        if input.checksumMode?.uppercased() == "ENABLED" { setChecksum(object, selection, on: &output.value) }
        output.cacheControl = input.responseCacheControl ?? output.cacheControl
        output.contentDisposition = input.responseContentDisposition ?? output.contentDisposition
        output.contentEncoding = input.responseContentEncoding ?? output.contentEncoding
        output.contentLanguage = input.responseContentLanguage ?? output.contentLanguage
        output.contentType = input.responseContentType ?? output.contentType
        output.expires = input.responseExpires?.httpDate ?? output.expires
        return (output, selection.isPartial ? 206 : nil)
    }

    /// The checksum of what is sent: a client compares it with the bytes that it gets.
    private func setChecksum(_ object: StoredObject, _ selection: Selection, on value: inout Value) {
        guard let checksum = object.checksum else { return }
        if selection.first == 0, selection.end == object.size, selection.part == nil || !object.isMultipart {
            checksum.set(on: &value, withType: true)
        } else if object.isMultipart, let number = selection.part {
            let part = object.parts[number - 1]
            guard !part.checksum.isEmpty else { return }
            StoredChecksum(algorithm: checksum.algorithm, kind: checksum.kind, value: Base64.encode(part.checksum))
                .set(on: &value, withType: true)
        }
    }

    private func notModified(_ found: Found) -> OperationResponse {
        let object = found.object
        var output = Model.GetObjectOutput()
        output.versionId = found.version
        output.eTag = "\"\(object.etag)\""
        output.lastModified = object.modified
        output.cacheControl = object.metadata.cacheControl
        output.expires = object.metadata.expires
        return OperationResponse(output.value, status: 304)
    }

    func getObjectAttributes(_ input: Model.GetObjectAttributesRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        var read: Value = ["Bucket": .string(input.bucket ?? ""), "Key": .string(input.key ?? "")]
        if let version = input.versionId { read["VersionId"] = .string(version) }
        if let owner = input.expectedBucketOwner { read["ExpectedBucketOwner"] = .string(owner) }
        let found = try await select(Model.GetObjectRequest(read), request)
        let object = found.object
        let wanted = Set(input.objectAttributes ?? [])
        let known: Set = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
        guard !wanted.isEmpty, wanted.isSubset(of: known) else {
            throw S3Error.invalidArgument(
                "Invalid attribute name specified.", name: "x-amz-object-attributes",
                value: wanted.subtracting(known).sorted().joined(separator: ","))
        }
        var output = Model.GetObjectAttributesOutput()
        output.versionId = found.version
        output.lastModified = object.modified
        if wanted.contains("ETag") { output.eTag = object.etag }
        if wanted.contains("ObjectSize") { output.objectSize = Int(object.size) }
        if wanted.contains("StorageClass") { output.storageClass = object.storageClass }
        if wanted.contains("Checksum"), let checksum = object.checksum {
            var shown = Model.Checksum()
            // Here, unlike in headers, a composite checksum comes without the number of parts.
            var bare = checksum
            bare.value = String(checksum.value.prefix { $0 != "-" })
            bare.set(on: &shown.value, withType: true)
            output.checksum = shown
        }
        if wanted.contains("ObjectParts"), object.isMultipart { output.objectParts = attributeParts(object, input) }
        return OperationResponse(output.value)
    }

    private func attributeParts(_ object: StoredObject, _ input: Model.GetObjectAttributesRequest)
        -> Model.GetObjectAttributesParts
    {
        let marker = max(input.partNumberMarker ?? 0, 0)
        let limit = min(max(input.maxParts ?? Limits.listEntries, 0), Limits.listEntries)
        let rest = object.parts.filter { $0.number > marker }
        let page = rest.prefix(limit)
        var output = Model.GetObjectAttributesParts()
        output.totalPartsCount = object.parts.count
        // Details are kept by S3 only for parts that were uploaded with checksums of their own.
        guard let checksum = object.checksum, checksum.kind == .composite else { return output }
        output.partNumberMarker = marker
        output.nextPartNumberMarker = page.last?.number ?? 0
        output.maxParts = limit
        output.isTruncated = rest.count > page.count
        output.parts = page.map { part in
            var item = Model.ObjectPart()
            item.partNumber = part.number
            item.size = Int(part.length)
            StoredChecksum(algorithm: checksum.algorithm, kind: .composite, value: Base64.encode(part.checksum))
                .set(on: &item.value, withType: false)
            return item
        }
        return output
    }
}
