import Contracts
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import SNS

/// Fan-outs that do not fit into their publish's transaction.
@Suite(.timeLimit(.minutes(1))) struct PublicationTests {
    /// A topic with so many queues that get the bare message, subscribed without the API's ceremony.
    private func topic(_ house: Harness, queues: Int, fifo: Bool = false) async throws -> String {
        let topic = try await fifo ? house.fifo() : house.topic()
        let key = try TopicKey(arn: topic)
        try await house.database.write { transaction in
            for number in 0..<queues {
                try SubscriptionTable.put(
                    Subscription(
                        topic: key, id: Identifier.uuid(), owner: Harness.account, transport: .sqs,
                        endpoint: Harness.queue("q\(number)" + (fifo ? ".fifo" : "")),
                        attributes: ["RawMessageDelivery": "true"], principal: "p", server: "http://localhost:4566",
                        state: .confirmed, isAuthenticated: true), in: transaction)
            }
        }
        return topic
    }

    private func aside(_ house: Harness) async throws -> Int {
        try await house.database.read { try Publications.queue.countAside(in: $0) }
    }

    @Test func manySubscribersGetItOnceAndPageByPage() async throws {
        let house = try await Harness()
        let count = 2 * Limits.fanOutSubscriptions + 7
        let topic = try await topic(house, queues: count)
        house.service.stop()
        try await house.publish(topic, "m")
        // What the publish committed: one row, and nothing else.
        #expect(try await house.rows() == 1 && house.outbox.deliveries.isEmpty)
        // A page that fails is no page, and comes again.
        house.outbox.fail(after: Limits.fanOutSubscriptions + 3)
        try await house.service.start()
        try await waitUntil(house.time) { house.time.nextDue() == house.time.now() + Limits.fanOutPause }
        #expect(house.outbox.deliveries.count == Limits.fanOutSubscriptions)
        house.time.advance(by: Limits.fanOutPause)
        try await waitUntil(house.time) { house.outbox.deliveries.count >= count }
        try await waitUntil(house.time) { try await house.rows() == 0 }
        #expect(house.outbox.deliveries.count == count && Set(house.outbox.deliveries.map(\.target)).count == count)
        #expect(house.outbox.most == Limits.fanOutSubscriptions)
    }

    @Test func theBytesOfATransactionAreBounded() async throws {
        let house = try await Harness()
        let topic = try await topic(house, queues: 100)
        let text = String(repeating: "x", count: 250_000)
        try await house.publish(topic, text)
        try await waitUntil(house.time) { house.outbox.deliveries.count == 100 }
        #expect(house.outbox.most * text.utf8.count <= Limits.fanOutBytes)
        // The entries of a batch share their transaction.
        house.outbox.clear()
        let entries = (0..<10).map { number -> Value in
            ["Id": .string("\(number)"), "Message": .string(String(repeating: "y", count: 26_000))]
        }
        try await house.call(
            "PublishBatch", ["TopicArn": .string(topic), "PublishBatchRequestEntries": .list(entries)])
        try await waitUntil(house.time) { house.outbox.deliveries.count == 1_000 }
        #expect(house.outbox.most * 26_000 <= Limits.fanOutBytes)
    }

    @Test func messagesOfAFIFOTopicDoNotOvertakeEachOther() async throws {
        let house = try await Harness()
        let topic = try await topic(house, queues: 60, fifo: true)
        func publish(_ number: Int, _ bytes: Int) async throws {
            try await house.publish(
                topic, "\(number)" + String(repeating: "x", count: bytes),
                ["MessageGroupId": "g", "MessageDeduplicationId": .string("d\(number)")])
        }
        // Large ones go out page by page; the small ones after them would fit into their own transactions.
        for number in 0..<6 { try await publish(number, number % 3 == 0 ? 250_000 : 1) }
        try await waitUntil(house.time) { house.outbox.deliveries.count == 6 * 60 }
        for queue in 0..<60 {
            let seen = house.outbox.deliveries.filter { $0.target == Harness.queue("q\(queue).fifo") }
            #expect(seen.compactMap(\.payload.first) == Array("012345".utf8))
            #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.createdAt < $1.createdAt })
        }
    }

    @Test func whatServicesPublishIsSignedLater() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        try await house.subscribe(topic, "sqs", Harness.queue("q"))
        try await house.subscribe(topic, "sqs", Harness.queue("raw"), ["RawMessageDelivery": "true"])
        house.service.stop()
        let now = house.time.now()
        for text in ["one", "two"] {
            try await house.database.write { [service = house.service] transaction in
                try service.accept(
                    Delivery(
                        id: "i", target: topic, principal: .account(Harness.account), payload: Array(text.utf8),
                        createdAt: now, attributes: DeliveryAttributes(subject: "S", traceHeader: "Root=1-2-3")),
                    in: transaction, now: now)
            }
        }
        // The service's transaction has made no signature, and so sent nothing.
        #expect(try await house.rows() == 2 && house.outbox.deliveries.isEmpty)
        try await house.service.start()
        try await waitUntil(house.time) { house.outbox.deliveries.count == 4 }
        let key = try await house.service.keys.key()
        let signed = house.outbox.deliveries.filter { $0.target == Harness.queue("q") }
        for (delivery, text) in zip(signed, ["one", "two"]) {
            let body = try JSON.parse(delivery.payload)
            func member(_ name: String) -> String { body[name]?.string ?? "" }
            let plain =
                "Message\n\(text)\nMessageId\n\(member("MessageId"))\nSubject\nS\nTimestamp\n\(member("Timestamp"))\n"
                + "TopicArn\n\(topic)\nType\nNotification\n"
            #expect(try key.sign(plain, .one) == member("Signature"))
            #expect(delivery.attributes.traceHeader == "Root=1-2-3")
        }
        try await waitUntil(house.time) { try await house.rows() == 0 }
        #expect(house.outbox.deliveries.count == 4)
    }

    @Test func aRowThatCannotBeReadIsSetAside() async throws {
        let house = try await Harness()
        let topic = try await topic(house, queues: 1)
        let now = house.time.now()
        house.service.stop()
        try await house.database.write { transaction in
            for payload in ["{}", "garbage", ""] {
                try Publications.queue.enqueue(
                    NewDueItem(partition: topic, due: now, payload: Array(payload.utf8)), now: now, in: transaction)
            }
            let good = Publication(
                message: PublishedMessage(id: "good", text: "m", attributes: []), publishedAt: now, createdAt: now,
                sequence: nil)
            try Publications.queue.enqueue(
                NewDueItem(partition: topic, due: now, payload: good.encoded()), now: now, in: transaction)
        }
        try await house.service.start()
        try await waitUntil(house.time) { house.outbox.deliveries.count == 1 }
        try await waitUntil(house.time) { house.service.publications.unreadable == 3 }
        #expect(try await aside(house) == 3)
        #expect(house.service.metricLines.contains(#"martlet_sns_unreadable_rows_total{queue="publish"} 3"#))
        // The topic is as good as before.
        try await house.publish(topic, "next")
        #expect(house.outbox.deliveries.count == 2)
    }

    @Test func messagesOfATopicThatIsGoneGoWithIt() async throws {
        let house = try await Harness()
        let topic = try await topic(house, queues: Limits.fanOutSubscriptions + 1)
        house.service.stop()
        try await house.publish(topic, "m")
        try await house.call("DeleteTopic", ["TopicArn": .string(topic)])
        try await house.service.start()
        try await waitUntil(house.time) { try await house.rows() == 0 }
        #expect(house.outbox.deliveries.isEmpty)
    }

    @Test func aRawMessageWithMoreAttributesThanAQueueTakesIsADeadLetter() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let raw: Fields = ["RawMessageDelivery": "true"]
        var redriven = raw
        redriven["RedrivePolicy"] = PublishTests.redrive("dead")
        try await house.subscribe(topic, "sqs", Harness.queue("lost"), raw)
        try await house.subscribe(topic, "sqs", Harness.queue("kept"), redriven)
        try await house.subscribe(topic, "sqs", Harness.queue("wrapped"))
        for count in [10, 11] {
            house.outbox.clear()
            var attributes: Fields = [:]
            for number in 0..<count { attributes["a\(number)"] = ["DataType": "String", "StringValue": "v"] }
            try await house.publish(topic, "m", ["MessageAttributes": .map(attributes)])
            let sent = house.outbox.deliveries
            let targets = Set(sent.map(\.target))
            let expected = count == 10 ? ["lost", "kept", "wrapped"] : ["dead", "wrapped"]
            #expect(targets == Set(expected.map { Harness.queue($0) }))
            let dead = sent.first { $0.target == Harness.queue("dead") }
            if let dead {
                #expect(dead.purpose == .deadLetter && dead.attributes.message.isEmpty)
                #expect(try JSON.parse(dead.payload)["MessageAttributes"]?.fields?.count == 11)
            }
        }
    }

    @Test func publicationsReadBackWhatWasWritten() throws {
        var publication = Publication(
            message: PublishedMessage(
                id: "i", subject: "s", text: "t\n\u{1}", textByProtocol: ["sqs": "q", "lambda": "l"],
                attributes: [
                    MessageAttribute(name: "a", dataType: "String", content: .string("x")),
                    MessageAttribute(name: "b", dataType: "Binary.gif", content: .binary([0, 255, 10])),
                ], groupID: "g", deduplicationID: "d", traceHeader: "Root=1"), publishedAt: Instant(nanoseconds: 5),
            createdAt: Instant(nanoseconds: 7), sequence: "1000")
        publication.after = "id"
        #expect(Publication(encoded: publication.encoded()) == publication)
        let plain = Publication(
            message: PublishedMessage(id: "i", text: "t", attributes: []), publishedAt: Instant(nanoseconds: 5),
            createdAt: Instant(nanoseconds: 5), sequence: nil)
        #expect(Publication(encoded: plain.encoded()) == plain)
        #expect(Publication(encoded: []) == nil)
    }

    /// Seeded: topics come and end in every order; none is worked on twice at once, and none is forgotten.
    @Test(arguments: 0..<20) func turns(_ seed: UInt64) {
        var random = Xorshift(seed)
        var turns = TopicTurns(most: 3)
        var (working, owed): (Set<String>, Set<String>) = ([], [])
        for _ in 0..<400 {
            let topic = "t\(random.next(8))"
            if random.next(2) == 0 {
                owed.insert(topic)
                if turns.came(topic) {
                    #expect(working.insert(topic).inserted)
                    owed.remove(topic)
                }
            } else if let done = working.sorted().first {
                working.remove(done)
                if let next = turns.ended(done) {
                    #expect(working.insert(next).inserted)
                    owed.remove(next)
                }
            }
            #expect(working.count <= 3)
            #expect(working.count == 3 || owed.subtracting(working).isEmpty)
        }
        while let done = working.sorted().first {
            working.remove(done)
            if let next = turns.ended(done) {
                working.insert(next)
                owed.remove(next)
            }
        }
        #expect(owed.isEmpty)
    }
}

/// A small seeded generator.
struct Xorshift {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next(_ bound: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(state % UInt64(bound))
    }
}

@Suite struct BoundsTests {
    @Test func attributesOfSubscriptionsAndTopics() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let subscription = try await house.subscribe(topic, "sqs", Harness.queue("q"))
        func set(_ name: String, _ value: String) async -> String? {
            await house.error(
                "SetSubscriptionAttributes",
                [
                    "SubscriptionArn": .string(subscription), "AttributeName": .string(name),
                    "AttributeValue": .string(value),
                ])?.message
        }
        let long = String(repeating: "a", count: Limits.attributeBytes + 1)
        #expect(
            await set("SubscriptionRoleArn", long)
                == "Invalid parameter: SubscriptionRoleArn: must be at most 2048 bytes")
        #expect(await set("SubscriptionRoleArn", String(long.dropLast())) == nil)
        let filter = #"{"a":["\#(String(repeating: "x", count: Limits.filterPolicyBytes))"]}"#
        #expect(await set("FilterPolicy", filter) == "Invalid parameter: FilterPolicy: must be at most 262144 bytes")
        for name in ["KmsMasterKeyId", "SQSFailureFeedbackRoleArn"] {
            #expect(
                await house.error(
                    "SetTopicAttributes",
                    ["TopicArn": .string(topic), "AttributeName": .string(name), "AttributeValue": .string(long)])?
                    .message == "Invalid parameter: \(name): must be at most 2048 bytes")
        }
    }

    /// 262,144 bytes of text, names, types and values together.
    @Test func attributesCountTowardsAMessage() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        func publish(_ bytes: Int) async -> AWSError? {
            await house.error(
                "Publish",
                [
                    "TopicArn": .string(topic), "Message": .string(String(repeating: "m", count: 1_000)),
                    "MessageAttributes": [
                        "name": ["DataType": "Binary", "BinaryValue": .blob(Array(repeating: 1, count: bytes))]
                    ],
                ])
        }
        #expect(await publish(Limits.messageBytes - 1_010) == nil)
        #expect(
            await publish(Limits.messageBytes - 1_009)
                == AWSError("InvalidParameter", "Invalid parameter: Message too long"))
    }

    @Test func thereMayBeAThousandFIFOTopics() async throws {
        let house = try await Harness()
        try await house.database.write { transaction in
            for number in 0..<(Limits.fifoTopics - 1) {
                let key = TopicKey(
                    scope: AccountRegion(account: Harness.account, region: "us-east-1"), name: "t\(number).fifo")
                try TopicTable.put(Topic(key: key, attributes: [:], tags: [:]), in: transaction)
            }
        }
        _ = try await house.fifo("last.fifo")
        let input: Value = ["Name": "more.fifo", "Attributes": ["FifoTopic": "true"]]
        #expect(await house.error("CreateTopic", input)?.code == "TopicLimitExceeded")
        #expect(await house.error("CreateTopic", ["Name": "standard"]) == nil)
        #expect(await house.error("CreateTopic", input, account: "111122223333") == nil)
    }
}
