import Contracts
import Platform
import Storage
import Wire

extension LambdaService {
    func createFunctionURLConfig(
        _ input: Model.CreateFunctionUrlConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        let url = FunctionURL(
            id: Identifier.base32(32).lowercased(), scope: target.scope, function: target.name,
            qualifier: target.qualifier ?? "",
            authType: input.authType.flatMap(FunctionURL.AuthType.init) ?? .iam,
            invokeMode: input.invokeMode.flatMap(FunctionURL.InvokeMode.init), cors: input.cors.flatMap(URLCORS.init),
            createdAt: context.now, modifiedAt: context.now)
        try await mutate(target.scope, target.name) { transaction in
            try Self.requireURLTarget(target, in: transaction)
            let existing = try URLTable.get(
                target.scope, target.name, qualifier: target.qualifier ?? "", in: transaction)
            if existing != nil {
                throw AWSError.conflict(
                    "Failed to create function url config for [functionArn = \(target.arn)]. Error message:  "
                        + "FunctionUrlConfig exists for this Lambda function")
            }
            try URLTable.put(url, in: transaction)
        }
        var output = Model.CreateFunctionUrlConfigResponse()
        output.functionUrl = url.url(endpoint: context.endpoint)
        output.functionArn = target.arn
        output.authType = url.authType.rawValue
        output.cors = url.cors?.output
        output.creationTime = FunctionURL.text(url.createdAt)
        // As recorded on AWS: only when it was chosen.
        output.invokeMode = url.invokeMode?.rawValue
        return OperationResponse(output.value)
    }

    func getFunctionURLConfig(
        _ input: Model.GetFunctionUrlConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        let found = try await database.read {
            try URLTable.get(target.scope, target.name, qualifier: target.qualifier ?? "", in: $0)
        }
        guard let url = found else { throw Self.noURL }
        return OperationResponse(Self.output(url, context).value)
    }

    func updateFunctionURLConfig(
        _ input: Model.UpdateFunctionUrlConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        let (authType, mode, cors) = (input.authType, input.invokeMode, input.cors)
        let changed = try await mutate(target.scope, target.name) { transaction in
            guard
                var url = try URLTable.get(
                    target.scope, target.name, qualifier: target.qualifier ?? "", in: transaction)
            else { throw Self.noURL }
            if let authType = authType.flatMap(FunctionURL.AuthType.init) { url.authType = authType }
            if let mode = mode.flatMap(FunctionURL.InvokeMode.init) { url.invokeMode = mode }
            if let cors { url.cors = URLCORS(cors) }
            url.modifiedAt = context.now
            try URLTable.put(url, in: transaction)
            return url
        }
        return OperationResponse(Self.output(changed, context).value)
    }

    func deleteFunctionURLConfig(
        _ input: Model.DeleteFunctionUrlConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        try await mutate(target.scope, target.name) { transaction in
            let existed = try URLTable.delete(
                target.scope, target.name, qualifier: target.qualifier ?? "", in: transaction)
            if !existed { throw Self.noURL }
        }
        return OperationResponse()
    }

    func listFunctionURLConfigs(
        _ input: Model.ListFunctionUrlConfigsRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        let limit = Page.limit(input.maxItems)
        // The function's own URL has the empty qualifier, which alone would make no token.
        let after = try Page.marker(input.marker, parts: 2)?[1]
        let found = try await database.read { transaction in
            guard try FunctionTable.get(target.scope, target.name, in: transaction) != nil else {
                throw AWSError.notFound("Function does not exist")
            }
            return try URLTable.list(target.scope, target.name, after: after, limit: limit + 1, in: transaction)
        }
        var output: Value = ["FunctionUrlConfigs": .list(found.prefix(limit).map { Self.output($0, context).value })]
        if found.count > limit {
            output["NextMarker"] = .string(Page.token([target.name, found[limit - 1].qualifier]))
        }
        return OperationResponse(output)
    }

    private static func requireURLTarget(_ target: FunctionTarget, in transaction: any ReadTransaction) throws {
        guard try FunctionTable.get(target.scope, target.name, in: transaction) != nil else {
            throw AWSError.notFound("Function does not exist")
        }
        guard case .alias(let name) = Qualifier(target.qualifier) else { return }
        if try AliasTable.get(target.scope, target.name, name, in: transaction) == nil {
            throw AWSError.notFound("Function does not exist")
        }
    }

    private static func output(_ url: FunctionURL, _ context: OperationContext) -> Model.FunctionUrlConfig {
        var output = Model.FunctionUrlConfig()
        output.functionUrl = url.url(endpoint: context.endpoint)
        output.functionArn = url.target.arn
        output.creationTime = FunctionURL.text(url.createdAt)
        output.lastModifiedTime = FunctionURL.text(url.modifiedAt)
        output.cors = url.cors?.output
        output.authType = url.authType.rawValue
        output.invokeMode = (url.invokeMode ?? .buffered).rawValue
        return output
    }

    private static let noURL = AWSError.notFound("The resource you requested does not exist.")
}
