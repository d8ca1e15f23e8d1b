import Contracts
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import SQS

/// Damaged messages stand in nobody's way.
@Suite struct UnreadableTests {
    private func spoil(_ harness: Harness, _ body: String) async throws {
        try await harness.database.write {
            _ = try $0.execute("UPDATE sqs_messages SET envelope = x'01FFFFFFFF' WHERE body = ?", [.text(body)])
        }
    }

    private func aside(_ harness: Harness) async throws -> [String] {
        try await harness.database.read {
            try $0.query("SELECT body FROM sqs_messages WHERE queue < 0 ORDER BY id", []) { $0.text(0) }
        }
    }

    @Test(arguments: ["", ".fifo"]) func theQueueGoesOn(_ suffix: String) async throws {
        let harness = try Harness()
        let name = "q" + suffix
        try await harness.queue(name)
        for body in ["a", "b", "c", "d"] {
            _ = try await harness.send(name, body, group: suffix.isEmpty ? nil : "g", id: suffix.isEmpty ? nil : body)
        }
        try await spoil(harness, "a")
        try await spoil(harness, "c")
        let receipt = try await harness.receive(name)
        #expect(receipt.bodies == ["b", "d"])
        #expect(try await aside(harness) == ["a", "c"])
        #expect(harness.service.metricLines.contains("martlet_sqs_unreadable_messages_total 2"))
        try await harness.delete(name, receipt.handles)
        #expect(try await harness.counts(name) == MessageTable.Counts())
        _ = try await harness.send(name, "e", group: suffix.isEmpty ? nil : "g", id: suffix.isEmpty ? nil : "e")
        #expect(try await harness.receive(name).bodies == ["e"])
    }

    @Test(arguments: ["", ".fifo"]) func deadLettersGoOn(_ suffix: String) async throws {
        let harness = try Harness()
        let (name, dead) = ("q" + suffix, "dead" + suffix)
        try await harness.queue(dead)
        try await harness.queue(
            name,
            [
                ("RedrivePolicy", #"{"deadLetterTargetArn":"\#(Harness.arn(dead))","maxReceiveCount":1}"#),
                ("VisibilityTimeout", "1"),
            ])
        for body in ["a", "b"] {
            _ = try await harness.send(name, body, group: suffix.isEmpty ? nil : "g", id: suffix.isEmpty ? nil : body)
        }
        #expect(try await harness.receive(name).bodies == ["a", "b"])
        try await spoil(harness, "a")
        harness.time.advance(by: .seconds(2))
        #expect(try await harness.receive(name).bodies == [])
        #expect(try await harness.receive(dead).bodies == ["b"])
        #expect(try await aside(harness) == ["a"])
    }

    @Test func theyGoWithTheirQueue() async throws {
        let harness = try Harness()
        try await harness.queue("q")
        _ = try await harness.send("q", "a")
        try await spoil(harness, "a")
        #expect(try await harness.receive("q").bodies == [])
        #expect(try await aside(harness) == ["a"])
        try await harness.database.write { transaction in
            let id = try transaction.first("SELECT id FROM sqs_queues") { $0.int(0) } ?? 0
            try QueueTable.delete(id, in: transaction)
        }
        try await harness.service.start()
        for _ in 0..<20 { try await harness.database.write { _ in } }
        #expect(try await aside(harness) == [])
        harness.service.stop()
    }

    @Test func aQueueThatCannotBeReadKeepsNoOtherFromItsRetention() async throws {
        let harness = try Harness()
        try await harness.queue("bad")
        try await harness.queue("good", [("MessageRetentionPeriod", "60")])
        _ = try await harness.send("good", "old")
        try await harness.database.write {
            _ = try $0.execute("UPDATE sqs_queues SET attributes = x'00' WHERE name = 'bad'", [])
        }
        try await harness.service.start()
        harness.time.advance(by: .seconds(61))
        var left = 1
        for _ in 0..<2_000 where left > 0 {
            left = try await harness.database.write {
                try $0.query("SELECT id FROM sqs_messages", []) { $0.int(0) }.count
            }
        }
        #expect(left == 0)
        harness.service.stop()
    }

    @Test func deliveriesWithTooManyAttributesAreRefused() async throws {
        let harness = try Harness()
        try await harness.queue("q")
        func deliver(_ count: Int) async throws {
            var delivery = Delivery(
                id: "i", target: Harness.arn("q"), principal: .account(Harness.scope.account), payload: [65],
                createdAt: harness.time.now())
            delivery.attributes.message = (0..<count).map {
                MessageAttribute(name: "a\($0)", dataType: "String", content: .string("v"))
            }
            try await harness.database.write { [delivery, service = harness.service, now = harness.time.now()] in
                try service.accept(delivery, in: $0, now: now)
            }
        }
        try await deliver(10)
        await #expect(
            throws: DeliveryRefusal.permanent(
                code: "InvalidParameterValue",
                message: "Number of message attributes [11] exceeds the allowed maximum [10].")
        ) { try await deliver(11) }
    }
}
