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
        // Until the deduplication ids are over, too.
        harness.time.advance(by: .seconds(400))
        await housekeeping.sweep()
        for table in ["sqs_messages", "sqs_bodies", "sqs_lanes", "sqs_deduplications"] {
            let left = try await harness.database.read { transaction in
                try transaction.first("SELECT COUNT(*) FROM \(table)", [], { $0.int(0) })
            }
            #expect(left == 0, "\(table)")
        }
    }

    @Test func retentionEndsAlsoWhatIsHidden() async throws {
        let harness = try Harness()
        let hidden = [("MessageRetentionPeriod", "60"), ("VisibilityTimeout", "43200")]
        try await harness.queue("q", hidden)
        try await harness.queue("q.fifo", hidden)
        try await harness.queue("later", [("MessageRetentionPeriod", "60"), ("DelaySeconds", "900")])
        let large = String(repeating: "x", count: Limits.inlineBodyBytes + 1)
        for name in ["q", "later"] { _ = try await harness.send(name, large) }
        for id in ["1", "2"] { _ = try await harness.send("q.fifo", large, group: "g", id: id) }
        for name in ["q", "q.fifo"] { #expect(try await !harness.receive(name, 1).messages.isEmpty) }
        let housekeeping = Housekeeping(
            database: harness.database, time: harness.time, mailbox: harness.service.desk.mailbox,
            logger: .init(label: "test"))
        func rows() async throws -> [Int64?] {
            await housekeeping.sweep()
            return try await harness.database.read { transaction in
                try ["sqs_messages", "sqs_bodies", "sqs_lanes"].map { table in
                    try transaction.first("SELECT COUNT(*) FROM \(table)", [], { $0.int(0) })
                }
            }
        }
        harness.time.advance(by: .seconds(59))
        #expect(try await rows() == [4, 4, 1])
        harness.time.advance(by: .seconds(1))
        #expect(try await rows() == [0, 0, 0])
    }

    @Test func anIndexServesEachLook() async throws {
        let harness = try Harness()
        func plan(_ query: String) async throws -> String {
            try await harness.database.read { transaction in
                try transaction.query("EXPLAIN QUERY PLAN " + query, [], { $0.text(3) }).joined(separator: "; ")
            }
        }
        let expired = try await plan("SELECT id FROM sqs_messages WHERE queue = 1 AND sent <= 5 ORDER BY sent LIMIT 9")
        #expect(expired.contains("sqs_messages_sent (queue=? AND sent<?)") && !expired.contains("B-TREE"))
        let counted = try await plan("SELECT SUM(visible <= 5) FROM sqs_messages WHERE queue = 1 AND +sent > 5")
        #expect(counted.contains("COVERING INDEX sqs_messages_visible"))
    }

    @Test(arguments: ["", ".fifo"])
    func aMoveTaskIsNotEndedByNewerMessages(suffix: String) async throws {
        let harness = try Harness()
        let isFIFO = !suffix.isEmpty
        let (dead, target) = ("dead" + suffix, "target" + suffix)
        try await harness.queue(dead)
        try await harness.queue(target)
        func send(_ body: String) async throws {
            _ = try await harness.send(dead, body, group: isFIFO ? body : nil, id: isFIFO ? body : nil)
        }
        for body in ["old1", "old2"] { try await send(body) }
        _ = try await harness.receive(dead)
        harness.time.advance(by: .seconds(10))
        let now = harness.time.now()
        let desk = harness.service.desk
        let id = try await harness.database.write { transaction in
            let queue = try #require(try desk.directory.find(Harness.scope, dead, in: transaction))
            return try MoveTaskTable.insert(
                MoveTask(
                    id: 0, queue: queue.id, source: queue.arn, destination: Harness.arn(target), rate: 1,
                    status: .running, moved: 0, toMove: 2, last: try MessageTable.newest(in: transaction),
                    started: now, failure: nil), in: transaction)
        }
        // Visible before the old ones are again.
        for body in ["new1", "new2"] { try await send(body) }
        harness.time.advance(by: .seconds(20))
        let tasks = MoveTasks(
            database: harness.database, time: harness.time, mailbox: desk.mailbox, logger: .init(label: "test"))
        tasks.run(id)
        for _ in 0..<3 {
            try await harness.database.write { _ in }
            harness.time.advance(by: .seconds(1))
        }
        try await harness.database.write { _ in }
        let task = try await harness.database.read { try MoveTaskTable.get(id, in: $0) }
        #expect(task?.status == .completed && task?.moved == 2)
        #expect(try await Set(harness.receive(target).bodies) == ["old1", "old2"])
        #expect(try await Set(harness.receive(dead).bodies) == ["new1", "new2"])
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
