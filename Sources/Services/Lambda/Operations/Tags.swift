import Contracts
import Platform
import Storage
import Wire

extension LambdaService {
    func tagResource(_ input: Model.TagResourceRequest, _ context: OperationContext) async throws -> OperationResponse {
        let tagged = try taggedResource(input.resource, context)
        let added = input.value["Tags"]?.fields ?? [:]
        if added.isEmpty {
            throw AWSError.invalidParameter("An error occurred and the request cannot be processed.")
        }
        let change: @Sendable (inout Fields) throws -> Void = { tags in
            for entry in added.entries { tags[entry.name] = entry.value }
            try ConfigurationRules.checkTags(tags)
        }
        try await changeTags(of: tagged, change)
        return OperationResponse()
    }

    func untagResource(
        _ input: Model.UntagResourceRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let tagged = try taggedResource(input.resource, context)
        let keys = input.tagKeys ?? []
        if keys.isEmpty {
            throw AWSError.validation(
                "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: "
                    + "Member must not be null")
        }
        let change: @Sendable (inout Fields) throws -> Void = { tags in for key in keys { tags[key] = nil } }
        try await changeTags(of: tagged, change)
        return OperationResponse()
    }

    func listTags(_ input: Model.ListTagsRequest, _ context: OperationContext) async throws -> OperationResponse {
        let tagged = try taggedResource(input.resource, context)
        let tags = try await database.read { transaction in
            switch tagged {
            case .function(let target): try FunctionResolution.function(target, in: transaction).tags
            case .mapping(let scope, let id): try MappingTable.require(scope, id, in: transaction).tags
            }
        }
        return OperationResponse(["Tags": .map(tags)])
    }

    private enum Tagged {
        case function(FunctionTarget)
        case mapping(AccountRegion, id: String)
    }

    private func changeTags(of tagged: Tagged, _ change: @escaping @Sendable (inout Fields) throws -> Void) async throws {
        try await database.write { transaction in
            switch tagged {
            case .function(let target):
                var function = try FunctionResolution.function(target, in: transaction)
                try change(&function.tags)
                try FunctionTable.put(function, in: transaction)
                // Tags count as a change of the function (its revision is one counter).
                var latest = try FunctionResolution.latest(target, in: transaction)
                latest.revise()
                try VersionTable.put(latest, in: transaction)
            case .mapping(let scope, let id):
                var mapping = try MappingTable.require(scope, id, in: transaction)
                try change(&mapping.tags)
                try MappingTable.put(mapping, in: transaction)
            }
        }
    }

    /// What a taggable ARN names. Other resources that could be tagged do not exist yet.
    private func taggedResource(_ resource: String?, _ context: OperationContext) throws(AWSError) -> Tagged {
        let text = resource ?? ""
        guard let arn = ARN(text), arn.resource.hasPrefix("function:") else {
            let parts = ARN(text)?.resource.split(separator: ":", maxSplits: 1).map(String.init) ?? []
            switch parts.first {
            case "event-source-mapping":
                let id = (parts.last ?? "").lowercased()
                // Of this account and Region, and nobody else's.
                guard text.lowercased() == context.scope.eventSourceMappingARN(id) else { throw .mappingNotFound(text) }
                return .mapping(context.scope, id: id)
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
        return .function(target)
    }
}
