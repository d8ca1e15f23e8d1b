import Contracts
import Platform
import Storage
import Wire

extension LambdaService {
    func getFunction(_ input: Model.GetFunctionRequest, _ context: OperationContext) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        let (resolved, function) = try await database.read { transaction in
            (
                try FunctionResolution.resolve(target, in: transaction),
                try FunctionTable.get(target.scope, target.name, in: transaction)
            )
        }
        var output = Model.GetFunctionResponse()
        output.configuration = Model.FunctionConfiguration(
            Presentation.configuration(resolved.record, qualifier: target.qualifier))
        output.code = Model.FunctionCodeLocation([
            "RepositoryType": "S3", "Location": .string(downloadURL(resolved.record.code, context)),
        ])
        if let tags = function?.tags, !tags.isEmpty { output.value["Tags"] = .map(tags) }
        if let reserved = function?.reservedConcurrency {
            output.concurrency = Model.Concurrency(["ReservedConcurrentExecutions": .int(Int64(reserved))])
        }
        return OperationResponse(output.value)
    }

    func getFunctionConfiguration(
        _ input: Model.GetFunctionConfigurationRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        let resolved = try await database.read { try FunctionResolution.resolve(target, in: $0) }
        return OperationResponse(Presentation.configuration(resolved.record, qualifier: target.qualifier))
    }

    func listFunctions(
        _ input: Model.ListFunctionsRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let scope = context.scope
        let all = input.functionVersion == "ALL"
        let limit = Page.limit(input.maxItems)
        let marker = try Page.marker(input.marker, parts: 2)
        let name = marker?[0] ?? ""
        let number = try marker.map { try Page.number($0[1]) } ?? -1
        let records = try await database.read {
            try VersionTable.list(scope, after: name, number: number, allVersions: all, limit: limit + 1, in: $0)
        }
        var output: Value = [
            "Functions": .list(records.prefix(limit).map { Presentation.listItem($0, qualified: all) })
        ]
        if records.count > limit {
            let last = records[limit - 1]
            output["NextMarker"] = .string(Page.token([last.name, String(last.number)]))
        }
        return OperationResponse(output)
    }

    /// Deletes the function with all that belongs to it, or one version. A version that is not there is no error.
    func deleteFunction(
        _ input: Model.DeleteFunctionRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        if target.qualifier == Qualifier.latestName {
            throw AWSError.invalidParameter("$LATEST version cannot be deleted without deleting the function.")
        }
        if let qualifier = target.qualifier, case .alias = Qualifier(qualifier) {
            throw AWSError.invalidParameter("Deletion of aliases is not currently supported.")
        }
        let (scope, name) = (target.scope, target.name)
        let invoker = try connections().invoker
        let retired = try await mutate(scope, name) { [self] transaction in
            guard try FunctionTable.get(scope, name, in: transaction) != nil else {
                throw AWSError.functionNotFound(target.unqualifiedARN)
            }
            if let qualifier = target.qualifier { return try deleteVersion(target, qualifier, in: transaction) }
            var retired: [String] = []
            while true {
                let records = try VersionTable.list(scope, name, after: -1, limit: Limits.pageItems, in: transaction)
                if records.isEmpty { break }
                for record in records {
                    try release(record, in: transaction)
                    try VersionTable.delete(scope, name, number: record.number, in: transaction)
                    retired += record.directories
                }
            }
            try Belongings.deleteAll(scope, name, in: transaction)
            try FunctionTable.delete(scope, name, in: transaction)
            transaction.afterCommit { invoker.setReservedConcurrency(scope: scope, function: name, nil) }
            return retired
        }
        if !retired.isEmpty { sweepLater(retired) }
        return OperationResponse(["StatusCode": 204], status: 204)
    }

    private func deleteVersion(
        _ target: FunctionTarget, _ qualifier: String, in transaction: any WriteTransaction
    ) throws -> [String] {
        let (scope, name) = (target.scope, target.name)
        guard case .version(let number) = Qualifier(qualifier),
            let record = try VersionTable.get(scope, name, number: number, in: transaction)
        else { return [] }
        let users = try AliasTable.list(scope, name, limit: Limits.pageItems, in: transaction) {
            $0.refers(to: record.version)
        }
        if !users.isEmpty {
            throw AWSError.conflict(
                "Unable to delete version because the following aliases reference it: "
                    + "[\(users.map(\.name).joined(separator: ", "))]")
        }
        try release(record, in: transaction)
        try VersionTable.delete(scope, name, number: number, in: transaction)
        try Belongings.delete(scope, name, qualifier: record.version, in: transaction)
        return record.directories
    }
}

/// Pages of lists.
enum Page {
    /// How many items: what was asked for, up to AWS's 50.
    static func limit(_ asked: Int?) -> Int { max(1, min(asked ?? Limits.pageItems, Limits.pageItems)) }

    /// An opaque token of the last item's key.
    static func token(_ key: [String]) -> String { PageToken.encode(key.joined(separator: "\u{0}")) }

    /// The key in a token; nil without one. Throws for what is no token of ours.
    static func marker(_ token: String?, parts: Int = 1) throws(AWSError) -> [String]? {
        guard let token, !token.isEmpty else { return nil }
        guard let text = PageToken.decodeText(token) else { throw .badMarker }
        let key = text.split(separator: "\u{0}", omittingEmptySubsequences: false).map(String.init)
        guard key.count == parts else { throw .badMarker }
        return key
    }

    static func number(_ text: String) throws(AWSError) -> Int64 {
        guard let number = Int64(text) else { throw .badMarker }
        return number
    }
}
