import Contracts
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import SQS

/// Receives that wait: who is tried when, and that no wake-up is lost.
@Suite struct LongPollTests {
    @Test func aWakeUpIsHandedOnWhenItsClientGoes() async throws {
        let harness = try Harness()
        try await harness.queue("q")
        let (gone, there) = (try Waiter(harness), try Waiter(harness))
        await gone.start()
        await there.start()
        #expect(harness.service.desk.waiting.count == 2)
        // Hears of the message after the first in line was woken, and before that one's transaction begins.
        let end = harness.service.observe(queue: Harness.arn("q")) { _ in gone.poll.closed() }
        _ = try await harness.send("q", "1")
        end()
        await there.settle()
        #expect(gone.bodies == [] && there.bodies == ["1"])
        #expect(harness.service.desk.waiting.count == 0)
    }

    @Test func timesThatPassWakeOneAfterTheOther() async throws {
        let harness = try Harness()
        try await harness.queue("q", [("DelaySeconds", "5")])
        let waiters = try (0..<4).map { _ in try Waiter(harness, maximum: 1) }
        for waiter in waiters { await waiter.start() }
        for body in ["a", "b"] { _ = try await harness.send("q", body) }
        harness.time.advance(by: .seconds(2))
        _ = try await harness.send("q", "c")
        harness.time.advance(by: .seconds(3))
        await waiters[0].settle()
        // All that was due, by as many waiters; the third knows of the one that comes later.
        #expect(waiters.map(\.bodies) == [["a"], ["b"], nil, nil])
        harness.time.advance(by: .seconds(2))
        await waiters[0].settle()
        #expect(waiters.map(\.bodies) == [["a"], ["b"], ["c"], nil])
        harness.time.advance(by: .seconds(13))
        await waiters[0].settle()
        #expect(waiters[3].bodies == [])
    }

    @Test func whoWaitsHearsOfTheEndOfAnothersTimeout() async throws {
        let harness = try Harness()
        try await harness.queue("q", [("VisibilityTimeout", "5")])
        let (first, second) = (try Waiter(harness), try Waiter(harness))
        await first.start()
        await second.start()
        _ = try await harness.send("q", "1")
        await first.settle()
        #expect(first.bodies == ["1"] && second.bodies == nil)
        harness.time.advance(by: .seconds(5))
        await second.settle()
        #expect(second.bodies == ["1"])
    }

    @Test func aReceiveThatFailsHandsOnItsWakeUp() async throws {
        let authorizer = Switch()
        let harness = try Harness(authorizer: authorizer)
        try await harness.queue("q")
        let (refused, served) = (try Waiter(harness, as: Waiter.role), try Waiter(harness))
        await refused.start()
        await served.start()
        authorizer.mayNot.withLock { $0 = true }
        _ = try await harness.send("q", "1")
        await refused.settle()
        #expect(refused.hasFailed)
        harness.time.advance(by: .milliseconds(Limits.retryMilliseconds))
        await served.settle()
        #expect(served.bodies == ["1"])
    }

    @Test func atTheLimitOfMessagesInFlightReceivesRest() async throws {
        let harness = try Harness()
        try await harness.queue("q")
        let now = harness.time.now()
        let hidden = now + .seconds(300)
        try await harness.database.write { transaction in
            try transaction.execute(
                """
                INSERT INTO sqs_messages (queue, visible, receives, sent, message_id, envelope, body)
                WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                SELECT (SELECT id FROM sqs_queues), ?, 1, ?, 'm', x'', 'held' FROM n
                """, [.int(Int64(Limits.inFlight)), .int(hidden.nanoseconds), .int(now.nanoseconds)])
        }
        _ = try await harness.send("q", "1")
        let waiter = try Waiter(harness)
        await waiter.start()
        try await harness.database.write { transaction in
            try transaction.execute("DELETE FROM sqs_messages WHERE body = 'held' AND id % 2 = 0", [])
        }
        // Neither what comes nor a shorter time makes it look again.
        harness.time.advance(by: .milliseconds(500))
        _ = try await harness.send("q", "2")
        harness.time.advance(by: .milliseconds(499))
        await waiter.settle()
        #expect(waiter.bodies == nil)
        harness.time.advance(by: .milliseconds(1))
        await waiter.settle()
        #expect(waiter.bodies == ["1", "2"])
    }
}

/// A ReceiveMessage of a client, and what it was answered.
private struct Waiter {
    static let role = Principal.roleSession(
        roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "s", account: Harness.scope.account)

    private final class Answer: Sendable {
        let result = Mutex<Result<OperationResponse, any Error>?>(nil)
        /// Of the connection's end.
        let closed = Waiter.loop.makePromise(of: Void.self)
        deinit { closed.succeed() }
    }
    private static let loop = NIOAsyncTestingEventLoop()
    let poll: LongPoll
    private let answer: Answer
    private let database: SQLiteDatabase

    init(_ harness: Harness, maximum: Int = 10, as principal: Principal = .account(Harness.scope.account)) throws {
        let answer = Answer()
        var input = Model.ReceiveMessageRequest()
        input.maxNumberOfMessages = maximum
        input.waitTimeSeconds = 20
        let context = OperationContext(
            requestID: "r", service: "sqs", operation: "ReceiveMessage", scope: Harness.scope, principal: principal,
            now: harness.time.now(), endpoint: "http://localhost:4566", sourceIP: "127.0.0.1", headers: [], uri: "/",
            eventLoop: Self.loop, closed: answer.closed.futureResult)
        poll = LongPoll(
            address: QueueAddress(account: Harness.scope.account, name: "q"), plan: try Receiving.Plan(input),
            request: OperationRequest(context: context, input: input.value, payload: ByteBuffer()),
            desk: harness.service.desk
        ) { [weak answer] result in answer?.result.withLock { $0 = result } }
        self.answer = answer
        database = harness.database
    }

    func start() async {
        poll.attempt()
        await settle()
    }

    /// Until the store has nothing more to do: each round follows the attempts that the one before brought.
    func settle() async {
        for _ in 0..<8 { _ = try? await database.write { _ in true } }
        await Self.loop.run()
    }

    /// Nil: not answered.
    var bodies: [String]? {
        guard case .success(let response) = answered else { return nil }
        return (Model.ReceiveMessageResult(response.output).messages ?? []).compactMap(\.body)
    }
    var hasFailed: Bool { if case .failure = answered { true } else { false } }
    private var answered: Result<OperationResponse, any Error>? { answer.result.withLock { $0 } }
}

/// Identities may everything, until they may not.
private final class Switch: Authorizer {
    let mayNot = Mutex(false)
    func decide(
        _ principal: Principal, action: String, resource: String, in transaction: any ReadTransaction
    ) throws -> PolicyDecision { mayNot.withLock { $0 } ? .notAllowed : .allowed }
}
