import Contracts
import Platform
import Storage
import Wire

/// Tags of objects and buckets.
extension S3Service {
    func getObjectTagging(_ input: Model.GetObjectTaggingRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        let key = try ObjectKey(input.key)
        let choice = try VersionChoice(input.versionId)
        let (object, version) = try await database.read { transaction in
            let bucket = try self.bucket(
                input.bucket, AccessRequest(context, key: key, version: input.versionId),
                expectedOwner: input.expectedBucketOwner, in: transaction,
                existing: { try self.existing(key, choice, in: $0, transaction) })
            let object = try self.object(key, choice, in: bucket, context, transaction)
            return (object, bucket.shownVersion(object))
        }
        var output = Model.GetObjectTaggingOutput()
        output.tagSet = object.metadata.tags.output
        output.versionId = version
        return OperationResponse(output.value)
    }

    func putObjectTagging(_ input: Model.PutObjectTaggingRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let tags = try TagSet(input.tagging, of: .object)
        let version = try await setTags(
            tags, key: input.key, version: input.versionId, bucket: input.bucket,
            expectedOwner: input.expectedBucketOwner, event: EventName.tagged, request)
        var output = Model.PutObjectTaggingOutput()
        output.versionId = version
        return OperationResponse(output.value)
    }

    func deleteObjectTagging(_ input: Model.DeleteObjectTaggingRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let version = try await setTags(
            TagSet(), key: input.key, version: input.versionId, bucket: input.bucket,
            expectedOwner: input.expectedBucketOwner, event: EventName.untagged, request)
        var output = Model.DeleteObjectTaggingOutput()
        output.versionId = version
        return OperationResponse(output.value)
    }

    private func setTags(
        _ tags: TagSet, key text: String?, version: String?, bucket name: String?, expectedOwner: String?,
        event: String,
        _ request: OperationRequest
    ) async throws -> String? {
        let context = request.context
        let key = try ObjectKey(text)
        let choice = try VersionChoice(version)
        return try await database.write { transaction in
            let bucket = try self.bucket(
                name, AccessRequest(context, key: key, version: version, tags: tags), expectedOwner: expectedOwner,
                in: transaction, existing: { try self.existing(key, choice, in: $0, transaction) })
            var object = try self.object(key, choice, in: bucket, context, transaction)
            let isCurrent = try ObjectTable.find(key, bucket: bucket.name, in: transaction)?.id == object.id
            object.metadata.tags = tags
            try self.setMetadata(object, isCurrent: isCurrent, in: bucket, transaction)
            try self.notify(
                event, of: EventSubject(changed: object), bucket: bucket, cause: EventCause(context), in: transaction)
            return bucket.shownVersion(object)
        }
    }

    func getBucketTagging(_ input: Model.GetBucketTaggingRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        try await setting(
            .tagging, of: input.bucket, expectedOwner: input.expectedBucketOwner, request,
            orElse: S3Error.noSuch("NoSuchTagSet", "The TagSet does not exist", input.bucket))
    }

    func putBucketTagging(_ input: Model.PutBucketTaggingRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let tags = try TagSet(input.tagging, of: .bucket)
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, transaction in
            try SettingTable.put(
                .tagging, ["TagSet": .list(tags.output.map(\.value))], bucket: bucket.name, in: transaction)
        }
        return OperationResponse(status: 204)
    }

    func deleteBucketTagging(_ input: Model.DeleteBucketTaggingRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, transaction in
            try SettingTable.delete(.tagging, bucket: bucket.name, in: transaction)
        }
        return OperationResponse()
    }
}

extension S3Error {
    /// A sub-resource that a bucket does not have.
    static func noSuch(_ code: String, _ message: String, _ bucket: String?) -> AWSError {
        AWSError(code, status: 404, message, fields: ["BucketName": .string(bucket ?? "")])
    }
}
