import Platform

/// What a receive does with a message that it finds: pure, from the row and the queue.
enum MessageMachine {
    enum Action: Hashable {
        /// Hand it out, hidden until then.
        case deliver(until: Instant)
        /// It was received as often as the redrive policy allows.
        case deadLetter
        /// It is over the queue's retention.
        case expire
    }

    /// `hasDeadLetterQueue`: the redrive policy's target exists now; else a message is handed out again and again [D].
    static func receive(
        _ row: MessageRow, by queue: Queue, timeout: Duration, hasDeadLetterQueue: Bool, now: Instant
    ) -> Action {
        if row.sent <= queue.expiry(now: now) { return .expire }
        if let redrive = queue.attributes.redrive, hasDeadLetterQueue, row.receives >= redrive.maximumReceives {
            return .deadLetter
        }
        return .deliver(until: now + timeout)
    }

    enum VisibilityChange: Hashable {
        case change(until: Instant)
        /// Not in flight, or in flight for a later receive.
        case notInFlight
        /// Twelve hours after the receive it must end.
        case beyondLimit
    }

    static func changeVisibility(
        _ row: MessageRow?, receive: Int64, timeout: Duration, now: Instant
    ) -> VisibilityChange {
        guard let row, row.receives == receive, row.isInFlight(now: now) else { return .notInFlight }
        let end = now + timeout
        if end > row.received + .seconds(Limits.totalVisibilitySeconds) { return .beyondLimit }
        return .change(until: end)
    }

    /// When a message that is sent now can be received: FIFO queues know no delay of single messages.
    static func visibleAfterSend(_ delaySeconds: Int?, to queue: Queue, now: Instant) -> Instant {
        now + .seconds(delaySeconds ?? queue.attributes.delaySeconds)
    }
}
