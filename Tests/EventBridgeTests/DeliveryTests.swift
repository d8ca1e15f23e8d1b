import Contracts
import Logging
import Platform
import Storage
import Testing
import Wire

@testable import EventBridge

@Suite struct DeliveryTests {
    private static let bus = "arn:aws:events:us-east-1:000000000000:event-bus/default"
    private static let s3 = Principal.service(
        name: "s3.amazonaws.com", sourceARN: "arn:aws:s3:::b", sourceAccount: "000000000000")

    private static func delivery(_ change: (inout Delivery) -> Void = { _ in }) -> Delivery {
        var delivery = Delivery(
            id: "11111111-2222-4333-8444-555555555555", target: bus, principal: s3, payload: Array(#"{"a": 1}"#.utf8),
            createdAt: Instant(milliseconds: 1_795_413_600_000),
            attributes: DeliveryAttributes(
                event: DeliveryAttributes.EventKind(
                    source: "aws.s3", detailType: "Object Created", resources: ["arn:aws:s3:::b"])))
        change(&delivery)
        return delivery
    }

    private static func accept(_ delivery: Delivery, _ harness: Harness) async throws {
        let now = harness.time.now()
        try await harness.database.write { [service = harness.service] in
            try service.accept(delivery, in: $0, now: now)
        }
    }

    @Test func servicesPutEventsOnTheBus() async throws {
        let harness = try await Harness()
        try await harness.rule("r", #"{"source":["aws.s3"]}"#, targets: [Harness.target("q")])
        try await Self.accept(Self.delivery(), harness)
        #expect(
            harness.outbox.texts == [
                #"{"version":"0","id":"11111111-2222-4333-8444-555555555555","detail-type":"Object Created","source":"aws.s3","account":"000000000000","time":"2026-11-23T06:00:00Z","region":"us-east-1","resources":["arn:aws:s3:::b"],"detail":{"a":1}}"#
            ])
    }

    @Test func refusals() async throws {
        let harness = try await Harness()
        func code(_ change: (inout Delivery) -> Void) async -> String? {
            do {
                try await Self.accept(Self.delivery(change), harness)
                return nil
            } catch DeliveryRefusal.permanent(let code, _) { return code } catch { return "\(error)" }
        }
        #expect(await code { $0.payload = Array("[]".utf8) } == "MalformedDetail")
        #expect(await code { $0.attributes.event = nil } == "MalformedDetail")
        #expect(
            await code { $0.target = "arn:aws:events:us-east-1:000000000000:event-bus/gone" }
                == "ResourceNotFoundException")
        #expect(
            await code { $0.target = "arn:aws:events:us-east-1:000000000000:rule/x" } == "ResourceNotFoundException")
        #expect(
            await code {
                $0.principal = .service(name: "events.amazonaws.com", sourceARN: "arn", sourceAccount: "111111111111")
            } == "AccessDeniedException")
        #expect(await code { $0.attributes.forwards = 6 } == "EventLoop")
        #expect(await code { $0.attributes.forwards = 1 } == "MalformedDetail")
    }

    /// Two buses that send each other everything: an event goes round a few times and stops.
    @Test func loopsEnd() async throws {
        let harness = try await Harness()
        try await harness.call("CreateEventBus", ["Name": "b"])
        let other = "arn:aws:events:us-east-1:000000000000:event-bus/b"
        try await harness.rule("r", #"{"source":["app"]}"#, targets: [["Id": "t", "Arn": .string(other)]])
        try await harness.rule("r", #"{"source":["app"]}"#, bus: "b", targets: [["Id": "t", "Arn": .string(Self.bus)]])
        try await harness.put()
        var handed = 0
        do {
            while let delivery = harness.outbox.deliveries.last, handed < 100 {
                harness.outbox.clear()
                try await Self.accept(delivery, harness)
                handed += 1
            }
            Issue.record("it went on")
        } catch DeliveryRefusal.permanent(let code, _) {
            #expect(code == "EventLoop")
        }
        #expect(handed == 5)
    }

    @Test func pieces() throws {
        let head = Event.Head(
            id: "i", detailType: "t", source: "s", account: "a", time: Instant(milliseconds: 0), region: "r",
            resources: [])
        var event = Event(head, detail: [:], detailBytes: "{}".utf8, ingestion: Instant(nanoseconds: 5))
        event.forwards = 2
        event.traceHeader = "Root=1"
        let bus = BusKey(scope: AccountRegion(account: "a", region: "r"), name: "b/c")
        let piece = FanOutPiece(bus: bus, event: event, place: FanOutPlace(rule: "x", target: "y"))
        let read = try #require(FanOutPiece(encoded: piece.encoded()))
        #expect(read.bus == bus && read.place == piece.place && read.event.bytes == event.bytes)
        #expect(
            read.event.forwards == 2 && read.event.traceHeader == "Root=1" && read.event.ingestion == event.ingestion)
        for length in 0..<piece.encoded().count {
            #expect(FanOutPiece(encoded: Array(piece.encoded().prefix(length))) == nil)
        }
    }
}

@Suite struct RuleScheduleTests {
    @Test func ratesFire() async throws {
        let harness = try await Harness()
        try await harness.call("PutRule", ["Name": "r", "ScheduleExpression": "rate(5 minutes)"])
        try await harness.call("PutTargets", ["Rule": "r", "Targets": [Harness.target("q")]])
        harness.time.advance(by: .seconds(299))
        #expect(harness.outbox.deliveries.isEmpty)
        harness.time.advance(by: .seconds(1))
        try await waitUntil(harness.time) { harness.outbox.deliveries.count == 1 }
        let event = try JSON.parse(harness.outbox.texts.first ?? "")
        #expect(event["source"] == "aws.events" && event["detail-type"] == "Scheduled Event" && event["detail"] == [:])
        #expect(event["time"] == "2026-11-23T06:05:00Z")
        #expect(event["resources"] == ["arn:aws:events:us-east-1:000000000000:rule/r"])
        for count in 2...4 {
            try await waitUntil(harness.time) { harness.time.nextDue() != nil }
            harness.time.advance(by: .seconds(300))
            try await waitUntil(harness.time) { harness.outbox.deliveries.count == count }
        }
        try await harness.call("DisableRule", ["Name": "r"])
        harness.time.advance(by: .seconds(3_000))
        let due = try await harness.database.read { try RuleTable.nextDue(in: $0) }
        #expect(due == nil)
        #expect(harness.outbox.deliveries.count == 4)
    }

    /// What fell due while no server ran: a minute ago it is fired, longer ago it is not.
    @Test func missedTimes() async throws {
        let first = try await Harness()
        try await first.call("PutRule", ["Name": "r", "ScheduleExpression": "cron(0/10 * * * ? *)"])
        try await first.call("PutTargets", ["Rule": "r", "Targets": [Harness.target("q")]])
        first.service.stop()
        first.time.advance(by: .seconds(3 * 600 + 30))
        #expect(first.outbox.deliveries.isEmpty)
        let database = first.database
        let second = try await Harness(database)
        second.service.stop()
        // Its clock stands at the beginning: the next start is half an hour later.
        let third = try await Harness(database)
        third.time.advance(by: .seconds(610))
        try await waitUntil(third.time) { third.outbox.deliveries.count == 1 }
        try await waitUntil(third.time) {
            try await database.read { try RuleTable.nextDue(in: $0) }.map { $0 > third.time.now() } == true
        }
        #expect(third.outbox.deliveries.count == 1)
        third.service.stop()
        let late = ManualTime(now: first.time.now())
        let service = try EventBridgeService(
            database: database, outbox: third.outbox, authorizer: third.authorizer, time: late,
            logger: .init(label: "test"))
        try await service.start()
        try await waitUntil(late) {
            try await database.read { try RuleTable.nextDue(in: $0) }.map { $0 > late.now() } == true
        }
        #expect(third.outbox.deliveries.count == 1)
        service.stop()
    }

    /// Servers come and go at any time: each minute is fired, and none twice.
    @Test(arguments: 1...6) func noTimeIsSkippedOverRestarts(seed: UInt64) async throws {
        var random = Seeded(seed: seed)
        let first = try await Harness()
        try await first.call("PutRule", ["Name": "r", "ScheduleExpression": "cron(* * * * ? *)"])
        try await first.call("PutTargets", ["Rule": "r", "Targets": [Harness.target("q")]])
        let (database, outbox, time) = (first.database, first.outbox, first.time)
        let start = time.now()
        var service = first.service
        for _ in 0..<80 {
            time.advance(by: .milliseconds(Int64.random(in: 1...29_000, using: &random)))
            if Int.random(in: 0..<3, using: &random) == 0 {
                // At any place among reading, committing and planning anew; and some time without a server.
                service.stop()
                time.advance(by: .milliseconds(Int64.random(in: 0...25_000, using: &random)))
                service = try EventBridgeService(
                    database: database, outbox: outbox, authorizer: first.authorizer, time: time,
                    logger: .init(label: "test"))
                try await service.start()
            }
            // Only the clock is in the test's hands: the store needs its own time.
            try await waitUntil(time) {
                try await database.read { try RuleTable.nextDue(in: $0) }.map { $0 > time.now() } == true
            }
        }
        service.stop()
        let fired = try outbox.texts.map { try JSON.parse($0)["time"]?.string ?? "" }
        let minutes = (time.now().seconds - start.seconds) / 60
        let expected = (1...minutes).map { (start + .seconds($0 * 60)).iso8601() }
        #expect(fired.sorted() == expected, "\(minutes) minutes")
    }

    private struct Seeded: RandomNumberGenerator {
        var state: UInt64
        init(seed: UInt64) { state = seed }
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
            return z ^ z >> 31
        }
    }
}
