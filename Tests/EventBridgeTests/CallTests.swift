import Contracts
import Platform
import Storage
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
