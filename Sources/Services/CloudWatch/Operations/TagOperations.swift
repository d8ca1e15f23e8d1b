import Contracts
import Platform
import Storage
import Wire

/// Tags of alarms.
struct TagOperations: Sendable {
    let database: any Database
    let access: Access

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagResourceInput(request.input)
        let added = try Self.tags(input.tags ?? [])
        try await change(input.resourceARN, "TagResource", request) { tags in
            for entry in added.entries { tags[entry.name] = entry.value }
            guard tags.count <= Limits.tags else { throw Self.tooMany }
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagResourceInput(request.input)
        let names = input.tagKeys ?? []
        try await change(input.resourceARN, "UntagResource", request) { tags in
            for name in names { tags[name] = nil }
        }
        return OperationResponse()
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let arn = Model.ListTagsForResourceInput(request.input).resourceARN
        let key = try Self.key(arn, context)
        let tags = try await database.read { [access] transaction in
            try access.check(request, "ListTagsForResource", key.arn, in: transaction)
            return try Self.require(key, in: transaction).tags
        }
        var output = Model.ListTagsForResourceOutput()
        output.tags = tags.entries.map { entry in
            var tag = Model.Tag()
            tag.key = entry.name
            tag.value_ = entry.value.string
            return tag
        }
        return OperationResponse(output.value)
    }

    private func change(
        _ arn: String?, _ action: String, _ request: OperationRequest,
        _ body: @escaping @Sendable (inout Fields) throws -> Void
    ) async throws {
        let key = try Self.key(arn, request.context)
        try await database.write { [access] transaction in
            try access.check(request, action, key.arn, in: transaction)
            var alarm = try Self.require(key, in: transaction)
            try body(&alarm.tags)
            try AlarmTable.put(alarm, in: transaction)
        }
    }

    private static func key(_ arn: String?, _ context: OperationContext) throws(AWSError) -> AlarmKey {
        let arn = arn ?? ""
        guard let key = AlarmKey(arn: arn) else {
            throw .invalidValue("The value \(arn) for parameter ResourceARN is not the ARN of an alarm.")
        }
        guard key.scope == context.scope else { throw .unknownResource(arn) }
        return key
    }

    private static func require(_ key: AlarmKey, in transaction: any ReadTransaction) throws -> Alarm {
        guard let alarm = try AlarmTable.get(key, in: transaction) else { throw AWSError.unknownResource(key.arn) }
        return alarm
    }

    private static let tooMany = AWSError.invalidValue("A resource can have at most \(Limits.tags) tags.")

    /// Throws InvalidParameterValue.
    static func tags(_ models: [Model.Tag]) throws(AWSError) -> Fields {
        var tags = Fields()
        for tag in models {
            guard let key = tag.key, tags[key] == nil else {
                throw .invalidValue("The same tag key is given more than once.")
            }
            tags[key] = .string(tag.value_ ?? "")
        }
        guard tags.count <= Limits.tags else { throw tooMany }
        return tags
    }
}
