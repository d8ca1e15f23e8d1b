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
        try checkVersion(input.versionId)
        if input.ifMatchSize != nil || input.ifMatchLastModifiedTime != nil {
            throw S3Error.notImplemented(
                header: "x-amz-if-match-size", "deleting on size or time (directory buckets) is not implemented")
        }
        try await database.write { transaction in
            let bucket = try self.bucket(
                input.bucket, for: context.principal, expectedOwner: input.expectedBucketOwner, in: transaction)
            let object = try ObjectTable.find(key, bucket: bucket.name, in: transaction)
            if let wanted = input.ifMatch {
                guard let object else { throw S3Error.noSuchKey(key.text) }
                guard EntityTags(wanted).contains(object.etag) else { throw S3Error.preconditionFailed("If-Match") }
            }
            if let object { try self.remove(object, bucket: bucket, context: context, in: transaction) }
        }
        return OperationResponse()
    }

    /// Removes the row, lets go of the blobs and tells: one transaction.
    private func remove(
        _ object: StoredObject, bucket: StoredBucket, context: OperationContext, in transaction: any WriteTransaction
    ) throws {
        try ObjectTable.delete(object.key, bucket: bucket.name, in: transaction)
        try release(object.parts, in: transaction)
        try notify(
            EventName.delete, key: object.key, created: nil, bucket: bucket, cause: EventCause(context), in: transaction
        )
    }

    func deleteObjects(_ input: Model.DeleteObjectsRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        try checkBody(request)
        let identifiers = input.delete?.objects ?? []
        guard (1...Limits.deleteKeys).contains(identifiers.count) else { throw S3Error.malformedXML }
        let isQuiet = input.delete?.quiet ?? false
        let (deleted, errors) = try await database.write { transaction in
            let bucket = try self.bucket(
                input.bucket, for: context.principal, expectedOwner: input.expectedBucketOwner, in: transaction)
            var deleted: [Model.DeletedObject] = []
            var errors: [Model.Error] = []
            for identifier in identifiers {
                if let error = try self.remove(identifier, bucket: bucket, context: context, in: transaction) {
                    errors.append(error)
                } else if !isQuiet {
                    var item = Model.DeletedObject()
                    item.key = identifier.key
                    item.versionId = identifier.versionId
                    deleted.append(item)
                }
            }
            return (deleted, errors)
        }
        var output = Model.DeleteObjectsOutput()
        if !deleted.isEmpty { output.deleted = deleted }
        if !errors.isEmpty { output.errors = errors }
        return OperationResponse(output.value)
    }

    /// Removes one key of many; answers the error that its entry gets. A key that is not there counts as removed.
    private func remove(
        _ identifier: Model.ObjectIdentifier, bucket: StoredBucket, context: OperationContext,
        in transaction: any WriteTransaction
    ) throws -> Model.Error? {
        func refused(_ code: String, _ message: String) -> Model.Error {
            var error = Model.Error()
            error.key = identifier.key
            error.versionId = identifier.versionId
            error.code = code
            error.message = message
            return error
        }
        if let version = identifier.versionId, version != "null" {
            return refused("NoSuchVersion", "The specified version does not exist.")
        }
        guard let key = try? ObjectKey(identifier.key) else {
            return refused("KeyTooLongError", "Your key is too long")
        }
        if identifier.size != nil || identifier.lastModifiedTime != nil {
            return refused("NotImplemented", "Deleting on size or time is not implemented by Martlet yet.")
        }
        let object = try ObjectTable.find(key, bucket: bucket.name, in: transaction)
        if let wanted = identifier.eTag {
            guard let object else { return refused("NoSuchKey", "The specified key does not exist.") }
            guard EntityTags(wanted).contains(object.etag) else {
                return refused(
                    "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
            }
        }
        if let object { try remove(object, bucket: bucket, context: context, in: transaction) }
        return nil
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
