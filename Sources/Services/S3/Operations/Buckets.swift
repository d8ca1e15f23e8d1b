import Contracts
import Platform
import Storage
import Wire

/// CreateBucket, DeleteBucket, HeadBucket, ListBuckets, GetBucketLocation.
extension S3Service {
    func createBucket(_ input: Model.CreateBucketRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        guard let account = context.principal.account else { throw S3Error.accessDenied }
        let name = input.bucket ?? ""
        try BucketName.check(name)
        try refuseUnsupported(input)
        let region = try BucketLocation.region(
            requestRegion: context.scope.region, constraint: input.createBucketConfiguration?.locationConstraint)
        let bucket = StoredBucket(
            name: name, account: account, region: region, created: time.now(),
            notifications: NotificationConfiguration())
        try await database.write { transaction in
            if let existing = try BucketTable.find(name, in: transaction) {
                // Only in us-east-1 is creating one's own bucket again a success (API reference, CreateBucket).
                let repeated = region == BucketLocation.unconstrained && existing.region == region
                if existing.account == account, repeated { return }
                throw S3Service.bucketExists(name, ownedByCaller: existing.account == account)
            }
            guard try BucketTable.count(account: account, in: transaction) < Limits.bucketsPerAccount else {
                throw AWSError(
                    "TooManyBuckets", status: 400, "You have attempted to create more buckets than allowed")
            }
            try BucketTable.insert(bucket, in: transaction)
        }
        var output = Model.CreateBucketOutput()
        output.location = region == BucketLocation.unconstrained ? "/\(name)" : "\(context.endpoint)/\(name)"
        output.bucketArn = bucket.arn
        return OperationResponse(output.value)
    }

    private static func bucketExists(_ name: String, ownedByCaller: Bool) -> AWSError {
        ownedByCaller
            ? AWSError(
                "BucketAlreadyOwnedByYou", status: 409,
                "Your previous request to create the named bucket succeeded and you already own it.",
                fields: ["BucketName": .string(name)])
            : AWSError(
                "BucketAlreadyExists", status: 409,
                "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
                    + "Please select a different name and try again.", fields: ["BucketName": .string(name)])
    }

    private func refuseUnsupported(_ input: Model.CreateBucketRequest) throws {
        if input.objectLockEnabledForBucket == true {
            throw S3Error.notImplemented(header: "x-amz-bucket-object-lock-enabled", "object lock is not implemented")
        }
        if let acl = input.acl, acl != "private" {
            throw S3Error.notImplemented(header: "x-amz-acl", "the canned ACL \(acl) is not implemented")
        }
        let grants = [
            input.grantFullControl, input.grantRead, input.grantReadACP, input.grantWrite, input.grantWriteACP,
        ]
        if grants.contains(where: { $0 != nil }) {
            throw S3Error.notImplemented(header: "x-amz-grant", "access control lists are not implemented")
        }
        if let ownership = input.objectOwnership, ownership != "BucketOwnerEnforced" {
            throw S3Error.notImplemented(
                header: "x-amz-object-ownership", "the object ownership \(ownership) is not implemented")
        }
        let configuration = input.createBucketConfiguration
        if configuration?.bucket != nil || configuration?.location != nil {
            throw S3Error.notImplemented("A directory bucket")
        }
        if configuration?.tags?.isEmpty == false { throw S3Error.notImplemented("Tagging a bucket") }
    }

    func deleteBucket(_ input: Model.DeleteBucketRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        while true {
            // Unfinished uploads go with the bucket, a few in each transaction, so that none grows without bound.
            let isDone = try await database.write { transaction in
                let bucket = try self.bucket(
                    input.bucket, for: context.principal, expectedOwner: input.expectedBucketOwner, in: transaction)
                guard try ObjectTable.isEmpty(bucket: bucket.name, in: transaction) else {
                    throw AWSError(
                        "BucketNotEmpty", status: 409, "The bucket you tried to delete is not empty",
                        fields: ["BucketName": .string(bucket.name)])
                }
                guard try !AccessPointTable.exists(bucket: bucket.name, in: transaction) else {
                    throw AWSError(
                        "BucketHasAccessPointsAttached", status: 409,
                        "Delete the access points of the bucket before the bucket",
                        fields: ["BucketName": .string(bucket.name)])
                }
                let uploads = try UploadTable.list(
                    bucket: bucket.name, at: .from([]), end: [0xFF], limit: Limits.uploadsAbortedAtOnce, in: transaction
                )
                for upload in uploads { try self.abort(upload, bucket: bucket.name, in: transaction) }
                if uploads.isEmpty { try BucketTable.delete(bucket.name, in: transaction) }
                return uploads.isEmpty
            }
            if isDone { return OperationResponse() }
        }
    }

    func headBucket(_ input: Model.HeadBucketRequest, _ request: OperationRequest) async throws -> OperationResponse {
        let bucket = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        var output = Model.HeadBucketOutput()
        output.bucketRegion = bucket.region
        output.bucketArn = bucket.arn
        output.accessPointAlias = false
        return OperationResponse(output.value)
    }

    func getBucketLocation(_ input: Model.GetBucketLocationRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let bucket = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        var output = Model.GetBucketLocationOutput()
        output.locationConstraint = bucket.region == BucketLocation.unconstrained ? nil : bucket.region
        return OperationResponse(output.value)
    }

    /// The caller's bucket, in a transaction of its own.
    func find(_ name: String?, expectedOwner: String?, _ request: OperationRequest) async throws -> StoredBucket {
        let principal = request.context.principal
        return try await database.read { transaction in
            try self.bucket(name, for: principal, expectedOwner: expectedOwner, in: transaction)
        }
    }

    func listBuckets(_ input: Model.ListBucketsRequest, _ request: OperationRequest) async throws -> OperationResponse {
        guard let account = request.context.principal.account else { throw S3Error.accessDenied }
        if let limit = input.maxBuckets, !(1...Limits.bucketsPerAccount).contains(limit) {
            throw S3Error.invalidArgument(
                "Argument max-buckets must be an integer between 1 and 10000", name: "max-buckets",
                value: String(limit))
        }
        let limit = input.maxBuckets ?? Limits.bucketsPerAccount
        let after = try input.continuationToken.map { try ContinuationToken.decode($0) } ?? []
        let buckets = try await database.read { transaction in
            try BucketTable.list(
                account: account, after: String(decoding: after, as: UTF8.self), prefix: input.prefix ?? "",
                region: input.bucketRegion ?? "", limit: limit + 1, in: transaction)
        }
        let page = buckets.prefix(limit)
        var output = Model.ListBucketsOutput()
        output.buckets = page.map { bucket in
            var item = Model.Bucket()
            item.name = bucket.name
            item.creationDate = bucket.created
            item.bucketRegion = bucket.region
            item.bucketArn = bucket.arn
            return item
        }
        output.owner = owner(account)
        output.prefix = input.prefix
        if buckets.count > limit, let last = page.last {
            output.continuationToken = ContinuationToken.encode(Array(last.name.utf8))
        }
        return OperationResponse(output.value)
    }

    func owner(_ account: String) -> Model.Owner {
        var owner = Model.Owner()
        owner.id = CanonicalUser.id(account: account)
        return owner
    }
}

/// Where a listing goes on. The byte in front keeps tokens apart from anything else in base64.
enum ContinuationToken {
    private static let version = UInt8(ascii: "1")

    static func encode(_ last: [UInt8]) -> String { PageToken.encode([version] + last) }

    /// Throws InvalidArgument for a token that is none of ours.
    static func decode(_ token: String) throws(AWSError) -> [UInt8] {
        guard let bytes = PageToken.decode(token), bytes.first == version, bytes.count <= Limits.keyBytes + 1 else {
            throw S3Error.invalidArgument(
                "The continuation token provided is incorrect", name: "continuation-token", value: token)
        }
        return Array(bytes.dropFirst())
    }
}
