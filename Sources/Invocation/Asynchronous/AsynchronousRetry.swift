import Contracts
import Platform

/// What becomes of an asynchronous event after an attempt: pure rules of lambda-semantics 4.
struct AsynchronousRetry {
    /// What is remembered of an event between attempts.
    struct Progress: Equatable {
        /// Attempts that ended in a function error.
        var functionErrors = 0
        /// Throttles and system errors in a row; they do not count as attempts.
        var systemErrors = 0
    }

    enum Outcome: Equatable {
        case success
        case functionError
        /// 429, or 5xx of our own.
        case systemError
        /// Reserved concurrency is 0.
        case zeroReservedConcurrency
        /// The function or its qualifier is gone.
        case functionGone
        /// Too old before it was tried.
        case expired
        /// The chain of invocations that it comes from runs in a circle.
        case recursion
    }

    /// The record's `condition`, where AWS has one.
    enum DiscardReason: String, Equatable {
        case retriesExhausted = "RetriesExhausted"
        case eventAgeExceeded = "EventAgeExceeded"
        case zeroReservedConcurrency = "ZeroReservedConcurrency"
        /// What a destination had is gone with the function: AWS discards the event.
        case functionGone = "FunctionNotFound"
        /// AWS does not say how it names this one in records; ours.
        case recursion = "RecursiveInvocation"
    }

    enum Decision: Equatable {
        case done
        case retry(at: Instant, Progress)
        case discard(DiscardReason)
    }

    /// Divides every wait, not the maximum age; 1 in production, larger for development.
    var timeScale: Double = 1

    func decide(
        _ outcome: Outcome, progress: Progress, acceptedAt: Instant, settings: AsynchronousSettings, now: Instant
    ) -> Decision {
        var progress = progress
        let wait: Duration
        switch outcome {
        case .success: return .done
        case .functionGone: return .discard(.functionGone)
        case .zeroReservedConcurrency: return .discard(.zeroReservedConcurrency)
        case .expired: return .discard(.eventAgeExceeded)
        case .recursion: return .discard(.recursion)
        case .functionError:
            progress.functionErrors += 1
            progress.systemErrors = 0
            guard progress.functionErrors <= settings.maximumRetryAttempts else { return .discard(.retriesExhausted) }
            wait = Limits.functionErrorWaits[min(progress.functionErrors, Limits.functionErrorWaits.count) - 1]
        case .systemError:
            let doublings = min(progress.systemErrors, 16)
            progress.systemErrors += 1
            wait = min(Limits.systemBackoffFirst * (1 << doublings), Limits.systemBackoffLongest)
        }
        let next = now + wait.divided(by: timeScale)
        // Recorded on AWS: the age is held against the planned time of the next attempt. The age itself is never scaled:
        // a busy development server must not lose events for their age.
        let end = acceptedAt + .seconds(settings.maximumEventAgeSeconds)
        return next >= end ? .discard(.eventAgeExceeded) : .retry(at: next, progress)
    }

    /// Whether an event has waited too long to be tried at all.
    func isExpired(_ event: AsynchronousEvent, _ settings: AsynchronousSettings, now: Instant) -> Bool {
        now >= event.acceptedAt + .seconds(settings.maximumEventAgeSeconds)
    }
}
