import Contracts
import Platform
import Policies
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
        let ownership = try ownership(input)
        let acl = try acl(input, account: account, ownership: ownership)
        let given = input.createBucketConfiguration?.tags
        let tags = try given.map { try TagSet(Model.Tagging(["TagSet": .list($0.map(\.value))]), of: .bucket) }
        let bucket = StoredBucket(
            name: name, account: account, region: region, created: time.now(),
            notifications: NotificationConfiguration(), ownership: ownership, acl: acl)
        try await database.write { transaction in
            let arn = "arn:aws:s3:::\(name)"
            if try self.authorizer?.decide(
                for: context, action: "s3:CreateBucket", resource: arn,
                more: { _ in
                    var keys = AccessRequest.carried(by: context)
                    let wanted = input.createBucketConfiguration?.locationConstraint
                    keys["s3:locationconstraint"] = wanted.map { [$0] }
                    let tags = input.createBucketConfiguration?.tags ?? []
                    keys.merge(
                        TagConditions.requested(tags.map { (key: $0.key ?? "", value: $0.value_ ?? "") })
                    ) { $1 }
                    return keys
                }, in: transaction) ?? .allowed != .allowed
            {
                throw S3Error.accessDenied(
                    AccessRequest(context), bucket,
                    because: "because no identity-based policy allows the "
                        + "s3:CreateBucket action")
            }
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
            if let tags, !tags.isEmpty {
                try SettingTable.put(
                    .tagging, ["TagSet": .list(tags.output.map(\.value))], bucket: name, in: transaction)
            }
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
        let configuration = input.createBucketConfiguration
        if configuration?.bucket != nil || configuration?.location != nil {
            throw S3Error.notImplemented("A directory bucket")
        }
    }

    private func ownership(_ input: Model.CreateBucketRequest) throws -> ObjectOwnership {
        guard let name = input.objectOwnership else { return .bucketOwnerEnforced }
        guard let ownership = ObjectOwnership(name: name) else {
            throw S3Error.invalidArgument(
                "Invalid x-amz-object-ownership header: \(name)", name: "x-amz-object-ownership", value: name)
        }
        return ownership
    }

    /// The list that a new bucket is to have. Throws InvalidBucketAclWithObjectOwnership; public lists are refused, since a
    /// new bucket blocks them.
    private func acl(_ input: Model.CreateBucketRequest, account: String, ownership: ObjectOwnership) throws
        -> AccessControl?
    {
        let owner = CanonicalUser.id(account: account)
        let given = try AccessControl(
            fullControl: input.grantFullControl, read: input.grantRead, readACP: input.grantReadACP,
            write: input.grantWrite, writeACP: input.grantWriteACP, owner: owner)
        guard input.acl == nil || given == nil else { throw WriteHeaders.both }
        let acl = try given ?? input.acl.map { try AccessControl(canned: $0, owner: owner, bucketOwner: owner) }
        guard let acl, acl != AccessControl(owner: owner) else { return nil }
        guard ownership.usesACLs else {
            throw AWSError(
                "InvalidBucketAclWithObjectOwnership", status: 400,
                "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
        }
        if acl.isPublic {
            throw AWSError(
                "InvalidBucketAclWithBlockPublicAccessError", status: 400,
                "Bucket cannot have public ACLs set with BlockPublicAccess enabled")
        }
        return acl
    }

    func deleteBucket(_ input: Model.DeleteBucketRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        while true {
            // Unfinished uploads go with the bucket, a few in each transaction, so that none grows without bound.
            let isDone = try await database.write { transaction in
                let bucket = try self.bucket(
                    input.bucket, for: context, expectedOwner: input.expectedBucketOwner, in: transaction)
                guard try ObjectTable.isEmpty(bucket: bucket.name, in: transaction) else {
                    throw S3Service.notEmpty(bucket, "The bucket you tried to delete is not empty")
                }
                guard try VersionTable.isEmpty(bucket: bucket.name, in: transaction) else {
                    throw S3Service.notEmpty(
                        bucket,
                        "The bucket you tried to delete is not empty. You must delete all versions in the bucket.")
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
                for upload in uploads {
                    try self.end(upload, holds: true, bucket: bucket.name, in: transaction)
                }
                if uploads.isEmpty {
                    try BucketTable.delete(bucket.name, in: transaction)
                    try SettingTable.deleteAll(bucket: bucket.name, in: transaction)
                }
                return uploads.isEmpty
            }
            if isDone { return OperationResponse() }
        }
    }

    private static func notEmpty(_ bucket: StoredBucket, _ text: String) -> AWSError {
        AWSError("BucketNotEmpty", status: 409, text, fields: ["BucketName": .string(bucket.name)])
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

    /// The bucket of an operation, in a transaction of its own.
    func find(_ name: String?, expectedOwner: String?, _ request: OperationRequest) async throws -> StoredBucket {
        let context = request.context
        return try await database.read { transaction in
            try self.bucket(name, for: context, expectedOwner: expectedOwner, in: transaction)
        }
    }

    /// Changes a bucket's row, and perhaps its settings, in one transaction.
    func change(
        _ name: String?, expectedOwner: String?, _ request: OperationRequest,
        _ body: @escaping @Sendable (inout StoredBucket, any WriteTransaction) throws -> Void
    ) async throws {
        let context = request.context
        try await database.write { transaction in
            var bucket = try self.bucket(name, for: context, expectedOwner: expectedOwner, in: transaction)
            try body(&bucket, transaction)
            try BucketTable.update(bucket, in: transaction)
        }
    }

    /// Throws AccessDenied unless the caller's own policies let it list buckets: of many no policy of one could speak.
    private func checkListing(_ request: OperationRequest, in transaction: any ReadTransaction) throws {
        let action = "s3:ListAllMyBuckets"
        let decision =
            try authorizer?.decide(for: request, action: action, resource: "*", in: transaction) ?? .allowed
        guard decision != .allowed else { return }
        let refusal = decision == .explicitlyDenied ? PolicyRefusal.deniedByIdentity : .notAllowedByIdentity
        throw AWSError(
            "AccessDenied", status: 403,
            "User: \(request.context.principal.arn) is not authorized to perform: \(action) \(refusal.reason(action))")
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
            try self.checkListing(request, in: transaction)
            return try BucketTable.list(
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
