import Platform
import Storage
import Synchronization
import Wire

/// What happens to messages, inside a transaction of the caller: the one place where the tables, the decisions of
/// `MessageMachine` and the wake-ups of those who wait meet. Requests, pollers and deliveries all come here.
struct Mailbox: Sendable {
    let directory: QueueDirectory
    let arrivals: Arrivals
    let unreadable: Unreadable
    let inFlight = InFlightLedger()

    struct Sent: Sendable {
        var messageID: String
        /// Of FIFO queues.
        var sequenceNumber: String?
    }

    // MARK: Sending

    /// Throws AWS's errors for what does not fit the queue. A duplicate is accepted and changes nothing.
    func send(
        _ draft: MessageDraft, to queue: Queue, now: Instant, in transaction: any WriteTransaction
    ) throws -> Sent {
        guard draft.size <= queue.attributes.maximumMessageSize else {
            throw AWSError.messageTooLong(queue.attributes.maximumMessageSize)
        }
        guard queue.isFIFO else {
            guard draft.envelope.deduplicationID == nil else {
                throw AWSError.invalid(
                    draft.envelope.deduplicationID ?? "", for: "MessageDeduplicationId",
                    "The request include parameter that is not valid for this queue type")
            }
            let visible = MessageMachine.visibleAfterSend(draft.delaySeconds, to: queue, now: now)
            _ = try MessageTable.insert(
                queue: queue.id, draft, lane: nil, visible: visible, sent: now, in: transaction)
            arrivals.announce(queue.arn, visible, in: transaction)
            return Sent(messageID: draft.messageID, sequenceNumber: nil)
        }
        return try sendInOrder(draft, to: queue, now: now, in: transaction)
    }

    private func sendInOrder(
        _ draft: MessageDraft, to queue: Queue, now: Instant, in transaction: any WriteTransaction
    ) throws -> Sent {
        guard let group = draft.envelope.groupID else { throw AWSError.missing("MessageGroupId") }
        if let delay = draft.delaySeconds {
            // Zero is taken, as the SDKs' examples send it.
            guard delay == 0 else {
                throw AWSError.invalid(
                    String(delay), for: "DelaySeconds",
                    "The request include parameter that is not valid for this queue type.")
            }
        }
        var draft = draft
        if draft.envelope.deduplicationID == nil {
            guard queue.attributes.isContentBased else {
                throw AWSError.invalid(
                    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                        + "explicitly")
            }
            draft.envelope.deduplicationID = MessageDigest.content(draft.body)
        }
        let deduplication = draft.envelope.deduplicationID ?? ""
        let lane = queue.attributes.deduplicationScope == .messageGroup ? group : ""
        if let first = try DeduplicationTable.find(
            queue: queue.id, lane: lane, deduplication, now: now, in: transaction)
        {
            return Sent(
                messageID: first.messageID, sequenceNumber: StoredMessage.sequenceNumber(first.message))
        }
        let visible = MessageMachine.visibleAfterSend(nil, to: queue, now: now)
        let id = try MessageTable.insert(
            queue: queue.id, draft, lane: group, visible: visible, sent: now, in: transaction)
        try LaneTable.arrived(queue: queue.id, lane: group, visible: visible, in: transaction)
        try DeduplicationTable.remember(
            queue: queue.id, lane: lane, deduplication, message: id, messageID: draft.messageID, now: now,
            in: transaction)
        arrivals.announce(queue.arn, visible, in: transaction)
        return Sent(messageID: draft.messageID, sequenceNumber: StoredMessage.sequenceNumber(id))
    }

    // MARK: After a receive

    /// What became of a deletion.
    enum Deletion {
        case done
        /// FIFO: the visibility timeout is over, or the message was received again.
        case expired
    }

    func delete(
        _ handle: ReceiptHandle, of queue: Queue, now: Instant, in transaction: any WriteTransaction
    ) throws -> Deletion {
        guard queue.isFIFO else {
            // A stale handle: AWS answers success, and the message may stay [D].
            _ = try MessageTable.delete(handle, in: transaction)
            return .done
        }
        guard let row = try MessageTable.get(handle.message, queue: queue.id, in: transaction) else { return .done }
        guard row.receives == handle.receive, row.isInFlight(now: now) else { return .expired }
        _ = try MessageTable.delete(handle, in: transaction)
        try settle(row.lane, of: queue, now: now, in: transaction)
        return .done
    }

    func changeVisibility(
        _ handle: ReceiptHandle, of queue: Queue, timeout: Duration, now: Instant, in transaction: any WriteTransaction
    ) throws -> MessageMachine.VisibilityChange {
        let row = try MessageTable.get(handle.message, queue: queue.id, in: transaction)
        let change = MessageMachine.changeVisibility(row, receive: handle.receive, timeout: timeout, now: now)
        guard case .change(let end) = change, let row else { return change }
        try MessageTable.setVisible(row.id, end, in: transaction)
        try settle(row.lane, of: queue, now: now, in: transaction)
        if row.lane == nil { arrivals.announce(queue.arn, end, in: transaction) }
        return change
    }

    /// Sets when a group opens, after messages of it went or changed; tells those who wait.
    func settle(_ lane: String?, of queue: Queue, now: Instant, in transaction: any WriteTransaction) throws {
        guard let lane else { return }
        if let available = try LaneTable.settle(queue: queue.id, lane: lane, now: now, in: transaction) {
            arrivals.announce(queue.arn, available, in: transaction)
        }
    }

    // MARK: Dead letters

    /// The queue that dead letters go to, if the policy names one that is there and takes them.
    func deadLetterQueue(of queue: Queue, in transaction: any ReadTransaction) throws -> Queue? {
        guard let redrive = queue.attributes.redrive, ARN.areOfOneScope(redrive.targetARN, queue.arn) else {
            return nil
        }
        guard let target = try directory.find(arn: redrive.targetARN, in: transaction) else { return nil }
        return target.isFIFO == queue.isFIFO && target.attributes.redriveAllow?.allows(queue.arn) ?? true
            ? target : nil
    }

    /// Of a standard queue the time of sending stays, so that retention goes on; a FIFO queue's begins anew [D].
    func moveToDeadLetters(
        _ row: MessageRow, from queue: Queue, to target: Queue, now: Instant, in transaction: any WriteTransaction
    ) throws {
        guard var envelope = Envelope(encoded: row.envelope) else {
            return try unreadable.setAside(row, of: queue, in: transaction)
        }
        envelope.deadLetterSource = queue.arn
        try MessageTable.move(
            row, to: target.id, lane: target.isFIFO ? row.lane : nil, envelope: envelope,
            sent: queue.isFIFO ? now : row.sent, now: now, in: transaction)
        if target.isFIFO, let lane = row.lane {
            try LaneTable.arrived(queue: target.id, lane: lane, visible: now, in: transaction)
        }
        arrivals.announce(target.arn, now, in: transaction)
    }
}

/// How many messages of each queue may be in flight, at most: an upper bound in memory that is counted anew when it
/// reaches the limit, because counting at each receive would read an index of up to 120,000 entries.
final class InFlightLedger: Sendable {
    private let bounds = Mutex<[Int64: Int]>([:])

    /// How many more can be received, up to `wanted`.
    func allowance(_ queue: Int64, wanted: Int, count: () throws -> Int) rethrows -> Int {
        if let bound = bounds.withLock({ $0[queue] }), bound + wanted <= Limits.inFlight { return wanted }
        let exact = try count()
        bounds.withLock { bounds in
            if bounds.count >= Limits.cachedQueues { bounds = [:] }
            bounds[queue] = exact
        }
        return min(wanted, max(Limits.inFlight - exact, 0))
    }

    /// Exact after an allowance of zero, in the same transaction.
    func isAtLimit(_ queue: Int64) -> Bool { bounds.withLock { ($0[queue] ?? 0) >= Limits.inFlight } }

    /// In a transaction; when that is rolled back, the bound is merely too high.
    func received(_ queue: Int64, _ count: Int) { bounds.withLock { $0[queue]? += count } }

    func forget(_ queue: Int64) { bounds.withLock { $0[queue] = nil } }
}
