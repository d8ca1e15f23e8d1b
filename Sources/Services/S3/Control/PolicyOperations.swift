import Contracts
import Platform
import Policies
import Storage
import Wire

/// Policies and tags of access points of both kinds.
extension S3ControlService {
    func putPolicy(_ request: OperationRequest, _ kind: AccessPoint.Kind) async throws -> OperationResponse {
        let text = request.input["Policy"]?.string ?? ""
        guard text.utf8.count <= ControlLimits.policyBytes else {
            throw ControlError.malformedPolicy("The policy is larger than \(ControlLimits.policyBytes) bytes")
        }
        do throws(PolicyError) {
            _ = try PolicyDocument(text: text)
        } catch {
            throw ControlError.malformedPolicy(error.description)
        }
        let isPublic = Self.isPublic(text)
        try await database.write { transaction in
            var point = try self.require(request, kind, in: transaction)
            let blocks = point.document["PublicAccessBlock"]?["BlockPublicPolicy"]?.bool ?? true
            guard !isPublic || !blocks else {
                throw AWSError("AccessDenied", status: 403, "Access Denied: the access point blocks public policies.")
            }
            point.policy = text
            try AccessPointTable.put(point, in: transaction)
        }
        return OperationResponse()
    }

    /// Whether it lets everybody in, without a condition (S3 guide, "The meaning of public").
    private static func isPublic(_ policy: String) -> Bool {
        guard let statement = (try? JSON.parse(policy))?["Statement"] else { return false }
        return (statement.list ?? [statement]).contains { statement in
            guard statement["Effect"]?.string == "Allow", statement["Condition"] == nil else { return false }
            let principal = statement["Principal"]?["AWS"] ?? statement["Principal"]
            return principal?.string == "*" || principal?.list?.contains("*") == true
        }
    }

    func getPolicy(_ request: OperationRequest, _ kind: AccessPoint.Kind) async throws -> OperationResponse {
        let point = try await database.read { try self.require(request, kind, in: $0) }
        guard let policy = point.policy else { throw ControlError.noSuchPolicy(point.key.name) }
        return OperationResponse(["Policy": .string(policy)])
    }

    func getPolicyStatus(_ request: OperationRequest, _ kind: AccessPoint.Kind) async throws -> OperationResponse {
        let point = try await database.read { try self.require(request, kind, in: $0) }
        guard let policy = point.policy else { throw ControlError.noSuchPolicy(point.key.name) }
        return OperationResponse(["PolicyStatus": ["IsPublic": .bool(Self.isPublic(policy))]])
    }

    func deletePolicy(_ request: OperationRequest, _ kind: AccessPoint.Kind) async throws -> OperationResponse {
        try await database.write { transaction in
            var point = try self.require(request, kind, in: transaction)
            point.policy = nil
            try AccessPointTable.put(point, in: transaction)
        }
        return OperationResponse(status: 204)
    }

    // MARK: Tags

    /// The tags with others added. Throws InvalidTag, TooManyTags.
    static func tags(_ given: [ControlModel.Tag], onto existing: Fields) throws(AWSError) -> Fields {
        var tags = existing
        for tag in given {
            guard let key = tag.key, !key.isEmpty, key.utf8.count <= 128, !key.hasPrefix("aws:"),
                let value = tag.value["Value"]?.string, value.utf8.count <= 256
            else {
                throw AWSError("InvalidTag", status: 400, "This request contains a tag key or value that isn't valid.")
            }
            tags[key] = .string(value)
        }
        guard tags.count <= ControlLimits.tags else {
            throw AWSError(
                "TooManyTags", status: 400, "The number of tags exceeds the limit of \(ControlLimits.tags) tags.")
        }
        return tags
    }

    /// The access point that `ResourceArn` names. Buckets' tags are S3's own operations here.
    private func resource(_ request: OperationRequest, in transaction: any ReadTransaction) throws -> AccessPoint {
        let arn = request.input["ResourceArn"]?.string ?? ""
        guard let key = AccessPoint.Key(arn: arn), key.scope.account == request.context.scope.account else {
            throw ControlError.invalid("Martlet keeps tags of access points here; ResourceArn names none.")
        }
        try permit(request, arn, in: transaction)
        guard let point = try AccessPointTable.get(key, in: transaction) else {
            throw AWSError("NoSuchResource", status: 404, "The specified resource doesn't exist.")
        }
        return point
    }

    func tagResource(_ request: OperationRequest) async throws -> OperationResponse {
        let input = ControlModel.TagResourceRequest(request.input)
        try await database.write { transaction in
            var point = try self.resource(request, in: transaction)
            point.tags = try Self.tags(input.tags ?? [], onto: point.tags)
            try AccessPointTable.put(point, in: transaction)
        }
        return OperationResponse()
    }

    func untagResource(_ request: OperationRequest) async throws -> OperationResponse {
        let input = ControlModel.UntagResourceRequest(request.input)
        try await database.write { transaction in
            var point = try self.resource(request, in: transaction)
            for key in input.tagKeys ?? [] { point.tags[key] = nil }
            try AccessPointTable.put(point, in: transaction)
        }
        return OperationResponse()
    }

    func listTags(_ request: OperationRequest) async throws -> OperationResponse {
        let point = try await database.read { try self.resource(request, in: $0) }
        let tags: [Value] = point.tags.entries.map { ["Key": .string($0.name), "Value": $0.value] }
        return OperationResponse(["Tags": .list(tags)])
    }
}
