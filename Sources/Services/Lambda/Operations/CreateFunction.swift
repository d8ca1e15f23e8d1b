import Contracts
import Platform
import Storage
import Wire

extension LambdaService {
    /// Validates, takes the code, unpacks it, then commits the function as Pending; it becomes Active a moment later.
    func createFunction(
        _ input: Model.CreateFunctionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let scope = context.scope
        let target = try creationTarget(input, scope)
        let layerNames = try checkCreation(input, target)
        let taken = try await database.read { try FunctionTable.get(scope, target.name, in: $0) != nil }
        if taken { throw AWSError.conflict("Function already exist: \(target.name)") }

        let shown = try await withCode(CodeSource(input.code ?? Model.FunctionCode()), context) { code in
            try await create(input, target, layerNames, code, now: context.now)
        }
        settle(scope, target.name)
        return OperationResponse(Presentation.configuration(shown, qualifier: nil))
    }

    /// Unpacks and commits. Answers the version to show: what was published, or `$LATEST`.
    private func create(
        _ input: Model.CreateFunctionRequest, _ target: FunctionTarget, _ layerNames: [LayerVersionName],
        _ code: StoredCode, now: Instant
    ) async throws -> VersionRecord {
        let scope = target.scope
        let layers = try await database.read { [self] in try self.layers(layerNames, for: scope, in: $0) }
        var latest = VersionRecord(
            scope: scope, name: target.name, number: VersionRecord.latestNumber, generation: Identifier.uuid(),
            configuration: ConfigurationChange.created(input, name: target.name, scope: scope, now: now),
            code: code.blob, codeSize: code.size, unpackedBytes: code.unpackedBytes, layers: layers, settling: true)
        latest.revise()
        try checkUnpackedSize(latest)
        let tags = input.value["Tags"]?.fields ?? [:]
        let record = latest
        return try await withDirectories(of: record) {
            try await mutate(scope, target.name) { [self] transaction in
                if try FunctionTable.get(scope, target.name, in: transaction) != nil {
                    throw AWSError.conflict("Function already exist: \(target.name)")
                }
                // A layer may have been deleted since it was read.
                _ = try self.layers(layerNames, for: scope, in: transaction)
                try checkStoredSize(scope, adding: record.codeSize, in: transaction)
                try checkRole(of: record, in: transaction)
                try checkDeadLetterTarget(of: record, in: transaction)
                var function = FunctionRecord(scope: scope, name: target.name)
                function.tags = tags
                var shown = record
                if input.publish == true {
                    shown = Publication.version(number: function.nextVersion, of: record, description: nil)
                    function.nextVersion += 1
                    try VersionTable.put(shown, in: transaction)
                    try retain(shown, in: transaction)
                }
                try FunctionTable.put(function, in: transaction)
                try VersionTable.put(record, in: transaction)
                try retain(record, in: transaction)
                return shown
            }
        }
    }

    private func creationTarget(
        _ input: Model.CreateFunctionRequest, _ scope: AccountRegion
    ) throws(AWSError) -> FunctionTarget {
        let given = input.functionName ?? ""
        if given.count > Limits.qualifiedNameCharactersAtCreation {
            throw .validation(
                "1 validation error detected: Value '\(given)' at 'functionName' failed to satisfy constraint: "
                    + "Member must have length less than or equal to \(Limits.qualifiedNameCharactersAtCreation)")
        }
        let target = try FunctionTarget(given, in: scope)
        if target.qualifier != nil {
            throw .validation(
                "1 validation error detected: Value '\(given)' at 'functionName' failed to satisfy constraint: "
                    + "Member must satisfy regular expression pattern: \(FunctionTarget.pattern)")
        }
        return target
    }

    /// Everything that needs no store. Answers the layers' names.
    private func checkCreation(
        _ input: Model.CreateFunctionRequest, _ target: FunctionTarget
    ) throws(AWSError) -> [LayerVersionName] {
        if let size = input.code?.zipFile?.count, size > Limits.zippedBytes { throw .zippedTooLarge }
        try ConfigurationRules.checkRole(input.role, target.scope)
        if let variables = input.environment?.variables { try ConfigurationRules.checkEnvironment(variables) }
        let layers = try ConfigurationRules.checkLayers(input.layers ?? [], target.scope)
        if input.packageType == "Image" || input.code?.imageUri != nil { throw .noImages }
        guard let runtime = input.runtime, let handler = input.handler, !handler.isEmpty else {
            throw .invalidParameter(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages.")
        }
        try Runtimes.check(runtime)
        try ConfigurationRules.checkName(target.name)
        try ConfigurationRules.checkNumbers(
            timeout: input.timeout, memory: input.memorySize, ephemeralStorage: input.ephemeralStorage?.size)
        try ConfigurationRules.checkSnapStart(input.snapStart?.applyOn, runtime: runtime)
        try ConfigurationRules.checkDeadLetter(input.deadLetterConfig?.targetArn)
        try ConfigurationRules.checkTags(input.value["Tags"]?.fields ?? [:])
        if let arn = input.codeSigningConfigArn, !arn.isEmpty {
            throw AWSError(
                "CodeSigningConfigNotFoundException", status: 404,
                "The code signing configuration cannot be found. Check that the provided configuration is not "
                    + "deleted: \(arn).", fields: ["Type": "User"])
        }
        try ConfigurationRules.refuse(
            input.value,
            [
                "DurableConfig", "CapacityProviderConfig", "TenancyConfig", "AcceleratorConfig", "RuntimeConfig",
                "PublishTo",
            ])
        return layers
    }
}

extension ConfigurationRules {
    /// Members that change how a function behaves and that we do not have: said, not swallowed.
    static func refuse(_ input: Value, _ members: [String]) throws(AWSError) {
        for member in members where input[member] != nil {
            throw .invalidParameter("The parameter \(member) is not supported by Martlet yet.")
        }
    }
}
