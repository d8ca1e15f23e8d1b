import Platform
import Storage
import Wire

extension Mailbox {
    struct ReceiveRequest: Sendable {
        var maximum: Int
        /// Nil: the queue's.
        var timeout: Duration?
        /// FIFO: repeats of the same receive.
        var attempt: String?
        /// Short polling of a standard queue: at the limit of messages in flight an error, else nothing.
        var failsAtLimit = false
    }

    /// Takes messages. Those over their receive count go to the dead-letter queue and those over their retention go for
    /// good, in this transaction. Throws `OverLimit`.
    func receive(
        _ request: ReceiveRequest, from queue: Queue, now: Instant, in transaction: any WriteTransaction
    ) throws -> [StoredMessage] {
        if queue.isFIFO, let attempt = request.attempt {
            if let again = try repeated(attempt, request, queue, now: now, in: transaction) { return again }
        }
        let allowed = try inFlight.allowance(queue.id, wanted: request.maximum) {
            try MessageTable.inFlight(queue: queue.id, now: now, in: transaction)
        }
        if allowed == 0 {
            if request.failsAtLimit, !queue.isFIFO { throw AWSError.tooManyInFlight }
            return []
        }
        var taking = Taking(
            queue: queue, deadLetters: try deadLetterQueue(of: queue, in: transaction),
            timeout: request.timeout ?? queue.visibilityTimeout, maximum: allowed, now: now)
        if queue.isFIFO {
            try takeInOrder(&taking, in: transaction)
        } else {
            try take(&taking, in: transaction)
        }
        inFlight.received(queue.id, taking.messages.count)
        if queue.isFIFO, let attempt = request.attempt, !taking.messages.isEmpty {
            try DeduplicationTable.remember(
                queue: queue.id, attempt: attempt, taking.messages.map { (message: $0.id, receive: $0.receives) },
                now: now, in: transaction)
        }
        return taking.messages
    }

    /// When something may be receivable: in the past when something is.
    func nextReceivable(_ queue: Queue, in transaction: any ReadTransaction) throws -> Instant? {
        queue.isFIFO
            ? try LaneTable.nextAvailable(queue: queue.id, in: transaction)
            : try MessageTable.nextVisible(queue: queue.id, in: transaction)
    }

    // MARK: Taking

    /// One receive on its way.
    private struct Taking {
        let queue: Queue
        let deadLetters: Queue?
        let timeout: Duration
        let maximum: Int
        let now: Instant
        var messages: [StoredMessage] = []
        /// Dead letters and expired ones: bounded, so that no receive works for ever.
        var passedOver = 0

        var missing: Int { maximum - messages.count }
        var isDone: Bool { missing <= 0 || passedOver >= Limits.passedOverPerReceive }
    }

    private func take(_ taking: inout Taking, in transaction: any WriteTransaction) throws {
        // With a timeout of zero a message that was just taken is visible again at once.
        var seen = Set<Int64>()
        while !taking.isDone {
            let limit = taking.missing + (taking.timeout == .zero ? seen.count : 0)
            let rows = try MessageTable.visible(
                queue: taking.queue.id, now: taking.now, limit: limit, in: transaction)
            let fresh = rows.filter { seen.insert($0.id).inserted }
            for row in fresh { try handle(row, &taking, in: transaction) }
            if fresh.isEmpty || rows.count < limit { return }
        }
    }

    /// From each open group in turn as many as are wanted, in order, up to the first that is not visible.
    private func takeInOrder(_ taking: inout Taking, in transaction: any WriteTransaction) throws {
        var seen = Set<String>()
        while !taking.isDone {
            let limit = min(taking.missing, Limits.lanesPerLook) + (taking.timeout == .zero ? seen.count : 0)
            let lanes = try LaneTable.open(
                queue: taking.queue.id, now: taking.now, limit: limit, in: transaction)
            let fresh = lanes.filter { seen.insert($0).inserted }
            for lane in fresh where !taking.isDone { try takeLane(lane, &taking, in: transaction) }
            if fresh.isEmpty || lanes.count < limit { return }
        }
    }

    private func takeLane(_ lane: String, _ taking: inout Taking, in transaction: any WriteTransaction) throws {
        while !taking.isDone {
            let limit = taking.missing
            let before = taking.messages.count
            let rows = try MessageTable.head(queue: taking.queue.id, lane: lane, limit: limit, in: transaction)
            let visible = rows.prefix { $0.visible <= taking.now }
            for row in visible { try handle(row, &taking, in: transaction) }
            // Only when something of this look was not handed out, there may be more to hand out behind it.
            let delivered = taking.messages.count - before
            if visible.count < limit || delivered > 0 { break }
        }
        try LaneTable.settle(queue: taking.queue.id, lane: lane, now: taking.now, in: transaction)
    }

    private func handle(_ row: MessageRow, _ taking: inout Taking, in transaction: any WriteTransaction) throws {
        let action = MessageMachine.receive(
            row, by: taking.queue, timeout: taking.timeout, hasDeadLetterQueue: taking.deadLetters != nil,
            now: taking.now)
        switch action {
        case .expire:
            try MessageTable.delete(row.id, isLarge: row.body == nil, in: transaction)
            taking.passedOver += 1
        case .deadLetter:
            if let target = taking.deadLetters {
                try moveToDeadLetters(row, from: taking.queue, to: target, now: taking.now, in: transaction)
            }
            taking.passedOver += 1
        case .deliver(let end):
            guard let envelope = Envelope(encoded: row.envelope) else {
                try unreadable.setAside(row, of: taking.queue, in: transaction)
                taking.passedOver += 1
                return
            }
            try MessageTable.setReceived(row, visible: end, now: taking.now, in: transaction)
            taking.messages.append(
                try stored(
                    row, envelope, receives: row.receives + 1,
                    firstReceived: row.receives == 0 ? taking.now : row.firstReceived,
                    in: transaction))
        }
    }

    private func stored(
        _ row: MessageRow, _ envelope: Envelope, receives: Int64, firstReceived: Instant,
        in transaction: any ReadTransaction
    ) throws -> StoredMessage {
        StoredMessage(
            id: row.id, messageID: row.messageID, sent: row.sent, receives: receives, firstReceived: firstReceived,
            envelope: envelope, body: try row.body ?? MessageTable.body(row.id, in: transaction),
            isLarge: row.body == nil)
    }

    /// The messages of an earlier receive with this attempt id, hidden anew, if none of them was changed since.
    private func repeated(
        _ attempt: String, _ request: ReceiveRequest, _ queue: Queue, now: Instant,
        in transaction: any WriteTransaction
    ) throws -> [StoredMessage]? {
        guard
            let earlier = try DeduplicationTable.attempt(queue: queue.id, attempt, now: now, in: transaction)
        else { return nil }
        var rows: [(row: MessageRow, envelope: Envelope)] = []
        for (message, receive) in earlier {
            guard let row = try MessageTable.get(message, queue: queue.id, in: transaction),
                row.receives == receive, row.isInFlight(now: now), let envelope = Envelope(encoded: row.envelope)
            else { return nil }
            rows.append((row, envelope))
        }
        let end = now + (request.timeout ?? queue.visibilityTimeout)
        var messages: [StoredMessage] = []
        for (row, envelope) in rows {
            try MessageTable.setVisible(row.id, end, in: transaction)
            messages.append(
                try stored(row, envelope, receives: row.receives, firstReceived: row.firstReceived, in: transaction))
        }
        for lane in Set(rows.compactMap(\.row.lane)) {
            try LaneTable.settle(queue: queue.id, lane: lane, now: now, in: transaction)
        }
        return messages
    }
}
