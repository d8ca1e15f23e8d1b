import Contracts
import Platform
import Testing
import Wire

@testable import SNS

@Suite struct PublishTests {
    @Test func aWrappedNotificationForAQueue() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let subscription = try await house.subscribe(topic, "sqs", Harness.queue("q"))
        let answer = try await house.publish(
            topic, "hello \"you\"\n",
            [
                "Subject": "S",
                "MessageAttributes": [
                    "n": ["DataType": "Number", "StringValue": "1"],
                    "b": ["DataType": "Binary", "BinaryValue": .blob([1])],
                ],
            ])
        let delivery = try #require(house.outbox.deliveries.first)
        #expect(delivery.target == Harness.queue("q"))
        #expect(
            delivery.principal
                == .service(name: "sns.amazonaws.com", sourceARN: topic, sourceAccount: Harness.account))
        #expect(delivery.attributes.message.isEmpty && delivery.deadLetter == nil)
        #expect(delivery.retry.maximumRetries == 100_014)
        let body = try JSON.parse(delivery.payload)
        #expect(
            body.fields?.names == [
                "Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature",
                "SigningCertURL", "UnsubscribeURL", "MessageAttributes",
            ])
        #expect(body["MessageId"] == answer["MessageId"])
        #expect(body["Message"] == "hello \"you\"\n")
        #expect(
            body["UnsubscribeURL"]?.string
                == "http://localhost:4566/?Action=Unsubscribe&SubscriptionArn=\(subscription)")
        #expect(
            body["MessageAttributes"] == [
                "n": ["Type": "Number", "Value": "1"], "b": ["Type": "Binary", "Value": "AQ=="],
            ])
        // As AWS lays it out.
        #expect(String(decoding: delivery.payload, as: UTF8.self).hasPrefix("{\n  \"Type\" : \"Notification\",\n"))
    }

    @Test func rawDeliveryKeepsTextAndAttributes() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        try await house.subscribe(topic, "sqs", Harness.queue("q"), ["RawMessageDelivery": "true"])
        try await house.publish(
            topic, "plain", ["MessageAttributes": ["a": ["DataType": "String.x", "StringValue": "v"]]])
        let delivery = try #require(house.outbox.deliveries.first)
        #expect(delivery.payload == Array("plain".utf8))
        #expect(
            delivery.attributes.message == [MessageAttribute(name: "a", dataType: "String.x", content: .string("v"))])
    }

    @Test func anEventForAFunction() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let subscription = try await house.subscribe(
            topic, "lambda", Harness.function, ["RedrivePolicy": Self.redrive("dead")])
        try await house.publish(topic, "m")
        let delivery = try #require(house.outbox.deliveries.first)
        let record = try #require(try JSON.parse(delivery.payload)["Records"]?.list?.first)
        #expect(record["EventSource"] == "aws:sns" && record["EventVersion"] == "1.0")
        #expect(record["EventSubscriptionArn"] == .string(subscription))
        #expect(record["Sns"]?["Subject"] == .null)
        #expect(record["Sns"]?["MessageAttributes"] == [:])
        #expect(record["Sns"]?["SigningCertUrl"]?.string?.hasSuffix(".pem") == true)
        #expect(record["Sns"]?["UnsubscribeUrl"] != nil)
        // The dead-letter queue gets the notification, as queues do.
        let letter = try JSON.parse(try #require(delivery.deadLetter?.payload))
        #expect(letter["Type"] == "Notification" && letter["Message"] == "m")
        #expect(delivery.deadLetter?.target == Harness.queue("dead"))
    }

    static func redrive(_ queue: String) -> Value {
        .string(#"{"deadLetterTargetArn":"\#(Harness.queue(queue))"}"#)
    }

    @Test func aTextForEachProtocol() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        try await house.subscribe(topic, "sqs", Harness.queue("q"), ["RawMessageDelivery": "true"])
        try await house.subscribe(topic, "lambda", Harness.function)
        try await house.publish(topic, #"{"default":"d","lambda":"l","sms":1}"#, ["MessageStructure": "json"])
        let deliveries = house.outbox.deliveries
        let queued = try #require(deliveries.first { $0.target == Harness.queue("q") })
        #expect(queued.payload == Array("d".utf8))
        let called = try #require(deliveries.first { $0.target == Harness.function })
        #expect(try JSON.parse(called.payload)["Records"]?.list?.first?["Sns"]?["Message"] == "l")
        func refused(_ text: String) async -> String? {
            await house.error(
                "Publish", ["TopicArn": .string(topic), "Message": .string(text), "MessageStructure": "json"])?.message
        }
        #expect(
            await refused("{\"a\":\"b\"}")
                == "Invalid parameter: Message Structure - No default entry in JSON message body")
        #expect(await refused("{") == "Invalid parameter: Message Structure - JSON message body failed to parse")
    }

    @Test func signaturesAreThoseOfTheVersion() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        try await house.subscribe(topic, "sqs", Harness.queue("q"))
        try await house.publish(topic, "one", ["Subject": "S"])
        try await house.call(
            "SetTopicAttributes",
            ["TopicArn": .string(topic), "AttributeName": "SignatureVersion", "AttributeValue": "2"])
        try await house.publish(topic, "two")
        let key = try await house.service.keys.key()
        for (body, version) in zip(house.outbox.bodies, [SignatureVersion.one, .two]) {
            func text(_ name: String) -> String { body[name]?.string ?? "" }
            var signed = "Message\n\(text("Message"))\nMessageId\n\(text("MessageId"))\n"
            if body["Subject"] != nil { signed += "Subject\n\(text("Subject"))\n" }
            signed += "Timestamp\n\(text("Timestamp"))\nTopicArn\n\(text("TopicArn"))\nType\nNotification\n"
            // RSA with PKCS #1 v1.5 padding is deterministic.
            #expect(try key.sign(signed, version) == text("Signature"))
            #expect(text("SignatureVersion") == version.rawValue)
            #expect(text("SigningCertURL") == "http://localhost:4566/SimpleNotificationService-\(key.name).pem")
            #expect(house.service.certificate(named: key.name + ".pem")?.isEmpty == false)
            #expect(house.service.certificate(named: "other.pem") == nil)
        }
    }

    @Test(arguments: [
        ("Subject", Value.string("")), ("Subject", .string("a\nb")),
        ("Subject", .string(String(repeating: "s", count: 100))),
        ("Message", .string("")), ("Message", .string(String(repeating: "m", count: 262_145))),
        ("MessageDeduplicationId", .string("d")), ("MessageGroupId", .string("a b")), ("PhoneNumber", .string("+491")),
        ("MessageStructure", .string("xml")),
    ])
    func refusals(_ name: String, _ value: Value) async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        var input: Value = ["TopicArn": .string(topic), "Message": "m"]
        input[name] = value
        let error = await house.error("Publish", input)
        #expect(error?.code == "InvalidParameter")
        switch name {
        case "Subject": #expect(error?.message == "Invalid parameter: Subject")
        case "Message":
            #expect(
                error?.message == "Invalid parameter: \(value.string == "" ? "Empty message" : "Message too long")")
        case "MessageDeduplicationId":
            #expect(error?.message.hasSuffix("parameter that is not valid for this topic type") == true)
        default: break
        }
    }

    @Test(arguments: [
        (".a", "Invalid message attribute name starting with character '.' was found."),
        ("a.", "Invalid message attribute name ending with character '.' was found."),
        ("a..b", "Message attribute name can not have successive '.' character."),
        (
            "a^b",
            "Invalid non-alphanumeric character '#x5E' was found in the message attribute name. Can only include "
                + "alphanumeric characters, hyphens, underscores, or dots."
        ),
        (String(repeating: "n", count: 256), "Length of message attribute name must be less than 256 bytes."),
    ])
    func attributeNames(_ name: String, _ message: String) async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let value: Value = ["DataType": "String", "StringValue": "v"]
        let error = await house.error(
            "Publish",
            [
                "TopicArn": .string(topic), "Message": "m", "MessageAttributes": .map(Fields([(name, value)])),
            ])
        #expect(error == AWSError("ParameterValueInvalid", message))
    }

    @Test func attributeValues() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        func message(_ value: Value) async -> String? {
            await house.error(
                "Publish", ["TopicArn": .string(topic), "Message": "m", "MessageAttributes": ["attr1": value]])?.message
        }
        #expect(
            await message(["DataType": "Stringprefixed", "StringValue": "x"])
                == "The message attribute 'attr1' has an invalid message attribute type, the set of supported type "
                + "prefixes is Binary, Number, and String.")
        #expect(
            await message(["DataType": "String"])
                == "The message attribute 'attr1' must contain non-empty message attribute value for message attribute "
                + "type 'String'.")
        #expect(
            await message(["DataType": "String", "BinaryValue": .blob([1])])
                == "The message attribute 'attr1' with type 'String' must use field 'String'.")
        #expect(
            await message(["DataType": "Number", "StringValue": "x"])
                == "Could not cast message attribute 'attr1' value to number.")
    }

    @Test func batches() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        try await house.subscribe(topic, "sqs", Harness.queue("q"), ["RawMessageDelivery": "true"])
        func batch(_ entries: [Value]) -> Value {
            ["TopicArn": .string(topic), "PublishBatchRequestEntries": .list(entries)]
        }
        let answer = try await house.call(
            "PublishBatch",
            batch([
                ["Id": "1", "Message": "a"], ["Id": "2", "Message": "{}", "MessageStructure": "json"],
                ["Id": "3", "Message": "c"],
            ]))
        #expect(answer["Successful"]?.list?.compactMap { $0["Id"]?.string } == ["1", "3"])
        #expect(
            answer["Failed"] == [
                [
                    "Id": "2", "Code": "InvalidParameter",
                    "Message": "Invalid parameter: Message Structure - No default entry in JSON message body",
                    "SenderFault": true,
                ]
            ])
        #expect(house.outbox.deliveries.map { String(decoding: $0.payload, as: UTF8.self) } == ["a", "c"])
        let cases: [([Value], String)] = [
            ([], "EmptyBatchRequest"),
            ((0..<11).map { ["Id": .string("\($0)"), "Message": "m"] }, "TooManyEntriesInBatchRequest"),
            ([["Id": "a", "Message": "m"], ["Id": "a", "Message": "m"]], "BatchEntryIdsNotDistinct"),
            ([["Id": "a.b", "Message": "m"]], "InvalidBatchEntryId"),
            ([["Id": .string(String(repeating: "i", count: 81)), "Message": "m"]], "InvalidBatchEntryId"),
            (
                (0..<2).map { ["Id": .string("\($0)"), "Message": .string(String(repeating: "m", count: 131_073))] },
                "BatchRequestTooLong"
            ),
        ]
        for (entries, code) in cases { #expect(await house.error("PublishBatch", batch(entries))?.code == code) }
    }

    @Test func filtersOnAttributesAndBody() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        try await house.subscribe(topic, "sqs", Harness.queue("red"), ["FilterPolicy": #"{"color":["red"]}"#])
        try await house.subscribe(
            topic, "sqs", Harness.queue("big"),
            ["FilterPolicy": #"{"size":[{"numeric":[">",10]}]}"#, "FilterPolicyScope": "MessageBody"])
        try await house.subscribe(topic, "sqs", Harness.queue("all"))
        try await house.publish(
            topic, #"{"size":11}"#, ["MessageAttributes": ["color": ["DataType": "String", "StringValue": "red"]]])
        #expect(Set(house.outbox.deliveries.map(\.target)) == Set(["red", "big", "all"].map { Harness.queue($0) }))
        house.outbox.clear()
        try await house.publish(
            topic, "not json",
            ["MessageAttributes": ["color": ["DataType": "String.Array", "StringValue": #"["blue","red"]"#]]])
        #expect(Set(house.outbox.deliveries.map(\.target)) == Set(["red", "all"].map { Harness.queue($0) }))
        house.outbox.clear()
        try await house.publish(topic, #"{"size":10}"#)
        #expect(house.outbox.deliveries.map(\.target) == [Harness.queue("all")])
    }

    @Test func othersMayPublishByPolicyOnly() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let input: Value = ["TopicArn": .string(topic), "Message": "m"]
        #expect(await house.error("Publish", input, account: "111122223333")?.code == "AuthorizationError")
        try await house.call(
            "AddPermission",
            [
                "TopicArn": .string(topic), "Label": "l", "AWSAccountId": ["111122223333"], "ActionName": ["Publish"],
            ])
        #expect(await house.error("Publish", input, account: "111122223333") == nil)
        #expect(await house.error("Publish", input, account: "444455556666")?.status == 403)
        let role = Principal.roleSession(
            roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "s", account: Harness.account)
        #expect(await house.error("Publish", input, principal: role) == nil)
        house.authorizer.set("sns:Publish", .explicitlyDenied)
        #expect(await house.error("Publish", input, principal: role)?.code == "AuthorizationError")
    }

    @Test func theDefaultPolicyIsForServicesOfTheAccount() async throws {
        let house = try await Harness()
        let topic = try await house.topic()
        let input: Value = ["TopicArn": .string(topic), "Message": "m"]
        let role = Principal.roleSession(
            roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "s", account: Harness.account)
        func service(_ account: String, _ name: String = "cloudwatch.amazonaws.com") -> Principal {
            .service(name: name, sourceARN: "arn:aws:s3:::b", sourceAccount: account)
        }
        house.authorizer.set("sns:Publish", .notAllowed)
        // Built in, then the same set as a text.
        for _ in 0..<2 {
            #expect(
                await house.error("Publish", input, principal: role)?.message.hasSuffix(
                    "because no identity-based policy allows the SNS:Publish action") == true)
            #expect(await house.error("Publish", input, principal: service(Harness.account)) == nil)
            #expect(await house.error("Publish", input, principal: service("111122223333"))?.status == 403)
            // Buckets bring no source owner: they need a policy that names them.
            let bucket = service(Harness.account, "s3.amazonaws.com")
            #expect(await house.error("Publish", input, principal: bucket)?.status == 403)
            let policy = try await house.attributes(ofTopic: topic)["Policy"] ?? ""
            try await house.call(
                "SetTopicAttributes",
                ["TopicArn": .string(topic), "AttributeName": "Policy", "AttributeValue": .string(policy)])
        }
    }
}

@Suite struct FIFOTests {
    @Test func idsAreAskedFor() async throws {
        let house = try await Harness()
        let topic = try await house.fifo()
        func message(_ more: Fields) async -> String? {
            var input: Value = ["TopicArn": .string(topic), "Message": "m"]
            for entry in more.entries { input[entry.name] = entry.value }
            return await house.error("Publish", input)?.message
        }
        #expect(await message([:]) == "Invalid parameter: The MessageGroupId parameter is required for FIFO topics")
        #expect(
            await message(["MessageGroupId": "g"])
                == "Invalid parameter: The topic should either have ContentBasedDeduplication enabled or "
                + "MessageDeduplicationId provided explicitly")
        #expect(await message(["MessageGroupId": "g", "MessageDeduplicationId": "d"]) == nil)
    }

    @Test func duplicatesAreAcceptedOnceInFiveMinutes() async throws {
        let house = try await Harness()
        let topic = try await house.fifo("t.fifo", ["ContentBasedDeduplication": "true"])
        try await house.subscribe(topic, "sqs", Harness.queue("q.fifo"))
        let first = try await house.publish(topic, "same", ["MessageGroupId": "a"])
        #expect(try await house.publish(topic, "same", ["MessageGroupId": "b"]) == first)
        #expect(house.outbox.deliveries.count == 1)
        let delivery = try #require(house.outbox.deliveries.first)
        #expect(delivery.attributes.messageGroupID == "a")
        #expect(delivery.attributes.messageDeduplicationID?.count == 64)
        let body = try JSON.parse(delivery.payload)
        #expect(body["SequenceNumber"] == first["SequenceNumber"] && body["Signature"] == nil)
        #expect(first["SequenceNumber"]?.string?.count == 20)
        house.time.advance(by: .seconds(301))
        let later = try await house.publish(topic, "same", ["MessageGroupId": "a"])
        #expect(later["MessageId"] != first["MessageId"])
        #expect((later["SequenceNumber"]?.string ?? "") > (first["SequenceNumber"]?.string ?? ""))
        #expect(house.outbox.deliveries.count == 2)
    }

    @Test func deduplicationWithinAGroup() async throws {
        let house = try await Harness()
        let topic = try await house.fifo("t.fifo", ["FifoThroughputScope": "MessageGroup"])
        try await house.subscribe(topic, "sqs", Harness.queue("plain"), ["RawMessageDelivery": "true"])
        for group in ["a", "b", "a"] {
            try await house.publish(topic, group, ["MessageGroupId": .string(group), "MessageDeduplicationId": "d"])
        }
        let deliveries = house.outbox.deliveries
        #expect(deliveries.map { String(decoding: $0.payload, as: UTF8.self) } == ["a", "b"])
        // A standard queue has groups, and no deduplication.
        #expect(deliveries.allSatisfy { $0.attributes.messageDeduplicationID == nil })
        // Later ones are later, also where the clock stands still.
        #expect(deliveries[0].createdAt < deliveries[1].createdAt)
    }

    @Test func onlyQueuesSubscribe() async throws {
        let house = try await Harness()
        let topic = try await house.fifo()
        for (transport, endpoint) in [("lambda", Harness.function), ("http", "http://localhost/")] {
            let input: Value = [
                "TopicArn": .string(topic), "Protocol": .string(transport), "Endpoint": .string(endpoint),
            ]
            #expect(await house.error("Subscribe", input)?.code == "InvalidParameter")
        }
        let standard = try await house.topic()
        #expect(
            await house.error(
                "Subscribe",
                ["TopicArn": .string(standard), "Protocol": "sqs", "Endpoint": .string(Harness.queue("q.fifo"))])?
                .message
                == "Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to "
                + "standard SNS topics")
    }
}
