import Contracts
import NIOCore
import Platform
import Storage
import Wire

extension S3Service {
    func deleteObject(_ input: Model.DeleteObjectRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        let key = try ObjectKey(input.key)
        let choice = try VersionChoice(input.versionId)
        try refuseMFA(context)
        if input.ifMatchSize != nil || input.ifMatchLastModifiedTime != nil {
            throw S3Error.notImplemented(
                header: "x-amz-if-match-size", "deleting on size or time (directory buckets) is not implemented")
        }
        let deletion = try await database.write { transaction in
            let bucket = try self.bucket(
                input.bucket, AccessRequest(context, key: key, version: input.versionId),
                expectedOwner: input.expectedBucketOwner, in: transaction,
                existing: { try self.existing(key, choice, in: $0, transaction) })
            let current = try ObjectTable.find(key, bucket: bucket.name, in: transaction)
            if let wanted = input.ifMatch {
                guard let current else { throw S3Error.noSuchKey(key.text) }
                guard EntityTags(wanted).contains(current.etag) else { throw S3Error.preconditionFailed("If-Match") }
            }
            return try self.delete(
                key, choice, existing: current, in: bucket, by: EventCause(context), transaction)
        }
        var output = Model.DeleteObjectOutput()
        output.versionId = deletion.version
        output.deleteMarker = deletion.isMarker ? true : nil
        return OperationResponse(output.value)
    }

    private func refuseMFA(_ context: OperationContext) throws {
        guard context.header("x-amz-mfa") == nil else {
            throw S3Error.notImplemented(header: "x-amz-mfa", "MFA delete is not implemented")
        }
    }

    func deleteObjects(_ input: Model.DeleteObjectsRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        try checkBody(request)
        try refuseMFA(context)
        let identifiers = input.delete?.objects ?? []
        guard (1...Limits.deleteKeys).contains(identifiers.count) else { throw S3Error.malformedXML }
        let isQuiet = input.delete?.quiet ?? false
        // Once, not for each of a thousand keys on the writer.
        let carried = AccessRequest.carried(by: context)
        var deleted: [Model.DeletedObject] = []
        var errors: [Model.Error] = []
        var rest = identifiers[...]
        while !rest.isEmpty {
            let some = rest
            let results = try await database.write { transaction in
                let name = input.bucket ?? ""
                guard let bucket = try BucketTable.find(name, in: transaction) else { throw S3Error.noSuchBucket(name) }
                guard (input.expectedBucketOwner ?? bucket.account) == bucket.account else {
                    throw S3Error.accessDenied
                }
                return try self.remove(some, bucket: bucket, context, carried, in: transaction)
            }
            for (identifier, result) in zip(some, results) {
                switch result {
                case .failure(let error): errors.append(error.entry)
                case .success(let deletion): if !isQuiet { deleted.append(S3Service.entry(identifier, deletion)) }
                }
            }
            rest = rest.dropFirst(results.count)
        }
        var output = Model.DeleteObjectsOutput()
        if !deleted.isEmpty { output.deleted = deleted }
        if !errors.isEmpty { output.errors = errors }
        return OperationResponse(output.value)
    }

    private static func entry(_ identifier: Model.ObjectIdentifier, _ deletion: Deletion) -> Model.DeletedObject {
        var item = Model.DeletedObject()
        item.key = identifier.key
        item.versionId = identifier.versionId
        if deletion.isMarker {
            item.deleteMarker = true
            item.deleteMarkerVersionId = deletion.version
        }
        return item
    }

    /// One key of many was not deleted.
    private struct Refusal: Swift.Error {
        var entry: Model.Error
    }

    /// Removes the first of many keys, at least one: as many as one transaction may remove parts.
    private func remove(
        _ identifiers: ArraySlice<Model.ObjectIdentifier>, bucket: StoredBucket, _ context: OperationContext,
        _ carried: [String: [String]], in transaction: any WriteTransaction
    ) throws -> [Result<Deletion, Refusal>] {
        var results: [Result<Deletion, Refusal>] = []
        var parts = 0
        for identifier in identifiers where parts < Limits.partsPerTransaction {
            let result = try remove(identifier, bucket: bucket, context, carried, in: transaction)
            if case .success(let deletion) = result { parts += deletion.parts }
            results.append(result)
        }
        return results
    }

    /// Removes one key of many; a refusal is its entry's, and the others go on. A key that is not there counts as removed.
    private func remove(
        _ identifier: Model.ObjectIdentifier, bucket: StoredBucket, _ context: OperationContext,
        _ carried: [String: [String]], in transaction: any WriteTransaction
    ) throws -> Result<Deletion, Refusal> {
        func refused(_ code: String, _ message: String) -> Result<Deletion, Refusal> {
            var error = Model.Error()
            error.key = identifier.key
            error.versionId = identifier.versionId
            error.code = code
            error.message = message
            return .failure(Refusal(entry: error))
        }
        do {
            let key = try ObjectKey(identifier.key)
            let choice = try VersionChoice(identifier.versionId)
            var request = AccessRequest(context, action: nil, key: key, version: identifier.versionId)
            request.carried = carried
            if let tag = identifier.eTag { request.carried?["s3:if-match"] = [tag] }
            try check(
                request, bucket, in: transaction,
                existing: { try self.existing(key, choice, in: $0, transaction) })
            if identifier.size != nil || identifier.lastModifiedTime != nil {
                return refused("NotImplemented", "Deleting on size or time is not implemented by Martlet yet.")
            }
            let current = try ObjectTable.find(key, bucket: bucket.name, in: transaction)
            if let wanted = identifier.eTag {
                guard let current else { return refused("NoSuchKey", "The specified key does not exist.") }
                guard EntityTags(wanted).contains(current.etag) else {
                    return refused(
                        "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
                }
            }
            return .success(
                try delete(key, choice, existing: current, in: bucket, by: EventCause(context), transaction))
        } catch let error as AWSError {
            // All that is refused by an AWSError is refused before anything is changed.
            if error.code == "InvalidArgument" {
                return refused("NoSuchVersion", "The specified version does not exist.")
            }
            return refused(error.code, error.message)
        }
    }

    /// The XML body must come with a sum, and it must hold.
    private func checkBody(_ request: OperationRequest) throws {
        let headers = request.context.headers
        let expectation = try ChecksumExpectation(headers: headers)
        let md5Header = request.context.header("content-md5")
        guard expectation.algorithm != nil || md5Header != nil else {
            throw S3Error.invalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
        }
        let md5 = try ContentMD5(md5Header)
        var digest = BodyDigest(expectation.algorithm.map { [$0] } ?? [])
        digest.update(request.payload)
        try md5.check(digest.md5Bytes)
        // A sum in a trailer is checked with the framing, before the body gets here.
        if expectation.headerValue != nil { try expectation.check(digest, trailers: []) }
    }
}
