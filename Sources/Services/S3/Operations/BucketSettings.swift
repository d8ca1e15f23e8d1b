import Contracts
import Platform
import Storage
import Wire

/// The sub-resources of buckets that change little or nothing here: encryption, acceleration, and what infrastructure tools
/// read of every bucket. What Martlet does not have is answered as by a bucket that does not use it.
extension S3Service {
    var settingOperations: [String: OperationHandler] {
        [
            "GetBucketCors": handler(getBucketCors),
            "PutBucketCors": handler(putBucketCors),
            "DeleteBucketCors": handler(deleteBucketCors),
            "GetBucketLifecycleConfiguration": handler(getBucketLifecycle),
            "PutBucketLifecycleConfiguration": handler(putBucketLifecycle),
            "DeleteBucketLifecycle": handler(deleteBucketLifecycle),
            "GetBucketEncryption": handler(getBucketEncryption),
            "PutBucketEncryption": handler(putBucketEncryption),
            "DeleteBucketEncryption": handler(deleteBucketEncryption),
            "GetBucketAccelerateConfiguration": handler(getBucketAccelerate),
            "PutBucketAccelerateConfiguration": handler(putBucketAccelerate),
            "GetBucketLogging": answer([:]),
            "PutBucketLogging": handler(putBucketLogging),
            "GetBucketRequestPayment": answer(["Payer": "BucketOwner"]),
            "PutBucketRequestPayment": handler(putBucketRequestPayment),
            "GetBucketAbac": answer(["AbacStatus": ["Status": "Disabled"]]),
            "GetBucketWebsite": absent(
                "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
            "DeleteBucketWebsite": answer([:]),
            "GetBucketReplication": absent(
                "ReplicationConfigurationNotFoundError", "The replication configuration was not found"),
            "DeleteBucketReplication": answer([:]),
            "GetObjectLockConfiguration": absent(
                "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"),
            "GetObjectRetention": unlocked,
            "GetObjectLegalHold": unlocked,
            "GetBucketAnalyticsConfiguration": absent("NoSuchConfiguration", S3Service.noConfiguration),
            "GetBucketInventoryConfiguration": absent("NoSuchConfiguration", S3Service.noConfiguration),
            "GetBucketMetricsConfiguration": absent("NoSuchConfiguration", S3Service.noConfiguration),
            "GetBucketIntelligentTieringConfiguration": absent("NoSuchConfiguration", S3Service.noConfiguration),
            "ListBucketAnalyticsConfigurations": answer(["IsTruncated": false]),
            "ListBucketInventoryConfigurations": answer(["IsTruncated": false]),
            "ListBucketMetricsConfigurations": answer(["IsTruncated": false]),
            "ListBucketIntelligentTieringConfigurations": answer(["IsTruncated": false]),
        ]
    }

    private static let noConfiguration = "The specified configuration does not exist."

    /// The same answer for every bucket that is there.
    private func answer(_ output: Value) -> OperationHandler {
        handler { (input: Model.GetBucketPolicyRequest, request) in
            _ = try await self.find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
            return OperationResponse(output)
        }
    }

    /// What no bucket has.
    private func absent(_ code: String, _ text: String) -> OperationHandler {
        handler { (input: Model.GetBucketPolicyRequest, request) in
            _ = try await self.find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
            throw S3Error.noSuch(code, text, input.bucket)
        }
    }

    /// Retention and legal hold, which only objects in buckets with object lock have.
    private var unlocked: OperationHandler {
        handler { (input: Model.GetObjectTaggingRequest, request) in
            let key = try ObjectKey(input.key)
            let choice = try VersionChoice(input.versionId)
            try await self.database.read { transaction in
                let bucket = try self.bucket(
                    input.bucket, for: request.context, key: key, expectedOwner: input.expectedBucketOwner,
                    in: transaction)
                _ = try self.object(key, choice, in: bucket, request.context, transaction)
            }
            throw S3Error.invalidRequest("Bucket is missing Object Lock Configuration")
        }
    }

    /// A stored sub-resource as it was sent. Throws `error` when there is none.
    func setting(
        _ name: SettingTable.Name, of bucket: String?, expectedOwner: String?, _ request: OperationRequest,
        orElse error: AWSError
    ) async throws -> OperationResponse {
        let context = request.context
        return try await database.read { transaction in
            let bucket = try self.bucket(bucket, for: context, expectedOwner: expectedOwner, in: transaction)
            guard let value = try SettingTable.find(name, bucket: bucket.name, in: transaction) else { throw error }
            return OperationResponse(value)
        }
    }

    // MARK: Encryption

    private func getBucketEncryption(_ input: Model.GetBucketEncryptionRequest, _ request: OperationRequest)
        async throws -> OperationResponse
    {
        let bucket = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        let encryption = bucket.encryption ?? EncryptionHeaders()
        var standard = Model.ServerSideEncryptionByDefault()
        standard.sseAlgorithm = encryption.algorithm
        standard.kmsMasterKeyID = encryption.keyID
        var rule = Model.ServerSideEncryptionRule()
        rule.applyServerSideEncryptionByDefault = standard
        rule.bucketKeyEnabled = encryption.bucketKey
        var configuration = Model.ServerSideEncryptionConfiguration()
        configuration.rules = [rule]
        var output = Model.GetBucketEncryptionOutput()
        output.serverSideEncryptionConfiguration = configuration
        return OperationResponse(output.value)
    }

    private func putBucketEncryption(_ input: Model.PutBucketEncryptionRequest, _ request: OperationRequest)
        async throws -> OperationResponse
    {
        let rules = input.serverSideEncryptionConfiguration?.rules ?? []
        guard rules.count == 1, let rule = rules.first, let standard = rule.applyServerSideEncryptionByDefault,
            let algorithm = standard.sseAlgorithm, ["AES256", "aws:kms", "aws:kms:dsse"].contains(algorithm)
        else { throw S3Error.malformedXML }
        if algorithm == "AES256", standard.kmsMasterKeyID != nil {
            throw S3Error.invalidArgument(
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
                name: "ApplyServerSideEncryptionByDefault", value: algorithm)
        }
        var encryption = EncryptionHeaders()
        encryption.algorithm = algorithm
        encryption.keyID = standard.kmsMasterKeyID
        encryption.bucketKey = rule.bucketKeyEnabled ?? false
        encryption.isUnnamed = false
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { [encryption] bucket, _ in
            bucket.encryption = encryption
        }
        return OperationResponse()
    }

    private func deleteBucketEncryption(_ input: Model.DeleteBucketEncryptionRequest, _ request: OperationRequest)
        async throws -> OperationResponse
    {
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, _ in
            bucket.encryption = nil
        }
        return OperationResponse()
    }

    // MARK: The rest

    private func getBucketAccelerate(
        _ input: Model.GetBucketAccelerateConfigurationRequest, _ request: OperationRequest
    ) async throws -> OperationResponse {
        let context = request.context
        return try await database.read { transaction in
            let bucket = try self.bucket(
                input.bucket, for: context, expectedOwner: input.expectedBucketOwner, in: transaction)
            return OperationResponse(
                try SettingTable.find(.accelerate, bucket: bucket.name, in: transaction) ?? [:])
        }
    }

    /// Transfer acceleration changes which host names lead to a bucket, and nothing else.
    private func putBucketAccelerate(
        _ input: Model.PutBucketAccelerateConfigurationRequest, _ request: OperationRequest
    ) async throws -> OperationResponse {
        guard let status = input.accelerateConfiguration?.status, ["Enabled", "Suspended"].contains(status) else {
            throw S3Error.malformedXML
        }
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, transaction in
            guard !bucket.name.contains(".") else {
                throw S3Error.invalidRequest(
                    "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names")
            }
            try SettingTable.put(.accelerate, ["Status": .string(status)], bucket: bucket.name, in: transaction)
        }
        return OperationResponse()
    }

    /// An empty configuration ends logging, which no bucket does.
    private func putBucketLogging(_ input: Model.PutBucketLoggingRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        guard input.bucketLoggingStatus?.loggingEnabled == nil else {
            throw S3Error.notImplemented("Server access logging")
        }
        _ = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        return OperationResponse()
    }

    private func putBucketRequestPayment(
        _ input: Model.PutBucketRequestPaymentRequest, _ request: OperationRequest
    ) async throws -> OperationResponse {
        switch input.requestPaymentConfiguration?.payer {
        case "BucketOwner": break
        case "Requester": throw S3Error.notImplemented("Requester Pays")
        default: throw S3Error.malformedXML
        }
        _ = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        return OperationResponse()
    }
}
