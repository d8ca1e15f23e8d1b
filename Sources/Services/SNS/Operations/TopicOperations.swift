import Contracts
import Platform
import Storage
import Wire

struct TopicOperations: Sendable {
    let database: any Database
    let access: Access
    let keys: KeyKeeper

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateTopicInput(request.input)
        let scope = request.context.scope
        let name = input.name ?? ""
        var attributes: Fields = [:]
        for (key, value) in input.attributes ?? [] { attributes[key] = .string(value) }
        let isFIFO = attributes["FifoTopic"]?.string?.lowercased() == "true"
        try TopicKey.check(name: name, isFIFO: isFIFO)
        for entry in attributes.entries {
            let value = try TopicAttributes.checked(
                entry.name, entry.value.string ?? "", isFIFO: isFIFO, isCreation: true,
                prefix: "Attributes Reason: ")
            attributes[entry.name] = .string(value)
        }
        let tags = try TagRules.fields(input.tags ?? [])
        let protection = input.dataProtectionPolicy
        if let protection { try Self.check(protection: protection) }
        let key = TopicKey(scope: scope, name: name)
        try await database.write { [attributes] transaction in
            try access.check(request, "CreateTopic", resource: key.arn, in: transaction)
            try access.checkPassing(attributes, request, in: transaction)
            if let topic = try TopicTable.get(key, in: transaction) {
                guard TopicAttributes.agree(topic, with: attributes) else {
                    throw AWSError.invalidParameter("Attributes Reason: Topic already exists with different attributes")
                }
                guard tags.isEmpty || Set(topic.tags.entries) == Set(tags.entries) else {
                    throw AWSError.invalidParameter("Tags Reason: Topic already exists with different tags")
                }
                return
            }
            guard try TopicTable.count(scope, in: transaction) < Limits.topics else {
                throw AWSError("TopicLimitExceeded", status: 403, "Topic limit exceeded")
            }
            if isFIFO, try TopicTable.countFIFO(scope, in: transaction) >= Limits.fifoTopics {
                throw AWSError("TopicLimitExceeded", status: 403, "FIFO topic limit exceeded")
            }
            let topic = Topic(key: key, attributes: attributes, tags: tags, protectionPolicy: protection)
            try TopicTable.put(topic, in: transaction)
        }
        // Soon somebody subscribes, and messages are signed.
        if !isFIFO { keys.begin() }
        var output = Model.CreateTopicResponse()
        output.topicArn = key.arn
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let key = try request.topicKey(Model.DeleteTopicInput(request.input).topicArn)
        try await database.write { transaction in
            guard let topic = try TopicTable.get(key, in: transaction) else { return }
            try access.check(request, "DeleteTopic", topic, in: transaction)
            try TopicTable.delete(key, in: transaction)
        }
        return OperationResponse()
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let place = try ListToken.decode(Model.ListTopicsInput(request.input).nextToken, parts: 1)
        let scope = request.context.scope
        let names = try await database.read { transaction in
            try access.check(
                request, "ListTopics", resource: "arn:aws:sns:\(scope.region):\(scope.account):*", in: transaction)
            return try TopicTable.names(scope, after: place.first ?? "", limit: Limits.page + 1, in: transaction)
        }
        var output = Model.ListTopicsResponse()
        output.topics = names.prefix(Limits.page).map { name in
            var topic = Model.Topic()
            topic.topicArn = TopicKey(scope: scope, name: name).arn
            return topic
        }
        if names.count > Limits.page { output.nextToken = ListToken.encode(names[Limits.page - 1]) }
        return OperationResponse(output.value)
    }

    func getAttributes(_ request: OperationRequest) async throws -> OperationResponse {
        let key = try request.topicKey(Model.GetTopicAttributesInput(request.input).topicArn)
        let now = request.context.now
        var output = Model.GetTopicAttributesResponse()
        output.attributes = try await database.read { transaction in
            let topic = try TopicTable.require(key, in: transaction)
            try access.check(request, "GetTopicAttributes", topic, in: transaction)
            return TopicAttributes.shown(topic, try SubscriptionTable.counts(key, now: now, in: transaction))
        }
        return OperationResponse(output.value)
    }

    func setAttributes(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.SetTopicAttributesInput(request.input)
        let key = try request.topicKey(input.topicArn)
        let (name, value) = (input.attributeName ?? "", input.attributeValue ?? "")
        let now = request.context.now
        try await database.write { transaction in
            var topic = try TopicTable.require(key, in: transaction)
            try access.check(request, "SetTopicAttributes", topic, in: transaction)
            try access.checkPassing([name: .string(value)], request, in: transaction)
            if value.isEmpty, ["Policy", "DeliveryPolicy", "KmsMasterKeyId"].contains(name) {
                topic.attributes[name] = nil  // back to the default
            } else {
                topic.attributes[name] = .string(
                    try TopicAttributes.checked(name, value, isFIFO: key.isFIFO, isCreation: false))
            }
            if name == "MaximumMessageSize", topic.messageBytes > Limits.messageBytes {
                let counts = try SubscriptionTable.counts(key, now: now, in: transaction)
                guard counts.http == 0, counts.confirmed + counts.pending <= Limits.largeMessageSubscriptions else {
                    throw AWSError.invalidParameter(
                        "MaximumMessageSize Reason: A topic with a MaximumMessageSize above 256 KiB must have 100 or "
                            + "fewer subscriptions, each to Amazon SQS, Amazon Data Firehose or Lambda")
                }
            }
            try TopicTable.put(topic, in: transaction)
        }
        return OperationResponse()
    }

    // MARK: Permissions

    func addPermission(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.AddPermissionInput(request.input)
        let key = try request.topicKey(input.topicArn)
        let (label, accounts) = (input.label ?? "", input.awsAccountId ?? [])
        let actions = input.actionName ?? []
        guard !accounts.isEmpty, accounts.allSatisfy({ $0.utf8.count == 12 && $0.utf8.allSatisfy { 48...57 ~= $0 } })
        else { throw AWSError.invalidParameter("AWSAccountId") }
        guard !actions.isEmpty else { throw AWSError.invalidParameter("ActionName") }
        try await database.write { transaction in
            var topic = try TopicTable.require(key, in: transaction)
            try access.check(request, "AddPermission", topic, in: transaction)
            topic.attributes["Policy"] = .string(
                try TopicPolicy.adding(label, accounts: accounts, actions: actions, to: topic.policy, topic: key))
            try TopicTable.put(topic, in: transaction)
        }
        return OperationResponse()
    }

    func removePermission(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.RemovePermissionInput(request.input)
        let key = try request.topicKey(input.topicArn)
        let label = input.label ?? ""
        try await database.write { transaction in
            var topic = try TopicTable.require(key, in: transaction)
            try access.check(request, "RemovePermission", topic, in: transaction)
            topic.attributes["Policy"] = .string(TopicPolicy.removing(label, from: topic.policy))
            try TopicTable.put(topic, in: transaction)
        }
        return OperationResponse()
    }

    // MARK: Data protection: kept and returned

    func putProtection(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutDataProtectionPolicyInput(request.input)
        let key = try request.topicKey(input.resourceArn, parameter: "ResourceArn")
        let text = input.dataProtectionPolicy ?? ""
        if !text.isEmpty { try Self.check(protection: text) }
        try await database.write { transaction in
            var topic = try TopicTable.require(key, in: transaction)
            try access.check(request, "PutDataProtectionPolicy", topic, in: transaction)
            topic.protectionPolicy = text.isEmpty ? nil : text
            try TopicTable.put(topic, in: transaction)
        }
        return OperationResponse()
    }

    func getProtection(_ request: OperationRequest) async throws -> OperationResponse {
        let key = try request.topicKey(
            Model.GetDataProtectionPolicyInput(request.input).resourceArn, parameter: "ResourceArn")
        var output = Model.GetDataProtectionPolicyResponse()
        output.dataProtectionPolicy = try await database.read { transaction in
            let topic = try TopicTable.require(key, in: transaction)
            try access.check(request, "GetDataProtectionPolicy", topic, in: transaction)
            return topic.protectionPolicy ?? ""
        }
        return OperationResponse(output.value)
    }

    private static func check(protection text: String) throws(AWSError) {
        guard text.utf8.count <= Limits.policyBytes, (try? JSON.parse(text))?.fields != nil else {
            throw .invalidParameter("DataProtectionPolicy Reason: must be a JSON object of at most 30720 bytes")
        }
    }
}

extension OperationRequest {
    /// The topic that a request names, of the request's own Region.
    func topicKey(_ arn: String?, parameter: String = "TopicArn") throws(AWSError) -> TopicKey {
        let key = try TopicKey(arn: arn, parameter: parameter)
        guard key.scope.region == context.scope.region else { throw .invalidParameter(parameter) }
        return key
    }

    /// Whether it came with a signature, whatever that proves.
    var isSigned: Bool {
        context.header("authorization") != nil || context.uri.contains("X-Amz-Signature=")
    }
}
