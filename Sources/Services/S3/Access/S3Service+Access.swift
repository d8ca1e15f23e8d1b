import Contracts
import Platform
import Policies
import Storage
import Wire

/// What an operation asks of a bucket.
struct AccessRequest: Caller {
    var principal: Principal
    /// With `s3:` in front.
    var action: String
    var key: ObjectKey?
    /// What the request brings for conditions; nil: an internal call.
    var context: OperationContext?
    /// The tags that the request gives to an object.
    var requestTags: TagSet?
    /// `carried(by:)` of the context, when many things are asked of one request.
    var carried: ConditionValues?

    init(
        _ context: OperationContext, action: String? = nil, key: ObjectKey? = nil, version: String? = nil,
        tags: TagSet? = nil
    ) {
        principal = context.principal
        self.action = action ?? S3Action.name(operation: context.operation, ofVersion: version != nil)
        self.key = key
        self.context = context
        requestTags = tags
    }

    /// For another service's request: who asks and from where counts, not what its headers and its query are called.
    init(of context: OperationContext, action: String, key: ObjectKey?) {
        self.init(context, action: action, key: key)
        carried = context.conditions
    }

    init(principal: Principal, action: String, key: ObjectKey?) {
        self.principal = principal
        self.action = action
        self.key = key
    }

    /// The condition keys of S3 that a policy may ask (Service Authorization Reference, "Condition keys for S3"), but for the
    /// tags of the object.
    var conditions: ConditionValues {
        guard let context else { return principal.conditions }
        var keys = carried ?? AccessRequest.carried(by: context)
        if let tags = requestTags?.tags, !tags.isEmpty {
            keys["s3:requestobjecttagkeys"] = tags.map(\.key)
            keys.merge(Self.tags("s3:requestobjecttag/", requestTags)) { $1 }
        }
        if action == "s3:PutObject" {
            // Of an upload the last request makes the object (S3 guide, "Enforce conditional writes").
            let isPart = ["CreateMultipartUpload", "UploadPart", "UploadPartCopy"].contains(context.operation)
            keys["s3:objectcreationoperation"] = [isPart ? "false" : "true"]
        }
        // The headers that the operation reads: of DeleteObjects each entry has its own.
        let read =
            action == "s3:PutObject"
            ? ["if-match", "if-none-match"] : context.operation == "DeleteObject" ? ["if-match"] : []
        for name in read { keys["s3:" + name] = context.header(name).map { [$0] } }
        return keys
    }

    /// What follows from the bucket and the object: that is looked at only when a policy asks for `s3:ExistingObjectTag/NAME`.
    func resourceKeys(
        _ bucket: StoredBucket, _ asked: AskedKeys, _ object: (StoredBucket) throws -> StoredObject?
    ) rethrows -> ConditionValues {
        var keys = Self.owner(bucket.account)
        if key != nil, asked.contains(below: Self.existingTag) {
            keys.merge(Self.tags(Self.existingTag, try object(bucket)?.metadata.tags)) { $1 }
        }
        return keys
    }

    /// Whose the resource is: its ARN does not say.
    static func owner(_ account: String) -> ConditionValues {
        ["s3:resourceaccount": [account], "aws:resourceaccount": [account]]
    }

    private static let existingTag = "s3:existingobjecttag/"

    private static func tags(_ prefix: String, _ set: TagSet?) -> ConditionValues {
        TagConditions.keys(prefix, (set?.tags ?? []).lazy.map { (key: $0.key, value: $0.value) })
    }

    /// The keys that follow from headers, URL and signature alone. Of a name that is there more than once the first counts, as it
    /// does for the operation: a policy must judge what is done.
    static func carried(by context: OperationContext) -> ConditionValues {
        var keys = context.conditions
        func add(_ name: String, _ value: String) {
            if keys[name] == nil { keys[name] = [value] }
        }
        if let signature = context.signature {
            keys["s3:authtype"] = [signature.isPresigned ? "REST-QUERY-STRING" : "REST-HEADER"]
            keys["s3:signatureversion"] = [signature.version == .two ? "AWS" : "AWS4-HMAC-SHA256"]
            // Milliseconds.
            keys["s3:signatureage"] = signature.signedAt.map {
                [String(max((context.now - $0).clampedNanoseconds / 1_000_000, 0))]
            }
        }
        for (name, value) in context.headers where name.hasPrefix("x-amz-") { add("s3:" + name, value) }
        for pair in query(context.uri) {
            switch pair.name {
            case "prefix", "delimiter", "max-keys", "versionId": add("s3:" + pair.name.lowercased(), pair.value)
            default: break
            }
        }
        return keys
    }

    /// The parameters as the operation gets them: so many, and names decoded as well as values.
    private static func query(_ uri: String) -> [(name: String, value: String)] {
        guard let mark = uri.utf8.firstIndex(of: UInt8(ascii: "?")) else { return [] }
        let items = uri.utf8[uri.utf8.index(after: mark)...].split(separator: UInt8(ascii: "&"))
        return items.prefix(Limits.queryParameters).map { item in
            let name = item.prefix { $0 != UInt8(ascii: "=") }
            return (name: decode(name), value: decode(item.dropFirst(name.count + 1)))
        }
    }

    private static func decode(_ text: some Collection<UInt8>) -> String {
        String(decoding: PercentEncoding.decode(text, plus: true), as: UTF8.self)
    }
}

extension S3Service {
    /// The bucket of an operation, when the caller may do what the operation does. `existing`: the object that it is about,
    /// looked at only when tags or access control lists decide. Throws NoSuchBucket, AccessDenied.
    func bucket(
        _ name: String?, _ request: AccessRequest, expectedOwner: String? = nil,
        in transaction: any ReadTransaction, existing: (StoredBucket) throws -> StoredObject? = { _ in nil }
    ) throws -> StoredBucket {
        let name = name ?? ""
        guard let bucket = try BucketTable.find(name, in: transaction) else { throw S3Error.noSuchBucket(name) }
        guard expectedOwner == nil || expectedOwner == bucket.account else { throw S3Error.accessDenied }
        try check(request, bucket, in: transaction, existing: existing)
        return bucket
    }

    func bucket(
        _ name: String?, for context: OperationContext, key: ObjectKey? = nil, version: String? = nil,
        expectedOwner: String? = nil, in transaction: any ReadTransaction
    ) throws -> StoredBucket {
        try bucket(
            name, AccessRequest(context, key: key, version: version), expectedOwner: expectedOwner, in: transaction)
    }

    /// Throws AccessDenied.
    func check(
        _ request: AccessRequest, _ bucket: StoredBucket, in transaction: any ReadTransaction,
        existing: (StoredBucket) throws -> StoredObject? = { _ in nil }
    ) throws {
        // The owner, and no policy that could deny: nothing to look up.
        if case .account(bucket.account) = request.principal {
            guard bucket.policy != nil else { return }
            // An owner cannot lock itself out of its policy (S3 guide, "Bucket policies").
            if request.action.hasSuffix("BucketPolicy") { return }
        }
        if let reason = try refusal(request, bucket, in: transaction, existing: existing) {
            throw S3Error.accessDenied(request, bucket, because: reason)
        }
    }

    /// Whether a request would be let in; for what an operation must know beside its own.
    func mayDo(_ request: AccessRequest, _ bucket: StoredBucket, in transaction: any ReadTransaction) throws -> Bool {
        if case .account(bucket.account) = request.principal, bucket.policy == nil { return true }
        return try refusal(request, bucket, in: transaction) { _ in nil } == nil
    }

    /// Why not; nil when it may.
    private func refusal(
        _ request: AccessRequest, _ bucket: StoredBucket, in transaction: any ReadTransaction,
        existing: (StoredBucket) throws -> StoredObject?
    ) throws -> String? {
        let resource = bucket.arn + (request.key.map { "/" + $0.text } ?? "")
        var byResource = try policyDecision(request, bucket, resource: resource, existing: existing, in: transaction)
        if byResource == .explicitlyDenied { return "with an explicit deny in a resource-based policy" }
        let identity: PolicyDecision
        switch request.principal {
        case .service, .anonymous: identity = .notAllowed
        case .account: identity = .allowed
        case .roleSession: identity = try identityDecision(request, bucket, resource, existing, in: transaction)
        }
        if identity == .explicitlyDenied { return "with an explicit deny in an identity-based policy" }
        if byResource == .notAllowed, try isGranted(request, bucket, existing: existing) { byResource = .allowed }
        let isPermitted = PolicyDecision.permits(
            request.principal, identity: identity, resource: byResource, resourceAccount: bucket.account)
        guard !isPermitted else { return nil }
        let isOwn = request.principal.account == bucket.account
        return "because no \(isOwn ? "identity" : "resource")-based policy allows the \(request.action) action"
    }

    private func identityDecision(
        _ request: AccessRequest, _ bucket: StoredBucket, _ resource: String,
        _ existing: (StoredBucket) throws -> StoredObject?, in transaction: any ReadTransaction
    ) throws -> PolicyDecision {
        guard let authorizer else { return .allowed }
        return try authorizer.decide(
            for: request, action: request.action, resource: resource,
            more: { try request.resourceKeys(bucket, $0, existing) }, in: transaction)
    }

    private func policyDecision(
        _ request: AccessRequest, _ bucket: StoredBucket, resource: String,
        existing: (StoredBucket) throws -> StoredObject?, in transaction: any ReadTransaction
    ) throws -> PolicyDecision {
        guard let text = bucket.policy, let document = policies.document(text) else { return .notAllowed }
        let keys = try request.conditions(
            for: document, authorizer, more: { try request.resourceKeys(bucket, $0, existing) }, in: transaction)
        let decision = document.decision(
            for: PolicyRequest(
                principal: request.principal, action: request.action, resource: resource, context: keys,
                resourceAccount: bucket.account))
        // A public policy then lets in only the owner's account and services.
        if decision == .allowed, bucket.publicAccess.contains(.restrictPublicBuckets), isStranger(request, bucket),
            PolicyStatus.isPublic(text)
        {
            return .notAllowed
        }
        return decision
    }

    private func isStranger(_ request: AccessRequest, _ bucket: StoredBucket) -> Bool {
        if case .service = request.principal { return false }
        return request.principal.account != bucket.account
    }

    private func isGranted(
        _ request: AccessRequest, _ bucket: StoredBucket, existing: (StoredBucket) throws -> StoredObject?
    ) throws -> Bool {
        guard bucket.ownership.usesACLs, let wanted = S3Action.grant(for: request.action) else { return false }
        let user = request.principal.account.map { CanonicalUser.id(account: $0) }
        let ignoresPublic = bucket.publicAccess.contains(.ignorePublicACLs)
        switch wanted {
        case .bucket(let permission):
            return bucket.acl?.allows(permission, user: user, ignoresPublic: ignoresPublic) ?? false
        case .object(let permission):
            return try existing(bucket)?.metadata.acl?.allows(permission, user: user, ignoresPublic: ignoresPublic)
                ?? false
        }
    }

    /// A key that is not there: only who may list the bucket is told so (API reference, GetObject).
    func missing(
        _ key: ObjectKey, _ context: OperationContext, _ bucket: StoredBucket, in transaction: any ReadTransaction
    ) throws -> AWSError {
        let listing = AccessRequest(context, action: "s3:ListBucket")
        return try mayDo(listing, bucket, in: transaction) ? S3Error.noSuchKey(key.text) : S3Error.accessDenied
    }
}

extension S3Error {
    /// S3 explains itself within the account alone.
    static func accessDenied(_ request: AccessRequest, _ bucket: StoredBucket, because reason: String) -> AWSError {
        guard request.principal.account == bucket.account else { return accessDenied }
        let resource = bucket.arn + (request.key.map { "/" + $0.text } ?? "")
        return AWSError(
            "AccessDenied", status: 403,
            "User: \(request.principal.arn) is not authorized to perform: \(request.action) on resource: \"\(resource)\" "
                + reason)
    }
}
