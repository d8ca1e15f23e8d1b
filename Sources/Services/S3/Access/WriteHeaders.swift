import Contracts
import Platform
import Storage
import Wire

/// What a request that makes an object says of its access control list and tags. PutObject, CopyObject and
/// CreateMultipartUpload name these members alike.
struct WriteHeaders: Sendable {
    var canned: String?
    /// By `AccessControl.init`: full control, read, read ACP, write ACP.
    var grants: [String?]
    var tags: TagSet?

    /// Throws InvalidArgument, InvalidTag, BadRequest.
    init(_ input: Value) throws(AWSError) {
        let input = Model.PutObjectRequest(input)
        canned = input.acl
        grants = [input.grantFullControl, input.grantRead, input.grantReadACP, input.grantWriteACP]
        if let header = input.tagging { tags = try TagSet(header: header) }
        guard canned == nil || !hasGrants else { throw WriteHeaders.both }
    }

    var hasGrants: Bool { grants.contains { $0 != nil } }

    static let both = AWSError(
        "InvalidRequest", status: 400, "Specifying both Canned ACLs and Header Grants is not allowed")
}

extension S3Service {
    /// Gives a new object what its headers and its bucket say: access control list, tags, default encryption. Throws
    /// AccessControlListNotSupported, AccessDenied.
    func dress(
        _ metadata: inout ObjectMetadata, _ headers: WriteHeaders, key: ObjectKey, bucket: StoredBucket,
        _ context: OperationContext, in transaction: any ReadTransaction
    ) throws {
        metadata.acl = try acl(headers, key: key, bucket: bucket, context, in: transaction)
        if let tags = headers.tags {
            try check(
                AccessRequest(context, action: "s3:PutObjectTagging", key: key, tags: tags), bucket, in: transaction)
            metadata.tags = tags
        }
        if metadata.encryption.isUnnamed, let standard = bucket.encryption { metadata.encryption = standard }
    }

    private func acl(
        _ headers: WriteHeaders, key: ObjectKey, bucket: StoredBucket, _ context: OperationContext,
        in transaction: any ReadTransaction
    ) throws -> AccessControl? {
        guard bucket.ownership.usesACLs else {
            guard !headers.hasGrants, headers.canned.map({ ObjectHeaders.acceptedACLs.contains($0) }) ?? true else {
                throw S3Error.aclsNotSupported
            }
            return nil
        }
        var owner = context.principal.account.map { CanonicalUser.id(account: $0) } ?? bucket.ownerID
        if bucket.ownership == .bucketOwnerPreferred, headers.canned == "bucket-owner-full-control" {
            owner = bucket.ownerID
        }
        let grants = headers.grants
        var acl = AccessControl(owner: owner)
        if let canned = headers.canned {
            acl = try AccessControl(canned: canned, owner: owner, bucketOwner: bucket.ownerID)
        } else if let given = try AccessControl(
            fullControl: grants[0], read: grants[1], readACP: grants[2], write: nil, writeACP: grants[3], owner: owner)
        {
            acl = given
        }
        if headers.canned != nil || headers.hasGrants {
            try check(AccessRequest(context, action: "s3:PutObjectAcl", key: key), bucket, in: transaction)
        }
        if acl.isPublic, bucket.publicAccess.contains(.blockPublicACLs) { throw S3Error.accessDenied }
        return acl == AccessControl(owner: bucket.ownerID) ? nil : acl
    }
}

extension S3Error {
    static let aclsNotSupported = AWSError(
        "AccessControlListNotSupported", status: 400, "The bucket does not allow ACLs")
}
