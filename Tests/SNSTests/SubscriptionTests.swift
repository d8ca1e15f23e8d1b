import Contracts
import Platform
import Testing
import Wire

@testable import SNS

@Suite struct SubscriptionTests {
    @Test(arguments: ["http", "https"])
    func functionsWithoutANetworkSubscribeNoURLs(_ transport: String) async throws {
        let function = Principal.roleSession(
            roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "f", account: Harness.account)
        for mayThey in [false, true] {
            let house = try await Harness(functionsMaySubscribeHTTP: mayThey)
            let topic = try await house.topic()
            let input: Value = [
                "TopicArn": .string(topic), "Protocol": .string(transport), "Endpoint": .string("\(transport)://h/"),
            ]
            let error = await house.error("Subscribe", input, principal: function)
            let text =
                "Invalid parameter: Endpoint Reason: functions may not subscribe HTTP endpoints while --egress is isolated"
            #expect(error?.message == (mayThey ? nil : text) && error?.code == (mayThey ? nil : "InvalidParameter"))
            if !mayThey {
                let list = try await house.call("ListSubscriptions", [:])
                #expect(list["Subscriptions"]?.list?.isEmpty == true && house.http.requests.isEmpty)
            }
            // Others may, and functions may subscribe what is no URL.
            #expect(await house.error("Subscribe", input) == nil)
            try await house.http.wait(for: 1)
            let queue: Value = [
                "TopicArn": .string(topic), "Protocol": "sqs", "Endpoint": .string(Harness.queue("q")),
            ]
            #expect(await house.error("Subscribe", queue, principal: function) == nil)
        }
    }

    @Test func subscribingAgainAnswersTheSame() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let first = try await house.subscribe(topic, "sqs", Harness.queue("q"), ["RawMessageDelivery": "true"])
        #expect(first.hasPrefix(topic + ":"))
        #expect(try await house.subscribe(topic, "sqs", Harness.queue("q")) == first)
        #expect(
            await house.error(
                "Subscribe",
                [
                    "TopicArn": .string(topic), "Protocol": "sqs", "Endpoint": .string(Harness.queue("q")),
                    "Attributes": ["RawMessageDelivery": "false"],
                ])?.message
                == "Invalid parameter: Attributes Reason: Subscription already exists with different attributes")
        let shown = try await house.attributes(of: first)
        #expect(shown["PendingConfirmation"] == "false" && shown["ConfirmationWasAuthenticated"] == "true")
        #expect(shown["RawMessageDelivery"] == "true" && shown["Protocol"] == "sqs")
        #expect(shown["FilterPolicyScope"] == nil && shown["EffectiveDeliveryPolicy"] == nil)
    }

    @Test(arguments: [
        ("test-protocol", "x", "Invalid parameter: Amazon SNS does not support this protocol string: test-protocol"),
        ("sqs", "http://localhost/0/q", "Invalid parameter: SQS endpoint ARN"),
        ("lambda", "fn", "Invalid parameter: Lambda endpoint ARN"),
        ("http", "https://localhost", "Invalid parameter: Endpoint must match the specified protocol"),
        (
            "sms", "+49151",
            "Invalid parameter: The protocol sms is not available: Martlet sends no SMS messages, mobile push "
                + "notifications or e-mail"
        ),
    ])
    func endpoints(_ transport: String, _ endpoint: String, _ message: String) async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let error = await house.error(
            "Subscribe",
            ["TopicArn": .string(topic), "Protocol": .string(transport), "Endpoint": .string(endpoint)])
        #expect(error == AWSError("InvalidParameter", message))
    }

    @Test(arguments: [
        ("RawMessageDelivery", "wrongvalue", "RawMessageDelivery: Invalid value [wrongvalue]. Must be true or false."),
        ("RedrivePolicy", #"{"deadLetterTargetArn":"fake"}"#, "RedrivePolicy: deadLetterTargetArn is an invalid arn"),
        (
            "RedrivePolicy", "{invalid",
            "RedrivePolicy: failed to parse JSON. Unexpected character ('i' (code 105)): was expecting double-quote to "
                + "start field name\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
                + "line: 1, column: 2]"
        ),
        (
            "FilterPolicy", "{invalid",
            "FilterPolicy: failed to parse JSON. Unexpected character ('i' (code 105)): was expecting double-quote to "
                + "start field name\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
                + "line: 1, column: 2]"
        ),
        (
            "FilterPolicy", #"{"a":["1"],"b":["1"],"c":["1"],"d":["1"],"e":["1"],"f":["1"]}"#,
            "FilterPolicy: Filter policy can not have more than 5 keys"
        ),
    ])
    func attributeTexts(_ name: String, _ value: String, _ reason: String) async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let asked = await house.error(
            "Subscribe",
            [
                "TopicArn": .string(topic), "Protocol": "sqs", "Endpoint": .string(Harness.queue("q")),
                "Attributes": .map(Fields([(name, .string(value))])),
            ])
        #expect(asked?.message == "Invalid parameter: Attributes Reason: \(reason)")
        let subscription = try await house.subscribe(topic, "sqs", Harness.queue("q"))
        let set = await house.error(
            "SetSubscriptionAttributes",
            [
                "SubscriptionArn": .string(subscription), "AttributeName": .string(name),
                "AttributeValue": .string(value),
            ])
        #expect(set?.message == "Invalid parameter: \(reason)")
    }

    @Test func attributesAreSetAndTakenAway() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let subscription = try await house.subscribe(topic, "sqs", Harness.queue("q"))
        func set(_ name: String, _ value: String) async -> AWSError? {
            await house.error(
                "SetSubscriptionAttributes",
                [
                    "SubscriptionArn": .string(subscription), "AttributeName": .string(name),
                    "AttributeValue": .string(value),
                ])
        }
        #expect(await set("fake", "")?.message == "Invalid parameter: AttributeName")
        #expect(await set("DeliveryPolicy", "{}")?.code == "InvalidParameter")
        #expect(await set("RawMessageDelivery", "") != nil)
        #expect(await set("FilterPolicy", #"{"a":["b"]}"#) == nil)
        #expect(try await house.attributes(of: subscription)["FilterPolicyScope"] == "MessageAttributes")
        #expect(await set("FilterPolicy", "{}") == nil)
        #expect(try await house.attributes(of: subscription)["FilterPolicy"] == nil)
        #expect(await set("RedrivePolicy", #"{"deadLetterTargetArn":"\#(Harness.queue("d"))"}"#) == nil)
        #expect(try await house.attributes(of: subscription)["RedrivePolicy"] != nil)
    }

    @Test func redriveOfFIFO() async throws {
        let house = try await Harness()
        let topic = try await house.fifo()
        let input: Value = [
            "TopicArn": .string(topic), "Protocol": "sqs", "Endpoint": .string(Harness.queue("q.fifo")),
            "Attributes": ["RedrivePolicy": PublishTests.redrive("plain")],
        ]
        #expect(
            await house.error("Subscribe", input)?.message
                == "Invalid parameter: Attributes Reason: RedrivePolicy: must use a FIFO queue as DLQ for a FIFO "
                + "Subscription to a FIFO Topic.")
    }

    @Test func unsubscribing() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let subscription = try await house.subscribe(topic, "sqs", Harness.queue("q"))
        func error(_ arn: String) async -> String? {
            await house.error("Unsubscribe", ["SubscriptionArn": .string(arn)])?.message
        }
        #expect(
            await error("x") == "Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 1"
        )
        #expect(await error("") == "Invalid parameter: SubscriptionArn Reason: no value for required parameter")
        #expect(await error(topic) == "Invalid parameter: SubscriptionId")
        #expect(
            await house.error("Unsubscribe", ["SubscriptionArn": .string(subscription)], account: "111122223333")?.code
                == "AuthorizationError")
        #expect(await error(subscription) == nil)
        #expect(await error(subscription) == nil)
        #expect(try await house.attributes(ofTopic: topic)["SubscriptionsDeleted"] == "1")
        #expect(
            await house.error("GetSubscriptionAttributes", ["SubscriptionArn": .string(subscription)])
                == AWSError("NotFound", status: 404, "Subscription does not exist"))
        try await house.publish(topic, "nobody")
        #expect(house.outbox.deliveries.isEmpty)
    }

    @Test func lists() async throws {
        let house = try await Harness()
        let (one, two) = (try await house.topic("one"), try await house.topic("two"))
        for number in 0..<100 { try await house.subscribe(one, "sqs", Harness.queue("q\(number)")) }
        try await house.subscribe(two, "http", "http://localhost/")
        let first = try await house.call("ListSubscriptions", [:])
        #expect(first["Subscriptions"]?.list?.count == 100)
        let rest = try await house.call("ListSubscriptions", ["NextToken": try #require(first["NextToken"])])
        #expect(rest["Subscriptions"]?.list?.first?["SubscriptionArn"] == "PendingConfirmation")
        let byTopic = try await house.call("ListSubscriptionsByTopic", ["TopicArn": .string(one)])
        #expect(byTopic["Subscriptions"]?.list?.count == 100 && byTopic["NextToken"] == nil)
        #expect(await house.error("ListSubscriptions", ["NextToken": "bm8="])?.code == "InvalidParameter")
    }

    @Test func aQueueOfAnotherAccountIsAsked() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let queue = Harness.queue("q", account: "111122223333")
        let subscription = try await house.subscribe(topic, "sqs", queue)
        let body = try JSON.parse(try #require(house.outbox.deliveries.first).payload)
        #expect(body["Type"] == "SubscriptionConfirmation")
        let token = try #require(body["Token"])
        #expect(
            body["SubscribeURL"]?.string
                == "http://localhost:4566/?Action=ConfirmSubscription&TopicArn=\(topic)&Token=\(token.string ?? "")")
        house.outbox.clear()
        try await house.publish(topic, "early")
        #expect(house.outbox.deliveries.isEmpty)
        #expect(
            try await house.call("ConfirmSubscription", ["TopicArn": .string(topic), "Token": token])["SubscriptionArn"]
                == .string(subscription))
        try await house.publish(topic, "now")
        #expect(house.outbox.deliveries.count == 1)
    }

    @Test func tokens() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        try await house.subscribe(topic, "http", "http://localhost/")
        try await house.http.wait(for: 1)
        let body = try JSON.parse(house.http.requests[0].body)
        let token = body["Token"]?.string ?? ""
        func confirm(_ topic: String, _ token: String) async -> String? {
            await house.error("ConfirmSubscription", ["TopicArn": .string(topic), "Token": .string(token)])?.message
        }
        #expect(await confirm("randomtopic", token) == "Invalid parameter: Topic")
        #expect(await confirm(topic + "x", token) == "Invalid parameter: Topic")
        #expect(await confirm(topic, "abc") == "Invalid token")
        #expect(await confirm(topic, String(repeating: "0", count: 288)) == "Invalid parameter: Token")
        house.time.advance(by: .seconds(2 * 86_400))
        #expect(await confirm(topic, token) == "Invalid parameter: Token")
        #expect(try await house.attributes(ofTopic: topic)["SubscriptionsPending"] == "0")
    }
}
