import Contracts
import Platform
import Storage
import Wire

/// Resource policies of an account: kept and returned as they are. Groups let in the services of their own account anyway.
struct PolicyOperations: Sendable {
    let database: any Database

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutResourcePolicyRequest(request.input)
        let (scope, now) = (request.context.scope, request.context.now.milliseconds)
        try Self.check(resource: input.resourceArn)
        guard let name = input.policyName, let document = input.policyDocument else {
            throw LogsError.invalid("policyName and policyDocument must be given.")
        }
        guard let value = try? JSON.parse(document), value["Statement"] != nil else {
            throw LogsError.invalid("The policy document is not a valid JSON policy.")
        }
        try await database.write { transaction in
            let others = try transaction.first(
                "SELECT COUNT(*) FROM logs_policy WHERE account = ? AND region = ? AND name <> ?",
                [.text(scope.account), .text(scope.region), .text(name)], { $0.int(0) })
            guard others ?? 0 < Limits.resourcePolicies else {
                throw AWSError("LimitExceededException", "Resource limit exceeded.")
            }
            try transaction.execute(
                "INSERT OR REPLACE INTO logs_policy (account, region, name, updated, document) VALUES (?, ?, ?, ?, ?)",
                [.text(scope.account), .text(scope.region), .text(name), .int(now), .text(document)])
        }
        var output = Model.PutResourcePolicyResponse()
        output.resourcePolicy = Self.shape(name, document, now)
        return OperationResponse(output.value)
    }

    func describe(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DescribeResourcePoliciesRequest(request.input)
        let scope = request.context.scope
        try Self.check(resource: input.resourceArn)
        let limit = min(input.limit ?? Limits.describePage, Limits.describePage)
        let after = try PageToken.read(input.nextToken) ?? ""
        let rows = try await database.read { transaction in
            try transaction.query(
                """
                SELECT name, document, updated FROM logs_policy WHERE account = ? AND region = ? AND name > ?
                ORDER BY name LIMIT ?
                """, [.text(scope.account), .text(scope.region), .text(after), .int(Int64(limit + 1))],
                { (name: $0.text(0), document: $0.text(1), updated: $0.int(2)) })
        }
        var output = Model.DescribeResourcePoliciesResponse()
        output.resourcePolicies = rows.prefix(limit).map { Self.shape($0.name, $0.document, $0.updated) }
        if rows.count > limit { output.nextToken = PageToken.encode(rows[limit - 1].name) }
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteResourcePolicyRequest(request.input)
        let (scope, name) = (request.context.scope, input.policyName ?? "")
        try Self.check(resource: input.resourceArn)
        try await database.write { transaction in
            let removed = try transaction.execute(
                "DELETE FROM logs_policy WHERE account = ? AND region = ? AND name = ?",
                [.text(scope.account), .text(scope.region), .text(name)])
            guard removed > 0 else {
                throw AWSError(
                    "ResourceNotFoundException", "Policy with name [\(name)] does not exist")
            }
        }
        return OperationResponse()
    }

    private static func check(resource: String?) throws(AWSError) {
        guard resource == nil else {
            throw LogsError.invalid("Martlet keeps policies of accounts only, not of single resources, yet.")
        }
    }

    private static func shape(_ name: String, _ document: String, _ updated: Int64) -> Model.ResourcePolicy {
        var policy = Model.ResourcePolicy()
        policy.policyName = name
        policy.policyDocument = document
        policy.lastUpdatedTime = Int(updated)
        policy.policyScope = "ACCOUNT"
        return policy
    }
}
