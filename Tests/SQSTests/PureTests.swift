import Contracts
import Platform
import Policies
import Testing
import Wire

@testable import SQS

@Suite struct PureTests {
    @Test func theSumOfAttributesIsTheDocumentedOne() {
        // Recorded on AWS by the documentation's example client: one attribute "timestamp" Number 1493147359900.
        let attributes = [MessageAttribute(name: "timestamp", dataType: "Number", content: .string("1493147359900"))]
        #expect(MessageDigest.attributes(attributes) == "235c5c510d26fb653d073faed50ae77c")
        #expect(MessageDigest.attributes([]) == nil)
        #expect(MessageDigest.body("This is a test message") == "fafb00f5732ab283681e124bf8747ed1")
    }

    @Test func envelopesComeBack() throws {
        var envelope = Envelope()
        envelope.sender = "000000000000"
        envelope.md5OfBody = String(repeating: "a", count: 32)
        envelope.groupID = "g"
        envelope.deadLetterSource = "arn:aws:sqs:us-east-1:000000000000:q"
        envelope.attributes = [
            MessageAttribute(name: "a", dataType: "String", content: .string("ü")),
            MessageAttribute(name: "b", dataType: "Binary.x", content: .binary([0, 255, 1])),
        ]
        let bytes = envelope.encoded
        #expect(Envelope(encoded: bytes) == envelope)
        // Whatever is on the disk: no trap.
        for length in 0..<bytes.count { _ = Envelope(encoded: Array(bytes.prefix(length))) }
        for index in bytes.indices {
            var broken = bytes
            broken[index] ^= 0xFF
            _ = Envelope(encoded: broken)
        }
    }

    @Test func receiptHandlesAreOursOrNothing() throws {
        let handles = ReceiptHandles(serverKey: Array(repeating: 1, count: 32))
        let handle = ReceiptHandle(queue: 3, message: .max, receive: 70_000, isLarge: true)
        let text = handles.text(handle)
        #expect(text.hasPrefix("AQEB"))
        #expect(handles.read(text) == handle)
        #expect(ReceiptHandles(serverKey: Array(repeating: 2, count: 32)).read(text) == nil)
        for index in text.indices {
            var other = text
            other.replaceSubrange(index...index, with: text[index] == "B" ? "C" : "B")
            #expect(handles.read(other) == nil)
        }
        for garbage in ["", "x", "é", String(repeating: "A", count: 48), String(repeating: "=", count: 48)] {
            #expect(handles.read(garbage) == nil)
        }
    }

    @Test(arguments: [
        ("http://localhost:4566/000000000000/q", "q"), ("/000000000000/q", "q"), ("000000000000/q", "q"),
        ("https://sqs.eu-west-1.amazonaws.com/000000000000/a-b.fifo", "a-b.fifo"),
        ("http://h/queue/us-east-1/000000000000/q?x=/1/2", "q"),
    ])
    func addresses(url: String, name: String) throws {
        #expect(try QueueAddress(url: url) == QueueAddress(account: "000000000000", name: name))
    }

    @Test(arguments: ["", "q", "http://localhost", "http://localhost/q", "//", "http://h/00000000000x/q", "://"])
    func notAddresses(url: String) {
        #expect(throws: AWSError.self) { try QueueAddress(url: url) }
    }

    @Test func charactersOfBodies() {
        for good in ["x", "\t\n\r", "\u{D7FF}\u{E000}\u{FFFD}\u{10000}\u{10FFFF}", "\u{7F}"] {
            #expect(MessageText.isValid(good))
        }
        for bad in ["\u{0}", "a\u{1F}", "\u{B}", "\u{FFFE}", "x\u{FFFF}"] { #expect(!MessageText.isValid(bad)) }
    }

    @Test func attributesSurviveTheStore() throws {
        var attributes = try QueueAttributes(creating: [
            ("FifoQueue", "true"), ("DeduplicationScope", "messageGroup"),
            ("FifoThroughputLimit", "perMessageGroupId"), ("VisibilityTimeout", "0"), ("KmsMasterKeyId", "k"),
            ("KmsDataKeyReusePeriodSeconds", "60"),
            ("RedrivePolicy", #"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:0:d.fifo","maxReceiveCount":3}"#),
            ("RedriveAllowPolicy", #"{"redrivePermission":"denyAll"}"#),
        ])
        for _ in 0..<2 {
            let read = try QueueAttributes(stored: attributes.stored)
            for name in QueueAttributes.settable { #expect(read.text(name) == attributes.text(name)) }
            try attributes.change([("KmsMasterKeyId", ""), ("SqsManagedSseEnabled", "false")])
        }
        #expect(throws: (any Error).self) { try QueueAttributes(stored: [1, 2]) }
    }

    @Test func policies() throws {
        let arn = "arn:aws:sqs:us-east-1:000000000000:q"
        let policy = try QueuePolicy(
            """
            {"Statement":{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage",
            "Resource":"\(arn)","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:us-east-1:000000000000:t*"}}}}
            """)
        func decide(_ source: String, _ action: String = "sqs:SendMessage") -> PolicyDecision {
            policy.policy.decision(
                for: PolicyRequest(
                    principal: .service(name: "sns.amazonaws.com", sourceARN: source, sourceAccount: "000000000000"),
                    action: action, resource: arn))
        }
        #expect(decide("arn:aws:sns:us-east-1:000000000000:topic") == .allowed)
        #expect(decide("arn:aws:sns:us-east-1:000000000000:other") == .notAllowed)
        #expect(decide("arn:aws:sns:us-east-1:000000000000:topic", "sqs:ReceiveMessage") == .notAllowed)
        for bad in ["", "[]", "{}", #"{"Statement":[{"Effect":"Maybe"}]}"#] {
            #expect(throws: AWSError.self) { try QueuePolicy(bad) }
        }
    }

    @Test func paceOfMoves() {
        #expect(MoveTasks.pace(nil).pause == .zero)
        #expect(MoveTasks.pace(1) == (1, .seconds(1)))
        #expect(MoveTasks.pace(4) == (1, .milliseconds(250)))
        #expect(MoveTasks.pace(500) == (50, .milliseconds(100)))
    }
}

@Suite struct WaitingMachineTests {
    let start = Instant(milliseconds: 1_795_413_600_000)

    @Test func anArrivalTakesTheFirstInLine() throws {
        var machine = WaitingMachine()
        let first = machine.add(queue: "q", deadline: start + .seconds(20), next: nil)
        let second = machine.add(queue: "q", deadline: start + .seconds(20), next: nil)
        let other = machine.add(queue: "other", deadline: start + .seconds(20), next: nil)
        let a = machine.arrived(queue: "q", at: start, now: start)
        let b = machine.arrived(queue: "q", at: start, now: start)
        let c = machine.arrived(queue: "q", at: start, now: start)
        #expect(a == first && b == second && c == nil && machine.count == 1)
        #expect(other != nil)
    }

    @Test func aLaterArrivalAndDeadlinesComeWithTheTick() {
        var machine = WaitingMachine()
        let number = machine.add(queue: "q", deadline: start + .seconds(20), next: start + .seconds(9))
        #expect(machine.nextTick == start + .seconds(9))
        let none = machine.arrived(queue: "q", at: start + .seconds(5), now: start)
        #expect(none == nil && machine.nextTick == start + .seconds(5))
        let early = machine.tick(now: start + .seconds(4))
        #expect(early == WaitingMachine.Due())
        let due = machine.tick(now: start + .seconds(5))
        #expect(due.tried == [number] && due.expired.isEmpty && machine.count == 0)
        #expect(machine.nextTick == nil)
        let late = machine.add(queue: "q", deadline: start + .seconds(20), next: nil)
        let end = machine.tick(now: start + .seconds(20))
        #expect(end.expired == [late] && end.tried.isEmpty)
    }

    @Test func aTimeThatPassesTriesOneOfEachQueue() {
        var machine = WaitingMachine()
        var first: [WaitingMachine.Number?] = []
        for queue in ["q", "other"] {
            for place in 0..<100 {
                let number = machine.add(queue: queue, deadline: start + .seconds(20), next: start + .seconds(1))
                if place == 0 { first.append(number) }
            }
        }
        let due = machine.tick(now: start + .seconds(1))
        #expect(due.tried == first.compactMap { $0 } && machine.count == 198)
        #expect(machine.nextTick == start + .seconds(20))
    }

    @Test func aPauseHoldsForAllOfTheLine() {
        var machine = WaitingMachine()
        let deadline = start + .seconds(20)
        let end = start + .seconds(1)
        let first = machine.add(queue: "q", deadline: deadline, next: start + .milliseconds(5))
        _ = machine.add(queue: "q", deadline: deadline, next: end, pause: end)
        let early = machine.tick(now: start + .milliseconds(5))
        #expect(early == WaitingMachine.Due() && machine.nextTick == end)
        let none = machine.arrived(queue: "q", at: start, now: start + .milliseconds(999))
        #expect(none == nil && machine.nextTick == end)
        let due = machine.tick(now: end)
        #expect(due.tried == [first])
        let next = machine.arrived(queue: "q", at: end, now: end)
        #expect(next != nil && machine.count == 0)
    }

    @Test func theLineIsBounded() {
        var machine = WaitingMachine()
        for _ in 0..<Limits.waitingReceives {
            let number = machine.add(queue: "q", deadline: start, next: nil)
            #expect(number != nil)
        }
        let more = machine.add(queue: "q", deadline: start, next: nil)
        #expect(more == nil)
    }
}

@Suite struct MessageMachineTests {
    let now = Instant(milliseconds: 1_795_413_600_000)

    func queue(_ pairs: [(key: String, value: String)]) throws -> Queue {
        Queue(
            id: 1, scope: Harness.scope, name: "q", created: now, modified: now,
            attributes: try QueueAttributes(creating: pairs))
    }

    func row(receives: Int64, sent: Instant, visible: Instant, received: Instant? = nil) -> MessageRow {
        MessageRow(
            id: 1, visible: visible, receives: receives, sent: sent, received: received ?? sent, firstReceived: sent,
            lane: nil, messageID: "m", envelope: [], body: "x")
    }

    @Test func deadLettersExactlyAtTheCount() throws {
        let policy = #"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:d","maxReceiveCount":3}"#
        let queue = try queue([("RedrivePolicy", policy)])
        func act(_ receives: Int64, _ has: Bool = true) -> MessageMachine.Action {
            MessageMachine.receive(
                row(receives: receives, sent: now, visible: now), by: queue, timeout: .seconds(5),
                hasDeadLetterQueue: has, now: now)
        }
        #expect(act(2) == .deliver(until: now + .seconds(5)))
        #expect(act(3) == .deadLetter)
        #expect(act(3, false) == .deliver(until: now + .seconds(5)))
    }

    @Test func retentionIsExact() throws {
        let queue = try queue([("MessageRetentionPeriod", "60")])
        for (age, expected) in [(59, false), (60, true)] {
            let action = MessageMachine.receive(
                row(receives: 0, sent: now - .seconds(age), visible: now), by: queue, timeout: .zero,
                hasDeadLetterQueue: false, now: now)
            #expect((action == .expire) == expected)
        }
    }

    @Test func visibilityChangesOnlyInFlightAndOnlyTwelveHours() {
        let held = row(receives: 2, sent: now, visible: now + .seconds(1), received: now)
        func change(_ row: MessageRow?, _ receive: Int64, _ seconds: Int) -> MessageMachine.VisibilityChange {
            MessageMachine.changeVisibility(row, receive: receive, timeout: .seconds(seconds), now: now)
        }
        #expect(change(held, 2, 43_200) == .change(until: now + .seconds(43_200)))
        #expect(change(held, 2, 43_201) == .beyondLimit)
        #expect(change(held, 1, 5) == .notInFlight)
        #expect(change(nil, 1, 5) == .notInFlight)
        #expect(change(row(receives: 2, sent: now, visible: now), 2, 5) == .notInFlight)
    }
}
