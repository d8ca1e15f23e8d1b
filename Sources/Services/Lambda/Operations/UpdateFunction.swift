import Contracts
import Platform
import Storage
import Wire

extension LambdaService {
    func updateFunctionCode(
        _ input: Model.UpdateFunctionCodeRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        try target.requireUpdatable()
        try ConfigurationRules.refuse(input.value, ["PublishTo"])
        let revision = input.revisionId
        let current = try await database.read { try LambdaService.updatable(target, revision, in: $0) }
        if input.imageUri != nil {
            throw AWSError.invalidParameter(
                "Please don't provide ImageUri when updating a function with packageType Zip.")
        }
        let dryRun = input.dryRun == true
        let publishes = input.publish == true
        let shown = try await withCode(CodeSource(input), context, keeps: !dryRun) { code in
            let change: @Sendable (VersionRecord) throws -> VersionRecord = { [self] old in
                var record = old
                record.code = code.blob
                record.codeSize = code.size
                record.unpackedBytes = code.unpackedBytes
                if let architectures = input.architectures { record.configuration.architectures = architectures }
                try checkUnpackedSize(record)
                return record
            }
            let planned = try change(current)
            if dryRun {
                try await codeStore.check(archive: code.path)
                return planned
            }
            return try await withDirectories(of: planned) {
                try await update(target, revision, publish: publishes, now: context.now, change)
            }
        }
        return OperationResponse(
            Presentation.configuration(shown, qualifier: publishes && !dryRun ? shown.version : nil))
    }

    func updateFunctionConfiguration(
        _ input: Model.UpdateFunctionConfigurationRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let scope = context.scope
        let target = try FunctionTarget(input.functionName ?? "", in: scope)
        try target.requireUpdatable()
        let layerNames = try checkUpdate(input, scope)
        let (current, layers) = try await database.read { [self] transaction in
            let current = try LambdaService.updatable(target, input.revisionId, in: transaction)
            try ConfigurationRules.checkSnapStart(
                input.snapStart?.applyOn, runtime: input.runtime ?? current.configuration.runtime)
            return (current, try layerNames.map { try self.layers($0, for: scope, in: transaction) })
        }
        let change: @Sendable (VersionRecord) throws -> VersionRecord = { [self] old in
            var record = old
            record.configuration = ConfigurationChange.updated(
                old.configuration, by: input, name: target.name, scope: scope)
            if let layers { record.layers = layers }
            try checkUnpackedSize(record)
            return record
        }
        let shown = try await withDirectories(of: change(current)) {
            try await update(target, input.revisionId, publish: false, now: context.now, layers: layerNames, change)
        }
        return OperationResponse(Presentation.configuration(shown, qualifier: nil))
    }

    /// Commits a change of `$LATEST`, and with `publish` a version of it. Answers the version that was made or found, or
    /// else `$LATEST`. `layers` are new ones, which must still be there.
    private func update(
        _ target: FunctionTarget, _ revision: String?, publish: Bool, now: Instant, layers: [LayerVersionName]? = nil,
        _ change: @escaping @Sendable (VersionRecord) throws -> VersionRecord
    ) async throws -> VersionRecord {
        let (shown, retired) = try await mutate(target.scope, target.name) { [self] transaction in
            let old = try LambdaService.updatable(target, revision, in: transaction)
            if let layers { _ = try self.layers(layers, for: target.scope, in: transaction) }
            var record = try change(old)
            if record.configuration.role != old.configuration.role { try checkRole(of: record, in: transaction) }
            if record.configuration.deadLetterConfig?.targetArn != old.configuration.deadLetterConfig?.targetArn
                || record.configuration.role != old.configuration.role
            {
                try checkDeadLetterTarget(of: record, in: transaction)
            }
            record.generation = Identifier.uuid()
            ConfigurationChange.markUpdating(&record.configuration, now: now)
            record.settling = true
            record.revise()
            if record.code != old.code {
                try checkStoredSize(target.scope, adding: record.codeSize - old.codeSize, in: transaction)
            }
            // The new before the old: what both use must not lose its last reference in between.
            try retain(record, in: transaction)
            try release(old, in: transaction)
            try VersionTable.put(record, in: transaction)
            let shown = publish ? try self.publish(record, description: nil, in: transaction) : record
            return (shown, old.directories.filter { !record.directories.contains($0) })
        }
        if !retired.isEmpty { sweepLater(retired) }
        settle(target.scope, target.name)
        return shown
    }

    private func checkUpdate(
        _ input: Model.UpdateFunctionConfigurationRequest, _ scope: AccountRegion
    ) throws(AWSError) -> [LayerVersionName]? {
        try ConfigurationRules.checkRole(input.role, scope)
        if let variables = input.environment?.variables { try ConfigurationRules.checkEnvironment(variables) }
        if let runtime = input.runtime { try Runtimes.check(runtime) }
        try ConfigurationRules.checkNumbers(
            timeout: input.timeout, memory: input.memorySize, ephemeralStorage: input.ephemeralStorage?.size)
        try ConfigurationRules.checkDeadLetter(input.deadLetterConfig?.targetArn)
        if input.imageConfig != nil { throw .noImages }
        try ConfigurationRules.refuse(
            input.value, ["DurableConfig", "CapacityProviderConfig", "AcceleratorConfig", "RuntimeConfig"])
        guard let layers = input.layers else { return nil }
        return try ConfigurationRules.checkLayers(layers, scope)
    }

    /// `$LATEST`, if it may be changed now. Throws 404, 412, and 409 while something is on its way.
    static func updatable(
        _ target: FunctionTarget, _ revision: String?, in transaction: any ReadTransaction
    ) throws -> VersionRecord {
        let record = try FunctionResolution.latest(target, in: transaction)
        if let revision, revision != record.configuration.revisionId {
            throw AWSError.wrongRevision(call: "GetFunction/GetAlias")
        }
        if record.isPending { throw AWSError.wrongState("Pending") }
        if record.isUpdating { throw AWSError.updateInProgress(target.unqualifiedARN) }
        return record
    }
}

extension FunctionTarget {
    /// Only `$LATEST` can be changed.
    func requireUpdatable() throws(AWSError) {
        if qualifier != Qualifier.latestName { try requireUnqualified() }
    }
}
