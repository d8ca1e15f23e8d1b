import Contracts
import Logging
import NIOCore
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Invocation

/// An engine that answers as it is told, when it is told.
final class ScriptedInvoker: FunctionInvoker {
    typealias Completion = @Sendable (Result<InvocationResult, any Error>) -> Void
    struct Running: Sendable {
        var invocation: Invocation
        var completion: Completion
    }
    let running = Mutex<[Running]>([])
    let seen = Mutex<[String: Int]>([:])

    func invoke(_ function: FunctionVersion, _ invocation: Invocation, completion: @escaping Completion) {
        seen.withLock { $0[invocation.requestID, default: 0] += 1 }
        running.withLock { $0.append(Running(invocation: invocation, completion: completion)) }
    }

    func take(_ index: Int) -> Running? {
        running.withLock { $0.isEmpty ? nil : $0.remove(at: index % $0.count) }
    }

    func enqueue(_ event: AsynchronousEvent, in transaction: any WriteTransaction) throws {}
    func generationsChanged(scope: AccountRegion, function: String, currentGenerations: Set<String>) {}
    func setReservedConcurrency(scope: AccountRegion, function: String, _ reserved: Int?) {}

    static let success = Result<InvocationResult, any Error>.success(
        InvocationResult(payload: ByteBuffer(string: "1"), functionError: nil, executedVersion: "1", logTail: nil))
    static let failure = Result<InvocationResult, any Error>.success(
        InvocationResult(
            payload: ByteBuffer(string: #"{"errorMessage":"no"}"#), functionError: "Unhandled", executedVersion: "1",
            logTail: nil))
}

extension ScriptedInvoker {
    static let throttled = Result<InvocationResult, any Error>.failure(AWSError.throttled(.account))
}

struct FixedDirectory: FunctionDirectory {
    var settings: AsynchronousSettings
    var reserved: Int?

    func resolve(scope: AccountRegion, function: String, qualifier: String) async throws -> FunctionVersion {
        if function == "gone" { throw AWSError("ResourceNotFoundException", status: 404, "gone") }
        return FunctionVersion(
            scope: scope, name: function, version: "1", generation: "g", functionARN: "arn:\(function)", runtime: "",
            handler: "", architecture: "x86_64", memoryMB: 128, timeoutSeconds: 3, ephemeralStorageMB: 512,
            environment: Secret([]), roleARN: "", codeDirectory: "", layersDirectory: nil,
            logging: .init(format: .text, applicationLevel: "INFO", systemLevel: "INFO", group: "g"),
            reservedConcurrency: reserved, tracingActive: false)
    }

    func asynchronousSettings(scope: AccountRegion, function: String, qualifier: String) async throws
        -> AsynchronousSettings
    { settings }
}

/// Spoils the transactions that send through it, for as long as it is told to: the disk is full.
final class SpoiledOutbox: DeliveryOutbox {
    struct Spoiled: Error {}
    let isSpoiled = Mutex(true)
    let tries = Mutex(0)
    let outbox: any DeliveryOutbox

    init(_ outbox: any DeliveryOutbox) { self.outbox = outbox }

    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {
        tries.withLock { $0 += 1 }
        if isSpoiled.withLock({ $0 }) { throw Spoiled() }
        try outbox.send(delivery, in: transaction)
    }

    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {}
}

struct AsynchronousFixture {
    let outbox: OutboxFixture
    let invoker = ScriptedInvoker()
    var settings = AsynchronousSettings(
        onSuccess: "arn:aws:sqs:r:1:success", onFailure: "arn:aws:sqs:r:1:failure",
        deadLetterTarget: "arn:aws:sqs:r:1:letters", roleARN: "arn:aws:iam::1:role/r")
    var reserved: Int?

    init() async throws {
        outbox = try OutboxFixture()
        try await outbox.outbox.start()
    }

    var database: SQLiteDatabase { outbox.database }
    var time: ManualTime { outbox.time }

    /// A queue as after a start of the process.
    func start(processors: Int = 2, outbox other: (any DeliveryOutbox)? = nil) async throws -> AsynchronousQueue {
        let queue = AsynchronousQueue(
            database: database, time: time, timeScale: 1, processors: processors, outbox: other ?? outbox.outbox,
            logger: Logger(label: "test"))
        try await queue.start(invoker: invoker, directory: FixedDirectory(settings: settings, reserved: reserved))
        return queue
    }

    func event(_ id: String, function: String = "f", trace: String? = nil) -> AsynchronousEvent {
        AsynchronousEvent(
            requestID: id, scope: AccountRegion(account: "000000000000", region: "us-east-1"), function: function,
            qualifier: "$LATEST", payload: Array("{}".utf8), acceptedAt: time.now(), invokedFunctionARN: "arn",
            traceID: trace)
    }

    func send(_ event: AsynchronousEvent, to queue: AsynchronousQueue) async throws {
        try await database.write { try queue.enqueue(event, in: $0) }
    }

    var rows: Int {
        get async throws { try await database.read { try DueQueue(name: "lambda-async").count(in: $0) } }
    }

    /// What destinations and dead-letter queues got: target's last part and request id.
    var taken: [String] {
        outbox.target.state.withLock { state in
            state.taken.map { delivery in
                let name = delivery.target.split(separator: ":").last ?? ""
                if name == "letters", case .string(let id)? = delivery.attributes.message.first?.content {
                    return "\(name) \(id)"
                }
                let id = (try? JSON.parse(delivery.payload))?["requestContext"]?["requestId"]?.string
                return "\(name) \(id ?? "?")"
            }
        }
    }

    /// Attempts begin in tasks: waits for what they do, not for a time.
    func until(_ what: String, _ condition: () async throws -> Bool) async throws {
        for _ in 0..<20_000 {
            if try await condition() { return }
            try await database.write { _ in }
        }
        Issue.record("never: \(what)")
    }
}

@Suite struct AsynchronousQueueTests {
    @Test func anEventBeginsAtOnceAndLeavesItsRecord() async throws {
        let fixture = try await AsynchronousFixture()
        let queue = try await fixture.start()
        try await fixture.send(fixture.event("a", trace: "Root=1"), to: queue)
        try await fixture.until("begun") { fixture.invoker.running.withLock { $0.count == 1 } }
        let running = try #require(fixture.invoker.take(0))
        #expect(running.invocation.traceID?.hasPrefix("Root=1;Lineage=1:") == true)
        #expect(try await fixture.rows == 1)
        running.completion(ScriptedInvoker.success)
        try await fixture.until("done") { try await fixture.rows == 0 }
        #expect(fixture.taken == ["success a"])
    }

    @Test func anEventThatCannotBeReadIsSetAside() async throws {
        let fixture = try await AsynchronousFixture()
        let name = EventRow.partition(of: fixture.event("a"))
        try await fixture.database.write { [time = fixture.time] transaction in
            for payload in ["", "garbage", "{}\n1"] {
                try AsynchronousQueue.queue.enqueue(
                    NewDueItem(partition: name, due: time.now(), payload: Array(payload.utf8)), now: time.now(),
                    in: transaction)
            }
        }
        let queue = try await fixture.start(processors: 1)
        try await fixture.send(fixture.event("a"), to: queue)
        try await fixture.until("begun") { fixture.invoker.running.withLock { $0.count == 1 } }
        try await fixture.until("alone") { try await fixture.rows == 1 }
        #expect(fixture.invoker.seen.withLock { $0 } == ["a": 1])
        let aside = try await fixture.database.read { try AsynchronousQueue.queue.countAside(in: $0) }
        #expect(aside == 3)
        try await fixture.until("counted") { queue.metricLines.contains("martlet_async_events_unreadable_total 3") }
    }

    @Test func whatIsRolledBackIsNotRunAndFreesItsPlace() async throws {
        struct Stop: Error {}
        let fixture = try await AsynchronousFixture()
        let queue = try await fixture.start(processors: 1)
        for _ in 0..<3 {
            await #expect(throws: Stop.self) {
                try await fixture.database.write { [fixture] transaction in
                    try queue.enqueue(fixture.event("no"), in: transaction)
                    throw Stop()
                }
            }
        }
        try await fixture.send(fixture.event("yes"), to: queue)
        try await fixture.until("begun") { fixture.invoker.running.withLock { $0.count == 1 } }
        #expect(fixture.invoker.seen.withLock { $0 } == ["yes": 1])
    }

    /// The end of `a` cannot be written down, `b` waits for its place.
    private func stuck() async throws -> (AsynchronousFixture, SpoiledOutbox, AsynchronousQueue) {
        let fixture = try await AsynchronousFixture()
        let spoiled = SpoiledOutbox(fixture.outbox.outbox)
        let queue = try await fixture.start(processors: 1, outbox: spoiled)
        try await fixture.send(fixture.event("a"), to: queue)
        try await fixture.until("begun") { fixture.invoker.running.withLock { $0.count == 1 } }
        try await fixture.send(fixture.event("b"), to: queue)
        try #require(fixture.invoker.take(0)).completion(ScriptedInvoker.success)
        try await fixture.until("kept") { fixture.time.nextDue() != nil }
        return (fixture, spoiled, queue)
    }

    @Test func whatCannotBeWrittenDownIsWrittenAgain() async throws {
        let (fixture, spoiled, queue) = try await stuck()
        for tries in 2...3 {
            fixture.time.advance(by: .seconds(1))
            try await fixture.until("again") { spoiled.tries.withLock { $0 } == tries }
            try await fixture.until("kept") { fixture.time.nextDue() != nil }
        }
        #expect(try await fixture.rows == 2)
        #expect(fixture.invoker.seen.withLock { $0 } == ["a": 1])
        spoiled.isSpoiled.withLock { $0 = false }
        fixture.time.advance(by: .seconds(1))
        try await fixture.until("b has its place") { fixture.invoker.running.withLock { $0.count == 1 } }
        #expect(fixture.taken == ["success a"])
        try #require(fixture.invoker.take(0)).completion(ScriptedInvoker.success)
        try await fixture.until("done") { try await fixture.rows == 0 }
        #expect(fixture.invoker.seen.withLock { $0 } == ["a": 1, "b": 1])
        try await fixture.until("no place is taken") { queue.state.withLock { $0.running == 0 } }
    }

    @Test(arguments: [true, false]) func stoppingWritesOnceMoreAndEnds(isSpoiled: Bool) async throws {
        let (fixture, spoiled, queue) = try await stuck()
        spoiled.isSpoiled.withLock { $0 = isSpoiled }
        await queue.stop()
        #expect(spoiled.tries.withLock { $0 } == 2)
        #expect(try await fixture.rows == (isSpoiled ? 2 : 1))
        fixture.time.advance(by: .seconds(5))
        try await fixture.outbox.settle()
        #expect(spoiled.tries.withLock { $0 } == 2)
        _ = try await fixture.start()
        try await fixture.until("b, and a if it is not written down") {
            fixture.invoker.seen.withLock { $0 } == (isSpoiled ? ["a": 2, "b": 1] : ["a": 1, "b": 1])
        }
    }

    @Test func noMoreRunThanThereIsRoomFor() async throws {
        let fixture = try await AsynchronousFixture()
        let queue = try await fixture.start(processors: 2)
        try await fixture.database.write { [fixture] transaction in
            for number in 0..<20 { try queue.enqueue(fixture.event("\(number)"), in: transaction) }
        }
        try await fixture.until("begun") { fixture.invoker.running.withLock { $0.count >= 2 } }
        try await fixture.outbox.settle()
        for _ in 0..<1_000 { await Task.yield() }
        #expect(fixture.invoker.running.withLock { $0.count } == 2)
        for done in 1...20 {
            try await fixture.until("the next") { fixture.invoker.running.withLock { !$0.isEmpty } }
            try #require(fixture.invoker.take(0)).completion(ScriptedInvoker.success)
            try await fixture.until("written down") { try await fixture.rows == 20 - done }
        }
        #expect(fixture.invoker.seen.withLock { $0.values.allSatisfy { $0 == 1 } })
    }

    @Test func aLoopIsStoppedAndLeavesBoth() async throws {
        let fixture = try await AsynchronousFixture()
        let queue = try await fixture.start()
        var header = "Root=1"
        for _ in 0..<TraceHeader.recursionLimit { header = TraceHeader.passing("arn:f", header).header }
        try await fixture.send(fixture.event("a", trace: header), to: queue)
        try await fixture.until("given up") { try await fixture.rows == 0 }
        #expect(fixture.taken == ["letters a", "failure a"])
        #expect(fixture.invoker.seen.withLock { $0.isEmpty })
        #expect(queue.metricLines.contains("martlet_recursive_invocations_dropped_total 1"))
    }

    @Test func aFunctionWithoutConcurrencyGivesUpAtOnce() async throws {
        var fixture = try await AsynchronousFixture()
        fixture.reserved = 0
        let queue = try await fixture.start()
        try await fixture.send(fixture.event("a"), to: queue)
        try await fixture.until("given up") { try await fixture.rows == 0 }
        #expect(fixture.taken == ["letters a", "failure a"])
    }

    @Test func anEventThatWaitedTooLongIsNotTried() async throws {
        let fixture = try await AsynchronousFixture()
        let stopped = AsynchronousQueue(
            database: fixture.database, time: fixture.time, timeScale: 1, processors: 1, outbox: fixture.outbox.outbox,
            logger: Logger(label: "test"))
        try await fixture.send(fixture.event("a"), to: stopped)
        fixture.time.advance(by: .seconds(21_600))
        _ = try await fixture.start()
        try await fixture.until("given up") { try await fixture.rows == 0 }
        #expect(fixture.taken == ["letters a", "failure a"])
        #expect(fixture.invoker.seen.withLock { $0.isEmpty })
    }

    @Test func eventsOfAFunctionThatIsGoneAreDiscarded() async throws {
        let fixture = try await AsynchronousFixture()
        let queue = try await fixture.start()
        try await fixture.send(fixture.event("a", function: "gone"), to: queue)
        try await fixture.until("given up") { try await fixture.rows == 0 }
        #expect(queue.metricLines.contains("martlet_async_events_dropped_total 1"))
    }

    /// Random successes, function errors and system errors, a process that dies and starts again with whatever it held, and
    /// destinations that refuse for a while: every event ends in exactly one way, in all its places, and is not run more
    /// often than its attempts and the deaths explain.
    @Test(arguments: 1...12) func everyEventEndsOnce(seed: Int) async throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let fixture = try await AsynchronousFixture()
        let count = 60
        let busy = OutboxFixture.busy
        for name in ["success", "failure", "letters"] {
            fixture.outbox.target.refuse(
                "arn:aws:sqs:r:1:\(name)", (0..<Int.random(in: 0...6, using: &random)).map { _ in busy })
        }
        var queue = try await fixture.start()
        var (sent, deaths, steps) = (0, 0, 0)
        func left() async throws -> Int { try await fixture.rows + fixture.outbox.rows() }
        while true {
            if sent == count, try await left() == 0 { break }
            steps += 1
            guard steps < 20_000 else {
                let rows = try await left()
                Issue.record("events are stuck: \(rows) rows")
                return
            }
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<25 where sent < count:
                try await fixture.send(fixture.event("\(sent)"), to: queue)
                sent += 1
            case 0..<70:
                guard let running = fixture.invoker.take(Int.random(in: 0..<8, using: &random)) else { break }
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<5: running.completion(ScriptedInvoker.success)
                case 5..<9: running.completion(ScriptedInvoker.failure)
                default: running.completion(ScriptedInvoker.throttled)
                }
            case 70..<72 where deaths < 4:
                // What it ran is lost with it; a new process releases what it held.
                deaths += 1
                fixture.invoker.running.withLock { $0.removeAll() }
                queue = try await fixture.start()
            default:
                if let due = fixture.time.nextDue() {
                    fixture.time.advance(by: due - fixture.time.now())
                }
            }
            for _ in 0..<20 { await Task.yield() }
            try await fixture.outbox.settle()
        }
        var ends: [String: [String]] = [:]
        for line in fixture.taken {
            let parts = line.split(separator: " ").map(String.init)
            ends[parts[1], default: []].append(parts[0])
        }
        #expect(ends.count == count)
        for (id, places) in ends {
            #expect(places == ["success"] || Set(places) == ["letters", "failure"] && places.count == 2, "\(id)")
        }
    }
}
