import Contracts
import Platform
import Policies
import Storage
import Synchronization
import Wire

/// Requests that name an access point in a bucket's place.
extension S3Service {
    /// Operations that access points take (S3 guide, "Access point compatibility with S3 operations").
    private static let throughAccessPoints: Set<String> = [
        "AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload", "DeleteObject",
        "DeleteObjects", "DeleteObjectTagging", "GetBucketAcl", "GetBucketCors", "GetBucketLocation",
        "GetBucketNotificationConfiguration", "GetBucketPolicy", "GetObject", "GetObjectAcl", "GetObjectAttributes",
        "GetObjectLegalHold", "GetObjectRetention", "GetObjectTagging", "HeadBucket", "HeadObject",
        "ListMultipartUploads", "ListObjects", "ListObjectsV2", "ListObjectVersions", "ListParts", "PutObject",
        "PutObjectAcl", "PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging", "RestoreObject", "UploadPart",
        "UploadPartCopy",
    ]

    /// Runs an operation on the bucket that the request means: itself, or behind an access point; or through the function of
    /// an Object Lambda access point.
    func enter(
        _ request: OperationRequest, _ body: (OperationRequest) async throws -> OperationResponse
    ) async throws -> OperationResponse {
        var request = request
        try await resolveCopySource(&request)
        guard let name = request.input["Bucket"]?.string, BucketReference.mayBeAccessPoint(name) else {
            return try await body(request)
        }
        let operation = request.context.operation
        let passes = Self.throughAccessPoints.contains(operation)
        if !passes, BucketReference.hostLabel(name) != nil { return try await body(request) }
        let asked = request
        let found = try await database.read { try self.passage(name, asked, in: $0) }
        guard let found else { return try await body(request) }
        guard passes else {
            throw AWSError(
                "MethodNotAllowed", status: 405, "The specified method is not allowed against this resource.",
                fields: ["Method": .string(operation), "ResourceType": "ACCESSPOINT"])
        }
        if let transformation = found.transformation, let lambda = found.lambda {
            guard let links = links.withLock({ $0 }) else { throw Self.notConnected }
            try Self.checkFeatures(request, lambda)
            return try await links.objectLambda.run(
                ObjectLambda.Job(
                    point: lambda, support: found.support, transformation: transformation, request: request))
        }
        request.input["Bucket"] = .string(found.support.bucket)
        return try await body(request)
    }

    private static let notConnected = Failure(.unavailable, "S3 is not connected to the functions yet")

    /// The way to a bucket.
    private struct Passage {
        /// The access point of the bucket.
        var support: AccessPoint
        /// The Object Lambda access point in front of it.
        var lambda: AccessPoint?
        /// What that one does for this operation; nil: nothing.
        var transformation: ObjectLambdaSettings.Transformation?
    }

    /// Nil when the name is a bucket's. Throws NoSuchAccessPoint, AccessDenied.
    private func passage(_ name: String, _ request: OperationRequest, in transaction: any ReadTransaction) throws
        -> Passage?
    {
        guard let point = try find(name, region: request.context.scope.region, in: transaction) else { return nil }
        try permit(request, point, in: transaction)
        guard point.key.kind == .objectLambda else { return Passage(support: point) }
        guard let settings = point.configuration, let key = settings.supportingAccessPoint,
            let support = try AccessPointTable.get(key, in: transaction)
        else { throw AWSError("NoSuchAccessPoint", status: 404, "The supporting access point does not exist") }
        let transformation = settings.transformation(of: request.context.operation)
        // The function, with the caller's URL, is asked for this when it reads.
        if transformation == nil { try permit(request, support, in: transaction) }
        return Passage(support: support, lambda: point, transformation: transformation)
    }

    private func find(_ name: String, region: String, in transaction: any ReadTransaction) throws -> AccessPoint? {
        if name.hasPrefix("arn:") {
            guard let key = AccessPoint.Key(arn: name) else {
                throw AWSError("InvalidARN", status: 400, "The ARN is not that of an access point.")
            }
            guard let point = try AccessPointTable.get(key, in: transaction) else {
                throw ControlError.noSuchAccessPoint(key.name)
            }
            return point
        }
        if let point = try AccessPointTable.find(alias: name, in: transaction) { return point }
        guard let label = BucketReference.hostLabel(name), try BucketTable.find(name, in: transaction) == nil else {
            return nil
        }
        let scope = AccountRegion(account: label.account, region: region)
        return try AccessPointTable.get(
            AccessPoint.Key(scope: scope, kind: .bucket, name: label.name), in: transaction)
    }

    /// Asks about everything that a request names. Of many objects to delete one that is refused refuses all: coarser
    /// than S3, which refuses each by itself. Throws AccessDenied, MalformedXML.
    private func permit(_ request: OperationRequest, _ point: AccessPoint, in transaction: any ReadTransaction) throws {
        let context = request.context
        var asked = AccessRequest(context)
        asked.carried = AccessRequest.carried(by: context)
        guard context.operation == "DeleteObjects" else {
            return try permit(
                asked, context, point, key: request.input["Key"]?.string,
                version: request.input["VersionId"]?.string, in: transaction)
        }
        let items = request.input["Delete"]?["Objects"]?.list ?? []
        guard items.count <= Limits.deleteKeys else { throw S3Error.malformedXML }
        for item in items {
            try permit(
                asked, context, point, key: item["Key"]?.string, version: item["VersionId"]?.string, in: transaction)
        }
    }

    /// Asks the caller's own policies and the access point's. The bucket behind it is asked as always. Throws AccessDenied.
    private func permit(
        _ asked: AccessRequest, _ context: OperationContext, _ point: AccessPoint, key: String?, version: String?,
        operation: String? = nil, in transaction: any ReadTransaction
    ) throws {
        let name = S3Action.name(operation: operation ?? context.operation, ofVersion: version != nil)
        let action = "\(point.key.kind.service):\(name.dropFirst("s3:".count))"
        var resource = point.key.arn
        if point.key.kind == .bucket, let key { resource += "/object/" + key }
        let authorizer = links.withLock { $0?.authorizer }
        let identity =
            try authorizer?.decide(
                for: asked, action: action, resource: resource,
                more: { _ in AccessRequest.owner(point.key.scope.account) }, in: transaction) ?? .allowed
        var policy = PolicyDecision.notAllowed
        if let text = point.policy, let document = policies.document(text) {
            policy = document.decision(
                for: PolicyRequest(
                    principal: context.principal, action: action, resource: resource,
                    context: try asked.conditions(
                        for: document, authorizer, more: { _ in AccessRequest.owner(point.key.scope.account) },
                        in: transaction),
                    resourceAccount: point.key.scope.account))
        }
        guard
            PolicyDecision.permits(
                context.principal, identity: identity, resource: policy, resourceAccount: point.key.scope.account)
        else { throw ControlError.denied(context.principal, action, resource) }
    }

    /// Range and part number go to functions that say they know them (S3 guide, "Working with Range and partNumber
    /// headers"). Throws NotImplemented.
    private static func checkFeatures(_ request: OperationRequest, _ point: AccessPoint) throws {
        let operation = request.context.operation
        guard operation == "GetObject" || operation == "HeadObject", let settings = point.configuration else { return }
        let user = UserRequest(request.context)
        let asksRange = request.context.header("range") != nil || user.hasParameter("range")
        for (feature, asked) in [("Range", asksRange), ("PartNumber", user.hasParameter("partnumber"))]
        where asked && !settings.allows("\(operation)-\(feature)") {
            throw AWSError(
                "NotImplemented", status: 501, "A header you provided implies functionality that is not implemented",
                fields: ["Header": .string(feature == "Range" ? "Range" : "partNumber")])
        }
    }

    /// `x-amz-copy-source: arn:…:accesspoint/NAME/object/KEY` becomes the bucket's name and the key.
    private func resolveCopySource(_ request: inout OperationRequest) async throws {
        guard let source = request.input["CopySource"]?.string else { return }
        let text = source.hasPrefix("/") ? source.dropFirst() : source[...]
        guard text.hasPrefix("arn:") || text.hasPrefix("arn%3A") || text.hasPrefix("arn%3a"),
            let end = text.firstRange(of: "/object/") ?? text.firstRange(of: "%2Fobject%2F"),
            let arn = FormEncoding.decodePercent(text[..<end.lowerBound]), let key = AccessPoint.Key(arn: arn),
            key.kind == .bucket
        else { return }
        let rest = text[end.upperBound...]
        let context = request.context
        let bucket = try await database.read { transaction in
            guard let point = try AccessPointTable.get(key, in: transaction) else {
                throw ControlError.noSuchAccessPoint(key.name)
            }
            // What is asked about is what will be read.
            let source = CopySource("\(point.bucket)/\(rest)")
            try self.permit(
                AccessRequest(context, action: "s3:GetObject"), context, point, key: source?.key,
                version: source?.versionID,
                operation: "GetObject", in: transaction)
            return point.bucket
        }
        request.input["CopySource"] = .string("\(bucket)/\(rest)")
    }
}
