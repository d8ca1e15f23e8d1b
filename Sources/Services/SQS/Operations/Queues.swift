import Contracts
import Platform
import Storage
import Wire

/// Queues themselves: created, found, listed, changed, purged, deleted.
struct Queues: Sendable {
    let desk: Desk
    let housekeeping: Housekeeping

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateQueueRequest(request.input)
        guard let name = input.queueName, !name.isEmpty else { throw AWSError.missing("QueueName") }
        let pairs = input.attributes ?? []
        let attributes = try QueueAttributes(creating: pairs)
        try QueueAddress.check(name: name, isFIFO: attributes.isFIFO)
        var tags = Fields()
        try QueueTags.add(input.tags ?? [], to: &tags)
        let context = request.context
        let queue = try await desk.database.write { [tags] transaction in
            try desk.access.check(
                request, "CreateQueue", onAny: Queue.arn(context.scope, name), of: context.scope.account,
                in: transaction)
            if let queue = try desk.directory.find(context.scope, name, in: transaction) {
                if let different = try queue.attributes.difference(to: pairs) {
                    throw AWSError.queueExists(different)
                }
                return queue
            }
            let now = desk.time.now()
            let arn = Queue.arn(context.scope, name)
            try checkRedrive(attributes, of: arn, in: transaction)
            try QueueTable.insert(context.scope, name, attributes, tags: .map(tags), now: now, in: transaction)
            guard let queue = try desk.directory.find(context.scope, name, in: transaction) else {
                throw Failure(.bug, "A queue that was inserted is not there.")
            }
            return queue
        }
        var output = Model.CreateQueueResult()
        output.queueUrl = queue.url(context.endpoint)
        return OperationResponse(output.value)
    }

    /// A dead-letter queue must exist, be of the same kind and allow this source.
    private func checkRedrive(
        _ attributes: QueueAttributes, of arn: String, in transaction: any ReadTransaction
    ) throws {
        guard let redrive = attributes.redrive else { return }
        func fail(_ reason: String) -> AWSError { .invalid(redrive.text, for: "RedrivePolicy", reason) }
        // Of another account or Region it does not exist, whether it is there or not.
        guard ARN.areOfOneScope(redrive.targetARN, arn),
            let target = try desk.directory.find(arn: redrive.targetARN, in: transaction)
        else {
            throw fail("Dead letter target does not exist.")
        }
        guard target.isFIFO == attributes.isFIFO else {
            throw fail("Dead-letter queue must be same type of queue as the source.")
        }
        guard target.arn != arn else { throw fail("Dead letter target must be another queue.") }
        guard target.attributes.redriveAllow?.allows(arn) ?? true else {
            throw fail("Source queue is not allowed by the redrive allow policy of the dead-letter queue.")
        }
    }

    func url(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetQueueUrlRequest(request.input)
        guard let name = input.queueName, !name.isEmpty else { throw AWSError.missing("QueueName") }
        let context = request.context
        let address = QueueAddress(account: input.queueOwnerAWSAccountId ?? context.scope.account, name: name)
        let queue = try await desk.database.read { transaction in
            try desk.queue(address, request, action: "GetQueueUrl", in: transaction)
        }
        var output = Model.GetQueueUrlResult()
        output.queueUrl = queue.url(context.endpoint)
        return OperationResponse(output.value)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListQueuesRequest(request.input)
        let prefix = input.queueNamePrefix ?? ""
        let limit = try Paging.limit(input.maxResults)
        let after = try Paging.after(input.nextToken)
        let context = request.context
        let names = try await desk.database.read { transaction in
            try desk.access.check(
                context, "ListQueues", onAny: Queue.arn(context.scope, "*"), of: context.scope.account, in: transaction)
            return try QueueTable.list(context.scope, prefix: prefix, after: after, limit: limit + 1, in: transaction)
        }
        var output = Model.ListQueuesResult()
        let page = names.prefix(limit)
        if !page.isEmpty {
            output.queueUrls = page.map { "\(context.endpoint)/\(context.scope.account)/\($0)" }
        }
        // AWS pages only when asked for a size.
        if names.count > limit, input.maxResults != nil { output.nextToken = page.last.map { PageToken.encode($0) } }
        return OperationResponse(output.value)
    }

    func deadLetterSources(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListDeadLetterSourceQueuesRequest(request.input)
        let limit = try Paging.limit(input.maxResults)
        let after = try Paging.after(input.nextToken)
        let names = try await desk.read(request, queue: input.queueUrl, action: "ListDeadLetterSourceQueues") {
            queue, _, transaction in
            try QueueTable.sources(of: queue.arn, queue.scope, after: after, limit: limit + 1, in: transaction)
        }
        let context = request.context
        var output = Model.ListDeadLetterSourceQueuesResult()
        let page = names.prefix(limit)
        output.queueUrls = page.map { "\(context.endpoint)/\(context.scope.account)/\($0)" }
        if names.count > limit, input.maxResults != nil { output.nextToken = page.last.map { PageToken.encode($0) } }
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteQueueRequest(request.input)
        try await desk.write(request, queue: input.queueUrl, action: "DeleteQueue") { queue, now, transaction in
            try QueueTable.delete(queue.id, in: transaction)
            try MoveTaskTable.removeAll(queue: queue.id, in: transaction)
            desk.directory.forget(queue, in: transaction)
            desk.mailbox.inFlight.forget(queue.id)
            // Long polls on it learn that it is gone.
            desk.waiting.wakeAll(queue.arn, in: transaction)
        }
        housekeeping.collectGarbage()
        return OperationResponse()
    }

    func purge(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PurgeQueueRequest(request.input)
        let (queue, mark) = try await desk.write(request, queue: input.queueUrl, action: "PurgeQueue") {
            queue, now, transaction in
            let last = try QueueTable.purged(queue.id, in: transaction)
            guard now >= last + .seconds(Limits.purgeSeconds) else { throw AWSError.purging(queue.name) }
            try QueueTable.setPurged(queue.id, now, in: transaction)
            return (queue, try MessageTable.newest(in: transaction))
        }
        try await housekeeping.remove(queue, upTo: mark)
        return OperationResponse()
    }

    // MARK: Attributes

    func attributes(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetQueueAttributesRequest(request.input)
        let wanted = input.attributeNames ?? []
        let all = wanted.contains("All")
        let known = QueueAttributes.computed + QueueAttributes.settable
        for name in wanted where name != "All" && !known.contains(name) { throw AWSError.unknownAttribute(name) }
        let names = all ? known : known.filter { wanted.contains($0) }
        let counted = names.contains { $0.hasPrefix("ApproximateNumber") }
        let (queue, counts) = try await desk.read(request, queue: input.queueUrl, action: "GetQueueAttributes") {
            queue, now, transaction in
            let counts =
                counted
                ? try MessageTable.counts(
                    queue: queue.id, now: now, expiry: queue.expiry(now: now), in: transaction)
                : MessageTable.Counts()
            return (queue, counts)
        }
        let shown = names.compactMap { name in
            (Self.computed(name, queue, counts) ?? queue.attributes.text(name)).map { (key: name, value: $0) }
        }
        var output = Model.GetQueueAttributesResult()
        if !shown.isEmpty { output.attributes = shown }
        return OperationResponse(output.value)
    }

    private static func computed(_ name: String, _ queue: Queue, _ counts: MessageTable.Counts) -> String? {
        switch name {
        case "QueueArn": queue.arn
        case "ApproximateNumberOfMessages": String(counts.visible)
        case "ApproximateNumberOfMessagesNotVisible": String(counts.notVisible)
        case "ApproximateNumberOfMessagesDelayed": String(counts.delayed)
        case "CreatedTimestamp": String(queue.created.seconds)
        case "LastModifiedTimestamp": String(queue.modified.seconds)
        default: nil
        }
    }

    func setAttributes(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.SetQueueAttributesRequest(request.input)
        guard let pairs = input.attributes, !pairs.isEmpty else { throw AWSError.missing("Attribute.Name") }
        try await desk.write(request, queue: input.queueUrl, action: "SetQueueAttributes") {
            queue, now, transaction in
            var attributes = queue.attributes
            try attributes.change(pairs)
            if pairs.contains(where: { $0.key == "RedrivePolicy" }) {
                try checkRedrive(attributes, of: queue.arn, in: transaction)
            }
            try QueueTable.update(queue.id, attributes, now: now, in: transaction)
            desk.directory.forget(queue, in: transaction)
            // Another retention, redrive policy or nothing at all may change what can be received.
            desk.mailbox.arrivals.announce(queue.arn, now, in: transaction)
        }
        return OperationResponse()
    }
}
