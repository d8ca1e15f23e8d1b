import Contracts
import Platform
import Storage
import Wire

/// Access points of buckets.
extension S3ControlService {
    func createAccessPoint(_ request: OperationRequest) async throws -> OperationResponse {
        let input = ControlModel.CreateAccessPointRequest(request.input)
        let key = key(request, .bucket)
        try Self.checkName(key.name)
        guard input.scope == nil else {
            throw ControlError.invalid("Scopes are for access points of directory buckets.")
        }
        var document: Fields = ["BucketAccount": .string(input.bucketAccountId ?? key.scope.account)]
        document["VpcId"] = (input.vpcConfiguration?.vpcId).map { .string($0) }
        document["PublicAccessBlock"] = Self.publicAccessBlock(input.publicAccessBlockConfiguration)
        let tags = try Self.tags(input.tags ?? [], onto: [:])
        if !tags.isEmpty { document["Tags"] = .map(tags) }
        let point = AccessPoint(
            key: key, bucket: input.bucket ?? "", alias: AccessPoint.makeAlias(key, created: request.context.now),
            created: request.context.now, document: document)
        try await database.write { transaction in
            try self.permit(request, key.arn, in: transaction)
            guard let bucket = try BucketTable.find(point.bucket, in: transaction) else {
                throw S3Error.noSuchBucket(point.bucket)
            }
            // Another account's bucket has to be asked for by its account.
            guard bucket.account == input.bucketAccountId ?? key.scope.account else { throw S3Error.accessDenied }
            guard bucket.region == key.scope.region else {
                throw ControlError.invalid("The bucket is in another Region than the access point.")
            }
            guard try AccessPointTable.get(key, in: transaction) == nil else {
                throw ControlError.alreadyOwned(key.name)
            }
            guard try AccessPointTable.count(key.scope, .bucket, in: transaction) < ControlLimits.accessPoints else {
                throw ControlError.tooMany
            }
            try AccessPointTable.put(point, in: transaction)
        }
        var output = ControlModel.CreateAccessPointResult()
        output.accessPointArn = key.arn
        output.alias = point.alias
        return OperationResponse(output.value)
    }

    /// S3 guide, "Rules for naming Amazon S3 access points". Throws InvalidRequest.
    static func checkName(_ name: String) throws(AWSError) {
        let bytes = Array(name.utf8)
        let isPlain = bytes.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
        guard ControlLimits.nameCharacters.contains(bytes.count), isPlain, bytes.first != 0x2D, bytes.last != 0x2D,
            !["-s3alias", "--ol-s3", ".mrap", "--x-s3"].contains(where: { name.hasSuffix($0) })
        else {
            throw AWSError(
                "InvalidAccessPointName", status: 400, "The specified accesspoint name is not valid",
                fields: ["AccessPointName": .string(name)])
        }
    }

    /// All on unless they are given, as for new access points at AWS.
    private static func publicAccessBlock(_ given: ControlModel.PublicAccessBlockConfiguration?) -> Value {
        [
            "BlockPublicAcls": .bool(given.map { $0.blockPublicAcls ?? false } ?? true),
            "IgnorePublicAcls": .bool(given.map { $0.ignorePublicAcls ?? false } ?? true),
            "BlockPublicPolicy": .bool(given.map { $0.blockPublicPolicy ?? false } ?? true),
            "RestrictPublicBuckets": .bool(given.map { $0.restrictPublicBuckets ?? false } ?? true),
        ]
    }

    func getAccessPoint(_ request: OperationRequest) async throws -> OperationResponse {
        let point = try await database.read { try self.require(request, .bucket, in: $0) }
        var output = ControlModel.GetAccessPointResult()
        output.name = point.key.name
        output.bucket = point.bucket
        output.networkOrigin = point.vpc == nil ? "Internet" : "VPC"
        output.vpcConfiguration = point.vpc
        output.publicAccessBlockConfiguration = point.document["PublicAccessBlock"].map {
            ControlModel.PublicAccessBlockConfiguration($0)
        }
        output.creationDate = point.created
        output.alias = point.alias
        output.accessPointArn = point.key.arn
        let region = point.key.scope.region
        output.endpoints = [
            (key: "ipv4", value: "s3-accesspoint.\(region).amazonaws.com"),
            (key: "fips", value: "s3-accesspoint-fips.\(region).amazonaws.com"),
            (key: "fips_dualstack", value: "s3-accesspoint-fips.dualstack.\(region).amazonaws.com"),
            (key: "dualstack", value: "s3-accesspoint.dualstack.\(region).amazonaws.com"),
        ]
        output.bucketAccountId = point.document["BucketAccount"]?.string
        return OperationResponse(output.value)
    }

    func listAccessPoints(_ request: OperationRequest) async throws -> OperationResponse {
        let input = ControlModel.ListAccessPointsRequest(request.input)
        let (points, next) = try await page(
            request, .bucket, bucket: input.bucket, token: input.nextToken, limit: input.maxResults)
        var output = ControlModel.ListAccessPointsResult()
        output.accessPointList = points.map { point in
            var item = ControlModel.AccessPoint()
            item.name = point.key.name
            item.networkOrigin = point.vpc == nil ? "Internet" : "VPC"
            item.vpcConfiguration = point.vpc
            item.bucket = point.bucket
            item.accessPointArn = point.key.arn
            item.alias = point.alias
            item.bucketAccountId = point.document["BucketAccount"]?.string
            return item
        }
        output.nextToken = next
        return OperationResponse(output.value)
    }
}

extension AccessPoint {
    var vpc: ControlModel.VpcConfiguration? {
        guard let id = document["VpcId"]?.string else { return nil }
        var vpc = ControlModel.VpcConfiguration()
        vpc.vpcId = id
        return vpc
    }
}
