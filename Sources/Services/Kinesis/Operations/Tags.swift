import Contracts
import Platform
import Storage
import Wire

/// Tags of streams and consumers, by both APIs, and resource policies.
struct Tags: Sendable {
    let desk: Desk

    // MARK: Streams

    func addToStream(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.AddTagsToStreamInput(request.input)
        let target = try StreamTarget(
            name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
        let tags = input.tags ?? []
        try await desk.write(request, target) { stream, _, transaction in
            let old = try StreamTable.tags(stream.id, in: transaction)
            try StreamTable.setTags(
                stream.id, Self.merged(tags, into: old, resource: stream.name), in: transaction)
        }
        return OperationResponse()
    }

    func removeFromStream(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.RemoveTagsFromStreamInput(request.input)
        let target = try StreamTarget(
            name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
        let keys = input.tagKeys ?? []
        try await desk.write(request, target) { stream, _, transaction in
            var tags = try StreamTable.tags(stream.id, in: transaction)
            for key in keys { tags[key] = nil }
            try StreamTable.setTags(stream.id, tags, in: transaction)
        }
        return OperationResponse()
    }

    func listOfStream(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListTagsForStreamInput(request.input)
        let target = try StreamTarget(
            name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
        let (after, limit) = (input.exclusiveStartTagKey ?? "", min(input.limit ?? Limits.tags, Limits.tags))
        let tags = try await desk.read(request, target) { stream, _, transaction in
            try StreamTable.tags(stream.id, in: transaction)
        }
        let rest = Self.sorted(tags).filter { $0.name > after }
        var output = Model.ListTagsForStreamOutput()
        output.tags = rest.prefix(limit).map(Self.model)
        output.hasMoreTags = rest.count > limit
        return OperationResponse(output.value)
    }

    // MARK: Any resource

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagResourceInput(request.input)
        let tags = input.tags ?? []
        try await change(request, input.resourceARN) { old, resource in
            try Self.merged(tags, into: old, resource: resource)
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagResourceInput(request.input)
        let keys = input.tagKeys ?? []
        try await change(request, input.resourceARN) { old, _ in
            var tags = old
            for key in keys { tags[key] = nil }
            return tags
        }
        return OperationResponse()
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListTagsForResourceInput(request.input)
        let arn = input.resourceARN ?? ""
        let tags = try await desk.database.read { [desk] transaction in
            switch try desk.resource(arn, request, in: transaction) {
            case .stream(let stream): try StreamTable.tags(stream.id, in: transaction)
            case .consumer(let consumer, _): try ConsumerTable.tags(consumer.id, in: transaction)
            }
        }
        var output = Model.ListTagsForResourceOutput()
        output.tags = Self.sorted(tags).map(Self.model)
        return OperationResponse(output.value)
    }

    private func change(
        _ request: OperationRequest, _ arn: String?, _ body: @escaping @Sendable (Fields, String) throws -> Fields
    ) async throws {
        let arn = arn ?? ""
        try await desk.database.write { [desk] transaction in
            switch try desk.resource(arn, request, in: transaction) {
            case .stream(let stream):
                let tags = try body(try StreamTable.tags(stream.id, in: transaction), stream.name)
                try StreamTable.setTags(stream.id, tags, in: transaction)
            case .consumer(let consumer, _):
                let tags = try body(try ConsumerTable.tags(consumer.id, in: transaction), consumer.name)
                try ConsumerTable.setTags(consumer.id, tags, in: transaction)
            }
        }
    }

    // MARK: Policies

    func putPolicy(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutResourcePolicyInput(request.input)
        guard let text = input.policy, ResourcePolicy(text) != nil else {
            throw AWSError.invalid("The resource policy is not a valid policy document.")
        }
        try await setPolicy(request, input.resourceARN, text)
        return OperationResponse()
    }

    func deletePolicy(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteResourcePolicyInput(request.input)
        try await setPolicy(request, input.resourceARN, nil)
        return OperationResponse()
    }

    private func setPolicy(_ request: OperationRequest, _ arn: String?, _ text: String?) async throws {
        let arn = arn ?? ""
        try await desk.database.write { [desk] transaction in
            switch try desk.resource(arn, request, in: transaction) {
            case .stream(let stream):
                if text == nil, stream.policy == nil { throw Self.noPolicy(arn) }
                try StreamTable.setPolicy(stream.id, text, in: transaction)
                desk.directory.forget(stream, in: transaction)
            case .consumer(let consumer, _):
                if text == nil, consumer.policy == nil { throw Self.noPolicy(arn) }
                try ConsumerTable.setPolicy(consumer.id, text, in: transaction)
            }
        }
    }

    /// Without a policy AWS answers an empty one.
    func policy(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetResourcePolicyInput(request.input)
        let arn = input.resourceARN ?? ""
        let text = try await desk.database.read { [desk] transaction in
            switch try desk.resource(arn, request, in: transaction) {
            case .stream(let stream): stream.policy?.text
            case .consumer(let consumer, _): consumer.policy?.text
            }
        }
        var output = Model.GetResourcePolicyOutput()
        output.policy = text ?? "{}"
        return OperationResponse(output.value)
    }

    private static func noPolicy(_ arn: String) -> AWSError {
        AWSError("ResourceNotFoundException", "No resource policy is attached to \(arn).")
    }

    // MARK: Pure

    /// Throws for too many, for keys of AWS's own, and for characters that tags have not.
    static func merged(
        _ tags: [(key: String, value: String)], into old: Fields, resource: String
    ) throws(AWSError) -> Fields {
        var merged = old
        for (key, value) in tags {
            guard !key.lowercased().hasPrefix("aws:") else {
                throw .invalid("Tag keys starting with 'aws:' are reserved for system use: \(key)")
            }
            guard isValid(key), isValid(value) else {
                throw .invalid(
                    "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, "
                        + "_ . / = + - % @.")
            }
            merged[key] = .string(value)
        }
        guard merged.count <= Limits.tags else {
            throw .invalid(
                "Failed to add tags to \(resource) because a given resource cannot have more than \(Limits.tags) tags "
                    + "associated with it.")
        }
        return merged
    }

    private static func isValid(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "_", ".", "/", "=", "+", "-", "%", "@", ":": return true
            default:
                let properties = scalar.properties
                return properties.isAlphabetic || properties.numericType != nil || properties.isWhitespace
            }
        }
    }

    private static func sorted(_ tags: Fields) -> [(name: String, value: String)] {
        tags.entries.map { ($0.name, $0.value.string ?? "") }.sorted { $0.name < $1.name }
    }

    private static func model(_ tag: (name: String, value: String)) -> Model.Tag {
        // The structure has a member named Value, so its own value is taken whole.
        Model.Tag(["Key": .string(tag.name), "Value": .string(tag.value)])
    }
}

/// What a ResourceARN can mean.
enum Resource: Sendable {
    case stream(Stream)
    case consumer(Consumer, of: Stream)
}

extension Desk {
    /// Throws ResourceNotFoundException, AccessDeniedException.
    func resource(
        _ arn: String, _ request: OperationRequest, in transaction: any ReadTransaction
    ) throws -> Resource {
        let found = try resource(arn, in: transaction)
        switch found {
        case .stream(let stream):
            try access.check(request, request.context.operation, on: stream, in: transaction)
        case .consumer(let consumer, let stream):
            try access.check(
                request, request.context.operation, resource: consumer.arn(of: stream.arn), of: stream.scope.account,
                policy: consumer.policy, tags: { try ConsumerTable.tags(consumer.id, in: transaction) },
                in: transaction)
        }
        return found
    }

    /// Without a look at permissions. Throws ResourceNotFoundException.
    func resource(_ arn: String, in transaction: any ReadTransaction) throws -> Resource {
        guard let address = ResourceAddress(arn) else { throw AWSError.noResource(arn) }
        guard let stream = try directory.find(address.scope, address.stream, in: transaction) else {
            throw AWSError.noStream(address.stream, address.scope.account)
        }
        guard let key = address.consumer else { return .stream(stream) }
        guard let consumer = try ConsumerTable.get(stream.id, key.name, in: transaction),
            consumer.created.seconds == key.createdSeconds
        else { throw AWSError.noConsumer(arn, address.scope.account) }
        return .consumer(consumer, of: stream)
    }
}
