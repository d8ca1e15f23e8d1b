import Contracts
import Platform
import Storage
import Wire

extension LambdaService {
    func addPermission(
        _ input: Model.AddPermissionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        try refuseLatestPolicy(target)
        let grant = PermissionGrant(
            statementID: input.statementId ?? "", action: input.action ?? "", principal: input.principal ?? "",
            sourceARN: input.sourceArn, sourceAccount: input.sourceAccount, eventSourceToken: input.eventSourceToken,
            principalOrganization: input.principalOrgID, functionURLAuthType: input.functionUrlAuthType,
            invokedViaFunctionURL: input.invokedViaFunctionUrl)
        let statement = try grant.statement(resource: target.arn)
        let cache = cache
        try await database.write { transaction in
            try FunctionResolution.requireQualifier(target, in: transaction)
            try PolicyRevision.check(input.revisionId, target, in: transaction)
            let qualifier = target.qualifier ?? ""
            var policy =
                try PolicyTable.get(target.scope, target.name, qualifier: qualifier, in: transaction)
                ?? ResourcePolicy()
            if policy.contains(grant.statementID) {
                throw AWSError.conflict(
                    "The statement id (\(grant.statementID)) provided already exists. Please provide a new statement "
                        + "id, or remove the existing statement.")
            }
            policy.statements.append(statement)
            let size = JSON.encode(policy.document).count
            if size > Limits.policyBytes {
                throw AWSError.lambda(
                    "PolicyLengthExceededException", status: 400,
                    "The final policy size (\(size)) is bigger than the limit (\(Limits.policyBytes)).")
            }
            try PolicyTable.put(policy, target.scope, target.name, qualifier: qualifier, in: transaction)
            try PolicyRevision.bump(target, in: transaction)
            transaction.afterCommit { cache.invalidate(target.scope, target.name) }
        }
        // Once more: a load may have come between the commit and its callback.
        cache.invalidate(target.scope, target.name)
        return OperationResponse(["Statement": .string(text(statement))])
    }

    func removePermission(
        _ input: Model.RemovePermissionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        try refuseLatestPolicy(target)
        let statementID = input.statementId ?? ""
        let cache = cache
        try await database.write { transaction in
            if try FunctionTable.get(target.scope, target.name, in: transaction) == nil {
                throw AWSError.notFound("No policy found for: \(target.arn)")
            }
            let qualifier = target.qualifier ?? ""
            guard
                var policy = try PolicyTable.get(target.scope, target.name, qualifier: qualifier, in: transaction)
            else { throw AWSError.notFound("No policy is associated with the given resource.") }
            if !policy.remove(statementID) {
                throw AWSError.notFound("Statement \(statementID) is not found in resource policy.")
            }
            try PolicyRevision.check(input.revisionId, target, in: transaction)
            try PolicyTable.put(policy, target.scope, target.name, qualifier: qualifier, in: transaction)
            try PolicyRevision.bump(target, in: transaction)
            transaction.afterCommit { cache.invalidate(target.scope, target.name) }
        }
        // Once more: a load may have come between the commit and its callback.
        cache.invalidate(target.scope, target.name)
        return OperationResponse()
    }

    func getPolicy(_ input: Model.GetPolicyRequest, _ context: OperationContext) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        let (policy, revision) = try await database.read { transaction in
            try FunctionResolution.requireQualifier(target, in: transaction)
            let policy = try PolicyTable.get(
                target.scope, target.name, qualifier: target.qualifier ?? "", in: transaction)
            guard let policy else { throw AWSError.notFound("The resource you requested does not exist.") }
            return (policy, try PolicyRevision.current(target, in: transaction))
        }
        return OperationResponse(["Policy": .string(text(policy.document)), "RevisionId": .string(revision)])
    }

    private func refuseLatestPolicy(_ target: FunctionTarget) throws(AWSError) {
        if target.qualifier == Qualifier.latestName {
            throw .invalidParameter("We currently do not support adding policies for $LATEST.")
        }
    }

    func text(_ value: Value) -> String { String(decoding: JSON.encode(value), as: UTF8.self) }
}

/// The revision of a qualifier: one counter for its configuration and its policy (reference 1.1).
enum PolicyRevision {
    static func current(_ target: FunctionTarget, in transaction: any ReadTransaction) throws -> String {
        if case .alias(let name) = Qualifier(target.qualifier) {
            return try AliasTable.get(target.scope, target.name, name, in: transaction)?.revision ?? ""
        }
        return try FunctionResolution.resolve(target, in: transaction).record.configuration.revisionId ?? ""
    }

    static func check(_ given: String?, _ target: FunctionTarget, in transaction: any ReadTransaction) throws {
        guard let given else { return }
        if try given != current(target, in: transaction) { throw AWSError.wrongRevision(call: "GetPolicy") }
    }

    static func bump(_ target: FunctionTarget, in transaction: any WriteTransaction) throws {
        if case .alias(let name) = Qualifier(target.qualifier) {
            guard var alias = try AliasTable.get(target.scope, target.name, name, in: transaction) else { return }
            alias.revision = Identifier.uuid()
            try AliasTable.put(alias, in: transaction)
            return
        }
        var record = try FunctionResolution.resolve(target, in: transaction).record
        record.revise()
        try VersionTable.put(record, in: transaction)
    }
}
