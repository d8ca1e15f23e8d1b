import Platform
import Testing

@testable import Invocation

@Suite struct BacklogConcurrencyTests {
    let now = Instant(milliseconds: 1_000_000)

    @Test func growsWithEveryRoundOfCompletions() {
        var concurrency = BacklogConcurrency(start: 2, longest: 5)
        _ = concurrency.backlog(now: now)
        #expect(concurrency.limit == 2)
        concurrency.completed()
        _ = concurrency.backlog(now: now)
        #expect(concurrency.limit == 2)
        concurrency.completed()
        _ = concurrency.backlog(now: now)
        #expect(concurrency.limit == 3)
    }

    @Test func growsWithTimeWhenNothingCompletes() {
        var concurrency = BacklogConcurrency(start: 1, longest: 3)
        #expect(concurrency.backlog(now: now) == now + .seconds(1))
        #expect(concurrency.backlog(now: now + .milliseconds(900)) == now + .seconds(1))
        _ = concurrency.backlog(now: now + .seconds(1))
        #expect(concurrency.limit == 2)
        _ = concurrency.backlog(now: now + .seconds(2))
        #expect(concurrency.limit == 3)
        #expect(concurrency.backlog(now: now + .seconds(3)) == nil)
        #expect(concurrency.limit == 3)
    }
}
