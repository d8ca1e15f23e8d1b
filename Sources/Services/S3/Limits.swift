/// Every quota of the service, with unit and source ("S3 guide" is the Amazon S3 User Guide).
enum Limits {
    /// Bytes of a key in UTF-8. S3 guide, "Naming Amazon S3 objects".
    static let keyBytes = 1024
    /// Bytes of all user metadata, names and values together. S3 guide, "User-defined object metadata".
    static let userMetadataBytes = 2048
    /// Bytes of one PutObject, one part and the source of one CopyObject. S3 guide, "Uploading objects".
    static let singleUploadBytes: Int64 = 5 << 30
    /// Bytes of the smallest part that is not the last. S3 guide, "Multipart upload limits".
    static let smallestPartBytes: Int64 = 5 << 20
    /// Parts of one upload, and the highest part number. S3 guide, "Multipart upload limits".
    static let parts = 10_000
    /// Entries of one page of any listing. API reference, `MaxKeys`, `MaxParts`, `MaxUploads`.
    static let listEntries = 1000
    /// Keys of one DeleteObjects. API reference.
    static let deleteKeys = 1000
    /// Buckets of one account. S3 guide, "General purpose bucket quotas" (default quota).
    static let bucketsPerAccount = 10_000
    /// Notification configurations of one bucket. S3 guide, "General purpose bucket quotas".
    static let notificationConfigurations = 100
    /// Bytes of one filter rule's value. S3 guide, "Configuring event notifications using object key name filtering".
    static let filterValueBytes = 1024
    /// Bytes of an id of a notification configuration. API reference.
    static let notificationIdBytes = 255
    /// Bytes of a buffered (XML) request body: 10,000 parts with ETag and checksum need about 3 MB. Ours.
    static let requestBodyBytes = 8 << 20
    /// Bytes read at a time when stored data must be hashed again. Ours.
    static let hashingChunkBytes = 1 << 20
    /// Pieces of this many bytes are hashed while they are being written. Ours: below it a task costs more than it gains.
    static let overlapBytes = 32 << 10
    /// Objects of several parts that are being copied into one blob for another service (Lambda's code) at a time, and that
    /// wait for it. Ours: such copies are bound by the disk, and each has 2 MiB in memory.
    static let copiesAtOnce = 2
    static let copiesWaiting = 1000
    /// How often an operation that looked at an object first and then changes things starts again when the object was
    /// replaced in between, before it answers OperationAborted. Ours.
    static let attempts = 4
    /// Rows fetched after a common prefix was skipped, and at most while a delimiter may end a run. Ours.
    static let firstListingChunk = 8
    static let largestDelimitedChunk = 256
    /// Unfinished uploads that go in one transaction when their bucket is deleted. Ours.
    static let uploadsAbortedAtOnce = 10
    /// Headers and trailers of a body that may name a checksum; more are not looked at. Ours.
    static let entityTagsInCondition = 100
    /// Tags of one object, and of one bucket. S3 guide, "Object tagging", "Using cost allocation S3 bucket tags".
    static let objectTags = 10
    static let bucketTags = 50
    /// Unicode characters of a tag's key and value. S3 guide, "Object tagging".
    static let tagKeyCharacters = 128
    static let tagValueCharacters = 256
    /// Bytes of a bucket policy. S3 guide, "Bucket policies".
    static let policyBytes = 20_480
    /// Grants of one access control list. S3 guide, "Access control list (ACL) overview".
    static let grants = 100
    /// Rules of one CORS configuration. API reference, PutBucketCors.
    static let crossOriginRules = 100
    /// Values of one CORS rule's lists. Ours: the API names no bound but 64 KB of configuration.
    static let crossOriginValues = 1_000
    /// Bytes of one CORS configuration. API reference, PutBucketCors.
    static let crossOriginBytes = 64 << 10
    /// Parameters of a query that conditions of policies see: those that operations get (Wire's bound).
    static let queryParameters = 20_000
    /// Rules of one lifecycle configuration; bytes of a rule's id. S3 guide, "Lifecycle configuration elements".
    static let lifecycleRules = 1_000
    static let lifecycleIdBytes = 255
    /// Versions and uploads that the lifecycle looks at in one snapshot, and changes in one transaction. Ours.
    static let lifecyclePage = 500
    static let lifecycleChanges = 100
    /// Parts of removed objects behind which a transaction that removes several makes room for others. Ours.
    static let partsPerTransaction = 2_000
    /// References that go with what held them; more are let go of behind it. Ours: two statements each.
    static let partsReleasedAtOnce = 100
    /// References that are let go of in one transaction behind it. Ours: about 10 ms.
    static let partsPerLeftover = 1_000
    /// How long after a bucket's lifecycle has failed the next run begins. Ours.
    static let lifecycleRetryWait = Duration.seconds(1_800)
    /// How long after the start the lifecycle first runs. Ours: nobody is in a hurry then.
    static let lifecycleFirstWait = Duration.seconds(30)
    /// How long after a change of a lifecycle configuration it is carried out. Ours; AWS takes up to a day.
    static let lifecycleChangeWait = Duration.seconds(1)
    /// A whole blob up to this is compared with its name before its first byte is sent. Ours: about 5 ms of hashing.
    static let verifiedAheadBytes: Int64 = 8 << 20
    /// A range of a larger blob waits for the comparison of the whole up to this size. Ours: about 50 ms of hashing.
    static let verifiedForRangeBytes: Int64 = 64 << 20
    /// How long a comparison is believed, while the file does not change. Ours.
    static let verificationLifetime = Duration.seconds(86_400)
    /// Blobs whose comparison is remembered; about 100 bytes each. Ours.
    static let rememberedVerifications = 65_536
    /// Bytes hashed and sent at a time. Ours.
    static let verifiedPieceBytes = 256 << 10
}
