import Contracts
import Platform
import Storage
import Wire

struct TagOperations: Sendable {
    let database: any Database
    let access: Access

    /// Checked tags. Throws for what AWS refuses.
    static func fields(_ tags: [(key: String, value: String)]) throws(AWSError) -> Fields {
        var fields: Fields = [:]
        for tag in tags {
            guard (1...128).contains(tag.key.unicodeScalars.count) else {
                throw .code("InvalidTagKeysListException", "The list of tags is not valid.")
            }
            guard tag.value.unicodeScalars.count <= 256 else {
                throw .code("InvalidTagsMapException", "The map of tags is not valid.")
            }
            guard !tag.key.lowercased().hasPrefix("aws:") else {
                throw .code(
                    "InvalidSystemTagUsageException",
                    "The specified tag is not valid. Key names cannot be prefixed with aws:.")
            }
            fields[tag.key] = .string(tag.value)
        }
        guard fields.count <= Limits.tags else { throw tooMany }
        return fields
    }

    private static let tooMany = AWSError.code(
        "TooManyTagsException", "The maximum number of tags for an AWS CodeCommit resource has been exceeded.")

    private func key(_ arn: String?, _ request: OperationRequest) throws(AWSError) -> RepositoryKey {
        guard let arn = ARN(arn ?? ""), arn.service == "codecommit", RepositoryName.isValid(arn.resource),
            arn.region == request.context.scope.region, arn.account == request.context.scope.account
        else {
            throw .code(
                "InvalidResourceArnException",
                "The value for the resource ARN is not valid. For more information about resources in CodeCommit, see "
                    + "CodeCommit Resources and Operations in the CodeCommit User Guide.")
        }
        return RepositoryKey(scope: request.context.scope, name: arn.resource)
    }

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagResourceInput(request.input)
        let key = try key(input.resourceArn, request)
        let added = try Self.fields((input.tags ?? []).map { (key: $0.key, value: $0.value) })
        try await change(key, "TagResource", request) { tags in
            for entry in added.entries { tags[entry.name] = entry.value }
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagResourceInput(request.input)
        let key = try key(input.resourceArn, request)
        let names = input.tagKeys ?? []
        try await change(key, "UntagResource", request) { tags in for name in names { tags[name] = nil } }
        return OperationResponse()
    }

    private func change(
        _ key: RepositoryKey, _ action: String, _ request: OperationRequest,
        _ body: @escaping @Sendable (inout Fields) -> Void
    ) async throws {
        try await database.write { transaction in
            try access.check(request, action, key.arn, in: transaction)
            var repository = try RepositoryTable.require(key, in: transaction)
            body(&repository.tags)
            guard repository.tags.count <= Limits.tags else { throw Self.tooMany }
            try RepositoryTable.update(repository, in: transaction)
        }
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let key = try key(Model.ListTagsForResourceInput(request.input).resourceArn, request)
        let repository = try await access.repository(key.name, "ListTagsForResource", request, database)
        var output = Model.ListTagsForResourceOutput()
        output.tags = repository.tags.entries.map { (key: $0.name, value: $0.value.string ?? "") }
        return OperationResponse(output.value)
    }
}
