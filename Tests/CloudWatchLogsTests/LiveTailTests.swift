import Contracts
import NIOCore
import Platform
import Synchronization
import Testing
import Wire

@testable import CloudWatchLogs

@Suite struct LiveTailTests {
    let house: Harness

    init() throws { house = try Harness() }

    /// Decodes what a session writes.
    final class Reader: BodyWriter {
        private let state = Mutex<(decoder: EventStreamDecoder, messages: [EventStreamMessage])>(
            (EventStreamDecoder(), []))
        func write(_ bytes: ByteBuffer) async throws {
            try state.withLock { $0.messages += try $0.decoder.feed(bytes) }
        }
        var messages: [EventStreamMessage] { state.withLock { $0.messages } }
        var types: [String] {
            messages.map { message in
                guard case .string(let text) = message.header(":event-type") ?? message.header(":exception-type") else {
                    return ""
                }
                return text
            }
        }
    }

    private static let arn = "arn:aws:logs:us-east-1:000000000000:log-group:g"

    private func wait(_ condition: () -> Bool) async {
        for _ in 0..<10_000 where !condition() { await Task.yield() }
    }

    @Test func eventsAreShownEverySecondUntilTheEnd() async throws {
        try await house.group(streams: ["s", "other"])
        let response = try await house.response(
            "StartLiveTail",
            ["logGroupIdentifiers": [.string(Self.arn)], "logStreamNames": ["s"], "logEventFilterPattern": "ERROR"])
        guard case .stream(_, let body) = response.payload else {
            Issue.record("no stream")
            return
        }
        let reader = Reader()
        let task = Task { try await body(reader) }
        await wait { reader.types.count == 2 }
        #expect(reader.types == ["initial-response", "sessionStart"])
        try await house.put(["ERROR one", "fine", "ERROR two"])
        try await house.put(["ERROR elsewhere"], stream: "other")
        await house.service.ingestion.taps.flush()
        await wait { house.time.nextDue() == house.time.now() + .seconds(1) }
        house.time.advance(by: .seconds(1))
        await wait { reader.types.count == 3 }
        let update = try JSON.parse(try #require(reader.messages.last).payload)
        #expect(update["sessionMetadata"]?["sampled"] == false)
        let shown = update["sessionResults"]?.list ?? []
        #expect(shown.compactMap { $0["message"]?.string } == ["ERROR one", "ERROR two"])
        #expect(shown.first?["logStreamName"] == "s" && shown.first?["logGroupIdentifier"] == .string(Self.arn))
        // Nothing new: an update all the same.
        await wait { house.time.nextDue() == house.time.now() + .seconds(1) }
        house.time.advance(by: .seconds(1))
        await wait { reader.types.count == 4 }
        #expect(try JSON.parse(try #require(reader.messages.last).payload)["sessionResults"] == [])
        // What comes after that is told without a wait, and what follows it with the next update.
        await wait { house.time.nextDue() == house.time.now() + .seconds(1) }
        try await house.put(["ERROR three"])
        await house.service.ingestion.taps.flush()
        await wait { reader.types.count == 5 }
        try await house.put(["ERROR four"])
        await house.service.ingestion.taps.flush()
        await wait { house.time.nextDue() == house.time.now() + .seconds(1) }
        #expect(reader.types.count == 5)
        house.time.advance(by: .seconds(1))
        await wait { reader.types.count == 6 }
        let told = try reader.messages.suffix(2).map {
            try JSON.parse($0.payload)["sessionResults"]?.list?.compactMap { $0["message"]?.string }
        }
        #expect(told == [["ERROR three"], ["ERROR four"]])
        house.service.stopTails()
        try await task.value
        #expect(reader.types.last == "SessionStreamingException")
        #expect(house.service.ingestion.taps.tails.isWatched(1) == false)
    }

    @Test func sessionsTimeOut() async throws {
        try await house.group()
        let response = try await house.response("StartLiveTail", ["logGroupIdentifiers": [.string(Self.arn)]])
        guard case .stream(_, let body) = response.payload else { return }
        let reader = Reader()
        let task = Task { try await body(reader) }
        await wait { reader.types.count == 2 && house.time.nextDue() != nil }
        house.time.advance(by: Limits.tailLifetime)
        try await task.value
        #expect(reader.types.last == "SessionTimeoutException")
    }

    @Test func sessionsAreFewAndEndWithTheirClients() async throws {
        try await house.group()
        var held: [OperationResponse] = []
        for _ in 0..<Limits.liveTails {
            held.append(try await house.response("StartLiveTail", ["logGroupIdentifiers": [.string(Self.arn)]]))
        }
        #expect(
            await house.refusal("StartLiveTail", ["logGroupIdentifiers": [.string(Self.arn)]])?.code
                == "LimitExceededException")
        // Answers that were never written.
        held.removeAll()
        #expect(await house.refusal("StartLiveTail", ["logGroupIdentifiers": [.string(Self.arn)]]) == nil)
    }

    @Test func requestsAreChecked() async throws {
        try await house.group()
        for (input, message) in [
            (["logGroupIdentifiers": ["g"]], "must be an ARN"),
            (["logGroupIdentifiers": [.string(Self.arn + ":*")]], "asterisk"),
            (
                ["logGroupIdentifiers": [.string(Self.arn)], "logEventFilterPattern": #""""#],
                #"Invalid filter pattern: Invalid character(s) in term '""'"#
            ),
            (
                ["logGroupIdentifiers": [.string(Self.arn)], "logStreamNames": ["a"], "logStreamNamePrefixes": ["b"]],
                "mutually exclusive"
            ),
            (["logGroupIdentifiers": [.string(Self.arn + "no")]], "does not exist"),
        ] as [(Value, String)] {
            let refusal = await house.refusal("StartLiveTail", input)
            #expect(refusal?.message.contains(message) == true, "\(refusal?.message ?? "none")")
        }
    }

    @Test func updatesAreBounded() {
        var buffer = TailBuffer()
        func entry(_ message: String) -> TailBuffer.Entry {
            TailBuffer.Entry(groupARN: "g", stream: "s", message: message, timestamp: 1, ingested: 1)
        }
        for number in 0..<600 { buffer.append(entry(String(number))) }
        var taken = buffer.take()
        #expect(taken.entries.count == 500 && taken.isSampled)
        buffer.append(entry(String(repeating: "x", count: 2 << 20)))
        buffer.append(entry("y"))
        taken = buffer.take()
        #expect(taken.entries.count == 1 && taken.isSampled)
        #expect(!buffer.take().isSampled)
    }
}
