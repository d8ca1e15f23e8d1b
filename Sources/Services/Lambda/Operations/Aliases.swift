import Contracts
import Platform
import Storage
import Wire

/// The second version of an alias, as requests give it.
struct AliasRouting: Sendable {
    /// Nil: not given; leave what is there.
    var weights: [(version: String, weight: Double)]?

    init(_ config: Model.AliasRoutingConfiguration?) {
        guard let config else { return }
        weights = (config.additionalVersionWeights ?? []).map { ($0.key, $0.value) }
    }

    /// The second version for an alias to `version`. Throws AWS's texts (reference 7.1).
    func additional(to version: String) throws(AWSError) -> AliasRecord.AdditionalVersion? {
        guard let weights, let first = weights.first else { return nil }
        if weights.count > 1 {
            throw .invalidParameter("Number of items in AdditionalVersionWeights cannot be greater than 1")
        }
        if version == Qualifier.latestName {
            throw .invalidParameter("$LATEST is not supported for an alias pointing to more than 1 version")
        }
        if first.version == version {
            throw .invalidParameter(
                "Invalid function version \(version). Function version \(version) is already included in routing "
                    + "configuration.")
        }
        return AliasRecord.AdditionalVersion(version: first.version, weight: min(max(first.weight, 0), 1))
    }
}

extension LambdaService {
    func createAlias(_ input: Model.CreateAliasRequest, _ context: OperationContext) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        try target.requireUnqualified()
        let name = input.name ?? ""
        let version = input.functionVersion ?? Qualifier.latestName
        let routing = AliasRouting(input.routingConfig)
        let alias = try await mutate(target.scope, target.name) { transaction in
            _ = try FunctionResolution.function(target, in: transaction)
            let additional = try routing.additional(to: version)
            try LambdaService.requireVersions([version] + (additional.map { [$0.version] } ?? []), target, transaction)
            if try AliasTable.get(target.scope, target.name, name, in: transaction) != nil {
                let arn = target.scope.functionARN(target.name, qualifier: name)
                throw AWSError.conflict("Alias already exists: \(arn)")
            }
            let alias = AliasRecord(
                scope: target.scope, function: target.name, name: name, version: version, additional: additional,
                description: input.description ?? "", revision: Identifier.uuid())
            try AliasTable.put(alias, in: transaction)
            return alias
        }
        return OperationResponse(alias.output.value)
    }

    func getAlias(_ input: Model.GetAliasRequest, _ context: OperationContext) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        let name = input.name ?? ""
        let alias = try await database.read { transaction in
            guard let alias = try AliasTable.get(target.scope, target.name, name, in: transaction) else {
                throw AWSError.aliasNotFound(target.scope.functionARN(target.name, qualifier: name))
            }
            return alias
        }
        return OperationResponse(alias.output.value)
    }

    func updateAlias(_ input: Model.UpdateAliasRequest, _ context: OperationContext) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        let name = input.name ?? ""
        let routing = AliasRouting(input.routingConfig)
        let alias = try await mutate(target.scope, target.name) { transaction in
            guard var alias = try AliasTable.get(target.scope, target.name, name, in: transaction) else {
                let arn = target.scope.functionARN(target.name, qualifier: name)
                throw AWSError.notFound("Alias not found: \(arn)")
            }
            if let revision = input.revisionId, revision != alias.revision {
                throw AWSError.wrongRevision(call: "GetFunction/GetAlias")
            }
            if let version = input.functionVersion { alias.version = version }
            if let description = input.description { alias.description = description }
            if routing.weights != nil {
                alias.additional = try routing.additional(to: alias.version)
            } else if let kept = alias.additional {
                // What stays must fit a version that changed.
                var routing = AliasRouting(nil)
                routing.weights = [(kept.version, kept.weight)]
                alias.additional = try routing.additional(to: alias.version)
            }
            try LambdaService.requireVersions(
                [alias.version] + (alias.additional.map { [$0.version] } ?? []), target, transaction)
            alias.revision = Identifier.uuid()
            try AliasTable.put(alias, in: transaction)
            return alias
        }
        return OperationResponse(alias.output.value)
    }

    /// No error when there is none (reference 1.1).
    func deleteAlias(_ input: Model.DeleteAliasRequest, _ context: OperationContext) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        let name = input.name ?? ""
        try await mutate(target.scope, target.name) { transaction in
            _ = try FunctionResolution.function(target, in: transaction)
            try AliasTable.delete(target.scope, target.name, name, in: transaction)
            try Belongings.delete(target.scope, target.name, qualifier: name, in: transaction)
        }
        return OperationResponse()
    }

    func listAliases(_ input: Model.ListAliasesRequest, _ context: OperationContext) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        let limit = Page.limit(input.maxItems)
        let after = try Page.marker(input.marker)?[0] ?? ""
        let aliases = try await database.read { transaction in
            _ = try FunctionResolution.function(target, in: transaction)
            return try AliasTable.list(
                target.scope, target.name, after: after, limit: limit + 1, in: transaction
            ) { input.functionVersion == nil || $0.version == input.functionVersion }
        }
        var output: Value = ["Aliases": .list(aliases.prefix(limit).map(\.output.value))]
        if aliases.count > limit { output["NextMarker"] = .string(Page.token([aliases[limit - 1].name])) }
        return OperationResponse(output)
    }

    private static func requireVersions(
        _ versions: [String], _ target: FunctionTarget, _ transaction: any ReadTransaction
    ) throws {
        for version in versions {
            let number = VersionRecord.number(of: version)
            if try !VersionTable.exists(target.scope, target.name, number: number, in: transaction) {
                throw AWSError.functionNotFound(target.scope.functionARN(target.name, qualifier: version))
            }
        }
    }
}
