import Contracts
import Dispatch
import Platform
import Storage
import Synchronization
import Testing

@testable import EventBridge

/// API calls: asked for by rules that name their detail-type, and by nobody else.
@Suite struct CallTests {
    private let scope = AccountRegion(account: Harness.account, region: "us-east-1")
    private let named = "{\"source\":[\"aws.s3\"],\"detail-type\":[\"\(APICall.detailType)\"]}"

    private func call(_ time: ManualTime) -> APICall {
        APICall(
            scope: scope, source: "aws.s3", detail: Array("{\"eventName\":\"GetObject\"}".utf8), time: time.now(),
            traceHeader: "Root=1-1")
    }

    private func wants(_ harness: Harness) -> Bool { harness.service.wantsCalls(source: "aws.s3", scope: scope) }

    @Test func whatIsNotKnownIsAskedOnce() async throws {
        let harness = try await Harness()
        #expect(wants(harness))
        let call = call(harness.time)
        try await harness.database.write { try harness.service.record(call, in: $0) }
        #expect(!wants(harness))
        #expect(harness.outbox.deliveries.isEmpty)
        try await harness.rule("calls", named, targets: [Harness.target("a")])
        try await harness.database.write { try harness.service.record(call, in: $0) }
        #expect(wants(harness))
        #expect(!harness.service.wantsCalls(source: "aws.sqs", scope: scope))
        let delivery = try #require(harness.outbox.deliveries.last)
        #expect(delivery.target == "arn:aws:events:us-east-1:\(Harness.account):event-bus/default")
        #expect(delivery.attributes.event?.detailType == APICall.detailType)
        #expect(delivery.attributes.traceHeader == "Root=1-1")
        try await harness.call("DisableRule", ["Name": "calls"])
        try await harness.database.write { try harness.service.record(call, in: $0) }
        #expect(!wants(harness))
        #expect(harness.outbox.deliveries.count == 1)
    }

    /// A commit that fails, and with it the end of a rule that a call in the same commit has seen already.
    @Test func whatACommitLosesIsNotRemembered() async throws {
        let script = """
            CREATE TABLE test_fault (x BIGINT);
            CREATE TRIGGER test_fault_raised BEFORE INSERT ON test_fault BEGIN SELECT RAISE(ROLLBACK, 'lost'); END;
            """
        let harness = try await Harness(
            SQLiteDatabase.temporary(migrations: [
                DueQueue.migrations, EventBridgeService.migrations, Migrations(service: "test", steps: [script]),
            ]))
        try await harness.rule("calls", named, targets: [Harness.target("a")])
        let (call, rule) = (call(harness.time), RuleKey(bus: BusKey(nil, in: scope), name: "calls"))
        let failures = Mutex(0)
        let gate = DispatchSemaphore(value: 0)
        let done: @Sendable (Result<Void, any Error>) -> Void = { result in
            if case .failure = result { failures.withLock { $0 += 1 } }
        }
        // What waits meanwhile shares the next commit.
        let isBusy = Mutex(false)
        harness.database.write(
            { _ in
                isBusy.withLock { $0 = true }
                gate.wait()
            }, completion: done)
        try await waitUntil(harness.time) { isBusy.withLock { $0 } }
        harness.database.write(
            { [service = harness.service] transaction in
                var row = try RuleTable.require(rule, in: transaction)
                row.document["State"] = "DISABLED"
                try RuleTable.put(row, in: transaction)
                service.fanOut.interest.changed(rule.bus, in: transaction)
                try service.record(call, in: transaction)
            }, completion: done)
        harness.database.write({ _ = try $0.execute("INSERT INTO test_fault (x) VALUES (1)", []) }, completion: done)
        gate.signal()
        try await waitUntil(harness.time) { failures.withLock { $0 } >= 2 }
        #expect(harness.outbox.deliveries.isEmpty)
        try await harness.database.write { try harness.service.record(call, in: $0) }
        #expect(harness.outbox.deliveries.count == 1)
        #expect(wants(harness))
    }

    @Test func onlyRulesThatNameTheDetailTypeGetThem() async throws {
        let harness = try await Harness()
        try await harness.rule("all", "{\"source\":[\"aws.s3\"]}", targets: [Harness.target("all")])
        try await harness.rule("any", "{\"detail-type\":[\"\(APICall.detailType)\"]}", targets: [Harness.target("any")])
        let call = call(harness.time)
        try await harness.database.write { try harness.service.record(call, in: $0) }
        let delivery = try #require(harness.outbox.deliveries.last)
        harness.outbox.clear()
        let now = harness.time.now()
        try await harness.database.write { try harness.service.accept(delivery, in: $0, now: now) }
        #expect(harness.outbox.deliveries.map(\.target) == [Harness.queue("any")])
        // Somebody's own events of that name are nothing special.
        harness.outbox.clear()
        try await harness.rule("mine", "{\"source\":[\"app\"]}", targets: [Harness.target("mine")])
        try await harness.put(type: APICall.detailType)
        #expect(Set(harness.outbox.deliveries.map(\.target)) == [Harness.queue("any"), Harness.queue("mine")])
    }

    @Test func aReadIsRecordedInATransactionOfItsOwn() async throws {
        let harness = try await Harness()
        try await harness.rule("calls", named, targets: [Harness.target("a")])
        harness.service.record(call(harness.time))
        try await waitUntil(harness.time) { harness.outbox.deliveries.count == 1 }
    }

    @Test func whatWasReadBeforeAChangeIsNotKept() {
        let interest = CallInterest()
        let mark = interest.mark()
        interest.keep(["aws.s3"], of: scope, since: mark)
        #expect(interest.wants("aws.s3", scope) == true)
        #expect(interest.wants("aws.sqs", scope) == false)
        interest.keep([nil], of: scope, since: mark)
        #expect(interest.wants("aws.sqs", scope) == true)
        interest.keep([], of: scope, since: mark &+ 1)
        #expect(interest.wants("aws.sqs", scope) == true)
    }
}
