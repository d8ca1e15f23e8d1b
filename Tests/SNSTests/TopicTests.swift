import Contracts
import Platform
import Testing
import Wire

@testable import SNS

@Suite struct TopicTests {
    @Test func attributesAndTheirDefaults() async throws {
        let house = try await Harness()
        let arn = try await house.topic()
        #expect(arn == "arn:aws:sns:us-east-1:000000000000:news")
        let shown = try await house.attributes(ofTopic: arn)
        #expect(shown["DisplayName"] == "")
        #expect(shown["Owner"] == Harness.account)
        #expect(shown["SubscriptionsConfirmed"] == "0" && shown["SubscriptionsPending"] == "0")
        #expect(shown["SignatureVersion"] == nil && shown["FifoTopic"] == nil)
        #expect(
            shown["EffectiveDeliveryPolicy"]
                == #"{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,"#
                + #""numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},"#
                + #""disableSubscriptionOverrides":false,"defaultRequestPolicy":"#
                + #"{"headerContentType":"text/plain; charset=UTF-8"}}}"#)
        let policy = try JSON.parse(shown["Policy"] ?? "")
        #expect(policy["Id"] == "__default_policy_ID")
        #expect(policy["Statement"]?.list?.first?["Condition"]?["StringEquals"]?["AWS:SourceOwner"] == "000000000000")
    }

    @Test func creatingAgainNeedsTheSameAttributesAndTags() async throws {
        let house = try await Harness()
        let tags: Value = [["Key": "a", "Value": "b"]]
        let input: Value = ["Name": "t", "Attributes": ["DisplayName": "D"], "Tags": tags]
        let first = try await house.call("CreateTopic", input)
        #expect(try await house.call("CreateTopic", input) == first)
        #expect(try await house.call("CreateTopic", ["Name": "t"]) == first)
        var other = input
        other["Attributes"] = ["DisplayName": "E"]
        #expect(
            await house.error("CreateTopic", other)?.message
                == "Invalid parameter: Attributes Reason: Topic already exists with different attributes")
        other = input
        other["Tags"] = [["Key": "a", "Value": "c"]]
        #expect(
            await house.error("CreateTopic", other)?.message
                == "Invalid parameter: Tags Reason: Topic already exists with different tags")
        other["Tags"] = [["Key": "a", "Value": "b"], ["Key": "a", "Value": "c"]]
        #expect(
            await house.error("CreateTopic", other)?.message == "Invalid parameter: Duplicated keys are not allowed.")
    }

    @Test(arguments: ["", "a b", "é", "x.fifo", String(repeating: "n", count: 257), "a/b", "a.b"])
    func badNames(_ name: String) async throws {
        let house = try await Harness()
        #expect(
            await house.error("CreateTopic", ["Name": .string(name)])
                == AWSError("InvalidParameter", "Invalid parameter: Topic Name"))
    }

    @Test(arguments: ["plain", ".fifo", "a b.fifo", String(repeating: "n", count: 252) + ".fifo"])
    func badFIFONames(_ name: String) async throws {
        let house = try await Harness()
        let error = await house.error("CreateTopic", ["Name": .string(name), "Attributes": ["FifoTopic": "true"]])
        #expect(error?.message.hasPrefix("Invalid parameter: Fifo Topic names must end with .fifo") == true)
    }

    @Test func settingAttributes() async throws {
        let house = try await Harness()
        let arn = try await house.topic()
        func set(_ name: String, _ value: String) async -> AWSError? {
            await house.error(
                "SetTopicAttributes",
                ["TopicArn": .string(arn), "AttributeName": .string(name), "AttributeValue": .string(value)])
        }
        #expect(await set("fake", "x")?.message == "Invalid parameter: AttributeName")
        #expect(await set("FifoTopic", "true")?.message == "Invalid parameter: AttributeName")
        #expect(await set("SignatureVersion", "3")?.code == "InvalidParameter")
        #expect(await set("MaximumMessageSize", "1023")?.code == "InvalidParameter")
        #expect(await set("MaximumMessageSize", "1048577")?.code == "InvalidParameter")
        #expect(await set("ContentBasedDeduplication", "true")?.code == "InvalidParameter")
        #expect(await set("ArchivePolicy", "{}")?.message.contains("Martlet") == true)
        #expect(
            await set(
                "Policy",
                #"{"Version":"2012-10-17","Statement":[{"Sid":"s","Effect":"Allow","Principal":"*","#
                    + #""Action":"sqs:SendMessage","Resource":"\#(arn)"}]}"#)?.message
                == "Invalid parameter: Policy statement action out of service scope!")
        #expect(await set("Policy", "[")?.code == "InvalidParameter")
        #expect(await set("DisplayName", "Hello") == nil)
        #expect(await set("SignatureVersion", "2") == nil)
        #expect(await set("MaximumMessageSize", "1048576") == nil)
        #expect(await set("LambdaSuccessFeedbackSampleRate", "50") == nil)
        let shown = try await house.attributes(ofTopic: arn)
        #expect(shown["DisplayName"] == "Hello" && shown["SignatureVersion"] == "2")
        #expect(shown["LambdaSuccessFeedbackSampleRate"] == "50")
        #expect(await set("Policy", "") == nil)
    }

    @Test func arns() async throws {
        let house = try await Harness()
        func get(_ arn: String) async -> AWSError? {
            await house.error("GetTopicAttributes", ["TopicArn": .string(arn)])
        }
        #expect(
            await get("topic")?.message
                == "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1")
        #expect(await get("arn:aws:sqs:us-east-1:000000000000:q")?.message == "Invalid parameter: TopicArn")
        #expect(await get("arn:aws:sns:eu-west-1:000000000000:q")?.message == "Invalid parameter: TopicArn")
        let missing = await get("arn:aws:sns:us-east-1:000000000000:none")
        #expect(missing == AWSError("NotFound", status: 404, "Topic does not exist"))
        try await house.call("DeleteTopic", ["TopicArn": "arn:aws:sns:us-east-1:000000000000:none"])
    }

    @Test func listsGoOnWhereThePageEnds() async throws {
        let house = try await Harness()
        for number in 0..<101 { _ = try await house.topic("t\(number)") }
        let first = try await house.call("ListTopics", [:])
        #expect(first["Topics"]?.list?.count == 100)
        let token = try #require(first["NextToken"])
        let second = try await house.call("ListTopics", ["NextToken": token])
        #expect(second["Topics"]?.list?.count == 1)
        #expect(second["NextToken"] == nil)
        #expect(await house.error("ListTopics", ["NextToken": "%"])?.code == "InvalidParameter")
    }

    @Test func permissions() async throws {
        let house = try await Harness()
        let arn = try await house.topic()
        func add(_ label: String, _ action: String) async -> AWSError? {
            await house.error(
                "AddPermission",
                [
                    "TopicArn": .string(arn), "Label": .string(label), "AWSAccountId": ["111122223333"],
                    "ActionName": [.string(action)],
                ])
        }
        #expect(await add("one", "Publish") == nil)
        #expect(await add("one", "Publish")?.message == "Invalid parameter: Statement already exists")
        #expect(
            await add("two", "Fly")?.message == "Invalid parameter: Policy statement action out of service scope!")
        var policy = try JSON.parse(try await house.attributes(ofTopic: arn)["Policy"] ?? "")
        #expect(
            policy["Statement"]?.list?.last == [
                "Sid": "one", "Effect": "Allow", "Principal": ["AWS": "arn:aws:iam::111122223333:root"],
                "Action": "SNS:Publish", "Resource": .string(arn),
            ])
        try await house.call("RemovePermission", ["TopicArn": .string(arn), "Label": "one"])
        policy = try JSON.parse(try await house.attributes(ofTopic: arn)["Policy"] ?? "")
        #expect(policy["Statement"]?.list?.count == 1)
    }

    @Test func tags() async throws {
        let house = try await Harness()
        let arn = try await house.topic()
        try await house.call(
            "TagResource",
            ["ResourceArn": .string(arn), "Tags": [["Key": "a", "Value": "1"], ["Key": "b", "Value": ""]]])
        try await house.call("UntagResource", ["ResourceArn": .string(arn), "TagKeys": ["a", "zzz"]])
        let listed = try await house.call("ListTagsForResource", ["ResourceArn": .string(arn)])
        #expect(listed["Tags"] == [["Key": "b", "Value": ""]])
        #expect(
            await house.error("ListTagsForResource", ["ResourceArn": .string(arn + "x")])?.code == "ResourceNotFound")
        let other = "111122223333"
        let calls: [(String, Value)] = [
            ("TagResource", ["ResourceArn": .string(arn), "Tags": [["Key": "c", "Value": ""]]]),
            ("UntagResource", ["ResourceArn": .string(arn), "TagKeys": ["b"]]),
            ("ListTagsForResource", ["ResourceArn": .string(arn)]),
        ]
        for (name, input) in calls {
            #expect(await house.error(name, input, account: other)?.code == "AuthorizationError")
        }
        let many = Value.list((0..<51).map { ["Key": .string("k\($0)"), "Value": ""] })
        #expect(
            await house.error("TagResource", ["ResourceArn": .string(arn), "Tags": many])?.code == "TagLimitExceeded")
    }

    @Test func carriersAndPlatformsAreRefusedByName() async throws {
        let house = try await Harness()
        for name in SNSService.refused {
            let error = await house.error(name, [:])
            #expect(error?.code == "InvalidParameter")
            #expect(error?.message.contains(name) == true && error?.message.contains("Martlet") == true)
        }
        #expect(house.service.definition.operations.count == house.service.definition.schema.operations.count)
    }
}
