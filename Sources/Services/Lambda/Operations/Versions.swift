import Contracts
import Platform
import Storage
import Wire

extension LambdaService {
    func publishVersion(
        _ input: Model.PublishVersionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        try target.requireUpdatable()
        try ConfigurationRules.refuse(input.value, ["PublishTo"])
        let shown = try await mutate(target.scope, target.name) { [self] transaction in
            var latest = try LambdaService.updatable(target, input.revisionId, in: transaction)
            let sha = Presentation.codeSHA256(latest.code.hex)
            if let given = input.codeSha256, !given.isEmpty, given != sha {
                throw AWSError.invalidParameter(
                    "CodeSHA256 (\(given)) is different from current CodeSHA256 in $LATEST (\(sha)). "
                        + "Please try again with the CodeSHA256 in $LATEST.")
            }
            let published = try publish(latest, description: input.description, in: transaction)
            if published.settling {
                latest.revise()
                try VersionTable.put(latest, in: transaction)
            }
            return published
        }
        if shown.settling { settle(target.scope, target.name) }
        return OperationResponse(Presentation.configuration(shown, qualifier: shown.version))
    }

    /// Makes a version of `$LATEST`, or answers the last one when nothing changed since.
    func publish(
        _ latest: VersionRecord, description: String?, in transaction: any WriteTransaction
    ) throws -> VersionRecord {
        if let last = try VersionTable.lastPublished(latest.scope, latest.name, in: transaction),
            Publication.isUnchanged(latest: latest, lastPublished: last)
        {
            return last
        }
        guard var function = try FunctionTable.get(latest.scope, latest.name, in: transaction) else {
            throw AWSError.functionNotFound(latest.scope.functionARN(latest.name))
        }
        let version = Publication.version(number: function.nextVersion, of: latest, description: description)
        function.nextVersion += 1
        try checkStoredSize(latest.scope, adding: version.codeSize, in: transaction)
        try retain(version, in: transaction)
        try VersionTable.put(version, in: transaction)
        try FunctionTable.put(function, in: transaction)
        return version
    }

    func listVersionsByFunction(
        _ input: Model.ListVersionsByFunctionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        let limit = Page.limit(input.maxItems)
        let after = try Page.marker(input.marker).map { try Page.number($0[0]) } ?? -1
        let records = try await database.read { transaction in
            _ = try FunctionResolution.function(target, in: transaction)
            return try VersionTable.list(
                target.scope, target.name, after: after, limit: limit + 1, in: transaction)
        }
        var output: Value = [
            "Versions": .list(records.prefix(limit).map { Presentation.listItem($0, qualified: true) })
        ]
        if records.count > limit {
            output["NextMarker"] = .string(Page.token([String(records[limit - 1].number)]))
        }
        return OperationResponse(output)
    }
}
