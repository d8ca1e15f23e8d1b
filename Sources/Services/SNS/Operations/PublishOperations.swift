import Contracts
import Platform
import Storage
import Wire

struct PublishOperations: Sendable {
    let database: any Database
    let access: Access
    let keys: KeyKeeper
    let publications: Publications

    func publish(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PublishInput(request.input)
        let draft = MessageRules.Draft(
            text: input.message, subject: input.subject, structure: input.messageStructure,
            attributes: input.messageAttributes ?? [], groupID: input.messageGroupId,
            deduplicationID: input.messageDeduplicationId)
        let key = try topic(of: input, request)
        let (topic, subscriptions) = try await find(key, request)
        try MessageRules.checkIDs(draft, topic: topic)
        let (message, _) = try MessageRules.message(draft, topic: topic, traceHeader: request.traceHeader)
        let receipts = try await commit([message], topic, subscriptions, request)
        var output = Model.PublishResponse()
        output.messageId = receipts.first?.messageID
        output.sequenceNumber = receipts.first?.sequenceNumber
        return OperationResponse(output.value)
    }

    private func topic(of input: Model.PublishInput, _ request: OperationRequest) throws -> TopicKey {
        if let subject = input.subject { try MessageRules.check(subject: subject) }
        guard input.message?.isEmpty == false else { throw AWSError.invalidParameter("Empty message") }
        if input.phoneNumber != nil { throw AWSError.outOfScope("Publishing to a phone number") }
        if input.topicArn != nil, input.targetArn != nil {
            throw AWSError.invalidParameter("TargetArn Reason: Both TopicArn and TargetArn are given")
        }
        guard let arn = input.topicArn ?? input.targetArn else { throw AWSError.invalidParameter("TopicArn") }
        if input.targetArn != nil, ARN(arn)?.resource.hasPrefix("endpoint/") == true {
            throw AWSError.invalidParameter("TargetArn Reason: No endpoint found for the target arn specified")
        }
        return try request.topicKey(arn, parameter: input.topicArn == nil ? "TargetArn" : "TopicArn")
    }

    func publishBatch(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PublishBatchInput(request.input)
        let entries = input.publishBatchRequestEntries ?? []
        let key = try request.topicKey(input.topicArn)
        try Self.check(entries)
        let (topic, subscriptions) = try await find(key, request)
        var messages: [(id: String, message: PublishedMessage)] = []
        var failed: [Model.BatchResultErrorEntry] = []
        var total = 0
        for entry in entries {
            let draft = MessageRules.Draft(
                text: entry.message, subject: entry.subject, structure: entry.messageStructure,
                attributes: entry.messageAttributes ?? [], groupID: entry.messageGroupId,
                deduplicationID: entry.messageDeduplicationId)
            // Recorded: these fail the whole batch, the others their own entry.
            try MessageRules.checkIDs(draft, topic: topic)
            total += entry.message?.utf8.count ?? 0
            total += (entry.messageAttributes ?? []).reduce(0) { sum, pair in
                let content = pair.value.stringValue?.utf8.count ?? pair.value.binaryValue?.count ?? 0
                return sum + pair.key.utf8.count + (pair.value.dataType?.utf8.count ?? 0) + content
            }
            guard total <= topic.messageBytes else {
                throw AWSError(
                    "BatchRequestTooLong", "The length of all the messages put together is more than the limit.")
            }
            do throws(AWSError) {
                let checked = try MessageRules.message(draft, topic: topic, traceHeader: request.traceHeader)
                messages.append((entry.id ?? "", checked.message))
            } catch {
                failed.append(Self.failure(entry.id ?? "", error))
            }
        }
        let receipts =
            messages.isEmpty ? [] : try await commit(messages.map(\.message), topic, subscriptions, request)
        var output = Model.PublishBatchResponse()
        output.successful = zip(messages, receipts).map { pair, receipt in
            var entry = Model.PublishBatchResultEntry()
            entry.id = pair.id
            entry.messageId = receipt.messageID
            entry.sequenceNumber = receipt.sequenceNumber
            return entry
        }
        output.failed = failed
        return OperationResponse(output.value)
    }

    /// Reads the topic, and who gets its messages: as many as one transaction serves, and one more.
    private func find(_ key: TopicKey, _ request: OperationRequest) async throws -> (Topic, [Subscription]) {
        return try await database.read { transaction in
            let topic = try TopicTable.require(key, in: transaction)
            try access.check(request, "Publish", topic, in: transaction)
            return (
                topic,
                try SubscriptionTable.confirmed(key, limit: Limits.fanOutSubscriptions + 1, in: transaction)
            )
        }
    }

    /// Signs outside of the transaction, then commits all messages and what comes of them together. What has more subscribers
    /// than one transaction serves is signed when it is sent on.
    private func commit(
        _ messages: [PublishedMessage], _ topic: Topic, _ subscriptions: [Subscription], _ request: OperationRequest
    ) async throws -> [Publications.Receipt] {
        let now = request.context.now
        var signed: [FanOut.Signatures?] = []
        for message in messages {
            let publication = Publication(message: message, publishedAt: now, createdAt: now, sequence: nil)
            let isSigned =
                subscriptions.count <= publication.pageSize(sharing: messages.count)
                && !FanOut.textsToSign(publication, topic: topic, subscriptions).isEmpty
            signed.append(
                isSigned
                    ? try FanOut.Signatures(publication, topic: topic, subscriptions, key: try await keys.key()) : nil)
        }
        return try await database.write { [signed] transaction in
            let topic = try TopicTable.require(topic.key, in: transaction)
            return try zip(messages, signed).map { message, signatures in
                try publications.publish(
                    message, topic: topic, signatures: signatures, sharing: messages.count, now: now, in: transaction)
            }
        }
    }

    private static func check(_ entries: [Model.PublishBatchRequestEntry]) throws(AWSError) {
        guard !entries.isEmpty else {
            throw AWSError("EmptyBatchRequest", "The batch request doesn't contain any entries.")
        }
        guard entries.count <= Limits.batchEntries else {
            throw AWSError(
                "TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
        }
        for entry in entries {
            let id = entry.id ?? ""
            guard id.utf8.count <= Limits.batchEntryIDCharacters else {
                throw AWSError("InvalidBatchEntryId", "The Id of a batch entry in the batch request is too long: \(id)")
            }
            let isFine =
                !id.isEmpty
                && id.utf8.allSatisfy { byte in
                    switch byte {
                    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
                    default: false
                    }
                }
            guard isFine else {
                throw AWSError(
                    "InvalidBatchEntryId",
                    "The Id of a batch entry in the batch request contains an impermissible character: \(id)")
            }
        }
        guard Set(entries.map { $0.id ?? "" }).count == entries.count else {
            throw AWSError(
                "BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
        }
    }

    private static func failure(_ id: String, _ error: AWSError) -> Model.BatchResultErrorEntry {
        var entry = Model.BatchResultErrorEntry()
        entry.id = id
        entry.code = error.code
        entry.message = error.message
        entry.senderFault = error.isSenderFault
        return entry
    }
}

extension OperationRequest {
    /// The caller's trace, which goes with the messages.
    var traceHeader: String? { context.header("x-amzn-trace-id").flatMap { $0.utf8.count <= 1_024 ? $0 : nil } }
}
