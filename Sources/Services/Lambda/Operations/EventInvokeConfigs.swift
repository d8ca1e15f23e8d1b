import Contracts
import Platform
import Storage
import Wire

extension LambdaService {
    /// Replaces all settings of the qualifier.
    func putFunctionEventInvokeConfig(
        _ input: Model.PutFunctionEventInvokeConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        let asked = EventInvokeSettings(input)
        let hasDestinations = input.destinationConfig != nil
        return try await change(target, hasDestinations, asked, now: context.now) { _ in asked }
    }

    /// Merges into the settings of the qualifier, which must have some.
    func updateFunctionEventInvokeConfig(
        _ input: Model.UpdateFunctionEventInvokeConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        let asked = EventInvokeSettings(Model.PutFunctionEventInvokeConfigRequest(input.value))
        let hasDestinations = input.destinationConfig != nil
        return try await change(target, hasDestinations, asked, now: context.now) { current in
            guard var settings = current else { throw Self.noSettings(target) }
            settings.merge(asked)
            return settings
        }
    }

    private func change(
        _ target: FunctionTarget, _ hasDestinations: Bool, _ asked: EventInvokeSettings, now: Instant,
        _ decide: @escaping @Sendable (EventInvokeSettings?) throws -> EventInvokeSettings
    ) async throws -> OperationResponse {
        let qualifier = target.qualifier ?? Qualifier.latestName
        let settings = try await mutate(target.scope, target.name) { transaction in
            // Nothing set is said before the function is looked for.
            var checked: Result<Void, any Error> = .success(())
            var destinations: [FunctionName: Bool] = [:]
            for text in [asked.onSuccess, asked.onFailure] {
                guard let text, let name = FunctionName(text), text.contains(":lambda:") else { continue }
                let scope = AccountRegion(
                    account: name.account ?? target.scope.account, region: name.region ?? target.scope.region)
                destinations[name] = try FunctionTable.get(scope, name.name, in: transaction) != nil
            }
            do {
                try asked.check(function: target, hasDestinationConfig: hasDestinations) { destinations[$0] ?? false }
            } catch {
                checked = .failure(error)
            }
            if asked.maximumRetryAttempts == nil, asked.maximumEventAgeSeconds == nil, !hasDestinations {
                try checked.get()
            }
            guard try FunctionTable.get(target.scope, target.name, in: transaction) != nil else {
                throw AWSError.notFound("The function doesn't exist.")
            }
            let record: VersionRecord
            do {
                record = try FunctionResolution.resolve(target, in: transaction).record
            } catch is AWSError {
                throw AWSError.notFound("The function doesn't exist.")
            }
            try checked.get()
            for destination in [asked.onSuccess, asked.onFailure] {
                try self.checkDestination(destination, of: record, in: transaction)
            }
            let current = try EventInvokeConfigTable.get(
                target.scope, target.name, qualifier: qualifier, in: transaction)
            var settings = try decide(current)
            settings.lastModified = now
            try EventInvokeConfigTable.put(
                settings, target.scope, target.name, qualifier: qualifier, in: transaction)
            return settings
        }
        return OperationResponse(settings.output(functionARN: Self.qualifiedARN(target, qualifier)).value)
    }

    func getFunctionEventInvokeConfig(
        _ input: Model.GetFunctionEventInvokeConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        let qualifier = target.qualifier ?? Qualifier.latestName
        let found = try await database.read {
            try EventInvokeConfigTable.get(target.scope, target.name, qualifier: qualifier, in: $0)
        }
        guard let settings = found else { throw Self.noSettings(target) }
        return OperationResponse(settings.output(functionARN: Self.qualifiedARN(target, qualifier)).value)
    }

    func deleteFunctionEventInvokeConfig(
        _ input: Model.DeleteFunctionEventInvokeConfigRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        let qualifier = target.qualifier ?? Qualifier.latestName
        try await mutate(target.scope, target.name) { transaction in
            let existed = try EventInvokeConfigTable.delete(
                target.scope, target.name, qualifier: qualifier, in: transaction)
            if !existed { throw Self.noSettings(target) }
        }
        return OperationResponse()
    }

    func listFunctionEventInvokeConfigs(
        _ input: Model.ListFunctionEventInvokeConfigsRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        let limit = Page.limit(input.maxItems)
        let after = try Page.marker(input.marker)?[0] ?? ""
        let found = try await database.read { transaction in
            guard try FunctionTable.get(target.scope, target.name, in: transaction) != nil else {
                throw AWSError.notFound("The function doesn't exist.")
            }
            return try EventInvokeConfigTable.list(
                target.scope, target.name, after: after, limit: limit + 1, in: transaction)
        }
        let items = found.prefix(limit).map {
            $0.settings.output(functionARN: Self.qualifiedARN(target, $0.qualifier)).value
        }
        var output: Value = ["FunctionEventInvokeConfigs": .list(items)]
        if found.count > limit { output["NextMarker"] = .string(Page.token([found[limit - 1].qualifier])) }
        return OperationResponse(output)
    }

    private static func qualifiedARN(_ target: FunctionTarget, _ qualifier: String) -> String {
        target.scope.functionARN(target.name, qualifier: qualifier)
    }

    private static func noSettings(_ target: FunctionTarget) -> AWSError {
        let arn = qualifiedARN(target, target.qualifier ?? Qualifier.latestName)
        return .notFound("The function \(arn) doesn't have an EventInvokeConfig")
    }
}
