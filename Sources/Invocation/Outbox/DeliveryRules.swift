import Contracts
import Platform

/// What becomes of a delivery that its target does not take: pure.
struct DeliveryRules {
    /// Divides the waits, not the maximum age.
    var timeScale: Double = 1

    /// Why there is no further try; EventBridge's names.
    enum Exhaustion: String, Equatable {
        case maximumRetryAttempts = "MaximumRetryAttempts"
        case maximumEventAge = "MaximumEventAgeInSeconds"
    }

    enum Decision: Equatable {
        case again(at: Instant)
        case giveUp(Exhaustion?)
    }

    /// After a refusal. `tries` counts this one too.
    func decide(_ refusal: DeliveryRefusal, _ delivery: Delivery, tries: Int, now: Instant) -> Decision {
        if case .permanent = refusal { return .giveUp(nil) }
        if let most = delivery.retry.maximumRetries, tries > most { return .giveUp(.maximumRetryAttempts) }
        let doublings = min(max(tries - 1, 0), 16)
        let wait = min(Limits.systemBackoffFirst * (1 << doublings), Limits.systemBackoffLongest)
        let next = now + wait.divided(by: timeScale)
        // As for asynchronous events: the age is held against the planned time of the next try.
        if let age = delivery.retry.maximumAge, next >= delivery.createdAt + age { return .giveUp(.maximumEventAge) }
        return .again(at: next)
    }

    /// What goes to the dead-letter queue; nil when there is none. Its own loss is final.
    static func letter(
        for delivery: Delivery, refused refusal: DeliveryRefusal, tries: Int, exhaustion: Exhaustion?, now: Instant
    ) -> Delivery? {
        guard let deadLetter = delivery.deadLetter else { return nil }
        var attributes = delivery.attributes
        if deadLetter.ruleARN != nil || !deadLetter.source.isEmpty {
            let (own, message) = refusal.codeAndMessage
            let code = deadLetter.ruleARN == nil ? own : Self.ruleErrorCode(own)
            let rule = deadLetter.ruleARN.map {
                MessageAttribute(name: "RULE_ARN", dataType: "String", content: .string($0))
            }
            var added =
                deadLetter.source + [rule].compactMap { $0 } + [
                    MessageAttribute(name: "TARGET_ARN", dataType: "String", content: .string(delivery.target)),
                    MessageAttribute(name: "ERROR_CODE", dataType: "String", content: .string(code)),
                    MessageAttribute(name: "ERROR_MESSAGE", dataType: "String", content: .string(message)),
                ]
            if let exhaustion {
                added.append(
                    MessageAttribute(
                        name: "EXHAUSTED_RETRY_CONDITION", dataType: "String", content: .string(exhaustion.rawValue)))
            }
            // Scheduler always tells it, rules only of what was tried again.
            if exhaustion != nil || !deadLetter.source.isEmpty {
                added.append(
                    MessageAttribute(
                        name: "RETRY_ATTEMPTS", dataType: "String", content: .string(String(max(tries - 1, 0)))))
            }
            attributes.message += added
        }
        var letter = Delivery(
            id: delivery.id, target: deadLetter.target, principal: deadLetter.principal,
            payload: deadLetter.payload ?? delivery.payload, createdAt: now, attributes: attributes,
            retry: DeliveryRetry(maximumAge: Limits.deadLetterAge))
        letter.purpose = .deadLetter
        return letter
    }

    /// A target's error in the words of rules' dead-letter queues (EventBridge user guide, "Using dead-letter queues", lists
    /// the words, not which errors they stand for). Scheduler tells the target's own code.
    static func ruleErrorCode(_ code: String) -> String {
        func says(_ words: String...) -> Bool { words.contains { code.contains($0) } }
        if says("AccessDenied", "AuthorizationError", "NotAuthorized") { return "NO_PERMISSIONS" }
        if says("NotFound", "NonExistent", "NoSuch") { return "NO_RESOURCE" }
        if says("Throttl", "TooManyRequests", "ThroughputExceeded", "LimitExceeded") { return "THROTTLING" }
        if says("Internal") { return "INTERNAL_ERROR" }
        if says("Invalid", "Validation") { return "INVALID_PARAMETER" }
        return "ERROR_FROM_TARGET"
    }
}

extension DeliveryRefusal {
    var codeAndMessage: (code: String, message: String) {
        switch self {
        case .permanent(let code, let message), .temporary(let code, let message): (code, message)
        }
    }
}

/// How deliveries fared since the start.
struct DeliveryCounters {
    var accepted: UInt64 = 0
    var retried: UInt64 = 0
    var refused: UInt64 = 0
    var deadLettered: UInt64 = 0
    var destinationFailures: UInt64 = 0
    var deadLetterErrors: UInt64 = 0
    var unreadable: UInt64 = 0

    /// A delivery was given up.
    mutating func gaveUp(_ delivery: Delivery) {
        switch delivery.purpose {
        case .event: refused += 1
        case .destination: destinationFailures += 1
        case .deadLetter: deadLetterErrors += 1
        }
        if delivery.deadLetter != nil { deadLettered += 1 }
    }

    var metricLines: String {
        """
        # HELP martlet_deliveries_total Events pushed to targets, by what became of the push.
        # TYPE martlet_deliveries_total counter
        martlet_deliveries_total{outcome="accepted"} \(accepted)
        martlet_deliveries_total{outcome="retried"} \(retried)
        martlet_deliveries_total{outcome="refused"} \(refused)
        martlet_deliveries_total{outcome="dead_lettered"} \(deadLettered)
        # HELP martlet_destination_delivery_failures_total Records that a function's destination did not take.
        # TYPE martlet_destination_delivery_failures_total counter
        martlet_destination_delivery_failures_total \(destinationFailures)
        # HELP martlet_dead_letter_errors_total Events that a dead-letter queue did not take.
        # TYPE martlet_dead_letter_errors_total counter
        martlet_dead_letter_errors_total \(deadLetterErrors)
        # HELP martlet_outbox_unreadable_rows_total Rows of the Outbox that could not be read and were set aside.
        # TYPE martlet_outbox_unreadable_rows_total counter
        martlet_outbox_unreadable_rows_total \(unreadable)

        """
    }
}
