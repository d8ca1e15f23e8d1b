import Contracts
import Logging
import NIOCore
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import EventSources

/// The room on a real store with a queue in memory, a function of the test's, and time that stands still.
@Suite struct RunnerTests {
    private final class Functions: FunctionDirectory, FunctionInvoker {
        struct State: Sendable {
            var payloads: [String] = []
            var waiting: [@Sendable () -> Void] = []
            var missing = false
        }
        let state = Mutex(State())
        let handler: @Sendable (String) -> Result<InvocationResult, any Error>
        let holds: Bool

        init(holds: Bool = false, _ handler: @escaping @Sendable (String) -> Result<InvocationResult, any Error>) {
            self.holds = holds
            self.handler = handler
        }

        static func answer(_ text: String = "null", error: String? = nil) -> Result<InvocationResult, any Error> {
            .success(
                InvocationResult(
                    payload: ByteBuffer(string: text), functionError: error, executedVersion: "$LATEST", logTail: nil))
        }

        func resolve(scope: AccountRegion, function: String, qualifier: String) async throws -> FunctionVersion {
            if state.withLock({ $0.missing }) {
                throw AWSError("ResourceNotFoundException", status: 404, "Function not found: fn")
            }
            return FunctionVersion(
                scope: scope, name: function, version: qualifier, generation: "1", functionARN: "arn", runtime: "",
                handler: "", architecture: "", memoryMB: 128, timeoutSeconds: 3, ephemeralStorageMB: 512,
                environment: Secret([]), roleARN: "arn:aws:iam::000000000000:role/r", codeDirectory: "",
                layersDirectory: nil,
                logging: .init(format: .text, applicationLevel: "INFO", systemLevel: "INFO", group: ""),
                reservedConcurrency: nil, tracingActive: false)
        }

        func asynchronousSettings(scope: AccountRegion, function: String, qualifier: String) async throws
            -> AsynchronousSettings
        { AsynchronousSettings() }

        func invoke(
            _ function: FunctionVersion, _ invocation: Invocation,
            completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
        ) {
            let text = String(buffer: invocation.payload)
            let answer = handler(text)
            state.withLock { state in
                state.payloads.append(text)
                if holds { state.waiting.append { completion(answer) } }
            }
            if !holds { completion(answer) }
        }

        func letGo() {
            let waiting = state.withLock { state in
                defer { state.waiting = [] }
                return state.waiting
            }
            for body in waiting { body() }
        }

        func enqueue(_ event: AsynchronousEvent, in transaction: any WriteTransaction) throws {}
        func generationsChanged(scope: AccountRegion, function: String, currentGenerations: Set<String>) {}
        func setReservedConcurrency(scope: AccountRegion, function: String, _ reserved: Int?) {}
    }

    private final class Mappings: EventSourceMappings {
        let settled = Mutex<[EventSourceMapping.State]>([])
        let problems = Mutex<[String?]>([])
        let stored: [EventSourceMapping]
        init(_ stored: [EventSourceMapping] = []) { self.stored = stored }
        func activeMappings(after id: String?, limit: Int) async throws -> [EventSourceMapping] {
            id == nil ? stored : []
        }
        func settle(_ mapping: EventSourceMapping) async throws { settled.withLock { $0.append(mapping.state) } }
        func report(_ problem: String?, of mapping: EventSourceMapping) async throws {
            problems.withLock { $0.append(problem) }
        }
    }

    private struct House {
        let database: SQLiteDatabase
        let queue: FakeQueue
        let functions: Functions
        let mappings: Mappings
        let time = ManualTime()
        let shared: EventSourceRoom
        let room: EventSources

        init(
            _ queue: FakeQueue, _ functions: Functions, _ mappings: Mappings = Mappings(), heldBytes: Int = 1 << 30
        ) throws {
            database = try SQLiteDatabase.temporary(migrations: [])
            self.queue = queue
            self.functions = functions
            self.mappings = mappings
            shared = EventSourceRoom(
                database: database, mappings: mappings, queues: queue, directory: functions, invoker: functions,
                time: time, machineConcurrency: 100, heldBytes: heldBytes, logger: Logger(label: "test"))
            room = EventSources(shared)
        }

        func send(_ count: Int, from first: Int = 0) {
            for index in first..<(first + count) { queue.send("body \(index)", id: "\(index)", now: time.now()) }
        }

        /// Waits for work in other threads; a test that waits in vain fails after ten seconds.
        func until(_ comment: Comment, _ condition: @Sendable () -> Bool) async throws {
            for _ in 0..<10_000 {
                if condition() { return }
                try await Task.sleep(for: .milliseconds(1))
            }
            Issue.record("in vain: \(comment)")
        }
    }

    @Test func messagesAreHandledAndDeleted() async throws {
        let house = try House(FakeQueue(), Functions { _ in Functions.answer() })
        house.room.mappingChanged(makeMapping())
        house.send(25)
        try await house.until("all deleted") { house.queue.count == 0 }
        let payloads = house.functions.state.withLock { $0.payloads }
        #expect(payloads.allSatisfy { $0.hasPrefix(#"{"Records":[{"messageId":""#) })
        try await house.until("settled") { house.mappings.settled.withLock { $0 == [.creating] } }
        // Everything is done as the execution role.
        let principals = house.queue.state.withLock { $0.principals }
        #expect(
            principals == [
                .roleSession(
                    roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "fn", account: "000000000000")
            ])
    }

    @Test func functionErrorLeavesMessages() async throws {
        let house = try House(FakeQueue(), Functions { _ in Functions.answer(error: "Unhandled") })
        house.room.mappingChanged(makeMapping())
        house.send(1)
        try await house.until("first attempt") { house.functions.state.withLock { $0.payloads.count == 1 } }
        #expect(house.queue.count == 1)
        try await house.until("timer") { house.time.nextDue() != nil }
        house.time.advance(by: .seconds(31))
        try await house.until("second attempt") { house.functions.state.withLock { $0.payloads.count == 2 } }
    }

    @Test func partialFailure() async throws {
        let house = try House(
            FakeQueue(), Functions { _ in Functions.answer(#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#) })
        house.send(3)
        house.room.mappingChanged(makeMapping(reports: true))
        try await house.until("two deleted") { house.queue.count == 1 }
        #expect(house.queue.state.withLock { $0.messages.map(\.id) } == ["1"])
    }

    @Test func disablingWaitsForWhatRuns() async throws {
        let functions = Functions(holds: true) { _ in Functions.answer() }
        let house = try House(FakeQueue(), functions)
        house.room.mappingChanged(makeMapping())
        house.send(1)
        try await house.until("running") { functions.state.withLock { $0.waiting.count == 1 } }
        house.room.mappingChanged(makeMapping(state: .disabling, revision: 2))
        house.send(1, from: 1)
        #expect(house.mappings.settled.withLock { !$0.contains(.disabling) })
        functions.letGo()
        try await house.until("disabled") { house.mappings.settled.withLock { $0.contains(.disabling) } }
        #expect(house.queue.state.withLock { $0.messages.map(\.id) } == ["1"])
        #expect(house.queue.state.withLock { $0.observers.isEmpty })
        house.room.mappingChanged(makeMapping(state: .enabling, revision: 3))
        try await house.until("again") { functions.state.withLock { $0.waiting.count == 1 } }
        functions.letGo()
        try await house.until("empty") { house.queue.count == 0 }
    }

    @Test func deletedWhileDisabled() async throws {
        let house = try House(FakeQueue(), Functions { _ in Functions.answer() })
        house.room.mappingChanged(makeMapping(state: .deleting, revision: 4))
        try await house.until("gone") { house.mappings.settled.withLock { $0 == [.deleting] } }
    }

    @Test func startTakesUpWhatIsStored() async throws {
        let house = try House(
            FakeQueue(), Functions { _ in Functions.answer() }, Mappings([makeMapping(state: .enabled)]))
        house.send(3)
        try await house.room.start()
        try await house.until("empty") { house.queue.count == 0 }
        await house.room.stop(grace: .seconds(1))
        #expect(house.mappings.settled.withLock { $0.isEmpty })
    }

    @Test func missingFunctionIsShownAndTriedAgain() async throws {
        let functions = Functions { _ in Functions.answer() }
        functions.state.withLock { $0.missing = true }
        let house = try House(FakeQueue(), functions)
        house.send(1)
        house.room.mappingChanged(makeMapping())
        try await house.until("shown") {
            house.mappings.problems.withLock { $0 == ["PROBLEM: Function call failed"] }
        }
        functions.state.withLock { $0.missing = false }
        try await house.until("timer") { house.time.nextDue() != nil }
        house.time.advance(by: .seconds(1))
        try await house.until("empty") { house.queue.count == 0 }
        try await house.until("not shown") { house.mappings.problems.withLock { $0.last == .some(nil) } }
    }

    @Test func roleWithoutPermission() async throws {
        let house = try House(FakeQueue(), Functions { _ in Functions.answer() })
        house.queue.state.withLock { $0.refusal = AWSError("AccessDenied", status: 403, "no") }
        house.room.mappingChanged(makeMapping())
        try await house.until("shown") { house.mappings.problems.withLock { $0.count == 1 } }
        house.queue.state.withLock {
            $0.refusal = AWSError(
                "AWS.SimpleQueueService.NonExistentQueue", status: 400, "The specified queue does not exist.")
        }
        try await house.until("timer") { house.time.nextDue() != nil }
        house.time.advance(by: .seconds(1))
        try await house.until("other") {
            house.mappings.problems.withLock { $0.last == "PROBLEM: The specified queue does not exist." }
        }
        // Nothing is tried any more until a message comes.
        #expect(house.time.nextDue() == nil)
        house.queue.state.withLock { $0.refusal = nil }
        house.send(1)
        try await house.until("empty") { house.queue.count == 0 }
    }

    @Test func idleMappingHasNoTimer() async throws {
        let house = try House(FakeQueue(), Functions { _ in Functions.answer() })
        house.room.mappingChanged(makeMapping())
        try await house.until("looked once") { house.queue.state.withLock { $0.receiveCalls == 1 } }
        try await Task.sleep(for: .milliseconds(20))
        #expect(house.time.nextDue() == nil)
        #expect(house.queue.state.withLock { $0.receiveCalls } == 1)
    }

    /// A limit of the queue: there is more, but nothing is handed out. Asked again after a pause, not in a circle.
    @Test func moreButNothingHandedOut() async throws {
        let house = try House(FakeQueue(), Functions { _ in Functions.answer() })
        house.queue.state.withLock { $0.isFull = true }
        house.send(1)
        house.room.mappingChanged(makeMapping())
        try await house.until("timer") { house.time.nextDue() != nil }
        #expect(house.time.nextDue() == house.time.now() + .milliseconds(100))
        #expect(house.queue.state.withLock { $0.receiveCalls } == 1)
        house.queue.state.withLock { $0.isFull = false }
        house.time.advance(by: .milliseconds(100))
        try await house.until("empty") { house.queue.count == 0 }
    }

    @Test func stoppingGivesBackWhatRunsTooLong() async throws {
        let functions = Functions(holds: true) { _ in Functions.answer() }
        let house = try House(FakeQueue(visibility: .seconds(600)), functions)
        house.room.mappingChanged(makeMapping())
        house.send(1)
        try await house.until("running") { functions.state.withLock { $0.waiting.count == 1 } }
        async let stopped: Void = house.room.stop(grace: .seconds(4))
        try await house.until("timer") {
            house.time.nextDue() == house.time.now() + .seconds(4)
        }
        house.time.advance(by: .seconds(4))
        await stopped
        let now = house.time.now()
        #expect(house.queue.state.withLock { $0.messages.map(\.visibleAt) } == [now])
    }

    /// What stands there from an earlier run is cleared.
    @Test func firstResultIsAlwaysShown() async throws {
        let house = try House(FakeQueue(), Functions { _ in Functions.answer() })
        house.room.mappingChanged(makeMapping())
        try await house.until("shown") { house.mappings.problems.withLock { $0 == [nil] } }
        house.send(3)
        try await house.until("empty") { house.queue.count == 0 }
        #expect(house.mappings.problems.withLock { $0.count } == 1)
    }

    /// The second receive of a transaction is refused: what the first brought is handled.
    @Test func partlyRefusedReceiveIsHandled() async throws {
        let house = try House(FakeQueue(), Functions { _ in Functions.answer() })
        house.queue.state.withLock {
            $0.refusal = AWSError("OverLimit", status: 403, "too many")
            $0.receivesBeforeRefusal = 1
        }
        house.send(15)
        house.room.mappingChanged(makeMapping())
        try await house.until("handled") { house.functions.state.withLock { $0.payloads.count == 1 } }
        try await house.until("shown") { house.mappings.problems.withLock { $0.count == 1 } }
        try await house.until("timer") { house.time.nextDue() != nil }
        house.time.advance(by: .milliseconds(100))
        try await house.until("deleted") { house.queue.count == 5 }
        house.queue.state.withLock { $0.refusal = nil }
        try await house.until("timer") { house.time.nextDue() != nil }
        house.time.advance(by: .seconds(1))
        try await house.until("empty") { house.queue.count == 0 }
    }

    @Test func nothingIsTakenWithoutKnowingForHowLong() async throws {
        let house = try House(FakeQueue(), Functions { _ in Functions.answer() })
        house.queue.state.withLock { $0.describeRefusal = AWSError("AccessDenied", status: 403, "no") }
        house.send(1)
        house.room.mappingChanged(makeMapping())
        try await house.until("shown") { house.mappings.problems.withLock { $0.count == 1 } }
        #expect(house.queue.state.withLock { $0.messages.map(\.receives) } == [0])
    }

    /// One mapping's waiting batches do not keep another from receiving.
    @Test func memoryOfAnotherMapping() async throws {
        let functions = Functions { _ in Functions.answer() }
        let queue = FakeQueue(visibility: .seconds(10_000))
        let house = try House(queue, functions, heldBytes: 1_000)
        house.send(10)
        house.room.mappingChanged(makeMapping(batchSize: 100, window: .seconds(300)))
        try await house.until("received") { house.shared.memory.count >= 1_000 }
        var other = makeMapping()
        other.id = "other"
        house.send(5, from: 10)
        house.room.mappingChanged(other)
        for _ in 0..<200 where house.queue.count > 0 {
            house.time.advance(by: .milliseconds(50))
            try await Task.sleep(for: .milliseconds(2))
        }
        #expect(house.queue.count == 0)
        try await house.until("given back") { house.shared.memory.count == 0 }
    }

    /// What it had finished is deleted all the same.
    @Test func functionDeletedWhileItRuns() async throws {
        let functions = Functions(holds: true) { _ in Functions.answer() }
        let house = try House(FakeQueue(), functions)
        house.room.mappingChanged(makeMapping())
        house.send(1)
        try await house.until("running") { functions.state.withLock { $0.waiting.count == 1 } }
        functions.state.withLock { $0.missing = true }
        functions.letGo()
        try await house.until("deleted") { house.queue.count == 0 }
    }
}
