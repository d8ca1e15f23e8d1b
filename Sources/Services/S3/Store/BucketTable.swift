import Platform
import Storage

struct StoredBucket: Sendable {
    var name: String
    var account: String
    var region: String
    var created: Instant
    var notifications: NotificationConfiguration
    var versioning = Versioning.never
    var ownership = ObjectOwnership.bucketOwnerEnforced
    var publicAccess = PublicAccessBlock.standard
    /// As it was sent.
    var policy: String?
    /// Nil: only the owner.
    var acl: AccessControl?
    /// Nil: AES256.
    var encryption: EncryptionHeaders?
    /// Which settings of `SettingTable` requests for objects must look at.
    var settings: Set<SettingTable.Name> = []

    var ownerID: String { CanonicalUser.id(account: account) }
    var effectiveACL: AccessControl { acl ?? AccessControl(owner: ownerID) }
    var arn: String { "arn:aws:s3:::\(name)" }
}

/// Buckets; their names are unique over all accounts, as in AWS.
enum BucketTable {
    private static let columns =
        "name, account, region, created, notifications, versioning, ownership, public_access, policy, acl, encryption, "
        + "settings"

    private static func read(_ row: any Row) throws -> StoredBucket {
        guard let versioning = Versioning(rawValue: row.int(5)), let ownership = ObjectOwnership(rawValue: row.int(6))
        else { throw Failure(.corrupt, "a bucket's row cannot be read") }
        var bucket = StoredBucket(
            name: row.text(0), account: row.text(1), region: row.text(2), created: Instant(nanoseconds: row.int(3)),
            notifications: try NotificationConfiguration(packed: row.blob(4)), versioning: versioning,
            ownership: ownership, publicAccess: PublicAccessBlock(rawValue: row.int(7)), policy: row.optionalText(8))
        if let bytes = row.optionalBlob(9) {
            var unpacker = Unpacker(bytes)
            bucket.acl = try AccessControl(from: &unpacker)
        }
        if let bytes = row.optionalBlob(10) { bucket.encryption = try EncryptionHeaders(packed: bytes) }
        let settings = row.int(11)
        if settings != 0 { bucket.settings = Set(flags.filter { settings & $0.value != 0 }.map(\.key)) }
        return bucket
    }

    private static let flags: [SettingTable.Name: Int64] = [.cors: 1, .lifecycle: 2]

    static func find(_ name: String, in transaction: any ReadTransaction) throws -> StoredBucket? {
        try transaction.first("SELECT \(columns) FROM s3_bucket WHERE name = ?", [.text(name)], read)
    }

    static func insert(_ bucket: StoredBucket, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO s3_bucket (\(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                .text(bucket.name), .text(bucket.account), .text(bucket.region), .int(bucket.created.nanoseconds),
                .blob(bucket.notifications.packed()),
            ] + changeable(bucket))
    }

    private static func changeable(_ bucket: StoredBucket) -> [SQLValue] {
        [
            .int(bucket.versioning.rawValue), .int(bucket.ownership.rawValue), .int(bucket.publicAccess.rawValue),
            .optional(bucket.policy), bucket.acl.map { .blob($0.packed()) } ?? .null,
            bucket.encryption.map { .blob($0.packed()) } ?? .null,
            .int(bucket.settings.reduce(0) { $0 | (flags[$1] ?? 0) }),
        ]
    }

    /// Stores everything that can change but the notifications.
    static func update(_ bucket: StoredBucket, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            UPDATE s3_bucket SET versioning = ?, ownership = ?, public_access = ?, policy = ?, acl = ?, encryption = ?,
                settings = ? WHERE name = ?
            """, changeable(bucket) + [.text(bucket.name)])
    }

    static func setNotifications(
        _ configuration: NotificationConfiguration, of name: String, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "UPDATE s3_bucket SET notifications = ? WHERE name = ?", [.blob(configuration.packed()), .text(name)])
    }

    static func delete(_ name: String, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM s3_bucket WHERE name = ?", [.text(name)])
    }

    static func count(account: String, in transaction: any ReadTransaction) throws -> Int {
        Int(
            try transaction.first("SELECT COUNT(*) FROM s3_bucket WHERE account = ?", [.text(account)]) { $0.int(0) }
                ?? 0)
    }

    /// Buckets of an account by name, those behind `after` that start with `prefix`; `region` empty means any.
    static func list(
        account: String, after: String, prefix: String, region: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [StoredBucket] {
        // Names are ASCII; `prefix` with the highest ASCII character behind it is above every name that starts with it.
        try transaction.query(
            """
            SELECT \(columns) FROM s3_bucket
            WHERE account = ? AND name > ? AND name >= ? AND name < ? AND (? = '' OR region = ?)
            ORDER BY name LIMIT ?
            """,
            [
                .text(account), .text(after), .text(prefix), .text(prefix + "\u{7F}"), .text(region), .text(region),
                .int(Int64(limit)),
            ], read)
    }
}

/// Who owns what others put into a bucket, and whether access control lists count.
enum ObjectOwnership: Int64, Sendable, Hashable, CaseIterable {
    case bucketOwnerEnforced = 0
    case bucketOwnerPreferred = 1
    case objectWriter = 2
    /// The setting was removed: as `objectWriter`.
    case unset = 3

    var name: String {
        switch self {
        case .bucketOwnerEnforced: "BucketOwnerEnforced"
        case .bucketOwnerPreferred: "BucketOwnerPreferred"
        case .objectWriter, .unset: "ObjectWriter"
        }
    }

    init?(name: String) {
        guard let found = ObjectOwnership.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    var usesACLs: Bool { self != .bucketOwnerEnforced }
}

/// What of public access a bucket refuses. New buckets refuse all of it.
struct PublicAccessBlock: OptionSet, Sendable, Hashable {
    let rawValue: Int64

    static let blockPublicACLs = PublicAccessBlock(rawValue: 1)
    static let ignorePublicACLs = PublicAccessBlock(rawValue: 2)
    static let blockPublicPolicy = PublicAccessBlock(rawValue: 4)
    static let restrictPublicBuckets = PublicAccessBlock(rawValue: 8)
    /// The configuration was removed: nothing is refused.
    static let removed = PublicAccessBlock(rawValue: 16)
    static let standard: PublicAccessBlock = [
        .blockPublicACLs, .ignorePublicACLs, .blockPublicPolicy, .restrictPublicBuckets,
    ]
}

extension AccessControl {
    func packed() -> [UInt8] {
        var packer = Packer()
        pack(into: &packer)
        return packer.bytes
    }
}

extension EncryptionHeaders {
    func packed() -> [UInt8] {
        var packer = Packer()
        packer.text(algorithm)
        packer.optionalText(keyID)
        packer.int(bucketKey ? 1 : 0)
        return packer.bytes
    }

    init(packed bytes: [UInt8]) throws {
        var unpacker = Unpacker(bytes)
        algorithm = try unpacker.text()
        keyID = try unpacker.optionalText()
        bucketKey = try unpacker.int() != 0
        isUnnamed = false
    }
}
