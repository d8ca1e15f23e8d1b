public import Contracts
import Platform
import Policies
public import Storage
import Wire

/// Amazon S3 Control: access points and Object Lambda access points. What goes through them is `S3Service`'s.
public final class S3ControlService: Sendable {
    let database: any Database
    let authorizer: any Authorizer
    private let schema: ServiceSchema

    public static var migrations: Migrations { AccessPointTable.migrations }

    /// Throws `Failure(.bug)` when the generated schema cannot be read.
    public init(database: any Database, authorizer: any Authorizer) throws {
        self.database = database
        self.authorizer = authorizer
        schema = try ServiceSchema(text: S3ControlSchema.text)
    }

    public var definition: ServiceDefinition {
        ServiceDefinition(
            schema: schema,
            operations: [
                "CreateAccessPoint": .asynchronous(createAccessPoint),
                "GetAccessPoint": .asynchronous(getAccessPoint),
                "ListAccessPoints": .asynchronous(listAccessPoints),
                "DeleteAccessPoint": .asynchronous { try await self.delete($0, .bucket) },
                "PutAccessPointPolicy": .asynchronous { try await self.putPolicy($0, .bucket) },
                "GetAccessPointPolicy": .asynchronous { try await self.getPolicy($0, .bucket) },
                "GetAccessPointPolicyStatus": .asynchronous { try await self.getPolicyStatus($0, .bucket) },
                "DeleteAccessPointPolicy": .asynchronous { try await self.deletePolicy($0, .bucket) },
                "CreateAccessPointForObjectLambda": .asynchronous(createObjectLambda),
                "GetAccessPointForObjectLambda": .asynchronous(getObjectLambda),
                "ListAccessPointsForObjectLambda": .asynchronous(listObjectLambda),
                "DeleteAccessPointForObjectLambda": .asynchronous { try await self.delete($0, .objectLambda) },
                "GetAccessPointConfigurationForObjectLambda": .asynchronous(getConfiguration),
                "PutAccessPointConfigurationForObjectLambda": .asynchronous(putConfiguration),
                "PutAccessPointPolicyForObjectLambda": .asynchronous { try await self.putPolicy($0, .objectLambda) },
                "GetAccessPointPolicyForObjectLambda": .asynchronous { try await self.getPolicy($0, .objectLambda) },
                "GetAccessPointPolicyStatusForObjectLambda": .asynchronous {
                    try await self.getPolicyStatus($0, .objectLambda)
                },
                "DeleteAccessPointPolicyForObjectLambda": .asynchronous {
                    try await self.deletePolicy($0, .objectLambda)
                },
                "TagResource": .asynchronous(tagResource),
                "UntagResource": .asynchronous(untagResource),
                "ListTagsForResource": .asynchronous(listTags),
            ],
            bodyLimit: ControlLimits.requestBodyBytes,
            tooLarge: { _, limit in
                AWSError(
                    "MaxMessageLengthExceeded", status: 400, "Your request was too large.",
                    fields: ["MaxMessageLengthBytes": .string(String(limit))])
            })
    }

    /// The access point that a request names.
    func key(_ request: OperationRequest, _ kind: AccessPoint.Kind) -> AccessPoint.Key {
        AccessPoint.Key(scope: request.context.scope, kind: kind, name: request.input["Name"]?.string ?? "")
    }

    /// Whether the caller is of the account that the request names, and its policies let it. The action is the operation's
    /// name. Throws AccessDenied.
    func permit(_ request: OperationRequest, _ resource: String, in transaction: any ReadTransaction) throws {
        let context = request.context
        let account = request.input["AccountId"]?.string
        let action = "s3:" + context.operation
        guard account == context.scope.account, context.principal.account == account,
            try authorizer.decide(for: request, action: action, resource: resource, in: transaction) == .allowed
        else { throw ControlError.denied(context.principal, action, resource) }
    }

    /// The access point, permitted and found. Throws AccessDenied, NoSuchAccessPoint.
    func require(_ request: OperationRequest, _ kind: AccessPoint.Kind, in transaction: any ReadTransaction) throws
        -> AccessPoint
    {
        let key = key(request, kind)
        try permit(request, key.arn, in: transaction)
        guard let point = try AccessPointTable.get(key, in: transaction) else {
            throw ControlError.noSuchAccessPoint(key.name)
        }
        return point
    }

    /// A page of access points and the token of the next.
    func page(
        _ request: OperationRequest, _ kind: AccessPoint.Kind, bucket: String?, token: String?, limit: Int?
    ) async throws -> (points: [AccessPoint], next: String?) {
        let scope = request.context.scope
        let after = try token.map { token in
            guard let bytes = Base64.decode(token), let name = String(validating: bytes, as: UTF8.self) else {
                throw ControlError.badToken
            }
            return name
        }
        let asked = min(max(limit ?? ControlLimits.listEntries, 0), ControlLimits.listEntries)
        let limit = asked == 0 ? ControlLimits.listEntries : asked
        let points = try await database.read { transaction in
            try self.permit(
                request, "arn:aws:\(kind.service):\(scope.region):\(scope.account):accesspoint/*", in: transaction)
            return try AccessPointTable.list(
                scope, kind, bucket: bucket, after: after ?? "", limit: limit + 1, in: transaction)
        }
        guard points.count > limit, let last = points.prefix(limit).last else { return (points, nil) }
        return (Array(points.prefix(limit)), Base64.encode(Array(last.key.name.utf8)))
    }

    func delete(_ request: OperationRequest, _ kind: AccessPoint.Kind) async throws -> OperationResponse {
        try await database.write { transaction in
            let point = try self.require(request, kind, in: transaction)
            try AccessPointTable.delete(point.key, in: transaction)
        }
        return OperationResponse(status: 204)
    }
}
