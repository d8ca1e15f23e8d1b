import Platform
import Testing

@testable import Invocation

@Suite struct ConcurrencyLedgerTests {
    let scope = AccountRegion(account: "000000000000", region: "us-east-1")
    func key(_ name: String) -> ConcurrencyLedger.FunctionKey { .init(scope: scope, name: name) }

    @Test func theAccountsPoolIsShared() {
        var ledger = ConcurrencyLedger(accountLimit: 2)
        #expect(ledger.acquire(key("a")) == nil)
        #expect(ledger.acquire(key("b")) == nil)
        #expect(ledger.acquire(key("a")) == .account)
        ledger.release(key("b"))
        #expect(ledger.acquire(key("a")) == nil)
    }

    @Test func aReservationIsALimitAndAGuarantee() {
        var ledger = ConcurrencyLedger(accountLimit: 3)
        ledger.reserve(key("r"), 1)
        #expect(ledger.acquire(key("a")) == nil)
        #expect(ledger.acquire(key("a")) == nil)
        #expect(ledger.acquire(key("a")) == .account)
        #expect(ledger.acquire(key("r")) == nil)
        #expect(ledger.acquire(key("r")) == .reserved)
    }

    @Test func reservedZeroRefusesEverything() {
        var ledger = ConcurrencyLedger()
        ledger.reserve(key("off"), 0)
        #expect(ledger.acquire(key("off")) == .reserved)
        ledger.reserve(key("off"), nil)
        #expect(ledger.acquire(key("off")) == nil)
    }

    @Test func changingAReservationMovesWhatRuns() {
        var ledger = ConcurrencyLedger(accountLimit: 2)
        #expect(ledger.acquire(key("a")) == nil)
        ledger.reserve(key("a"), 1)
        // One of two is reserved and running; the other is free.
        #expect(ledger.acquire(key("b")) == nil)
        #expect(ledger.acquire(key("b")) == .account)
        ledger.reserve(key("a"), nil)
        ledger.release(key("b"))
        #expect(ledger.acquire(key("b")) == nil)
        #expect(ledger.acquire(key("b")) == .account)
    }

    @Test func releasesWithoutAcquireChangeNothing() {
        var ledger = ConcurrencyLedger(accountLimit: 1)
        ledger.release(key("a"))
        #expect(ledger.acquire(key("a")) == nil)
        #expect(ledger.acquire(key("a")) == .account)
    }

    @Test func startsAreLimitedByRateAndRefill() {
        var ledger = ConcurrencyLedger()
        let now = Instant(milliseconds: 1_000_000)
        for _ in 0..<Limits.scalingEnvironments { #expect(ledger.mayStart(key("a"), now: now) == true) }
        #expect(ledger.mayStart(key("a"), now: now) == false)
        #expect(ledger.mayStart(key("b"), now: now) == true)
        #expect(ledger.mayStart(key("a"), now: now + .milliseconds(11)) == true)
        #expect(ledger.mayStart(key("a"), now: now + .milliseconds(11)) == false)
    }
}
