import Contracts
import Platform
import Storage
import Wire

extension LambdaService {
    func tagResource(_ input: Model.TagResourceRequest, _ context: OperationContext) async throws -> OperationResponse {
        let target = try tagged(input.resource, context)
        let added = input.value["Tags"]?.fields ?? [:]
        if added.isEmpty {
            throw AWSError.invalidParameter("An error occurred and the request cannot be processed.")
        }
        try await changeTags(of: target) { tags in
            for entry in added.entries { tags[entry.name] = entry.value }
            try ConfigurationRules.checkTags(tags)
        }
        return OperationResponse()
    }

    func untagResource(
        _ input: Model.UntagResourceRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try tagged(input.resource, context)
        let keys = input.tagKeys ?? []
        if keys.isEmpty {
            throw AWSError.validation(
                "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: "
                    + "Member must not be null")
        }
        try await changeTags(of: target) { tags in for key in keys { tags[key] = nil } }
        return OperationResponse()
    }

    func listTags(_ input: Model.ListTagsRequest, _ context: OperationContext) async throws -> OperationResponse {
        let target = try tagged(input.resource, context)
        let function = try await database.read { try FunctionResolution.function(target, in: $0) }
        return OperationResponse(["Tags": .map(function.tags)])
    }

    private func changeTags(
        of target: FunctionTarget, _ change: @escaping @Sendable (inout Fields) throws -> Void
    ) async throws {
        try await database.write { transaction in
            var function = try FunctionResolution.function(target, in: transaction)
            try change(&function.tags)
            try FunctionTable.put(function, in: transaction)
            // Tags count as a change of the function (its revision is one counter).
            var latest = try FunctionResolution.latest(target, in: transaction)
            latest.revise()
            try VersionTable.put(latest, in: transaction)
        }
    }

    /// The function that a taggable ARN names. Other resources that could be tagged do not exist yet.
    private func tagged(_ resource: String?, _ context: OperationContext) throws(AWSError) -> FunctionTarget {
        let text = resource ?? ""
        guard let arn = ARN(text), arn.resource.hasPrefix("function:") else {
            let kind = ARN(text)?.resource.split(separator: ":").first.map(String.init) ?? ""
            switch kind {
            case "event-source-mapping": throw .notFound("Event source mapping not found: \(text)")
            case "capacity-provider": throw .notFound("Capacity provider not found: \(text)")
            case "code-signing-config":
                throw .notFound("The Lambda code signing configuration \(text) can not be found.")
            default: throw .notFound("The resource you requested does not exist.")
            }
        }
        let target = try FunctionTarget(text, in: context.scope)
        if target.qualifier != nil {
            throw .invalidParameter(
                "Tags on function aliases and versions are not supported. Please specify a function ARN.")
        }
        return target
    }
}
