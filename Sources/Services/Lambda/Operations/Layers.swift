import Contracts
import Platform
import Policies
import Storage
import Wire

extension LambdaService {
    func publishLayerVersion(
        _ input: Model.PublishLayerVersionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let layer = LayerName(input.layerName ?? "", in: context.scope)
        if layer.scope != context.scope { throw AWSError.otherAccount }
        for runtime in input.compatibleRuntimes ?? [] { try Runtimes.check(runtime) }
        let source = CodeSource(input.content ?? Model.LayerVersionContentInput())
        let record = try await withCode(source, context) { code in
            try await codeStore.check(archive: code.path)
            return try await database.write { [self] transaction in
                try checkStoredSize(layer.scope, adding: code.size, in: transaction)
                let number = try LayerTable.takeNumber(layer, in: transaction)
                let record = LayerRecord(
                    version: LayerVersionName(scope: layer.scope, name: layer.name, version: number), code: code.blob,
                    codeSize: code.size, unpackedBytes: code.unpackedBytes, description: input.description ?? "",
                    license: input.licenseInfo, runtimes: input.compatibleRuntimes,
                    architectures: input.compatibleArchitectures, created: context.now)
                try blobs.retain(code.blob, size: code.size, in: transaction)
                try LayerTable.put(record, in: transaction)
                return record
            }
        }
        return OperationResponse(record.output(location: downloadURL(record.code, context)).value)
    }

    func getLayerVersion(
        _ input: Model.GetLayerVersionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let name = try layerVersion(input.layerName, input.versionNumber, context)
        let found = try await database.read { try LayerTable.get(name, in: $0) }
        guard let record = found, Self.mayRead(record, context.scope) else {
            throw AWSError.notFound("The resource you requested does not exist.")
        }
        return OperationResponse(record.output(location: downloadURL(record.code, context)).value)
    }

    func getLayerVersionByArn(
        _ input: Model.GetLayerVersionByArnRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        guard let name = LayerVersionName(arn: input.arn ?? "") else {
            throw AWSError.notFound("The resource you requested does not exist.")
        }
        if name.version < 1 { throw AWSError.invalidParameter("Layer Version Cannot be less than 1") }
        let found = try await database.read { try LayerTable.get(name, in: $0) }
        guard let record = found, Self.mayRead(record, context.scope) else {
            throw AWSError.notFound("The resource you requested does not exist.")
        }
        return OperationResponse(record.output(location: downloadURL(record.code, context)).value)
    }

    private static func mayRead(_ record: LayerRecord, _ scope: AccountRegion) -> Bool {
        record.version.scope.account == scope.account
            || record.policy.allows(
                PolicyRequest(
                    principal: .account(scope.account), action: "lambda:GetLayerVersion", resource: record.version.arn))
    }

    /// No error when there is none. Functions that use the version keep its code.
    func deleteLayerVersion(
        _ input: Model.DeleteLayerVersionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let name = try ownLayerVersion(input.layerName, input.versionNumber, context)
        try await database.write { [self] transaction in
            guard let record = try LayerTable.get(name, in: transaction) else { return }
            try blobs.release(record.code, in: transaction)
            try LayerTable.delete(name, in: transaction)
        }
        return OperationResponse()
    }

    func listLayerVersions(
        _ input: Model.ListLayerVersionsRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let layer = LayerName(input.layerName ?? "", in: context.scope)
        if layer.scope.account != context.scope.account { throw AWSError.otherAccount }
        let limit = Page.limit(input.maxItems)
        let before = try Page.marker(input.marker).map { try Page.number($0[0]) } ?? .max
        let records = try await database.read { transaction in
            try LayerTable.versions(layer, before: before, limit: limit + 1, in: transaction) {
                $0.isCompatible(runtime: input.compatibleRuntime, architecture: input.compatibleArchitecture)
            }
        }
        var output: Value = ["LayerVersions": .list(records.prefix(limit).map(\.listItem.value))]
        if records.count > limit {
            output["NextMarker"] = .string(Page.token([String(records[limit - 1].version.version)]))
        }
        return OperationResponse(output)
    }

    func listLayers(_ input: Model.ListLayersRequest, _ context: OperationContext) async throws -> OperationResponse {
        let scope = context.scope
        let limit = Page.limit(input.maxItems)
        let after = try Page.marker(input.marker)?[0] ?? ""
        let records = try await database.read { transaction in
            try LayerTable.newest(scope, after: after, limit: limit + 1, in: transaction) {
                $0.isCompatible(runtime: input.compatibleRuntime, architecture: input.compatibleArchitecture)
            }
        }
        let items: [Value] = records.prefix(limit).map { record in
            [
                "LayerName": .string(record.version.name), "LayerArn": .string(record.version.layerARN),
                "LatestMatchingVersion": record.listItem.value,
            ]
        }
        var output: Value = ["Layers": .list(items)]
        if records.count > limit { output["NextMarker"] = .string(Page.token([records[limit - 1].version.name])) }
        return OperationResponse(output)
    }

    func layerVersion(
        _ name: String?, _ version: Int?, _ context: OperationContext
    ) throws(AWSError) -> LayerVersionName {
        let layer = LayerName(name ?? "", in: context.scope)
        let number = Int64(version ?? 0)
        if number < 1 { throw .invalidParameter("Layer Version Cannot be less than 1") }
        return LayerVersionName(scope: layer.scope, name: layer.name, version: number)
    }

    /// A layer version of the caller's account: nobody else changes it, or reads its policy. A grant is for reading only.
    func ownLayerVersion(
        _ name: String?, _ version: Int?, _ context: OperationContext
    ) throws(AWSError) -> LayerVersionName {
        let found = try layerVersion(name, version, context)
        if found.scope.account != context.scope.account { throw .otherAccount }
        return found
    }
}

// MARK: Permissions of layer versions

extension LambdaService {
    func addLayerVersionPermission(
        _ input: Model.AddLayerVersionPermissionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let name = try ownLayerVersion(input.layerName, input.versionNumber, context)
        let action = input.action ?? ""
        if action != "lambda:GetLayerVersion" {
            throw AWSError.validation(
                "1 validation error detected: Value '\(action)' at 'action' failed to satisfy constraint: "
                    + "Member must satisfy regular expression pattern: lambda:GetLayerVersion")
        }
        let grant = PermissionGrant(
            statementID: input.statementId ?? "", action: action, principal: input.principal ?? "",
            principalOrganization: input.organizationId)
        let statement = try grant.statement(resource: name.arn)
        let revision = try await changePolicy(of: name, revision: input.revisionId) { policy in
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
        }
        return OperationResponse(["Statement": .string(text(statement)), "RevisionId": .string(revision)])
    }

    func removeLayerVersionPermission(
        _ input: Model.RemoveLayerVersionPermissionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let name = try ownLayerVersion(input.layerName, input.versionNumber, context)
        let statementID = input.statementId ?? ""
        _ = try await changePolicy(of: name, revision: input.revisionId) { policy in
            if !policy.remove(statementID) {
                throw AWSError.notFound("Statement \(statementID) is not found in resource policy.")
            }
        }
        return OperationResponse()
    }

    func getLayerVersionPolicy(
        _ input: Model.GetLayerVersionPolicyRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let name = try ownLayerVersion(input.layerName, input.versionNumber, context)
        let record = try await database.read { transaction in
            guard let record = try LayerTable.get(name, in: transaction) else {
                throw AWSError.notFound("Layer version \(name.arn) does not exist.")
            }
            return record
        }
        guard !record.policy.statements.isEmpty else {
            throw AWSError.notFound("No policy is associated with the given resource.")
        }
        return OperationResponse([
            "Policy": .string(text(record.policy.document)), "RevisionId": .string(record.policyRevision ?? ""),
        ])
    }

    private func changePolicy(
        of name: LayerVersionName, revision: String?,
        _ change: @escaping @Sendable (inout ResourcePolicy) throws -> Void
    ) async throws -> String {
        try await database.write { transaction in
            guard var record = try LayerTable.get(name, in: transaction) else {
                throw AWSError.notFound("Layer version \(name.arn) does not exist.")
            }
            if let revision, revision != record.policyRevision {
                throw AWSError.wrongRevision(call: "GetLayerPolicy")
            }
            try change(&record.policy)
            let next = Identifier.uuid()
            record.policyRevision = next
            try LayerTable.put(record, in: transaction)
            return next
        }
    }
}
