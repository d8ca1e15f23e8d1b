import Contracts
import Logging
import NIOCore
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import EventSources

/// The room on a real store with a stream in memory, a function of the test's, and time that stands still.
@Suite struct StreamRunnerTests {
    final class Functions: FunctionDirectory, FunctionInvoker {
        struct State: Sendable {
            var payloads: [Value] = []
            var waiting: [@Sendable () -> Void] = []
            var missing = false
            var holds = false
            /// Answers of the next invocations; then `null`.
            var answers: [Result<InvocationResult, any Error>] = []
        }
        let state = Mutex(State())

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
            let event = (try? JSON.parse(String(buffer: invocation.payload))) ?? .string("not JSON")
            let now = state.withLock { state -> Result<InvocationResult, any Error>? in
                state.payloads.append(event)
                let answer = state.answers.isEmpty ? Self.answer() : state.answers.removeFirst()
                guard state.holds else { return answer }
                state.waiting.append { completion(answer) }
                return nil
            }
            if let now { completion(now) }
        }

        func letGo() {
            let waiting = state.withLock { state in
                state.holds = false
                defer { state.waiting = [] }
                return state.waiting
            }
            for body in waiting { body() }
        }

        func enqueue(_ event: AsynchronousEvent, in transaction: any WriteTransaction) throws {}
        func generationsChanged(scope: AccountRegion, function: String, currentGenerations: Set<String>) {}
        func setReservedConcurrency(scope: AccountRegion, function: String, _ reserved: Int?) {}
    }

    final class Mappings: EventSourceMappings {
        let settled = Mutex<[EventSourceMapping.State]>([])
        let results = Mutex<[String?]>([])
        func activeMappings(after id: String?, limit: Int) async throws -> [EventSourceMapping] { [] }
        func settle(_ mapping: EventSourceMapping) async throws { settled.withLock { $0.append(mapping.state) } }
        func report(_ problem: String?, of mapping: EventSourceMapping) async throws {
            results.withLock { $0.append(problem) }
        }
    }

    struct House {
        let database: SQLiteDatabase
        let stream: FakeStream
        let functions = Functions()
        let mappings = Mappings()
        let outbox = FakeOutbox()
        let time = ManualTime()
        let room: EventSources

        init(_ stream: FakeStream = FakeStream(), on database: SQLiteDatabase? = nil) throws {
            let database = try database ?? SQLiteDatabase.temporary(migrations: [EventSources.migrations])
            self.database = database
            self.stream = stream
            room = EventSources(
                EventSourceRoom(
                    database: database, mappings: mappings, queues: FakeQueue(), streams: [stream], outbox: outbox,
                    directory: functions, invoker: functions, time: time, machineConcurrency: 100,
                    logger: Logger(label: "test")))
        }

        var sequences: [[String]] {
            functions.state.withLock { state in
                state.payloads.map { event in
                    (event["Records"]?.list ?? []).compactMap { $0["kinesis"]?["sequenceNumber"]?.string }
                }
            }
        }

        func put(_ count: Int, shard: Int = 0) {
            for index in 0..<count { stream.put("k\(index)", "data \(index)", shard: shard, now: time.now()) }
        }

        func answer(_ answers: Result<InvocationResult, any Error>...) {
            functions.state.withLock { $0.answers += answers }
        }

        func position(_ shard: String = "shardId-0") async throws -> String? {
            try await database.read {
                try CheckpointTable.checkpoints("m", in: $0).first { $0.key.id == shard }?.value.position
            }
        }

        func until(_ comment: Comment, _ condition: () async throws -> Bool) async throws {
            for _ in 0..<10_000 {
                if try await condition() { return }
                try await Task.sleep(for: .milliseconds(1))
            }
            Issue.record("in vain: \(comment)")
        }
    }

    @Test func recordsAreHandledAndTheCheckpointMoves() async throws {
        let house = try House()
        house.put(5)
        house.room.mappingChanged(makeStreamMapping(batchSize: 2))
        try await house.until("all") { house.sequences.flatMap { $0 }.count == 5 }
        try await house.until("checkpoint") { try await house.position() == "5" }
        #expect(house.sequences.flatMap { $0 } == ["1", "2", "3", "4", "5"])
        try await house.until("settled") { house.mappings.settled.withLock { $0 == [.creating] } }
        try await house.until("result") { house.mappings.results.withLock { $0 == ["OK"] } }
        let first = house.functions.state.withLock { $0.payloads.first }
        let record = try #require(first?["Records"]?.list?.first)
        #expect(record["eventID"] == "shardId-0:1")
        #expect(record["eventSource"] == "aws:kinesis")
        #expect(record["invokeIdentityArn"] == "arn:aws:iam::000000000000:role/r")
        let data = Base64.encode(Array("data 0".utf8))
        #expect(record["kinesis"]?["data"]?.string == data)
        #expect(record["kinesis"]?["partitionKey"] == "k0")
        #expect(record["awsRegion"] == "us-east-1")
        #expect(record["eventSourceARN"]?.string == FakeStream.name)
        // An append wakes it, and nothing else: at rest there is no timer.
        #expect(house.time.nextDue() == nil)
        house.put(1)
        try await house.until("the next") { house.sequences.flatMap { $0 }.count == 6 }
    }

    @Test func latestMissesNothingAfterItIsEnabled() async throws {
        let house = try House()
        house.put(3)
        house.room.mappingChanged(makeStreamMapping(stream: .init(start: .latest)))
        try await house.until("settled") { !house.mappings.settled.withLock { $0.isEmpty } }
        house.put(1)
        try await house.until("one") { house.sequences == [["4"]] }
    }

    @Test func childrenWaitForTheirParents() async throws {
        let house = try House()
        house.put(2)
        house.functions.state.withLock { $0.holds = true }
        house.room.mappingChanged(makeStreamMapping())
        try await house.until("parent") { house.sequences.count == 1 }
        house.stream.split(0, now: house.time.now())
        house.put(1, shard: 1)
        house.put(1, shard: 2)
        #expect(house.sequences.count == 1)
        house.functions.letGo()
        try await house.until("children") { house.sequences.count == 3 }
        let children = Set(house.sequences.dropFirst())
        #expect(children == Set([["3"], ["4"]]))
        try await house.until("children's checkpoints") {
            let second = try await house.position("shardId-2")
            return try await house.position("shardId-1") == "3" && second == "4"
        }
        // Another run goes on where this one was, with the parent done.
        await house.room.stop(grace: .seconds(1))
        let next = try House(house.stream, on: house.database)
        next.room.mappingChanged(makeStreamMapping(state: .enabled))
        next.put(1, shard: 2)
        try await next.until("only the new one") { next.sequences == [["5"]] }
    }

    @Test func givenUpRecordsGoToTheDestinationWithTheCheckpoint() async throws {
        let house = try House()
        let settings = EventSourceMapping.StreamSettings(
            start: .trimHorizon, maximumRetryAttempts: 1, onFailure: "arn:aws:s3:::failed")
        house.put(2)
        house.answer(Functions.answer("{}", error: "Unhandled"), Functions.answer("{}", error: "Unhandled"))
        house.room.mappingChanged(makeStreamMapping(stream: settings))
        try await house.until("timer") { house.time.nextDue() != nil }
        try await house.until("result") { house.mappings.results.withLock { $0 == ["PROBLEM: Function call failed"] } }
        house.time.advance(by: .seconds(1))
        try await house.until("sent") { house.outbox.sent.withLock { $0.count == 1 } }
        let position = try await house.position()
        #expect(position == "2")
        let sent = house.outbox.sent.withLock { $0.first }
        let delivery = try #require(sent)
        let day = house.time.now().iso8601().prefix(10).split(separator: "-").joined(separator: "/")
        let key = delivery.attributes.objectKey ?? ""
        #expect(key.hasPrefix("aws/lambda/m/shardId-0/\(day)/"))
        let body = try JSON.parse(delivery.payload)
        let names = ["requestContext", "responseContext", "version", "timestamp", "KinesisBatchInfo", "payload"]
        #expect(body.fields?.names == names)
        #expect(body["requestContext"]?["condition"] == "RetryAttemptsExhausted")
        #expect(body["requestContext"]?["approximateInvokeCount"] == 2)
        #expect(body["responseContext"]?["functionError"] == "Unhandled")
        #expect(body["KinesisBatchInfo"]?["startSequenceNumber"] == "1")
        #expect(body["KinesisBatchInfo"]?["endSequenceNumber"] == "2")
        #expect(body["KinesisBatchInfo"]?["batchSize"] == 2)
        let payload = try JSON.parse(body["payload"]?.string ?? "")
        #expect(payload["Records"]?.list?.count == 2)
    }

    @Test func tooOldBeforeTheFirstTry() async throws {
        let house = try House()
        house.put(1)
        house.time.advance(by: .seconds(61))
        house.put(1)
        let settings = EventSourceMapping.StreamSettings(
            start: .trimHorizon, maximumRecordAge: .seconds(60), onFailure: "arn:aws:sqs:us-east-1:000000000000:q")
        house.room.mappingChanged(makeStreamMapping(stream: settings))
        try await house.until("the young one") { house.sequences == [["2"]] }
        try await house.until("sent") { house.outbox.sent.withLock { $0.count == 1 } }
        let payload = house.outbox.sent.withLock { $0.first?.payload }
        let body = try JSON.parse(payload ?? [])
        #expect(body["requestContext"]?["condition"] == "RecordAgeExceeded")
        #expect(body["requestContext"]?["approximateInvokeCount"] == 1)
        #expect(body["responseContext"] == nil)
        #expect(body["payload"] == nil)
    }

    @Test func disabledAndEnabledGoesOnAtTheCheckpoint() async throws {
        let house = try House()
        house.functions.state.withLock { $0.holds = true }
        house.put(4)
        house.room.mappingChanged(makeStreamMapping(batchSize: 2))
        try await house.until("running") { house.sequences.count == 1 }
        house.room.mappingChanged(makeStreamMapping(batchSize: 2, state: .disabling, revision: 2))
        #expect(house.mappings.settled.withLock { !$0.contains(.disabling) })
        house.functions.letGo()
        try await house.until("disabled") { house.mappings.settled.withLock { $0.contains(.disabling) } }
        #expect(house.stream.state.withLock { $0.observers.isEmpty })
        let position = try await house.position()
        #expect(position == "2")
        house.room.mappingChanged(makeStreamMapping(batchSize: 2, state: .enabling, revision: 3))
        try await house.until("the rest") { house.sequences == [["1", "2"], ["3", "4"]] }
        house.room.mappingChanged(makeStreamMapping(state: .deleting, revision: 4))
        try await house.until("deleted") { house.mappings.settled.withLock { $0.contains(.deleting) } }
        let after = try await house.position()
        #expect(after == nil)
    }

    @Test func streamDeletedAndMadeAnew() async throws {
        let house = try House()
        house.put(1)
        house.room.mappingChanged(makeStreamMapping())
        try await house.until("one") { try await house.position() == "1" }
        house.stream.replace(shards: 0, now: house.time.now())
        try await house.until("problem") {
            house.mappings.results.withLock { $0.last == "PROBLEM: Stream not found: \(FakeStream.name)" }
        }
        house.time.advance(by: .seconds(5))
        house.stream.replace(shards: 1, now: house.time.now())
        house.put(1)
        // The next look may be due in a moment that was not asked for yet when time went on. Who read the old stream may still
        // see the new one's first record, too: its shard has the same name.
        try await house.until("of the new stream") {
            house.time.advance(by: .milliseconds(100))
            return house.sequences.first == ["1"] && house.sequences.dropFirst().contains(["2"])
        }
    }

    @Test func missingFunctionAndPermission() async throws {
        let house = try House()
        house.functions.state.withLock { $0.missing = true }
        house.put(1)
        house.room.mappingChanged(makeStreamMapping())
        try await house.until("problem") {
            house.mappings.results.withLock { $0.last == "PROBLEM: Function call failed" }
        }
        house.functions.state.withLock { $0.missing = false }
        house.stream.state.withLock { $0.refusal = AWSError("AccessDeniedException", "no") }
        try await house.until("timer") { house.time.nextDue() != nil }
        house.time.advance(by: .seconds(1))
        try await house.until("denied") {
            house.mappings.results.withLock { ($0.last ?? nil)?.hasPrefix("PROBLEM: Cannot access stream") ?? false }
        }
        house.stream.state.withLock { $0.refusal = nil }
        try await house.until("timer") { house.time.nextDue() != nil }
        house.time.advance(by: .seconds(5))
        try await house.until("handled") { house.sequences == [["1"]] }
    }

    @Test func filtersSeeDataAsDocuments() async throws {
        let house = try House()
        house.stream.put("a", #"{"kind":"good"}"#, now: house.time.now())
        house.stream.put("b", #"{"kind":"bad"}"#, now: house.time.now())
        house.stream.put("c", "plain", now: house.time.now())
        house.room.mappingChanged(makeStreamMapping(filters: [#"{"data":{"kind":["good"]}}"#]))
        try await house.until("checkpoint") { try await house.position() == "3" }
        #expect(house.sequences == [["1"]])
    }

    @Test func windowsKeepState() async throws {
        let house = try House()
        let settings = EventSourceMapping.StreamSettings(start: .trimHorizon, tumblingWindow: .seconds(60))
        house.put(2)
        house.answer(Functions.answer(#"{"state":{"n":2}}"#), Functions.answer(#"{"state":{}}"#))
        house.room.mappingChanged(makeStreamMapping(stream: settings))
        try await house.until("checkpoint") { try await house.position() == "2" }
        // A restart keeps the window.
        await house.room.stop(grace: .seconds(1))
        let next = try House(house.stream, on: house.database)
        next.answer(Functions.answer(#"{"state":{}}"#))
        next.room.mappingChanged(makeStreamMapping(state: .enabled, stream: settings))
        try await next.until("timer") { next.time.nextDue() != nil }
        next.time.advance(by: .seconds(61))
        try await next.until("final") { next.functions.state.withLock { $0.payloads.count == 1 } }
        let last = next.functions.state.withLock { $0.payloads.first }
        let final = try #require(last)
        #expect(final["isFinalInvokeForWindow"] == true)
        #expect(final["isWindowTerminatedEarly"] == false)
        #expect(final["state"]?["n"]?.int == 2)
        #expect(final["Records"]?.list?.isEmpty == true)
        #expect(final["shardId"] == "shardId-0")
        let windows = { try await house.database.read { try CheckpointTable.windows("m", in: $0) } }
        try await next.until("closed") { try await windows().isEmpty }
        let begun = house.functions.state.withLock { $0.payloads.first }
        let first = try #require(begun)
        #expect(first["isFinalInvokeForWindow"] == false)
        #expect(first["state"]?.fields?.isEmpty == true)
        #expect(first["window"]?["start"] == final["window"]?["start"])
    }

    /// What the function wrote goes back to it as it is: numbers with more digits than 64 bits hold, too.
    @Test(arguments: [
        (#"{"state":{"n":123456789012345678901234567890}}"#, #"{"n":123456789012345678901234567890}"#),
        (#"{ "x" : [1], "state" :  { "a": 1.50 } , "batchItemFailures":[]}"#, #"{ "a": 1.50 }"#),
        (#"{"state":1,"st\u0061te":{"last":true}}"#, #"{"last":true}"#),
    ])
    func statesKeepTheirDigits(_ answer: String, _ state: String) {
        let batch = ShardPoller.Batch(
            number: 0, records: [],
            window: TumblingWindow(containing: Instant(nanoseconds: 0), length: .seconds(60)))
        let read = StreamAnswer(
            Functions.answer(answer), to: batch, requestID: "r", reportsBatchItemFailures: false)
        #expect(read.outcome == .success() && read.state == Array(state.utf8))
    }

    @Test(arguments: [#"{"state":null}"#, "{}", "[]", #"{"state":{}"#, #"{"state":{}} x"#, ""])
    func windowsNeedAState(_ answer: String) {
        let batch = ShardPoller.Batch(
            number: 0, records: [],
            window: TumblingWindow(containing: Instant(nanoseconds: 0), length: .seconds(60)))
        let read = StreamAnswer(
            Functions.answer(answer), to: batch, requestID: "r", reportsBatchItemFailures: false)
        #expect(read.outcome == .functionError && read.state == nil)
    }

    @Test func latestIsSettledWhenTheFunctionIsThereAgain() async throws {
        let house = try House()
        house.functions.state.withLock { $0.missing = true }
        house.put(1)
        house.room.mappingChanged(makeStreamMapping(stream: .init(start: .latest)))
        try await house.until("timer") { house.time.nextDue() != nil }
        #expect(house.mappings.settled.withLock { $0.isEmpty })
        house.functions.state.withLock { $0.missing = false }
        house.time.advance(by: .seconds(1))
        try await house.until("settled") { !house.mappings.settled.withLock { $0.isEmpty } }
        house.put(1)
        try await house.until("what came after") { house.sequences == [["2"]] }
    }

    /// Whatever stands on disk: it may be read from another place, but nothing stops.
    @Test func damagedCheckpointsAndWindows() async throws {
        var random = Seeded(state: 42)
        let extremes: [Int64] = [.min, -1, 0, 1, 60_000_000_000, .max - 1, .max]
        for turn in 0..<120 {
            let house = try House()
            house.put(6)
            let settings = EventSourceMapping.StreamSettings(
                start: .trimHorizon, tumblingWindow: turn % 2 == 0 ? .seconds(60) : .zero)
            let position = ["", "0", "3", "99", "-1", "x", "999999999999999999999999"].randomElement(using: &random)
            let anchor = ["", "2", "4", "1e9", "\u{0}"].randomElement(using: &random)
            let bits = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random)
            }
            let state = [[], Array("{".utf8), Array("{}".utf8), bits].randomElement(using: &random) ?? []
            let (starts, ends) = (
                extremes.randomElement(using: &random) ?? 0, extremes.randomElement(using: &random) ?? 0
            )
            let created = house.stream.state.withLock { $0.shards[0].createdAt.nanoseconds }
            try await house.database.write { transaction in
                try CheckpointTable.begin("m", in: transaction)
                try transaction.execute(
                    "INSERT INTO eventsources_shards VALUES ('m', 'shardId-0', ?, ?, ?, ?, 0)",
                    [.int(created), .optional(position), .optional(anchor), .blob(bits)])
                try transaction.execute(
                    "INSERT INTO eventsources_windows VALUES ('m', 'shardId-0', ?, ?, ?, ?)",
                    [.int(created), .int(starts), .int(ends), .blob(state)])
            }
            house.answer(Functions.answer(#"{"state":{}}"#), Functions.answer(#"{"state":{}}"#))
            house.room.mappingChanged(makeStreamMapping(stream: settings))
            try await house.until("read") { house.stream.state.withLock { $0.reads > 0 } }
            house.time.advance(by: .seconds(200))
            await house.room.stop(grace: .milliseconds(1))
        }
    }

    @Test func aThousandIdleShardsRest() async throws {
        let house = try House(FakeStream(shards: 1_000))
        house.room.mappingChanged(makeStreamMapping())
        try await house.until("read once") { house.stream.state.withLock { $0.reads == 1_000 } }
        #expect(house.time.nextDue() == nil)
        house.put(1, shard: 700)
        try await house.until("one") { house.sequences == [["1"]] }
        let reads = house.stream.state.withLock { $0.reads }
        #expect(reads <= 1_002)
    }
}
