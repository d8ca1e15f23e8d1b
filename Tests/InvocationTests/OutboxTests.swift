import Contracts
import Logging
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Invocation

/// A target that takes what it is told to take, writing a row for each.
final class FakeTarget: DeliveryTarget {
    static let migrations = Migrations(
        service: "fake", steps: ["CREATE TABLE fake_taken (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL)"])

    struct State {
        /// What the next deliveries to a target are answered with, first first.
        var refusals: [String: [DeliveryRefusal]] = [:]
        var tries: [String] = []
        var taken: [Delivery] = []
    }
    let state = Mutex(State())
    let arnService: String

    init(_ service: String = "sqs") { arnService = service }

    func accept(_ delivery: Delivery, in transaction: any WriteTransaction, now: Instant) throws {
        // Written before it is refused: a refusal must undo it.
        try transaction.execute("INSERT INTO fake_taken (name) VALUES (?)", [.text(delivery.id)])
        let refusal: DeliveryRefusal? = state.withLock { state in
            state.tries.append(delivery.id)
            guard var left = state.refusals[delivery.target], !left.isEmpty else {
                state.taken.append(delivery)
                return nil
            }
            let refusal = left.removeFirst()
            state.refusals[delivery.target] = left
            return refusal
        }
        if let refusal { throw refusal }
    }

    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {}

    func refuse(_ target: String, _ refusals: [DeliveryRefusal]) {
        state.withLock { $0.refusals[target] = refusals }
    }

    static func names(_ database: any Database) async throws -> [String] {
        try await database.read { try $0.query("SELECT name FROM fake_taken ORDER BY id", []) { $0.text(0) } }
    }
}

/// A bucket store that refuses what it is told to.
final class FakeObjects: ObjectWriter {
    let written = Mutex<[(bucket: String, key: String)]>([])
    let traces = Mutex<[String?]>([])
    let errors = Mutex<[any Error]>([])

    struct Gate {
        var isClosed = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        var running = 0
        var most = 0
    }
    let gate = Mutex(Gate())

    /// Lets writes that wait, and as many as there are, go.
    func open(_ count: Int = .max) {
        let ready = gate.withLock { gate in
            if count == .max { gate.isClosed = false }
            let ready = Array(gate.waiting.prefix(count))
            gate.waiting.removeFirst(ready.count)
            return ready
        }
        for one in ready { one.resume() }
    }

    private func pass() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isOpen = gate.withLock { gate in
                gate.running += 1
                gate.most = max(gate.most, gate.running)
                if gate.isClosed { gate.waiting.append(continuation) }
                return !gate.isClosed
            }
            if isOpen { continuation.resume() }
        }
        gate.withLock { $0.running -= 1 }
    }

    func write(
        _ bytes: [UInt8], bucket: String, key: String, contentType: String, scope: AccountRegion, principal: Principal,
        traceHeader: String?
    ) async throws {
        await pass()
        if let error = errors.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { throw error }
        written.withLock { $0.append((bucket, key)) }
        traces.withLock { $0.append(traceHeader) }
    }

    func validate(bucket: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        if bucket != "bucket" { throw AWSError("NoSuchBucket", status: 404, "The specified bucket does not exist") }
    }
}

struct OutboxFixture {
    let database: SQLiteDatabase
    let time = ManualTime()
    let outbox: OutboxDispatcher
    let target = FakeTarget()

    init() throws {
        database = try SQLiteDatabase.temporary(migrations: [DueQueue.migrations, FakeTarget.migrations])
        outbox = OutboxDispatcher(database: database, time: time, logger: Logger(label: "test"))
        outbox.register(target)
    }

    /// Every write that those before caused is done.
    func settle() async throws {
        for _ in 0..<8 { try await database.write { _ in } }
    }

    func advance(_ duration: Duration) async throws {
        time.advance(by: duration)
        try await settle()
    }

    func delivery(_ id: String, to target: String = OutboxFixture.queue, _ change: (inout Delivery) -> Void = { _ in })
        -> Delivery
    {
        var delivery = Delivery(
            id: id, target: target, principal: .account("000000000000"), payload: Array("{}".utf8),
            createdAt: time.now())
        change(&delivery)
        return delivery
    }

    func send(_ delivery: Delivery) async throws {
        try await database.write { [outbox] in try outbox.send(delivery, in: $0) }
        try await settle()
    }

    func rows() async throws -> Int {
        try await database.read { transaction in
            try DueQueue(name: "outbox").count(in: transaction)
                + DueQueue(name: "outbox-objects").count(in: transaction)
        }
    }

    /// Rows that somebody holds: what is in memory.
    func held() async throws -> Int {
        try await database.read { transaction in
            try transaction.query("SELECT id FROM duequeue_items WHERE is_held = 1", []) { $0.int(0) }.count
        }
    }

    static let queue = "arn:aws:sqs:us-east-1:000000000000:q"
    static let letters = "arn:aws:sqs:us-east-1:000000000000:dlq"
    static let busy = DeliveryRefusal.temporary(code: "Throttled", message: "later")
    static let gone = DeliveryRefusal.permanent(code: "Gone", message: "it is gone")
}

@Suite struct OutboxTests {
    let fixture: OutboxFixture
    var target: FakeTarget { fixture.target }

    init() async throws {
        fixture = try OutboxFixture()
        try await fixture.outbox.start()
    }

    var taken: [String] { target.state.withLock { $0.taken.map(\.id) } }

    @Test func whatIsTakenAtOnceNeedsNoRow() async throws {
        let rows = try await fixture.database.write { [fixture] transaction in
            try fixture.outbox.send(fixture.delivery("a"), in: transaction)
            return try DueQueue(name: "outbox").count(in: transaction)
        }
        #expect(rows == 0)
        #expect(taken == ["a"])
    }

    @Test func aSenderThatRollsBackSentNothing() async throws {
        struct Stop: Error {}
        await #expect(throws: Stop.self) {
            try await fixture.database.write { [fixture] transaction in
                try fixture.outbox.send(fixture.delivery("a"), in: transaction)
                throw Stop()
            }
        }
        try await fixture.settle()
        #expect(try await FakeTarget.names(fixture.database).isEmpty)
        #expect(try await fixture.rows() == 0)
    }

    @Test func aRefusalUndoesWhatTheTargetHadWritten() async throws {
        target.refuse(OutboxFixture.queue, [OutboxFixture.busy, OutboxFixture.busy])
        try await fixture.send(fixture.delivery("a"))
        #expect(try await FakeTarget.names(fixture.database).isEmpty)
        #expect(try await fixture.rows() == 1)
        try await fixture.advance(.seconds(1))
        #expect(try await FakeTarget.names(fixture.database) == ["a"])
        #expect(try await fixture.rows() == 0)
    }

    @Test func oneTransactionHandsOverOnlySoMany() async throws {
        let count = Limits.outboxHandOversAtOnce + 5
        let rows = try await fixture.database.write { [fixture] transaction in
            for number in 0..<count { try fixture.outbox.send(fixture.delivery("\(number)"), in: transaction) }
            return try DueQueue(name: "outbox").count(in: transaction)
        }
        #expect(rows == 5)
        try await fixture.settle()
        #expect(taken == (0..<count).map(String.init))
    }

    @Test func retriesEndAndTheDeadLetterComes() async throws {
        // The hand-over at once, the first try and two retries are refused.
        target.refuse(OutboxFixture.queue, Array(repeating: OutboxFixture.busy, count: 4))
        try await fixture.send(
            fixture.delivery("a") {
                $0.retry = DeliveryRetry(maximumRetries: 2)
                $0.deadLetter = DeadLetter(
                    target: OutboxFixture.letters, principal: .anonymous, ruleARN: "arn:aws:events:x:1:rule/r")
            })
        try await fixture.advance(.seconds(1))
        #expect(taken.isEmpty)
        try await fixture.advance(.seconds(2))
        let letter = try #require(target.state.withLock { $0.taken.first })
        #expect(letter.target == OutboxFixture.letters)
        #expect(letter.principal == .anonymous)
        let attributes = letter.attributes.message.map { "\($0.name)=\($0.content)" }
        #expect(
            attributes == [
                "RULE_ARN=string(\"arn:aws:events:x:1:rule/r\")", "TARGET_ARN=string(\"\(OutboxFixture.queue)\")",
                "ERROR_CODE=string(\"THROTTLING\")", "ERROR_MESSAGE=string(\"later\")",
                "EXHAUSTED_RETRY_CONDITION=string(\"MaximumRetryAttempts\")", "RETRY_ATTEMPTS=string(\"2\")",
            ])
        #expect(try await fixture.rows() == 0)
        #expect(fixture.outbox.metricLines.contains("{outcome=\"dead_lettered\"} 1"))
    }

    /// Scheduler's letters: their source, and RETRY_ATTEMPTS also when nothing was retried.
    @Test func lettersWithASource() async throws {
        func names(_ letter: Delivery?) -> [String] { letter?.attributes.message.map(\.name) ?? [] }
        var delivery = fixture.delivery("a")
        delivery.deadLetter = DeadLetter(target: OutboxFixture.letters, principal: .anonymous)
        delivery.deadLetter?.source = [MessageAttribute(name: "S", dataType: "String", content: .string("s"))]
        let common = ["S", "TARGET_ARN", "ERROR_CODE", "ERROR_MESSAGE"]
        let refusal = OutboxFixture.gone
        let now = Instant(nanoseconds: 0)
        let once = DeliveryRules.letter(for: delivery, refused: refusal, tries: 1, exhaustion: nil, now: now)
        #expect(names(once) == common + ["RETRY_ATTEMPTS"])
        #expect(once?.attributes.message.last?.content == .string("0"))
        let often = DeliveryRules.letter(
            for: delivery, refused: refusal, tries: 3, exhaustion: .maximumRetryAttempts, now: now)
        #expect(names(often) == common + ["EXHAUSTED_RETRY_CONDITION", "RETRY_ATTEMPTS"])
        #expect(often?.attributes.message.last?.content == .string("2"))
        // A rule's letter tells of retries only where there were some.
        delivery.deadLetter = DeadLetter(target: OutboxFixture.letters, principal: .anonymous, ruleARN: "rule")
        let rules = DeliveryRules.letter(for: delivery, refused: refusal, tries: 1, exhaustion: nil, now: now)
        #expect(names(rules) == ["RULE_ARN", "TARGET_ARN", "ERROR_CODE", "ERROR_MESSAGE"])
    }

    @Test func aPermanentRefusalIsNotRetried() async throws {
        target.refuse(OutboxFixture.queue, [OutboxFixture.gone, OutboxFixture.gone])
        try await fixture.send(fixture.delivery("a") { $0.purpose = .destination })
        #expect(try await fixture.rows() == 0)
        #expect(target.state.withLock { $0.tries } == ["a", "a"])
        #expect(fixture.outbox.metricLines.contains("martlet_destination_delivery_failures_total 1"))
    }

    @Test func theAgeIsHeldAgainstTheNextTry() async throws {
        target.refuse(OutboxFixture.queue, Array(repeating: OutboxFixture.busy, count: 10))
        try await fixture.send(
            fixture.delivery("a") {
                $0.retry = DeliveryRetry(maximumAge: .seconds(3))
                $0.deadLetter = DeadLetter(
                    target: OutboxFixture.letters, principal: .anonymous, payload: Array("letter".utf8))
            })
        // Next at 1 s; the one after it would be at 3 s.
        try await fixture.advance(.seconds(1))
        #expect(taken == ["a"])
        #expect(target.state.withLock { $0.taken.first?.attributes.message.isEmpty } == true)
        #expect(target.state.withLock { $0.taken.first?.payload } == Array("letter".utf8))
    }

    @Test func aGroupIsNotOvertaken() async throws {
        target.refuse(OutboxFixture.queue, Array(repeating: OutboxFixture.busy, count: 3))
        for id in ["1", "2", "3"] {
            try await fixture.send(fixture.delivery(id) { $0.attributes.messageGroupID = "g" })
        }
        #expect(taken.isEmpty)
        try await fixture.send(fixture.delivery("other") { $0.attributes.messageGroupID = "h" })
        for _ in 0..<10 { try await fixture.advance(.seconds(1)) }
        #expect(taken.filter { $0 != "other" } == ["1", "2", "3"])
        #expect(taken.first == "other")
    }

    @Test func rowsKeepEverything() throws {
        let delivery = Delivery(
            id: "id", target: OutboxFixture.queue,
            principal: .roleSession(roleARN: "arn:aws:iam::1:role/r", sessionName: "f", account: "1"),
            payload: Array("a\nb".utf8), createdAt: Instant(nanoseconds: 5),
            attributes: DeliveryAttributes(
                message: [
                    MessageAttribute(name: "n", dataType: "Number", content: .string("1")),
                    MessageAttribute(name: "b", dataType: "Binary", content: .binary([0, 255])),
                ],
                messageGroupID: "g", messageDeduplicationID: "d", subject: "s", traceHeader: "Root=1",
                event: .init(source: "lambda", detailType: "t", resources: ["r"])),
            retry: DeliveryRetry(maximumRetries: 3, maximumAge: .seconds(60)),
            deadLetter: DeadLetter(
                target: OutboxFixture.letters,
                principal: .service(name: "events.amazonaws.com", sourceARN: "arn", sourceAccount: "1"),
                ruleARN: "rule", payload: [0, 255]
            ))
        var changed = delivery
        changed.purpose = .destination
        changed.attributes.objectKey = "k"
        changed.attributes.region = "eu-west-1"
        for delivery in [delivery, changed] {
            let row = try #require(DeliveryRow(encoded: DeliveryRow(delivery, tries: 7).encoded()))
            #expect(row.delivery == delivery)
            #expect(row.tries == 7)
        }
        for hostile in ["", "\n", "{}\n", "[1]\nx", "{\"id\":1,\"target\":2,\"created\":\"x\"}\n"] {
            #expect(DeliveryRow(encoded: Array(hostile.utf8)) == nil)
        }
    }

    @Test func countsOnADamagedDiskCanStillBeAddedTo() throws {
        for count in ["9223372036854775807", "-9223372036854775808", "-1"] {
            let head = "{\"id\":\"i\",\"target\":\"t\",\"created\":7,\"tries\":\(count)}\n"
            let row = try #require(DeliveryRow(encoded: Array(head.utf8)))
            #expect((0...1_000_000).contains(row.tries))
            let event = """
                {"id":"i","account":"1","region":"r","function":"f","qualifier":"q","accepted":7,"arn":"a",\
                "functionErrors":\(count),"systemErrors":\(count)}\n
                """
            let progress = try #require(EventRow(encoded: Array(event.utf8))?.progress)
            let decision = AsynchronousRetry().decide(
                .functionError, progress: progress, acceptedAt: Instant(nanoseconds: 7),
                settings: AsynchronousSettings(), now: Instant(nanoseconds: 8))
            #expect(decision != .done)
        }
    }

    @Test func rowsOfTheFirstVersionAreStillRead() throws {
        let old = #"{"id":"i","target":"t","created":7,"service":"s3.amazonaws.com","sourceArn":"a","account":"1"}"#
        let row = try #require(DeliveryRow(encoded: Array((old + "\n{}").utf8)))
        #expect(
            row.delivery
                == Delivery(
                    id: "i", target: "t",
                    principal: .service(name: "s3.amazonaws.com", sourceARN: "a", sourceAccount: "1"),
                    payload: Array("{}".utf8), createdAt: Instant(nanoseconds: 7)))
    }
}

@Suite struct ObjectDeliveryTests {
    let fixture: OutboxFixture
    let objects = FakeObjects()

    init() async throws {
        fixture = try OutboxFixture()
        fixture.outbox.register(objects: objects)
        try await fixture.outbox.start()
    }

    /// Tasks write objects: waits for what they do, not for a time.
    func until(_ condition: () async throws -> Bool) async throws {
        for _ in 0..<10_000 {
            if try await condition() { return }
            try await fixture.database.write { _ in }
        }
        Issue.record("never")
    }

    @Test func anObjectIsWrittenOnceItsRowIsCommitted() async throws {
        try await fixture.send(
            fixture.delivery("a", to: "arn:aws:s3:::bucket") {
                $0.attributes.objectKey = "k"
                $0.attributes.traceHeader = "Root=1;Lineage=1:ab:3"
            })
        try await until { try await fixture.rows() == 0 }
        #expect(objects.traces.withLock { $0 } == ["Root=1;Lineage=1:ab:3"])
        #expect(objects.written.withLock { $0.map { "\($0.bucket)/\($0.key)" } } == ["bucket/k"])
    }

    @Test func aBucketThatIsGoneIsFinalAndABrokenStoreIsNot() async throws {
        objects.errors.withLock { $0 = [Failure(.storage, "disk"), AWSError("NoSuchBucket", status: 404, "gone")] }
        try await fixture.send(fixture.delivery("a", to: "arn:aws:s3:::bucket") { $0.purpose = .destination })
        try await until { fixture.outbox.metricLines.contains("{outcome=\"retried\"} 1") }
        #expect(try await fixture.rows() == 1)
        try await fixture.advance(.seconds(1))
        try await until { fixture.outbox.metricLines.contains("destination_delivery_failures_total 1") }
        #expect(try await fixture.rows() == 0)
        #expect(objects.written.withLock { $0.isEmpty })
    }

    @Test func aRowThatCannotBeReadIsSetAside() async throws {
        fixture.outbox.stop()
        try await fixture.database.write { [time = fixture.time] transaction in
            for name in ["outbox", "outbox-objects"] {
                for payload in ["", "garbage", "{}\n"] {
                    try DueQueue(name: name).enqueue(
                        NewDueItem(partition: "", due: time.now(), payload: Array(payload.utf8)), now: time.now(),
                        in: transaction)
                }
            }
        }
        try await fixture.outbox.start()
        try await fixture.send(fixture.delivery("after"))
        try await fixture.settle()
        #expect(fixture.target.state.withLock { $0.taken.map(\.id) } == ["after"])
        #expect(try await fixture.rows() == 0)
        let aside = try await fixture.database.read { transaction in
            try ["outbox", "outbox-objects"].map { try DueQueue(name: $0).countAside(in: transaction) }
        }
        #expect(aside == [3, 3])
        #expect(fixture.outbox.metricLines.contains("martlet_outbox_unreadable_rows_total 6"))
    }

    @Test func onlySoManyObjectsAreWrittenAtATime() async throws {
        let (most, count) = (Limits.outboxObjectWrites, 100)
        objects.gate.withLock { $0.isClosed = true }
        try await fixture.database.write { [fixture] transaction in
            for number in 0..<count {
                let delivery = fixture.delivery("\(number)", to: "arn:aws:s3:::bucket") {
                    $0.attributes.messageGroupID = number < 50 ? "g" : nil
                }
                try fixture.outbox.send(delivery, in: transaction)
            }
        }
        try await until { objects.gate.withLock { $0.waiting.count } >= most }
        try await fixture.settle()
        #expect(objects.gate.withLock { $0.waiting.count } == most)
        #expect(try await fixture.held() == most)
        #expect(try await fixture.rows() == count)
        // Queues do not wait behind them, also in rows, nor do leases that end make more of them.
        fixture.target.refuse(OutboxFixture.queue, [OutboxFixture.busy])
        try await fixture.send(fixture.delivery("q"))
        try await until { fixture.target.state.withLock { $0.taken.map(\.id) } == ["q"] }
        try await fixture.advance(Limits.outboxLease + .seconds(1))
        try await fixture.settle()
        #expect(objects.gate.withLock { $0.waiting.count } == most)
        // Each that ends makes room for another; a refused one comes again.
        objects.errors.withLock { $0 = [Failure(.storage, "disk")] }
        objects.open(1)
        try await until { objects.gate.withLock { $0.waiting.count } == most }
        objects.open()
        try await until {
            fixture.time.advance(by: .seconds(1))
            return try await fixture.rows() == 0
        }
        #expect(Set(objects.written.withLock { $0.map(\.key) }) == Set((0..<count).map(String.init)))
        #expect(objects.gate.withLock { $0.most } == most)
    }

    @Test func rowsForBucketsOfTheFirstVersionAreWritten() async throws {
        let delivery = fixture.delivery("a", to: "arn:aws:s3:::bucket") { $0.attributes.objectKey = "k" }
        fixture.outbox.stop()
        try await fixture.database.write { [time = fixture.time] transaction in
            try DueQueue(name: "outbox").enqueue(
                NewDueItem(partition: "", due: time.now(), payload: DeliveryRow(delivery, tries: 3).encoded()),
                now: time.now(), in: transaction)
        }
        try await fixture.outbox.start()
        try await until { try await fixture.rows() == 0 }
        #expect(objects.written.withLock { $0.map(\.key) } == ["k"])
    }

    @Test func bucketsAreValidated() async throws {
        let outbox = fixture.outbox
        try await fixture.database.read { try outbox.validate(target: "arn:aws:s3:::bucket", for: .anonymous, in: $0) }
        await #expect(throws: DeliveryRefusal.self) {
            try await fixture.database.read { try outbox.validate(target: "arn:aws:s3:::no", for: .anonymous, in: $0) }
        }
    }
}
