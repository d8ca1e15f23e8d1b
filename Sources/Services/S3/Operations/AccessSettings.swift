import Contracts
import NIOCore
import Platform
import Policies
import Storage
import Wire

/// Bucket policies, public-access blocks, ownership, access control lists.
extension S3Service {
    var accessOperations: [String: OperationHandler] {
        [
            "GetBucketPolicy": handler(getBucketPolicy),
            "PutBucketPolicy": handler(putBucketPolicy),
            "DeleteBucketPolicy": handler(deleteBucketPolicy),
            "GetBucketPolicyStatus": handler(getBucketPolicyStatus),
            "GetPublicAccessBlock": handler(getPublicAccessBlock),
            "PutPublicAccessBlock": handler(putPublicAccessBlock),
            "DeletePublicAccessBlock": handler(deletePublicAccessBlock),
            "GetBucketOwnershipControls": handler(getBucketOwnershipControls),
            "PutBucketOwnershipControls": handler(putBucketOwnershipControls),
            "DeleteBucketOwnershipControls": handler(deleteBucketOwnershipControls),
            "GetBucketAcl": handler(getBucketAcl),
            "PutBucketAcl": handler(putBucketAcl),
            "GetObjectAcl": handler(getObjectAcl),
            "PutObjectAcl": handler(putObjectAcl),
        ]
    }

    // MARK: Policies

    private static func noPolicy(_ bucket: String?) -> AWSError {
        S3Error.noSuch("NoSuchBucketPolicy", "The bucket policy does not exist", bucket)
    }

    private func getBucketPolicy(_ input: Model.GetBucketPolicyRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let bucket = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        guard let policy = bucket.policy else { throw S3Service.noPolicy(input.bucket) }
        var output = Model.GetBucketPolicyOutput()
        output.policy = policy
        return OperationResponse(output.value)
    }

    private func putBucketPolicy(_ input: Model.PutBucketPolicyRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let text = input.policy ?? String(buffer: request.payload)
        let principal = request.context.principal
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, _ in
            try BucketPolicyRules.check(text, bucket: bucket)
            if bucket.publicAccess.contains(.blockPublicPolicy), PolicyStatus.isPublic(text) {
                throw AWSError(
                    "AccessDenied", status: 403,
                    "User: \(principal.arn) is not authorized to perform: s3:PutBucketPolicy on resource: "
                        + "\"\(bucket.arn)\" because public policies are prevented by the BlockPublicPolicy setting in "
                        + "S3 Block Public Access.")
            }
            bucket.policy = text
        }
        return OperationResponse(status: 204)
    }

    private func deleteBucketPolicy(_ input: Model.DeleteBucketPolicyRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, _ in
            bucket.policy = nil
        }
        return OperationResponse()
    }

    private func getBucketPolicyStatus(_ input: Model.GetBucketPolicyStatusRequest, _ request: OperationRequest)
        async throws -> OperationResponse
    {
        let bucket = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        guard let policy = bucket.policy else { throw S3Service.noPolicy(input.bucket) }
        var status = Model.PolicyStatus()
        status.isPublic = PolicyStatus.isPublic(policy) && !bucket.publicAccess.contains(.restrictPublicBuckets)
        var output = Model.GetBucketPolicyStatusOutput()
        output.policyStatus = status
        return OperationResponse(output.value)
    }

    // MARK: Public-access blocks

    private func getPublicAccessBlock(_ input: Model.GetPublicAccessBlockRequest, _ request: OperationRequest)
        async throws -> OperationResponse
    {
        let bucket = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        guard !bucket.publicAccess.contains(.removed) else {
            throw S3Error.noSuch(
                "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found",
                input.bucket)
        }
        var configuration = Model.PublicAccessBlockConfiguration()
        configuration.blockPublicAcls = bucket.publicAccess.contains(.blockPublicACLs)
        configuration.ignorePublicAcls = bucket.publicAccess.contains(.ignorePublicACLs)
        configuration.blockPublicPolicy = bucket.publicAccess.contains(.blockPublicPolicy)
        configuration.restrictPublicBuckets = bucket.publicAccess.contains(.restrictPublicBuckets)
        var output = Model.GetPublicAccessBlockOutput()
        output.publicAccessBlockConfiguration = configuration
        return OperationResponse(output.value)
    }

    private func putPublicAccessBlock(_ input: Model.PutPublicAccessBlockRequest, _ request: OperationRequest)
        async throws -> OperationResponse
    {
        guard let given = input.publicAccessBlockConfiguration else { throw S3Error.malformedXML }
        var block = PublicAccessBlock()
        if given.blockPublicAcls == true { block.insert(.blockPublicACLs) }
        if given.ignorePublicAcls == true { block.insert(.ignorePublicACLs) }
        if given.blockPublicPolicy == true { block.insert(.blockPublicPolicy) }
        if given.restrictPublicBuckets == true { block.insert(.restrictPublicBuckets) }
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { [block] bucket, _ in
            bucket.publicAccess = block
        }
        return OperationResponse()
    }

    private func deletePublicAccessBlock(_ input: Model.DeletePublicAccessBlockRequest, _ request: OperationRequest)
        async throws -> OperationResponse
    {
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, _ in
            bucket.publicAccess = .removed
        }
        return OperationResponse()
    }

    // MARK: Ownership

    private func getBucketOwnershipControls(
        _ input: Model.GetBucketOwnershipControlsRequest, _ request: OperationRequest
    ) async throws -> OperationResponse {
        let bucket = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        guard bucket.ownership != .unset else {
            throw S3Error.noSuch(
                "OwnershipControlsNotFoundError", "The bucket ownership controls were not found", input.bucket)
        }
        var rule = Model.OwnershipControlsRule()
        rule.objectOwnership = bucket.ownership.name
        var controls = Model.OwnershipControls()
        controls.rules = [rule]
        var output = Model.GetBucketOwnershipControlsOutput()
        output.ownershipControls = controls
        return OperationResponse(output.value)
    }

    private func putBucketOwnershipControls(
        _ input: Model.PutBucketOwnershipControlsRequest, _ request: OperationRequest
    ) async throws -> OperationResponse {
        let rules = input.ownershipControls?.rules ?? []
        guard rules.count == 1, let ownership = rules.first?.objectOwnership.flatMap({ ObjectOwnership(name: $0) })
        else { throw S3Error.malformedXML }
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, _ in
            if ownership == .bucketOwnerEnforced, bucket.acl != nil {
                throw AWSError(
                    "InvalidBucketAclWithObjectOwnership", status: 400,
                    "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
            }
            bucket.ownership = ownership
        }
        return OperationResponse()
    }

    private func deleteBucketOwnershipControls(
        _ input: Model.DeleteBucketOwnershipControlsRequest, _ request: OperationRequest
    ) async throws -> OperationResponse {
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, _ in
            bucket.ownership = .unset
        }
        return OperationResponse()
    }

    // MARK: Access control lists

    private func getBucketAcl(_ input: Model.GetBucketAclRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let bucket = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        let acl = bucket.effectiveACL
        var output = Model.GetBucketAclOutput()
        output.owner = owner(id: acl.owner)
        output.grants = acl.output
        return OperationResponse(output.value)
    }

    private func putBucketAcl(_ input: Model.PutBucketAclRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, _ in
            let acl = try AccessChange(
                canned: input.acl, policy: input.accessControlPolicy,
                grants: [
                    input.grantFullControl, input.grantRead, input.grantReadACP, input.grantWrite, input.grantWriteACP,
                ]
            ).list(owner: bucket.ownerID, bucket: bucket)
            bucket.acl = acl == AccessControl(owner: bucket.ownerID) ? nil : acl
        }
        return OperationResponse()
    }

    private func getObjectAcl(_ input: Model.GetObjectAclRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        let key = try ObjectKey(input.key)
        let choice = try VersionChoice(input.versionId)
        let acl = try await database.read { transaction in
            let bucket = try self.bucket(
                input.bucket, AccessRequest(context, key: key, version: input.versionId),
                expectedOwner: input.expectedBucketOwner, in: transaction,
                existing: { try self.existing(key, choice, in: $0, transaction) })
            let object = try self.object(key, choice, in: bucket, context, transaction)
            return object.metadata.acl ?? AccessControl(owner: bucket.ownerID)
        }
        var output = Model.GetObjectAclOutput()
        output.owner = owner(id: acl.owner)
        output.grants = acl.output
        return OperationResponse(output.value)
    }

    private func putObjectAcl(_ input: Model.PutObjectAclRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        let key = try ObjectKey(input.key)
        let choice = try VersionChoice(input.versionId)
        let change = try AccessChange(
            canned: input.acl, policy: input.accessControlPolicy,
            grants: [
                input.grantFullControl, input.grantRead, input.grantReadACP, input.grantWrite, input.grantWriteACP,
            ])
        try await database.write { transaction in
            let bucket = try self.bucket(
                input.bucket, AccessRequest(context, key: key, version: input.versionId),
                expectedOwner: input.expectedBucketOwner, in: transaction,
                existing: { try self.existing(key, choice, in: $0, transaction) })
            var object = try self.object(key, choice, in: bucket, context, transaction)
            let isCurrent = try ObjectTable.find(key, bucket: bucket.name, in: transaction)?.id == object.id
            let acl = try change.list(owner: object.metadata.acl?.owner ?? bucket.ownerID, bucket: bucket)
            object.metadata.acl = acl == AccessControl(owner: bucket.ownerID) ? nil : acl
            try self.setMetadata(object, isCurrent: isCurrent, in: bucket, transaction)
            try self.notify(
                EventName.acl, of: EventSubject(changed: object), bucket: bucket, cause: EventCause(context),
                in: transaction)
        }
        return OperationResponse()
    }

    private func owner(id: String) -> Model.Owner {
        var owner = Model.Owner()
        owner.id = id
        return owner
    }
}

/// A list that a client puts in the place of another, in one of three forms.
struct AccessChange: Sendable {
    private var canned: String?
    private var policy: Model.AccessControlPolicy?
    private var grants: [String?]

    /// Throws InvalidRequest for several forms, MissingSecurityHeader for none.
    init(canned: String?, policy: Model.AccessControlPolicy?, grants: [String?]) throws(AWSError) {
        (self.canned, self.policy, self.grants) = (canned, policy, grants)
        let hasGrants = grants.contains { $0 != nil }
        guard canned == nil || !hasGrants else { throw WriteHeaders.both }
        let hasPolicy = policy?.grants != nil || policy?.owner != nil
        guard !hasPolicy || (canned == nil && !hasGrants) else {
            throw AWSError(
                "UnexpectedContent", status: 400, "This request does not support content")
        }
        guard hasPolicy || canned != nil || hasGrants else {
            throw AWSError(
                "MissingSecurityHeader", status: 400, "Your request was missing a required header",
                fields: ["MissingHeaderName": "x-amz-acl"])
        }
    }

    /// Throws AccessControlListNotSupported, AccessDenied, and what lists are malformed with.
    func list(owner: String, bucket: StoredBucket) throws(AWSError) -> AccessControl {
        var acl = AccessControl(owner: owner)
        if let canned {
            acl = try AccessControl(canned: canned, owner: owner, bucketOwner: bucket.ownerID)
        } else if let given = try AccessControl(
            fullControl: grants[0], read: grants[1], readACP: grants[2], write: grants[3], writeACP: grants[4],
            owner: owner)
        {
            acl = given
        } else if let policy {
            acl = try AccessControl(policy, owner: owner)
        }
        // Where lists are disabled, one that says what holds anyway is taken (S3 guide, "Controlling ownership").
        guard bucket.ownership.usesACLs || acl == AccessControl(owner: bucket.ownerID) && canned != "private" else {
            throw S3Error.aclsNotSupported
        }
        if acl.isPublic, bucket.publicAccess.contains(.blockPublicACLs) { throw S3Error.accessDenied }
        return acl
    }
}

/// What a bucket policy must be.
enum BucketPolicyRules {
    /// Throws MalformedPolicy, PolicyTooLarge… with S3's texts where they are known.
    static func check(_ text: String, bucket: StoredBucket) throws(AWSError) {
        guard text.utf8.count <= Limits.policyBytes else {
            throw malformed("Policy exceeds the maximum allowed document size.")
        }
        guard text.first == "{", let json = try? JSON.parse(text) else {
            throw malformed("Policies must be valid JSON and the first byte must be '{'")
        }
        do {
            let document = try PolicyDocument(json)
            guard !document.hasUnknownOperators else { throw malformed("Invalid Condition type") }
        } catch let error as PolicyError {
            throw malformed(error.reason)
        } catch let error as AWSError {
            throw error
        } catch {
            throw malformed("Policy cannot be read")
        }
        let statement = json["Statement"] ?? .null
        for item in statement.list ?? [statement] {
            for action in texts(item["Action"] ?? item["NotAction"]) where action != "*" {
                guard action.lowercased().hasPrefix("s3:") || action.lowercased().hasPrefix("s3-object-lambda:") else {
                    throw malformed("Policy has invalid action")
                }
            }
            for resource in texts(item["Resource"] ?? item["NotResource"]) where !isOf(bucket, resource) {
                throw malformed("Policy has invalid resource")
            }
        }
    }

    private static func texts(_ value: Value?) -> [String] {
        guard let value else { return [] }
        return (value.list ?? [value]).compactMap(\.string)
    }

    /// The bucket itself or something in it; wildcards may stand for more, but the bucket must be meant.
    private static func isOf(_ bucket: StoredBucket, _ resource: String) -> Bool {
        if resource == "*" { return true }
        guard let arn = ARN(resource), arn.service == "s3" else { return false }
        let name = arn.resource.prefix { $0 != "/" }
        return name == bucket.name || name.contains("*") || name.contains("?")
    }

    private static func malformed(_ text: String) -> AWSError { AWSError("MalformedPolicy", status: 400, text) }
}
