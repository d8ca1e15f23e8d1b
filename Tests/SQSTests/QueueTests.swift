import Contracts
import Logging
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import SQS

/// The room's contracts on a database, with time that stands still.
@Suite struct QueueTests {
    @Test func aPollerDeletesAndReceivesInOneTransaction() async throws {
        let harness = try Harness()
        try await harness.queue("q")
        for index in 0..<30 { _ = try await harness.send("q", String(index)) }
        let first = try await harness.receive("q", 20)
        #expect(first.bodies == (0..<20).map(String.init))
        #expect(first.nextVisible.map { $0 <= harness.time.now() } == true)
        let (service, now) = (harness.service, harness.time.now())
        let second = try await harness.database.write { transaction in
            try service.delete(
                queue: Harness.arn("q"), receiptHandles: first.handles, as: .account(Harness.scope.account), now: now,
                in: transaction)
            return try service.receive(
                queue: Harness.arn("q"), maximum: 100, as: .account(Harness.scope.account), now: now, in: transaction)
        }
        #expect(second.bodies == (20..<30).map(String.init))
        #expect(second.nextVisible == now + .seconds(30))
        #expect(try await harness.counts("q") == MessageTable.Counts(visible: 0, notVisible: 10, delayed: 0))
        harness.time.advance(by: .seconds(30))
        #expect(try await harness.receive("q").messages.first?.attribute("ApproximateReceiveCount") == "2")
    }

    @Test func observersHearOfEverythingReceivable() async throws {
        let harness = try Harness()
        try await harness.queue("q.fifo")
        try await harness.queue("q", [("DelaySeconds", "5")])
        let heard = Heard()
        let end = harness.service.observe(queue: Harness.arn("q")) { heard.append($0) }
        _ = harness.service.observe(queue: Harness.arn("q.fifo")) { heard.append($0) }
        let start = harness.time.now()
        _ = try await harness.send("q", "late")
        #expect(heard.take() == [start + .seconds(5)])
        end()
        _ = try await harness.send("q", "unheard")
        #expect(heard.take().isEmpty)
        _ = try await harness.send("q.fifo", "0", group: "g", id: "0")
        _ = try await harness.send("q.fifo", "1", group: "g", id: "1")
        let first = try await harness.receive("q.fifo", 1)
        _ = heard.take()
        try await harness.release("q.fifo", first.handles, after: .seconds(3))
        #expect(heard.take() == [start + .seconds(3)])
        try await harness.delete("q.fifo", first.handles)
        #expect(heard.take() == [start])
        #expect(try await harness.receive("q.fifo").bodies == ["1"])
    }

    @Test func discardedMessagesAreDeadLettersOrGone() async throws {
        let harness = try Harness()
        try await harness.queue("dead")
        let policy = #"{"deadLetterTargetArn":"\#(Harness.arn("dead"))","maxReceiveCount":9}"#
        try await harness.queue("with", [("RedrivePolicy", policy)])
        try await harness.queue("without")
        for name in ["with", "without"] {
            _ = try await harness.send(name, name)
            let handles = try await harness.receive(name).handles
            let (service, now) = (harness.service, harness.time.now())
            try await harness.database.write { transaction in
                try service.discard(
                    queue: Harness.arn(name), receiptHandles: handles, as: .account(Harness.scope.account), now: now,
                    in: transaction)
            }
            #expect(try await harness.counts(name) == MessageTable.Counts())
        }
        let dead = try await harness.receive("dead")
        #expect(dead.bodies == ["with"])
        #expect(dead.messages.first?.attribute("DeadLetterQueueSourceArn") == Harness.arn("with"))
    }

    @Test func retentionEndsAlsoWhatNobodyReceives() async throws {
        let harness = try Harness()
        try await harness.queue("q", [("MessageRetentionPeriod", "60")])
        try await harness.queue("q.fifo", [("MessageRetentionPeriod", "60"), ("ContentBasedDeduplication", "true")])
        for index in 0..<3 {
            _ = try await harness.send("q", String(repeating: "x", count: 5000 * index + 1))
            _ = try await harness.send("q.fifo", String(index), group: "g")
        }
        harness.time.advance(by: .seconds(59))
        #expect(try await harness.receive("q", 1).messages.count == 1)
        harness.time.advance(by: .seconds(1))
        #expect(try await harness.counts("q") == MessageTable.Counts())
        #expect(try await harness.receive("q").messages.isEmpty)
        #expect(try await harness.receive("q.fifo").messages.isEmpty)
        let housekeeping = Housekeeping(
            database: harness.database, time: harness.time, mailbox: harness.service.desk.mailbox,
            logger: .init(label: "test"))
        // The one in flight stays until its timeout is that old, too.
        harness.time.advance(by: .seconds(400))
        await housekeeping.sweep()
        for table in ["sqs_messages", "sqs_bodies", "sqs_lanes", "sqs_deduplications"] {
            let left = try await harness.database.read { transaction in
                try transaction.first("SELECT COUNT(*) FROM \(table)", [], { $0.int(0) })
            }
            #expect(left == 0, "\(table)")
        }
    }

    @Test func inFlightIsLimited() async throws {
        let ledger = InFlightLedger()
        #expect(ledger.allowance(1, wanted: 10) { Limits.inFlight - 4 } == 4)
        ledger.received(1, 4)
        #expect(ledger.allowance(1, wanted: 10) { Limits.inFlight } == 0)
        #expect(ledger.allowance(1, wanted: 10) { 0 } == 10)
        ledger.received(1, 10)
        // Far from the limit nothing is counted.
        let unlimited = ledger.allowance(1, wanted: 10) {
            Issue.record("counted")
            return 0
        }
        #expect(unlimited == 10)
    }

    @Test func deliveriesNeedAPolicy() async throws {
        let harness = try Harness()
        let topic = "arn:aws:sns:us-east-1:000000000000:topic"
        let policy = """
            {"Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage",
            "Resource":"*","Condition":{"ArnEquals":{"aws:SourceArn":"\(topic)"}}}]}
            """
        try await harness.queue("open", [("Policy", policy)])
        try await harness.queue("open.fifo", [("Policy", policy), ("ContentBasedDeduplication", "true")])
        try await harness.queue("closed")
        func deliver(_ name: String, from source: String, group: String? = nil) async throws {
            let delivery = Delivery(
                id: "1", target: Harness.arn(name),
                principal: .service(name: "sns.amazonaws.com", sourceARN: source, sourceAccount: "000000000000"),
                payload: Array("hello".utf8), createdAt: harness.time.now(),
                attributes: DeliveryAttributes(
                    message: [MessageAttribute(name: "a", dataType: "String", content: .string("1"))],
                    messageGroupID: group, traceHeader: "Root=1"))
            let (service, now) = (harness.service, harness.time.now())
            try await harness.database.write { try service.accept(delivery, in: $0, now: now) }
        }
        try await deliver("open", from: topic)
        try await deliver("open.fifo", from: topic, group: "g")
        let message = try #require(try await harness.receive("open").messages.first)
        #expect(message.body == "hello" && message.messageAttributes.count == 1)
        #expect(message.attribute("AWSTraceHeader") == "Root=1")
        #expect(try await harness.receive("open.fifo").bodies == ["hello"])
        for (name, source, group) in [
            ("closed", topic, nil), ("open", topic + "2", nil), ("absent", topic, nil), ("open.fifo", topic, nil),
        ] as [(String, String, String?)] {
            await #expect(throws: DeliveryRefusal.self) { try await deliver(name, from: source, group: group) }
        }
    }

    @Test func whoMayNotIsTold() async throws {
        let harness = try Harness(authorizer: Refusing())
        try await harness.queue("q")
        let (service, now) = (harness.service, harness.time.now())
        let role = Principal.roleSession(
            roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "s", account: "000000000000")
        for principal in [role, .account("111122223333"), .anonymous] {
            await #expect(throws: AWSError.self) {
                try await harness.database.write { transaction in
                    try service.receive(
                        queue: Harness.arn("q"), maximum: 1, as: principal, now: now, in: transaction)
                }
            }
        }
    }

    @Test func theCacheKeepsNothingUncommitted() async throws {
        struct Undo: Error {}
        let harness = try Harness()
        try await harness.queue("q")
        _ = try await harness.send("q", "cached")
        let desk = harness.service.desk
        let now = harness.time.now()
        await #expect(throws: Undo.self) {
            try await harness.database.write { transaction in
                let queue = try #require(try desk.directory.find(Harness.scope, "q", in: transaction))
                var attributes = queue.attributes
                try attributes.change([("VisibilityTimeout", "1")])
                try QueueTable.update(queue.id, attributes, now: now, in: transaction)
                desk.directory.forget(queue, in: transaction)
                let seen = try desk.directory.find(Harness.scope, "q", in: transaction)
                #expect(seen?.attributes.visibilitySeconds == 1)
                throw Undo()
            }
        }
        let seconds = try await harness.database.write { transaction in
            try desk.directory.find(Harness.scope, "q", in: transaction)?.attributes.visibilitySeconds
        }
        #expect(seconds == 30)
    }
}

/// Instants that a wake-up was called with.
private final class Heard: Sendable {
    private let instants = Mutex<[Instant]>([])
    func append(_ instant: Instant) { instants.withLock { $0.append(instant) } }
    func take() -> [Instant] {
        instants.withLock { instants in
            defer { instants = [] }
            return instants
        }
    }
}

private struct Refusing: Authorizer {
    func decide(
        _ principal: Principal, action: String, resource: String, in transaction: any ReadTransaction
    ) throws -> PolicyDecision { .notAllowed }
}
