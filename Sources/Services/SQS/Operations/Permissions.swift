import Contracts
import Platform
import Storage
import Wire

/// AddPermission, RemovePermission and tags.
struct Permissions: Sendable {
    let desk: Desk

    func add(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.AddPermissionRequest(request.input)
        guard let label = input.label, !label.isEmpty else { throw AWSError.missing("Label") }
        guard label.utf8.count <= Limits.queueNameCharacters, label.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw AWSError.invalid(label, for: "Label", "Must be 1 to 80 alphanumeric characters, - or _.")
        }
        let accounts = input.awsAccountIds ?? []
        let actions = input.actions ?? []
        if accounts.isEmpty { throw AWSError.missing("AWSAccountId") }
        if actions.isEmpty { throw AWSError.missing("ActionName") }
        for account in accounts where !QueueAddress.isAccount(account) {
            throw AWSError.invalid(account, for: "PrincipalId", "Unable to verify.")
        }
        guard actions.count <= Limits.actionsPerPermission else {
            throw AWSError(
                "OverLimit", status: 403,
                "\(actions.count) Actions were found, maximum allowed is \(Limits.actionsPerPermission).")
        }
        for action in actions where !PermissionPolicy.actions.contains(action) {
            throw AWSError.invalid(
                "Value SQS:\(action) for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL "
                    + "for a list of valid actions. ")
        }
        try await change(request, input.queueUrl, "AddPermission") { queue, policy in
            try policy.add(label: label, accounts: accounts, actions: actions, resource: queue.arn)
        }
        return OperationResponse()
    }

    func remove(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.RemovePermissionRequest(request.input)
        guard let label = input.label, !label.isEmpty else { throw AWSError.missing("Label") }
        try await change(request, input.queueUrl, "RemovePermission") { _, policy in
            try policy.remove(label: label)
        }
        return OperationResponse()
    }

    private func change(
        _ request: OperationRequest, _ url: String?, _ action: String,
        _ body: @escaping @Sendable (Queue, inout PermissionPolicy) throws -> Void
    ) async throws {
        try await desk.write(request, queue: url, action: action) { queue, now, transaction in
            var policy = PermissionPolicy(queue.attributes.policy)
            try body(queue, &policy)
            var attributes = queue.attributes
            try attributes.change([(key: "Policy", value: policy.text(queue.arn))])
            try QueueTable.update(queue.id, attributes, now: now, in: transaction)
            desk.directory.forget(queue, in: transaction)
        }
    }

    // MARK: Tags

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagQueueRequest(request.input)
        guard let pairs = input.tags, !pairs.isEmpty else { throw AWSError.missing("Tags") }
        try await desk.write(request, queue: input.queueUrl, action: "TagQueue") { queue, _, transaction in
            var tags = try QueueTable.tags(queue.id, in: transaction)
            try QueueTags.add(pairs, to: &tags)
            try QueueTable.setTags(queue.id, tags, in: transaction)
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagQueueRequest(request.input)
        guard let keys = input.tagKeys, !keys.isEmpty else {
            throw AWSError.invalid("Tag keys can't be null or empty.")
        }
        try await desk.write(request, queue: input.queueUrl, action: "UntagQueue") { queue, _, transaction in
            var tags = try QueueTable.tags(queue.id, in: transaction)
            for key in keys { tags[key] = nil }
            try QueueTable.setTags(queue.id, tags, in: transaction)
        }
        return OperationResponse()
    }

    func tags(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListQueueTagsRequest(request.input)
        let tags = try await desk.read(request, queue: input.queueUrl, action: "ListQueueTags") {
            queue, _, transaction in
            try QueueTable.tags(queue.id, in: transaction)
        }
        var output = Model.ListQueueTagsResult()
        if !tags.isEmpty { output.tags = tags.entries.map { (key: $0.name, value: $0.value.string ?? "") } }
        return OperationResponse(output.value)
    }
}

/// A queue's policy while labels are added and removed: any document, whose statements are found by Sid.
struct PermissionPolicy {
    /// What AddPermission takes: the documentation's list, and `*`.
    static let actions: Set<String> = [
        "*", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes",
        "GetQueueUrl", "ListDeadLetterSourceQueues", "PurgeQueue",
    ]

    private var document: Value
    private var statements: [Value]

    init(_ policy: QueuePolicy?) {
        document = policy?.document ?? [:]
        statements = policy?.statements ?? []
    }

    mutating func add(label: String, accounts: [String], actions: [String], resource: String) throws(AWSError) {
        guard !statements.contains(where: { $0["Sid"]?.string == label }) else {
            throw .invalid(label, for: "Label", "Already exists.")
        }
        guard statements.count < Limits.permissions else {
            throw AWSError("OverLimit", status: 403, "A queue's policy can have \(Limits.permissions) statements.")
        }
        func one(_ texts: [String]) -> Value { texts.count == 1 ? .string(texts[0]) : .strings(texts) }
        statements.append([
            "Sid": .string(label), "Effect": "Allow",
            "Principal": ["AWS": one(accounts.map { "arn:aws:iam::\($0):root" })],
            "Action": one(actions.map { "SQS:\($0)" }), "Resource": .string(resource),
        ])
    }

    mutating func remove(label: String) throws(AWSError) {
        guard let index = statements.firstIndex(where: { $0["Sid"]?.string == label }) else {
            throw .invalid(label, for: "Label", "can't find label.")
        }
        statements.remove(at: index)
    }

    /// Empty when no statement is left: then the queue has no policy.
    func text(_ arn: String) -> String {
        if statements.isEmpty { return "" }
        var document = document
        if document["Version"] == nil { document["Version"] = "2012-10-17" }
        if document["Id"] == nil { document["Id"] = .string("\(arn)/SQSDefaultPolicy") }
        document["Statement"] = .list(statements)
        return JSON.encodeString(document)
    }
}

enum QueueTags {
    static func add(_ pairs: [(key: String, value: String)], to tags: inout Fields) throws(AWSError) {
        for (key, value) in pairs {
            guard !key.isEmpty, key.utf8.count <= Limits.tagKeyCharacters * 4, key.count <= Limits.tagKeyCharacters
            else {
                throw .invalid("Tag key must be between 1 and \(Limits.tagKeyCharacters) characters in length.")
            }
            guard value.count <= Limits.tagValueCharacters else {
                throw .invalid("Tag value must be between 0 and \(Limits.tagValueCharacters) characters in length.")
            }
            guard !key.lowercased().hasPrefix("aws:") else {
                throw .invalid("System tags cannot be added/updated by requester.")
            }
            tags[key] = .string(value)
        }
        guard tags.count <= Limits.tagsPerQueue else {
            throw .invalid("Too many tags added for queue. A queue can have \(Limits.tagsPerQueue) tags.")
        }
    }
}
