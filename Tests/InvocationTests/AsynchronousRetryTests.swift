import Contracts
import Platform
import Testing

@testable import Invocation

@Suite struct AsynchronousRetryTests {
    let start = Instant(milliseconds: 1_000_000_000)
    let retry = AsynchronousRetry()

    @Test func twoRetriesAfterOneAndTwoMinutes() {
        let settings = AsynchronousSettings()
        var progress = AsynchronousRetry.Progress()
        var now = start
        var waits: [Int64] = []
        while case .retry(let at, let next) = retry.decide(
            .functionError, progress: progress, acceptedAt: start, settings: settings, now: now)
        {
            waits.append((at - now).components.seconds)
            (now, progress) = (at, next)
        }
        #expect(waits == [60, 120])
        #expect(
            retry.decide(.functionError, progress: progress, acceptedAt: start, settings: settings, now: now)
                == .discard(.retriesExhausted))
    }

    @Test func noRetriesWhenSoConfigured() {
        #expect(
            retry.decide(
                .functionError, progress: .init(), acceptedAt: start,
                settings: AsynchronousSettings(maximumRetryAttempts: 0), now: start) == .discard(.retriesExhausted))
    }

    /// Recorded on AWS (lambda-semantics 4, test_maxeventage): 60 s discards at once, 90 s allows one retry.
    @Test func theAgeIsHeldAgainstTheNextAttempt() {
        let sixty = AsynchronousSettings(maximumEventAgeSeconds: 60)
        #expect(
            retry.decide(.functionError, progress: .init(), acceptedAt: start, settings: sixty, now: start)
                == .discard(.eventAgeExceeded))
        let ninety = AsynchronousSettings(maximumEventAgeSeconds: 90)
        let first = retry.decide(.functionError, progress: .init(), acceptedAt: start, settings: ninety, now: start)
        #expect(first == .retry(at: start + .seconds(60), .init(functionErrors: 1)))
        #expect(
            retry.decide(
                .functionError, progress: .init(functionErrors: 1), acceptedAt: start, settings: ninety,
                now: start + .seconds(60)) == .discard(.eventAgeExceeded))
    }

    @Test func systemErrorsBackOffAndDoNotCountAsAttempts() {
        var progress = AsynchronousRetry.Progress()
        var now = start
        var waits: [Int64] = []
        for _ in 0..<11 {
            guard
                case .retry(let at, let next) = retry.decide(
                    .systemError, progress: progress, acceptedAt: start, settings: AsynchronousSettings(), now: now)
            else { break }
            waits.append((at - now).components.seconds)
            (now, progress) = (at, next)
        }
        #expect(waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
        #expect(progress.functionErrors == 0)
    }

    @Test func zeroReservedConcurrencyGivesUpAtOnce() {
        #expect(
            retry.decide(
                .zeroReservedConcurrency, progress: .init(), acceptedAt: start, settings: AsynchronousSettings(),
                now: start)
                == .discard(.zeroReservedConcurrency))
    }

    @Test func timeScaleDividesTheWaits() {
        let fast = AsynchronousRetry(timeScale: 60)
        #expect(
            fast.decide(
                .functionError, progress: .init(), acceptedAt: start, settings: AsynchronousSettings(), now: start)
                == .retry(at: start + .seconds(1), .init(functionErrors: 1)))
    }

    @Test func timeScaleLeavesTheAgeAlone() {
        let fast = AsynchronousRetry(timeScale: 600)
        let decision = fast.decide(
            .systemError, progress: .init(), acceptedAt: start, settings: AsynchronousSettings(),
            now: start + .seconds(3_600))
        guard case .retry = decision else {
            Issue.record("discarded for its age: \(decision)")
            return
        }
    }

    @Test func rowsSurviveTheQueue() throws {
        let event = AsynchronousEvent(
            requestID: "id", scope: AccountRegion(account: "123456789012", region: "eu-west-1"), function: "f",
            qualifier: "$LATEST", payload: Array("{\"a\":\n1}".utf8), acceptedAt: start,
            invokedFunctionARN: "arn:aws:lambda:eu-west-1:123456789012:function:f", traceID: "Root=1-2-3")
        let row = EventRow(event: event, progress: .init(functionErrors: 1, systemErrors: 2))
        let back = try #require(EventRow(encoded: row.encoded()))
        #expect(back.event.payload == event.payload)
        #expect(back.event.scope == event.scope)
        #expect(back.event.traceID == event.traceID)
        #expect(back.progress == row.progress)
        #expect(EventRow(encoded: Array("garbage".utf8)) == nil)
    }
}
