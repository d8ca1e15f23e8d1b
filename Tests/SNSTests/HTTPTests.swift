import Contracts
import Platform
import Storage
import Testing
import Wire

@testable import SNS

@Suite(.timeLimit(.minutes(1))) struct HTTPTests {
    /// A topic with a confirmed HTTP subscription; what it took is forgotten.
    private func confirmed(
        _ house: Harness, _ attributes: Fields = [:], guarded: Bool = false
    ) async throws -> (topic: String, subscription: String) {
        let topic = try await house.topic()
        let subscription = try await house.subscribe(topic, "http", "http://user:p%40ss@localhost/hook", attributes)
        try await house.http.wait(for: 1)
        let body = try JSON.parse(house.http.requests[0].body)
        try await house.call(
            "ConfirmSubscription",
            [
                "TopicArn": .string(topic), "Token": body["Token"] ?? "",
                "AuthenticateOnUnsubscribe": .string("\(guarded)"),
            ])
        return (topic, subscription)
    }

    @Test func confirmationThenNotifications() async throws {
        let house = try await Harness()
        let (topic, subscription) = try await confirmed(house)
        try await house.publish(topic, "hello")
        try await house.http.wait(for: 2)
        let (first, second) = (house.http.requests[0], house.http.requests[1])
        func header(_ request: OutboundRequest, _ name: String) -> String? {
            request.headers.first { $0.name == name }?.value
        }
        #expect(header(first, "x-amz-sns-message-type") == "SubscriptionConfirmation")
        #expect(header(first, "x-amz-sns-subscription-arn") == nil)
        #expect(
            try JSON.parse(first.body).fields?.names == [
                "Type", "MessageId", "Token", "TopicArn", "Message", "SubscribeURL", "Timestamp", "SignatureVersion",
                "Signature", "SigningCertURL",
            ])
        #expect(second.url == "http://localhost/hook" && second.method == "POST")
        #expect(header(second, "Authorization") == "Basic \(Base64.encode(Array("user:p@ss".utf8)))")
        #expect(header(second, "x-amz-sns-message-type") == "Notification")
        #expect(header(second, "x-amz-sns-subscription-arn") == subscription)
        #expect(header(second, "x-amz-sns-topic-arn") == topic)
        #expect(header(second, "Content-Type") == "text/plain; charset=UTF-8")
        #expect(header(second, "User-Agent") == "Amazon Simple Notification Service Agent")
        #expect(try JSON.parse(second.body)["Message"] == "hello")
    }

    @Test func rawBodies() async throws {
        let house = try await Harness()
        let (topic, _) = try await confirmed(
            house,
            [
                "RawMessageDelivery": "true",
                "DeliveryPolicy": #"{"requestPolicy":{"headerContentType":"application/json"}}"#,
            ])
        try await house.publish(topic, "{}")
        try await house.http.wait(for: 2)
        let request = house.http.requests[1]
        #expect(request.body == Array("{}".utf8))
        #expect(request.headers.contains { $0.name == "x-amz-sns-rawdelivery" && $0.value == "true" })
        #expect(request.headers.contains { $0.name == "Content-Type" && $0.value == "application/json" })
    }

    @Test func retriesThenTheDeadLetterQueue() async throws {
        let house = try await Harness()
        let (topic, _) = try await confirmed(house, ["RedrivePolicy": PublishTests.redrive("dead")])
        house.http.answer(500, nil, 429, 503)
        try await house.publish(topic, "doomed")
        try await house.http.wait(for: 2)
        for attempt in 3...5 {
            try await waitUntil(house.time) { house.time.nextDue().map { $0 > house.time.now() } ?? false }
            house.time.advance(by: .seconds(19))
            #expect(house.http.requests.count == attempt - 1)
            house.time.advance(by: .seconds(1))
            try await house.http.wait(for: attempt)
        }
        try await waitUntil(house.time) { !house.outbox.deliveries.isEmpty }
        let letter = try #require(house.outbox.deliveries.first)
        #expect(letter.target == Harness.queue("dead"))
        #expect(try JSON.parse(letter.payload)["Message"] == "doomed")
    }

    @Test func clientErrorsAreFinal() async throws {
        let house = try await Harness()
        let (topic, _) = try await confirmed(house, ["RedrivePolicy": PublishTests.redrive("dead")])
        house.http.answer(404)
        try await house.publish(topic, "x")
        try await waitUntil(house.time) { !house.outbox.deliveries.isEmpty }
        #expect(house.http.requests.count == 2)
    }

    @Test func anotherProcessGoesOn() async throws {
        let house = try await Harness()
        let (topic, _) = try await confirmed(house)
        house.service.stop()
        try await house.publish(topic, "kept")
        #expect(house.http.requests.count == 1)
        try await house.service.start()
        try await house.http.wait(for: 2)
        #expect(try JSON.parse(house.http.requests[1].body)["Message"] == "kept")
    }

    @Test func theLinkUnsubscribesAndBringsBack() async throws {
        let house = try await Harness()
        let (topic, subscription) = try await confirmed(house)
        try await house.call("Unsubscribe", ["SubscriptionArn": .string(subscription)], headers: [])
        try await house.http.wait(for: 2)
        let body = try JSON.parse(house.http.requests[1].body)
        #expect(body["Type"] == "UnsubscribeConfirmation")
        #expect(
            await house.error("GetSubscriptionAttributes", ["SubscriptionArn": .string(subscription)])?.status == 404)
        try await house.call("ConfirmSubscription", ["TopicArn": .string(topic), "Token": body["Token"] ?? ""])
        #expect(try await house.attributes(of: subscription)["PendingConfirmation"] == "false")
    }

    @Test func aGuardedSubscriptionNeedsASignature() async throws {
        let house = try await Harness()
        let (_, subscription) = try await confirmed(house, guarded: true)
        await #expect(throws: AWSError.self) {
            try await house.call("Unsubscribe", ["SubscriptionArn": .string(subscription)], headers: [])
        }
        try await house.call("Unsubscribe", ["SubscriptionArn": .string(subscription)])
    }

    /// Hosts that swallow requests take a part of all places, and what answers goes on.
    @Test func deadHostsHoldUpNobodyElse() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let key = try TopicKey(arn: topic)
        func subscribe(_ url: String) async throws {
            try await house.database.write { transaction in
                try SubscriptionTable.put(
                    Subscription(
                        topic: key, id: Identifier.uuid(), owner: Harness.account, transport: .http, endpoint: url,
                        attributes: [:], principal: "p", server: "http://localhost:4566", state: .confirmed,
                        isAuthenticated: true), in: transaction)
            }
        }
        func count(_ part: String) -> Int { house.http.requests.filter { $0.url.contains(part) }.count }
        try await subscribe("http://living/")
        try await house.publish(topic, "hello")
        try await waitUntil(house.time) { count("living") == 1 }
        house.http.swallow("dead")
        for number in 0..<(2 * Limits.httpConcurrency) { try await subscribe("http://dead\(number)/") }
        try await house.publish(topic, "first")
        try await waitUntil(house.time) { count("dead") == Limits.httpUnproven && count("living") == 2 }
        for number in 0..<20 { try await house.publish(topic, "\(number)") }
        try await waitUntil(house.time) { count("living") == 22 }
        #expect(count("dead") == Limits.httpUnproven)
    }

    @Test func waitsAreShortenedByChance() async throws {
        let house = try await Harness(chance: 1)
        let (topic, _) = try await confirmed(house)
        house.http.answer(500)
        try await house.publish(topic, "x")
        try await house.http.wait(for: 2)
        try await waitUntil(house.time) { house.time.nextDue() == house.time.now() + .seconds(16) }
    }

    @Test func aNotificationThatCannotBeReadIsSetAside() async throws {
        let house = try await Harness()
        let (topic, _) = try await confirmed(house)
        try await waitUntil(house.time) { try await house.rows() == 0 }
        house.service.stop()
        try await house.publish(topic, "spoilt")
        try await house.execute("UPDATE duequeue_items SET payload = x'00'")
        try await house.execute("UPDATE duequeue_payloads SET payload = x'00'")
        try await house.publish(topic, "fine")
        try await house.service.start()
        try await house.http.wait(for: 2)
        #expect(try JSON.parse(house.http.requests[1].body)["Message"] == "fine")
        try await waitUntil(house.time) {
            let aside = try await house.database.read { try HTTPDeliveries.queue.countAside(in: $0) }
            let rows = try await house.rows()
            return aside == 1 && rows == 1
        }
        #expect(house.service.metricLines.contains(#"{queue="http"} 1"#))
    }

    @Test func whatTheStoppingServerBreaksOffIsNoAttempt() async throws {
        let house = try await Harness()
        let (topic, _) = try await confirmed(
            house,
            [
                "RedrivePolicy": PublishTests.redrive("dead"),
                "DeliveryPolicy": #"{"healthyRetryPolicy":{"numRetries":0}}"#,
            ])
        house.http.answer(nil)
        house.http.before { [service = house.service] in service.stop() }
        try await house.publish(topic, "kept")
        try await house.http.wait(for: 2)
        house.http.before(nil)
        try await house.service.start()
        try await house.http.wait(for: 3)
        try await waitUntil(house.time) { try await house.rows() == 0 }
        #expect(house.outbox.deliveries.isEmpty)
    }

    @Test func whatCannotBeWrittenDownIsWrittenAgain() async throws {
        let house = try await Harness()
        let (topic, _) = try await confirmed(house)
        try await waitUntil(house.time) { try await house.rows() == 0 }
        try await house.execute(
            "CREATE TRIGGER full BEFORE DELETE ON duequeue_items BEGIN SELECT RAISE(ABORT, 'full'); END")
        try await house.publish(topic, "once")
        try await house.http.wait(for: 2)
        try await waitUntil(house.time) { house.time.nextDue() == house.time.now() + .seconds(1) }
        try await house.execute("DROP TRIGGER full")
        house.time.advance(by: .seconds(1))
        try await waitUntil(house.time) { try await house.rows() == 0 }
        #expect(house.http.requests.count == 2)
    }
}

@Suite struct DeliveryPolicyTests {
    private func waits(_ policy: HTTPDeliveryPolicy) -> [Double] {
        (1...200).compactMap { policy.wait(afterAttempt: $0)?.fractionalSeconds }
    }

    @Test func theDefaultIsThreeTimesTwentySeconds() { #expect(waits(HTTPDeliveryPolicy()) == [20, 20, 20]) }

    @Test func fourPhases() {
        var policy = HTTPDeliveryPolicy()
        policy.minDelay = 1
        policy.maxDelay = 9
        policy.retries = 10
        policy.noDelayRetries = 2
        policy.minDelayRetries = 2
        policy.maxDelayRetries = 1
        #expect(waits(policy) == [0, 0, 1, 1, 1, 3, 5, 7, 9, 9])
        for backoff in HTTPDeliveryPolicy.Backoff.allCases {
            policy.backoff = backoff
            let phase = Array(waits(policy)[4..<9])
            #expect(abs(phase[0] - 1) < 0.001 && abs(phase[4] - 9) < 0.001)
            #expect(phase == phase.sorted())
        }
    }

    @Test(arguments: [
        "[]", "{", #"{"healthyRetryPolicy":{"numRetries":101}}"#, #"{"healthyRetryPolicy":{"minDelayTarget":0}}"#,
        #"{"healthyRetryPolicy":{"minDelayTarget":30,"maxDelayTarget":20}}"#,
        #"{"healthyRetryPolicy":{"numRetries":2,"numNoDelayRetries":3}}"#,
        #"{"healthyRetryPolicy":{"numRetries":100,"minDelayTarget":60,"maxDelayTarget":60}}"#,
        #"{"healthyRetryPolicy":{"backoffFunction":"none"}}"#, #"{"throttlePolicy":{"maxReceivesPerSecond":0}}"#,
        #"{"requestPolicy":{"headerContentType":"x\r\ny: z"}}"#,
    ])
    func bad(_ text: String) { #expect(throws: AWSError.self) { try HTTPDeliveryPolicy.check(subscription: text) } }

    @Test func subscriptionsOverrideTheirTopicUnlessItSaysNo() {
        let own = #"{"healthyRetryPolicy":{"numRetries":7}}"#
        let topic = #"{"http":{"defaultHealthyRetryPolicy":{"numRetries":5,"minDelayTarget":10}}}"#
        let strict = #"{"http":{"disableSubscriptionOverrides":true}}"#
        #expect(HTTPDeliveryPolicy.effective(topic: topic, subscription: own).retries == 7)
        #expect(HTTPDeliveryPolicy.effective(topic: topic, subscription: own).minDelay == 10)
        #expect(HTTPDeliveryPolicy.effective(topic: strict, subscription: own).retries == 3)
    }

    @Test func outcomes() {
        let policy = HTTPDeliveryPolicy()
        func decide(_ outcome: HTTPOutcome, _ attempts: Int = 1) -> HTTPRetry.Decision {
            HTTPRetry.decide(outcome, attempts: attempts, policy: policy)
        }
        for status in [200, 204, 299] { #expect(decide(.status(status)) == .delivered) }
        for status in [301, 400, 403, 404, 499] { #expect(decide(.status(status)) == .giveUp) }
        for status in [429, 500, 503, 599] { #expect(decide(.status(status)) == .again(after: .seconds(20))) }
        #expect(decide(.noAnswer) == .again(after: .seconds(20)))
        #expect(decide(.noAnswer, 4) == .giveUp)
    }

    @Test func ratesFillEvenly() {
        let start = Instant(milliseconds: 0)
        var rate = ReceiveRate(perSecond: 2, now: start)
        #expect(rate.isFull(now: start))
        #expect(rate.take(8, now: start).granted == 2)
        #expect(!rate.isFull(now: start + .milliseconds(999)) && rate.isFull(now: start + .seconds(1)))
        let (granted, next) = rate.take(8, now: start)
        #expect(granted == 0 && next == start + .milliseconds(500))
        #expect(rate.take(8, now: start + .milliseconds(500)).granted == 1)
        rate.giveBack(1)
        #expect(rate.take(1, now: start + .milliseconds(500)).granted == 1)
    }

    @Test func itemsReadBackWhatWasWritten() throws {
        var policy = HTTPDeliveryPolicy()
        policy.retries = 9
        policy.contentType = "application/json"
        let item = HTTPItem(
            kind: .notification, messageID: "m", topicARN: "t", account: "0", subscriptionARN: "s", url: "http://x/",
            isRaw: true, policy: policy, deadLetterTarget: "d", attempts: 4, body: Array("a\nb".utf8))
        let read = try #require(HTTPItem(encoded: item.encoded()))
        #expect(read.policy == policy && read.body == item.body && read.attempts == 4 && read.deadLetterTarget == "d")
        #expect(HTTPItem(encoded: Array("garbage".utf8)) == nil)
        #expect(HTTPItem(encoded: Array("{}\nx".utf8)) == nil)
    }
}
