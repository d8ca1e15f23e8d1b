import Contracts
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Testing
import Wire

@testable import SQS

/// An SQS service on a temporary database, with a clock that the test moves.
struct Harness {
    let time = ManualTime()
    let database: SQLiteDatabase
    let service: SQSService
    static let scope = AccountRegion(account: "000000000000", region: "us-east-1")

    init(authorizer: (any Authorizer)? = nil) throws {
        database = try SQLiteDatabase.temporary(migrations: [SQSService.migrations])
        service = try SQSService(
            database: database, time: time, serverKey: Array(repeating: 7, count: 32), authorizer: authorizer,
            logger: Logger(label: "test"))
    }

    static func arn(_ name: String) -> String { Queue.arn(scope, name) }

    func queue(_ name: String, _ attributes: [(key: String, value: String)] = []) async throws {
        var attributes = attributes
        if name.hasSuffix(".fifo") { attributes.append(("FifoQueue", "true")) }
        let parsed = try QueueAttributes(creating: attributes)
        let now = time.now()
        try await database.write { transaction in
            try QueueTable.insert(Self.scope, name, parsed, tags: [:], now: now, in: transaction)
        }
    }

    func send(_ name: String, _ body: String, group: String? = nil, id: String? = nil) async throws -> Mailbox.Sent {
        var input = Model.SendMessageRequest()
        input.messageBody = body
        input.messageGroupId = group
        input.messageDeduplicationId = id
        let draft = try MessageDraft(input, sender: Self.scope.account)
        let now = time.now()
        let desk = service.desk
        return try await database.write { transaction in
            let queue = try #require(try desk.directory.find(Self.scope, name, in: transaction))
            return try desk.mailbox.send(draft, to: queue, now: now, in: transaction)
        }
    }

    func receive(_ name: String, _ maximum: Int = 10) async throws -> QueueReceipt {
        let now = time.now()
        let service = service
        return try await database.write { transaction in
            try service.receive(
                queue: Self.arn(name), maximum: maximum, as: .account(Self.scope.account), now: now, in: transaction)
        }
    }

    func delete(_ name: String, _ handles: [String]) async throws {
        let now = time.now()
        let service = service
        try await database.write { transaction in
            try service.delete(
                queue: Self.arn(name), receiptHandles: handles, as: .account(Self.scope.account), now: now,
                in: transaction)
        }
    }

    func release(_ name: String, _ handles: [String], after wait: Duration) async throws {
        let now = time.now()
        let service = service
        try await database.write { transaction in
            try service.release(
                queue: Self.arn(name), receiptHandles: handles, at: now + wait, as: .account(Self.scope.account),
                now: now, in: transaction)
        }
    }

    func counts(_ name: String) async throws -> MessageTable.Counts {
        let now = time.now()
        let desk = service.desk
        return try await database.read { transaction in
            let queue = try #require(try desk.directory.find(Self.scope, name, in: transaction))
            return try MessageTable.counts(
                queue: queue.id, now: now, expiry: queue.expiry(now: now), in: transaction)
        }
    }
}

extension QueueReceipt {
    var bodies: [String] { messages.map(\.body) }
    var handles: [String] { messages.map(\.receiptHandle) }
}

extension QueueMessage {
    func attribute(_ name: String) -> String? { attributes.first { $0.name == name }?.value }
}
