import Contracts
import Platform
import Storage
import Wire

// MARK: Reserved concurrency

extension LambdaService {
    func putFunctionConcurrency(
        _ input: Model.PutFunctionConcurrencyRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let reserved = input.reservedConcurrentExecutions ?? 0
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        try target.requireUnqualified()
        try await setReserved(reserved, target)
        return OperationResponse(["ReservedConcurrentExecutions": .int(Int64(reserved))])
    }

    func getFunctionConcurrency(
        _ input: Model.GetFunctionConcurrencyRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        try target.requireUnqualified()
        let function = try await database.read { try FunctionResolution.function(target, in: $0) }
        guard let reserved = function.reservedConcurrency else { return OperationResponse() }
        return OperationResponse(["ReservedConcurrentExecutions": .int(Int64(reserved))])
    }

    func deleteFunctionConcurrency(
        _ input: Model.DeleteFunctionConcurrencyRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        try target.requireUnqualified()
        try await setReserved(nil, target)
        return OperationResponse()
    }

    private func setReserved(_ reserved: Int?, _ target: FunctionTarget) async throws {
        let invoker = try connections().invoker
        try await mutate(target.scope, target.name) { transaction in
            var function = try FunctionResolution.function(target, in: transaction)
            if let reserved {
                let others = try FunctionTable.reservedConcurrency(
                    target.scope, except: target.name, in: transaction)
                // Zero switches a function off and takes nothing from the others.
                if reserved > 0, reserved > Limits.concurrency - others - Limits.minimumUnreservedConcurrency {
                    throw AWSError.invalidParameter(
                        "Specified ReservedConcurrentExecutions for function decreases account's "
                            + "UnreservedConcurrentExecution below its minimum value of "
                            + "[\(Limits.minimumUnreservedConcurrency)].")
                }
            }
            function.reservedConcurrency = reserved
            try FunctionTable.put(function, in: transaction)
            transaction.afterCommit {
                invoker.setReservedConcurrency(scope: target.scope, function: target.name, reserved)
            }
        }
    }

    func getAccountSettings(
        _ input: Model.GetAccountSettingsRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let scope = context.scope
        let (bytes, functions, reserved) = try await database.read { transaction in
            (
                try VersionTable.codeBytes(scope, in: transaction) + LayerTable.codeBytes(scope, in: transaction),
                try FunctionTable.count(scope, in: transaction),
                try FunctionTable.reservedConcurrency(scope, except: "", in: transaction)
            )
        }
        return OperationResponse([
            "AccountLimit": [
                "TotalCodeSize": .int(Limits.totalCodeBytes), "CodeSizeUnzipped": .int(Limits.unzippedBytes),
                "CodeSizeZipped": .int(Int64(Limits.zippedBytes)),
                "ConcurrentExecutions": .int(Int64(Limits.concurrency)),
                "UnreservedConcurrentExecutions": .int(Int64(Limits.concurrency - reserved)),
            ],
            "AccountUsage": ["TotalCodeSize": .int(bytes), "FunctionCount": .int(functions)],
        ])
    }
}

// MARK: Settings that are stored and shown

extension LambdaService {
    /// There are no code signing configurations: Terraform reads this of every function.
    func getFunctionCodeSigningConfig(
        _ input: Model.GetFunctionCodeSigningConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        _ = try await database.read { try FunctionResolution.function(target, in: $0) }
        return OperationResponse(["FunctionName": .string(target.name)])
    }

    func getFunctionRecursionConfig(
        _ input: Model.GetFunctionRecursionConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        let function = try await database.read { try FunctionResolution.function(target, in: $0) }
        return OperationResponse(["RecursiveLoop": .string(function.recursiveLoop ?? "Terminate")])
    }

    func putFunctionRecursionConfig(
        _ input: Model.PutFunctionRecursionConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        try target.requireUnqualified()
        let value = input.recursiveLoop ?? "Terminate"
        try await mutate(target.scope, target.name) { transaction in
            var function = try FunctionResolution.function(target, in: transaction)
            function.recursiveLoop = value
            try FunctionTable.put(function, in: transaction)
        }
        return OperationResponse(["RecursiveLoop": .string(value)])
    }

    func getRuntimeManagementConfig(
        _ input: Model.GetRuntimeManagementConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try runtimeManaged(input.functionName, input.qualifier, context)
        let function = try await database.read { transaction in
            _ = try FunctionResolution.resolve(target, in: transaction)
            return try FunctionResolution.function(target, in: transaction)
        }
        return OperationResponse(Self.runtimeManagement(function, target))
    }

    func putRuntimeManagementConfig(
        _ input: Model.PutRuntimeManagementConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try runtimeManaged(input.functionName, input.qualifier, context)
        if input.updateRuntimeOn == "Manual", input.runtimeVersionArn == nil {
            throw AWSError.invalidParameter(
                "RuntimeVersionArn is required when UpdateRuntimeOn is set to Manual.")
        }
        var setting: Fields = ["UpdateRuntimeOn": .string(input.updateRuntimeOn ?? "Auto")]
        setting["RuntimeVersionArn"] = input.runtimeVersionArn.map { .string($0) }
        let stored = Value.map(setting)
        let function = try await database.write { transaction in
            _ = try FunctionResolution.resolve(target, in: transaction)
            var function = try FunctionResolution.function(target, in: transaction)
            function.runtimeManagement[target.qualifier ?? Qualifier.latestName] = stored
            try FunctionTable.put(function, in: transaction)
            return function
        }
        return OperationResponse(Self.runtimeManagement(function, target))
    }

    private func runtimeManaged(
        _ name: String?, _ qualifier: String?, _ context: OperationContext
    ) throws(AWSError) -> FunctionTarget {
        let target = try FunctionTarget(name ?? "", qualifier: qualifier, in: context.scope)
        if Qualifier(target.qualifier).isAlias {
            throw .notFound("Function not found: \(target.arn)")
        }
        return target
    }

    private static func runtimeManagement(_ function: FunctionRecord, _ target: FunctionTarget) -> Value {
        let setting = function.runtimeManagement[target.qualifier ?? Qualifier.latestName]
        var output: Fields = [
            "UpdateRuntimeOn": setting?["UpdateRuntimeOn"] ?? "Auto",
            "FunctionArn": .string(target.scope.functionARN(target.name, qualifier: target.qualifier)),
        ]
        output["RuntimeVersionArn"] = setting?["RuntimeVersionArn"]
        return .map(output)
    }
}
