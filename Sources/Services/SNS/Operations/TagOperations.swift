import Contracts
import Platform
import Storage
import Wire

enum TagRules {
    /// Tags by their keys. Throws for doubled keys and texts that are too long (`aws:` is AWS's own).
    static func fields(_ tags: [Model.Tag]) throws(AWSError) -> Fields {
        var fields: Fields = [:]
        for tag in tags {
            let (key, value) = (tag.key ?? "", tag.value_ ?? "")
            guard (1...128).contains(key.unicodeScalars.count), value.unicodeScalars.count <= 256,
                !key.lowercased().hasPrefix("aws:")
            else { throw .invalidParameter("Tags Reason: Tag \(key) is not valid") }
            guard fields[key] == nil else { throw .invalidParameter("Duplicated keys are not allowed.") }
            fields[key] = .string(value)
        }
        guard fields.count <= Limits.tags else { throw tooMany }
        return fields
    }

    static let tooMany = AWSError(
        "TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded")
}

struct TagOperations: Sendable {
    let database: any Database
    let access: Access

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagResourceRequest(request.input)
        let key = try request.topicKey(input.resourceArn, parameter: "ResourceArn")
        let added = try TagRules.fields(input.tags ?? [])
        try await database.write { transaction in
            var topic = try Self.topic(key, in: transaction)
            try access.check(request, "TagResource", resource: key.arn, in: transaction)
            for entry in added.entries { topic.tags[entry.name] = entry.value }
            guard topic.tags.count <= Limits.tags else { throw TagRules.tooMany }
            try TopicTable.put(topic, in: transaction)
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagResourceRequest(request.input)
        let key = try request.topicKey(input.resourceArn, parameter: "ResourceArn")
        let names = input.tagKeys ?? []
        try await database.write { transaction in
            var topic = try Self.topic(key, in: transaction)
            try access.check(request, "UntagResource", resource: key.arn, in: transaction)
            for name in names { topic.tags[name] = nil }
            try TopicTable.put(topic, in: transaction)
        }
        return OperationResponse()
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let key = try request.topicKey(
            Model.ListTagsForResourceRequest(request.input).resourceArn, parameter: "ResourceArn")
        let topic = try await database.read { transaction in
            let topic = try Self.topic(key, in: transaction)
            try access.check(request, "ListTagsForResource", resource: key.arn, in: transaction)
            return topic
        }
        var output = Model.ListTagsForResourceResponse()
        output.tags = topic.tags.entries.map { entry in
            var tag = Model.Tag()
            tag.key = entry.name
            tag.value_ = entry.value.string
            return tag
        }
        return OperationResponse(output.value)
    }

    private static func topic(_ key: TopicKey, in transaction: any ReadTransaction) throws -> Topic {
        guard let topic = try TopicTable.get(key, in: transaction) else { throw AWSError.resourceNotFound }
        return topic
    }
}
