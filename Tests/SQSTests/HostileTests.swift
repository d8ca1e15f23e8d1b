import Contracts
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import SQS

/// What a second pair of eyes doubted.
@Suite struct HostileTests {
    /// A ReceiveMessage whose client may go away at any time.
    private final class Client: Sendable {
        static let loop = NIOAsyncTestingEventLoop()
        let bodies = Mutex<[String]?>(nil)
        let isGone = Mutex(false)
        private let connection = Client.loop.makePromise(of: Void.self)
        private let poll = Mutex<LongPoll?>(nil)

        init(_ harness: Harness, maximum: Int) throws {
            var input = Model.ReceiveMessageRequest()
            input.maxNumberOfMessages = maximum
            input.waitTimeSeconds = 20
            let context = HostileTests.context("ReceiveMessage", harness, closed: connection.futureResult)
            let poll = LongPoll(
                address: QueueAddress(account: Harness.scope.account, name: "q"), plan: try Receiving.Plan(input),
                request: OperationRequest(context: context, input: input.value, payload: ByteBuffer()),
                desk: harness.service.desk
            ) { [weak self] result in
                let messages = (try? result.get()).map { Model.ReceiveMessageResult($0.output).messages ?? [] }
                self?.bodies.withLock { $0 = (messages ?? []).compactMap(\.body) }
            }
            self.poll.withLock { $0 = poll }
            poll.attempt()
        }

        deinit { connection.succeed() }

        func leave() {
            isGone.withLock { $0 = true }
            poll.withLock { $0 }?.closed()
        }
    }

    fileprivate static func context(
        _ operation: String, _ harness: Harness, principal: Principal = .account(Harness.scope.account),
        closed: EventLoopFuture<Void>? = nil
    ) -> OperationContext {
        OperationContext(
            requestID: "r", service: "sqs", operation: operation, scope: Harness.scope, principal: principal,
            now: harness.time.now(), endpoint: "http://localhost:4566", sourceIP: "127.0.0.1", headers: [], uri: "/",
            eventLoop: Client.loop, closed: closed ?? Client.loop.makeSucceededVoidFuture())
    }

    /// Seeded: sends, waiting clients, clients that leave, deletions and timeouts in any order. Whenever all is quiet, nobody
    /// who is still there waits while a message could be received; and nobody who left is remembered.
    @Test(arguments: 1...6) func noWakeUpIsLost(_ seed: UInt64) async throws {
        var random = Steps(seed)
        let harness = try Harness()
        try await harness.queue("q", [("VisibilityTimeout", "3")])
        var clients: [Client] = []
        func settle() async {
            for _ in 0..<12 { try? await harness.database.write { _ in } }
            await Client.loop.run()
        }
        for step in 0..<120 {
            switch random.next(6) {
            case 0, 1: clients.append(try Client(harness, maximum: 1 + random.next(3)))
            case 2: if !clients.isEmpty { clients[random.next(clients.count)].leave() }
            case 3:
                // Side by side, and a client that leaves between them.
                async let one = harness.send("q", "a\(step)")
                clients.last?.leave()
                async let two = harness.send("q", "b\(step)")
                _ = try await (one, two)
            case 4: harness.time.advance(by: .milliseconds(500 + random.next(3_000)))
            default: _ = try await harness.send("q", "\(step)")
            }
            await settle()
            // What was put off for a moment (a wake-up that failed) has come, too.
            harness.time.advance(by: .milliseconds(Limits.retryMilliseconds))
            await settle()
            clients.removeAll { $0.bodies.withLock { $0 != nil } }
            let waiting = clients.filter { !$0.isGone.withLock { $0 } }
            if !waiting.isEmpty {
                let visible = try await harness.counts("q").visible
                #expect(visible == 0, "step \(step): \(waiting.count) wait, \(visible) messages do too")
            }
            #expect(harness.service.desk.waiting.count == waiting.count, "step \(step)")
        }
        harness.time.advance(by: .seconds(21))
        await settle()
        #expect(harness.service.desk.waiting.count == 0)
    }

    /// A poller that is told "now" at the limit would ask, and count 120,000 messages, without end.
    @Test func pollersRestAtTheLimitOfMessagesInFlight() async throws {
        let harness = try Harness()
        try await harness.queue("q")
        let now = harness.time.now()
        try await harness.database.write { transaction in
            try transaction.execute(
                """
                INSERT INTO sqs_messages (queue, visible, receives, sent, message_id, envelope, body)
                WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                SELECT (SELECT id FROM sqs_queues), ?, 1, ?, 'm', x'', 'held' FROM n
                """, [.int(Int64(Limits.inFlight)), .int((now + .seconds(300)).nanoseconds), .int(now.nanoseconds)])
        }
        _ = try await harness.send("q", "1")
        let receipt = try await harness.receive("q")
        #expect(receipt.messages.isEmpty)
        #expect(try #require(receipt.nextVisible) >= now + .seconds(Limits.retryAtLimitSeconds))
    }

    /// Seeded: whatever is received, deleted and timed out, as many are in flight as the limit allows and never more, and a
    /// transaction that comes to nothing takes no room for ever.
    @Test(arguments: 1...10) func theLedgerIsAnUpperBound(_ seed: UInt64) {
        var random = Steps(seed)
        let ledger = InFlightLedger()
        var inFlight = 0
        for _ in 0..<20_000 {
            switch random.next(4) {
            case 0, 1:
                let wanted = [1, 10, 10_000][random.next(3)]
                let allowed = ledger.allowance(1, wanted: wanted) { inFlight }
                #expect(allowed == min(wanted, Limits.inFlight - inFlight))
                let taken = random.next(allowed + 1)
                ledger.received(1, taken)
                // One in eight is rolled back: nothing was received.
                if random.next(8) > 0 { inFlight += taken }
                #expect(inFlight <= Limits.inFlight)
            case 2: inFlight -= random.next(inFlight + 1)
            default: inFlight -= min(inFlight, 10)
            }
        }
    }

    /// Also for a queue that is there: whoever may not create queues learns nothing of those that exist.
    @Test func createQueueAsksForPermissionFirst() async throws {
        struct Refusing: Authorizer {
            func decide(
                _ principal: Principal, action: String, resource: String, in transaction: any ReadTransaction
            ) throws -> PolicyDecision { .notAllowed }
        }
        let harness = try Harness(authorizer: Refusing())
        try await harness.queue("q")
        let role = Principal.roleSession(
            roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "s", account: Harness.scope.account)
        guard case .asynchronous(let create)? = harness.service.definition.operations["CreateQueue"] else {
            Issue.record("no CreateQueue")
            return
        }
        for name in ["q", "new"] {
            let request = OperationRequest(
                context: Self.context("CreateQueue", harness, principal: role), input: ["QueueName": .string(name)],
                payload: ByteBuffer())
            let error = await #expect(throws: AWSError.self) { _ = try await create(request) }
            #expect(error?.code == "AccessDenied")
        }
    }

    /// Each entry of a batch stands for itself, also the same handle twice and one that is stale.
    @Test func batchesOfVisibilityChanges() async throws {
        let harness = try Harness()
        try await harness.queue("q", [("VisibilityTimeout", "10")])
        for body in ["a", "b"] { _ = try await harness.send("q", body) }
        let first = try await harness.receive("q")
        harness.time.advance(by: .seconds(11))
        let second = try await harness.receive("q")
        guard case .callback(let change)? = harness.service.definition.operations["ChangeMessageVisibilityBatch"] else {
            Issue.record("no ChangeMessageVisibilityBatch")
            return
        }
        func entry(_ id: String, _ handle: String, _ timeout: Int64) -> Value {
            ["Id": .string(id), "ReceiptHandle": .string(handle), "VisibilityTimeout": .int(timeout)]
        }
        let input: Value = [
            "QueueUrl": "http://localhost:4566/000000000000/q",
            "Entries": [
                entry("twice1", second.handles[0], 30), entry("twice2", second.handles[0], 0),
                entry("stale", first.handles[1], 0), entry("late", second.handles[1], 43_201),
                entry("far", second.handles[1], 43_200), entry("junk", "x", 1),
            ],
        ]
        let request = OperationRequest(
            context: Self.context("ChangeMessageVisibilityBatch", harness), input: input, payload: ByteBuffer())
        let answer = Mutex<Result<OperationResponse, any Error>?>(nil)
        change(request) { result in answer.withLock { $0 = result } }
        for _ in 0..<4 { try await harness.database.write { _ in } }
        await Client.loop.run()
        let output = try #require(try answer.withLock { try $0?.get().output })
        func ids(_ name: String) -> [String] { (output[name]?.list ?? []).compactMap { $0["Id"]?.string } }
        #expect(ids("Successful") == ["twice1", "twice2", "far"])
        #expect(ids("Failed") == ["stale", "late", "junk"])
        // The last one counts: visible at once.
        #expect(try await harness.receive("q").bodies == ["a"])
    }
}

/// A small seeded generator.
private struct Steps {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next(_ bound: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(state % UInt64(bound))
    }
}
