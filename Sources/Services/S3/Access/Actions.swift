/// IAM's name of what an operation does, and what an access control list must grant for it.
enum S3Action {
    /// Operations whose action has another name (Service Authorization Reference, "Actions defined by Amazon S3").
    private static let renamed: [String: String] = [
        "HeadObject": "GetObject", "GetObjectAttributes": "GetObject",
        "CopyObject": "PutObject", "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject",
        "UploadPartCopy": "PutObject", "CompleteMultipartUpload": "PutObject",
        "ListParts": "ListMultipartUploadParts", "ListMultipartUploads": "ListBucketMultipartUploads",
        "ListObjects": "ListBucket", "ListObjectsV2": "ListBucket", "HeadBucket": "ListBucket",
        "ListObjectVersions": "ListBucketVersions", "DeleteObjects": "DeleteObject",
        "ListBuckets": "ListAllMyBuckets",
        "GetBucketNotificationConfiguration": "GetBucketNotification",
        "PutBucketNotificationConfiguration": "PutBucketNotification",
        "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
        "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
        "DeleteBucketLifecycle": "PutLifecycleConfiguration",
        "GetBucketEncryption": "GetEncryptionConfiguration", "PutBucketEncryption": "PutEncryptionConfiguration",
        "DeleteBucketEncryption": "PutEncryptionConfiguration",
        "GetBucketCors": "GetBucketCORS", "PutBucketCors": "PutBucketCORS", "DeleteBucketCors": "PutBucketCORS",
        "DeleteBucketTagging": "PutBucketTagging",
        "GetPublicAccessBlock": "GetBucketPublicAccessBlock", "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
        "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
        "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
        "GetBucketReplication": "GetReplicationConfiguration",
        "DeleteBucketReplication": "PutReplicationConfiguration",
        "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
        "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
        "GetBucketAnalyticsConfiguration": "GetAnalyticsConfiguration",
        "ListBucketAnalyticsConfigurations": "GetAnalyticsConfiguration",
        "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
        "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
        "GetBucketMetricsConfiguration": "GetMetricsConfiguration",
        "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
        "GetBucketIntelligentTieringConfiguration": "GetIntelligentTieringConfiguration",
        "ListBucketIntelligentTieringConfigurations": "GetIntelligentTieringConfiguration",
        "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    ]

    /// Actions with another name when a version is named.
    private static let ofVersions: [String: String] = [
        "GetObject": "GetObjectVersion", "DeleteObject": "DeleteObjectVersion",
        "GetObjectTagging": "GetObjectVersionTagging", "PutObjectTagging": "PutObjectVersionTagging",
        "DeleteObjectTagging": "DeleteObjectVersionTagging", "GetObjectAcl": "GetObjectVersionAcl",
        "PutObjectAcl": "PutObjectVersionAcl",
    ]

    /// With `s3:` in front.
    static func name(operation: String, ofVersion: Bool = false) -> String {
        let action = renamed[operation] ?? operation
        return "s3:" + (ofVersion ? ofVersions[action] ?? action : action)
    }

    enum Grant: Sendable, Hashable {
        case bucket(AccessControl.Permission)
        case object(AccessControl.Permission)
    }

    /// What of the lists grants an action (S3 guide, "Mapping of ACL permissions and access policy permissions").
    static func grant(for action: String) -> Grant? {
        switch action.dropFirst("s3:".count) {
        case "ListBucket", "ListBucketVersions", "ListBucketMultipartUploads": .bucket(.read)
        case "PutObject", "DeleteObject": .bucket(.write)
        case "GetBucketAcl": .bucket(.readACP)
        case "PutBucketAcl": .bucket(.writeACP)
        case "GetObject", "GetObjectVersion": .object(.read)
        case "GetObjectAcl", "GetObjectVersionAcl": .object(.readACP)
        case "PutObjectAcl", "PutObjectVersionAcl": .object(.writeACP)
        default: nil
        }
    }
}
