public import Contracts
public import Platform
public import Storage
import Wire

/// Queues for pollers.
extension SQSService: QueueSource {
    public func describe(
        queue arn: String, as principal: Principal, in transaction: any ReadTransaction
    ) throws -> QueueDescription {
        let queue = try queue(arn, "GetQueueAttributes", principal, in: transaction)
        return QueueDescription(
            arn: queue.arn, isFIFO: queue.isFIFO, visibilityTimeout: queue.visibilityTimeout,
            deadLetterTargetARN: queue.attributes.redrive?.targetARN)
    }

    public func receive(
        queue arn: String, maximum: Int, as principal: Principal, now: Instant, in transaction: any WriteTransaction
    ) throws -> QueueReceipt {
        let queue = try queue(arn, "ReceiveMessage", principal, in: transaction)
        let wanted = min(max(maximum, 0), Limits.messagesPerPoll)
        let messages =
            wanted == 0
            ? []
            : try desk.mailbox.receive(
                Mailbox.ReceiveRequest(maximum: wanted), from: queue, now: now, in: transaction)
        var next = try desk.mailbox.nextReceivable(queue, in: transaction)
        if messages.isEmpty, wanted > 0, desk.mailbox.inFlight.isAtLimit(queue.id) {
            // As long polls: each attempt at the limit counts all that is in flight.
            next = next.map { max($0, now + .seconds(Limits.retryAtLimitSeconds)) }
        }
        return QueueReceipt(
            messages: messages.map { message in
                QueueMessage(
                    messageID: message.messageID,
                    receiptHandle: ReceivedMessage.handle(message, of: queue, desk.handles), body: message.body,
                    md5OfBody: message.envelope.md5OfBody,
                    attributes: message.systemAttributes(isFIFO: queue.isFIFO),
                    messageAttributes: message.envelope.attributes,
                    md5OfMessageAttributes: MessageDigest.attributes(message.envelope.attributes))
            },
            nextVisible: next)
    }

    public func delete(
        queue arn: String, receiptHandles: [String], as principal: Principal, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        let queue = try queue(arn, "DeleteMessage", principal, in: transaction)
        for handle in handles(receiptHandles, of: queue) {
            _ = try desk.mailbox.delete(handle, of: queue, now: now, in: transaction)
        }
    }

    public func release(
        queue arn: String, receiptHandles: [String], at: Instant, as principal: Principal, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        let queue = try queue(arn, "ChangeMessageVisibility", principal, in: transaction)
        let timeout = max(at - now, .zero)
        for handle in handles(receiptHandles, of: queue) {
            _ = try desk.mailbox.changeVisibility(
                handle, of: queue, timeout: timeout, now: now, in: transaction)
        }
    }

    public func discard(
        queue arn: String, receiptHandles: [String], as principal: Principal, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        let queue = try queue(arn, "DeleteMessage", principal, in: transaction)
        let deadLetters = try desk.mailbox.deadLetterQueue(of: queue, in: transaction)
        for handle in handles(receiptHandles, of: queue) {
            guard let row = try MessageTable.get(handle.message, queue: queue.id, in: transaction),
                row.receives == handle.receive
            else { continue }
            if let deadLetters {
                try desk.mailbox.moveToDeadLetters(row, from: queue, to: deadLetters, now: now, in: transaction)
            } else {
                try MessageTable.delete(row.id, isLarge: row.body == nil, in: transaction)
            }
            try desk.mailbox.settle(row.lane, of: queue, now: now, in: transaction)
        }
    }

    public func observe(
        queue arn: String, _ wake: @escaping @Sendable (_ receivable: Instant) -> Void
    ) -> @Sendable () -> Void {
        desk.mailbox.arrivals.observe(arn, wake)
    }

    private func queue(
        _ arn: String, _ action: String, _ principal: Principal, in transaction: any ReadTransaction
    ) throws -> Queue {
        guard let queue = try desk.directory.find(arn: arn, in: transaction) else { throw AWSError.noQueue() }
        try desk.access.check(principal, action, on: queue, in: transaction)
        return queue
    }

    /// Those that are of this queue; the others are passed over.
    private func handles(_ texts: [String], of queue: Queue) -> [ReceiptHandle] {
        texts.compactMap { desk.handles.read($0) }.filter { $0.queue == queue.id }
    }
}

/// What is pushed to queues: by topics, buckets, rules, destinations.
extension SQSService: DeliveryTarget {
    public var arnService: String { "sqs" }

    public func accept(_ delivery: Delivery, in transaction: any WriteTransaction, now: Instant) throws {
        let queue = try permitted(delivery.target, for: delivery.principal, in: transaction)
        guard let body = String(validating: delivery.payload, as: UTF8.self) else {
            throw Self.refusal(.invalidCharacters)
        }
        // No client could send so many.
        let attributes = delivery.attributes.message
        guard attributes.count <= Limits.attributesPerMessage else {
            throw Self.refusal(.tooManyAttributes(attributes.count))
        }
        do {
            var draft = try MessageDraft(
                body: body, attributes: delivery.attributes.message, traceHeader: delivery.attributes.traceHeader,
                sender: Sender.id(delivery.principal))
            draft.envelope.groupID = delivery.attributes.messageGroupID
            if queue.isFIFO { draft.envelope.deduplicationID = delivery.attributes.messageDeduplicationID }
            _ = try desk.mailbox.send(draft, to: queue, now: now, in: transaction)
        } catch let error as AWSError {
            throw Self.refusal(error)
        }
    }

    public func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        _ = try permitted(target, for: principal, in: transaction)
    }

    private func permitted(
        _ target: String, for principal: Principal, in transaction: any ReadTransaction
    ) throws -> Queue {
        do {
            return try queue(target, "SendMessage", principal, in: transaction)
        } catch let error as AWSError {
            throw Self.refusal(error)
        }
    }

    /// A queue has nothing that passes by itself: what it refuses now it will refuse again.
    private static func refusal(_ error: AWSError) -> DeliveryRefusal {
        .permanent(code: error.code, message: error.message)
    }
}
