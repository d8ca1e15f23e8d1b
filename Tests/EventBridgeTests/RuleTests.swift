import Contracts
import EventPatterns
import Platform
import Storage
import Testing
import Wire

@testable import EventBridge

@Suite struct RuleTests {
    @Test(arguments: [
        (#"{"source":["a","b"],"detail-type":["T"]}"#, ["events:source": ["a", "b"], "events:detail-type": ["T"]]),
        (#"{"source":[{"prefix":"a"},"b",null,1]}"#, ["events:source": [#"{"prefix":"a"}"#, "b", "null", "1"]]),
        (
            #"{"$or":[{"source":["a"]},{"$or":[{"source":["b"]},{"account":["1"]}]}]}"#,
            ["events:source": ["a", "b", "null"]]
        ),
        (#"{"source":["a"],"$or":[{"source":["b"]},{"account":["1"]}]}"#, ["events:source": ["a", "b"]]),
        (#"{"$or":[{"region":["a"]},{"account":["1"]}]}"#, [:]),
        (
            #"{"detail":{"$or":[{"eventTypeCode":["C"]}],"service":["S"],"userIdentity":{"principalId":["P"]}}}"#,
            [
                "events:detail.service": ["S"], "events:detail.eventtypecode": ["C"],
                "events:detail.useridentity.principalid": ["P"],
            ]
        ),
        (#"{"detail":{"source":["a"]},"region":["r"]}"#, [:]),
    ])
    func whatAPatternSelectsBy(_ pattern: String, _ expected: [String: [String]]) {
        #expect(PatternRules.conditions(pattern) == expected)
    }

    @Test(arguments: [
        (#"{"detail":{"a":["x"]},"detail":{"b":["y"]}}"#, false), (#"{"source":["a"],"source":["b"]}"#, false),
        (#"{"source":["a:b\":\\"],"detail":{"x":["c:d"],"source":["a"]}}"#, true),
    ])
    func namesAreThereOnce(_ pattern: String, _ isTaken: Bool) {
        #expect((try? PatternRules.check(pattern)) != nil || !isTaken)
        #expect((try? PatternRules.check(pattern)) == nil || isTaken)
    }

    @Test func anEventReachesTheTargetsOfMatchingRules() async throws {
        let harness = try await Harness()
        try await harness.rule(
            "a", #"{"source":["app"],"detail":{"n":[{"numeric":[">",1]}]}}"#, targets: [Harness.target("one")])
        try await harness.rule("b", #"{"source":["other"]}"#, targets: [Harness.target("two")])
        try await harness.rule("c", #"{"detail-type":["kind"]}"#, targets: [Harness.target("three")])
        let answer = try await harness.put(#"{ "n" : 2.50, "text" : "a \" b" }"#)
        let id = try #require(answer["Entries"]?.list?.first?["EventId"]?.string)
        #expect(answer["FailedEntryCount"]?.int == 0)
        #expect(harness.outbox.deliveries.map(\.target) == [Harness.queue("one"), Harness.queue("three")])
        #expect(
            harness.outbox.texts.first
                == #"{"version":"0","id":"\#(id)","detail-type":"kind","source":"app","account":"000000000000","time":"2026-11-23T06:00:00Z","region":"us-east-1","resources":[],"detail":{"n":2.50,"text":"a \" b"}}"#
        )
        let delivery = try #require(harness.outbox.deliveries.first)
        #expect(
            delivery.principal
                == .service(
                    name: "events.amazonaws.com", sourceARN: "arn:aws:events:us-east-1:000000000000:rule/a",
                    sourceAccount: Harness.account))
        #expect(delivery.retry == DeliveryRetry(maximumRetries: 185, maximumAge: .seconds(86_400)))
    }

    @Test func changesOfRulesCountAtOnce() async throws {
        let harness = try await Harness()
        try await harness.rule("a", #"{"source":["app"]}"#, targets: [Harness.target("one")])
        try await harness.put()
        try await harness.call("DisableRule", ["Name": "a"])
        try await harness.put()
        #expect(harness.outbox.deliveries.count == 1)
        try await harness.call("EnableRule", ["Name": "a"])
        try await harness.call("PutTargets", ["Rule": "a", "Targets": [Harness.target("two")]])
        try await harness.put()
        #expect(harness.outbox.deliveries.count == 3)
        try await harness.call("PutRule", ["Name": "a", "EventPattern": #"{"source":["other"]}"#])
        try await harness.put()
        #expect(harness.outbox.deliveries.count == 3)
        try await harness.call("RemoveTargets", ["Rule": "a", "Ids": ["one", "two"]])
        try await harness.put(source: "other")
        #expect(harness.outbox.deliveries.count == 3)
    }

    /// The index by source and detail-type finds what a walk over all patterns finds.
    @Test func theIndexMissesNothing() async throws {
        let patterns = [
            #"{"source":["a"]}"#, #"{"source":["a","b"],"detail-type":["x"]}"#, #"{"source":[{"prefix":"a"}]}"#,
            #"{"detail-type":["x",{"exists":false}]}"#, #"{"source":["10.0.0.1"]}"#, #"{"source":["::1"]}"#,
            #"{"$or":[{"source":["b"]},{"detail-type":["y"]}],"source":["a"]}"#, #"{"source":[{"anything-but":"a"}]}"#,
            #"{"detail":{"k":[1]}}"#, #"{"source":["a"],"detail-type":["x","y"],"detail":{"k":[1]}}"#,
        ]
        let bus = BusKey(scope: AccountRegion(account: "1", region: "r"), name: "default")
        let target = try RuleTarget(Model.Target(Harness.target("q")), account: "1")
        let index = BusIndex(
            revision: 1,
            rules: patterns.enumerated().map { (RuleKey(bus: bus, name: "r\($0.offset)"), $0.element, [target]) })
        for source in ["a", "b", "ab", "10.0.0.1", "0:0:0:0:0:0:0:1", "::1"] {
            for type in ["x", "y", "z"] {
                for detail in [#"{"k":1}"#, "{}"] {
                    let head = Event.Head(
                        id: "i", detailType: type, source: source, account: "1", time: Instant(milliseconds: 0),
                        region: "r", resources: [])
                    let event = Event(
                        head, detail: try JSON.parse(detail), detailBytes: detail.utf8,
                        ingestion: Instant(milliseconds: 0))
                    let expected = try patterns.indices.filter {
                        try PatternRules.compile(patterns[$0]).matches(event.value)
                    }
                    #expect(
                        index.matching(event).map(\.key.name) == expected.map { "r\($0)" },
                        "\(source) \(type) \(detail)")
                }
            }
        }
    }

    @Test func entriesFailOneByOne() async throws {
        let harness = try await Harness()
        try await harness.rule("a", #"{"source":["app"]}"#, targets: [Harness.target("one")])
        let answer = try await harness.call(
            "PutEvents",
            [
                "Entries": [
                    ["Source": "app", "DetailType": "t", "Detail": "{}"],
                    ["Source": "app", "DetailType": "t", "Detail": "["],
                    ["Source": "app", "DetailType": "t", "Detail": "[]"], ["DetailType": "t", "Detail": "{}"],
                    ["Source": "app", "Detail": "{}"], ["Source": "app", "DetailType": "t"],
                    ["Source": "aws.s3", "DetailType": "t", "Detail": "{}"],
                    ["Source": "app", "DetailType": "t", "Detail": "{}", "EventBusName": "gone"],
                ]
            ])
        #expect(answer["FailedEntryCount"]?.int == 6)
        let codes = (answer["Entries"]?.list ?? []).map { $0["ErrorCode"]?.string }
        #expect(
            codes == [
                nil, "MalformedDetail", "MalformedDetail", "InvalidArgument", "InvalidArgument", "InvalidArgument",
                "NotAuthorizedForSourceException", nil,
            ])
        #expect(harness.outbox.deliveries.count == 1)
        let big = String(repeating: "x", count: 600_000)
        let entry: Value = ["Source": "app", "DetailType": "t", "Detail": .string("{\"a\":\"\(big)\"}")]
        let error = await harness.error("PutEvents", ["Entries": [entry, entry]])
        #expect(error?.message == "Total size of the entries in the request is over the limit.")
    }

    @Test func bigFanOutsGoOnInOtherTransactions() async throws {
        let harness = try await Harness()
        // Two events, five targets each, of 80 rules: 800 deliveries.
        for rule in 0..<80 {
            try await harness.rule(
                "r\(rule)", #"{"source":["app"]}"#, targets: (0..<5).map { Harness.target("q\(rule)-\($0)") })
        }
        let entry: Value = ["Source": "app", "DetailType": "t", "Detail": #"{"n":1}"#]
        try await harness.call("PutEvents", ["Entries": [entry, entry]])
        try await waitUntil(harness.time) { harness.outbox.deliveries.count >= 800 }
        let sent = harness.outbox.deliveries
        #expect(sent.count == 800)
        #expect(Set(sent.map { "\($0.target) \(String(decoding: $0.payload, as: UTF8.self))" }).count == 800)
        let left = try await harness.database.read { try DueQueue(name: "events-fanout").count(in: $0) }
        #expect(left == 0)
    }

    @Test func limitsAndErrors() async throws {
        let harness = try await Harness()
        let rule: Value = ["Name": "r", "ScheduleExpression": "rate(1 minutes)"]
        #expect(await harness.error("PutRule", rule)?.message == "Parameter ScheduleExpression is not valid.")
        #expect(
            await harness.error("PutRule", ["Name": "r"])?.message
                == "Parameter(s) EventPattern or ScheduleExpression must be specified.")
        let pattern = await harness.error("PutRule", ["Name": "r", "EventPattern": #"{"a":"b"}"#])
        #expect(pattern?.code == "InvalidEventPatternException")
        #expect(
            pattern?.message.hasPrefix("Event pattern is not valid. Reason: \"a\" must be an object or an array")
                == true)
        #expect(
            await harness.error("DescribeRule", ["Name": "r"])?.message == "Rule r does not exist on EventBus default.")
        #expect(
            await harness.error("DescribeRule", ["Name": "r", "EventBusName": "no"])?.message
                == "Event bus no does not exist.")
        try await harness.call("CreateEventBus", ["Name": "own"])
        #expect(
            await harness.error(
                "PutRule", ["Name": "r", "EventBusName": "own", "ScheduleExpression": "rate(1 minute)"])?.message
                == "ScheduleExpression is supported only on the default event bus.")
        try await harness.rule("r", #"{"source":["a"]}"#, targets: [])
        let many = (0..<6).map { Harness.target("t\($0)") }
        #expect(
            await harness.error("PutTargets", ["Rule": "r", "Targets": .list(many)])?.code == "LimitExceededException")
        #expect(
            await harness.error(
                "PutTargets", ["Rule": "r", "Targets": [Harness.target("t", ["Input": "{}", "InputPath": "$.a"])]])?
                .message
                == "Only one of Input, InputPath, or InputTransformer must be provided for target t.")
        for (arn, part) in [
            ("nonsense", "Provided Arn is not in correct format."),
            ("arn:aws:states:us-east-1:000000000000:stateMachine:x", "Martlet cannot deliver events to states yet."),
            ("arn:aws:kinesis:us-east-1:000000000000:stream/x", "RoleArn is required"),
            ("arn:aws:events:us-east-1:000000000000:event-bus/default", "its own bus"),
        ] {
            let target: Value = ["Id": "t", "Arn": .string(arn)]
            let error = await harness.error("PutTargets", ["Rule": "r", "Targets": [target]])
            #expect(error?.message.contains(part) == true, "\(error?.message ?? "nothing")")
        }
        try await harness.call("PutTargets", ["Rule": "r", "Targets": [Harness.target("t")]])
        #expect(
            await harness.error("DeleteRule", ["Name": "r"])?.message == "Rule can't be deleted since it has targets.")
        #expect(
            await harness.error("DeleteEventBus", ["Name": "default"])?.message == "Cannot delete event bus default.")
        try await harness.call("DeleteEventBus", ["Name": "own"])
        try await harness.call("DeleteEventBus", ["Name": "own"])
        try await harness.call("DeleteRule", ["Name": "never"])
    }

    @Test func permissions() async throws {
        let harness = try await Harness()
        let other = "111111111111"
        try await harness.call("CreateEventBus", ["Name": "b"])
        try await harness.rule("r", #"{"source":["app"]}"#, bus: "b", targets: [Harness.target("one")])
        let arn = "arn:aws:events:us-east-1:000000000000:event-bus/b"
        let entry: Value = ["Source": "app", "DetailType": "t", "Detail": "{}", "EventBusName": .string(arn)]
        func code() async throws -> String? {
            let answer = try await harness.call("PutEvents", ["Entries": [entry]], account: other)
            return answer["Entries"]?.list?.first?["ErrorCode"]?.string
        }
        #expect(try await code() == "AccessDeniedException")
        try await harness.call(
            "PutPermission",
            [
                "EventBusName": "b", "Action": "events:PutEvents", "Principal": .string(other), "StatementId": "s",
            ])
        #expect(try await code() == nil)
        #expect(harness.outbox.deliveries.count == 1)
        let policy = try await harness.call("DescribeEventBus", ["Name": "b"])["Policy"]?.string
        #expect(
            policy
                == #"{"Version":"2012-10-17","Statement":[{"Sid":"s","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"events:PutEvents","Resource":"arn:aws:events:us-east-1:000000000000:event-bus/b"}]}"#
        )
        #expect(
            await harness.error("RemovePermission", ["EventBusName": "b", "StatementId": "x"])?.message
                == "Statement with the provided id does not exist.")
        try await harness.call("RemovePermission", ["EventBusName": "b", "StatementId": "s"])
        #expect(
            await harness.error("RemovePermission", ["EventBusName": "b", "StatementId": "s"])?.message
                == "EventBus does not have a policy.")
        #expect(try await code() == "AccessDeniedException")
        // Another account's rules are not one's own.
        let error = await harness.error(
            "PutRule", ["Name": "x", "EventPattern": #"{"source":["a"]}"#, "EventBusName": .string(arn)], account: other
        )
        #expect(error?.code == "AccessDeniedException")
        harness.authorizer.set("events:PutEvents", .explicitlyDenied)
        let role = Principal.roleSession(
            roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "s", account: Harness.account)
        #expect(
            await harness.error(
                "PutEvents", ["Entries": [["Source": "app", "DetailType": "t", "Detail": "{}"]]], principal: role)?.code
                == "AccessDeniedException")
    }

    @Test func pagesAndTags() async throws {
        let harness = try await Harness()
        for name in ["c", "a", "b"] {
            try await harness.rule(name, #"{"source":["x"]}"#, targets: [Harness.target("t")])
        }
        var names: [String] = []
        var input: Value = ["Limit": 1]
        while true {
            let page = try await harness.call("ListRules", input)
            names += (page["Rules"]?.list ?? []).compactMap { $0["Name"]?.string }
            guard let token = page["NextToken"] else { break }
            input["NextToken"] = token
        }
        #expect(names == ["a", "b", "c"])
        let byTarget = try await harness.call("ListRuleNamesByTarget", ["TargetArn": .string(Harness.queue("t"))])
        #expect(byTarget["RuleNames"]?.list == ["a", "b", "c"])
        for name in ["z", "k"] { try await harness.call("CreateEventBus", ["Name": .string(name)]) }
        names = []
        input = ["Limit": 1]
        while true {
            let page = try await harness.call("ListEventBuses", input)
            names += (page["EventBuses"]?.list ?? []).compactMap { $0["Name"]?.string }
            guard let token = page["NextToken"] else { break }
            input["NextToken"] = token
        }
        #expect(names == ["default", "k", "z"])
        #expect(await harness.error("ListRules", ["NextToken": "%%%"])?.code == "ValidationException")
        let arn: Value = "arn:aws:events:us-east-1:000000000000:rule/a"
        try await harness.call("TagResource", ["ResourceARN": arn, "Tags": [["Key": "k", "Value": "v"]]])
        #expect(
            try await harness.call("ListTagsForResource", ["ResourceARN": arn])["Tags"] == [["Key": "k", "Value": "v"]])
        // A rule that is put anew keeps its tags.
        try await harness.call("PutRule", ["Name": "a", "EventPattern": #"{"source":["y"]}"#])
        try await harness.call("UntagResource", ["ResourceARN": arn, "TagKeys": ["other"]])
        #expect(try await harness.call("ListTagsForResource", ["ResourceARN": arn])["Tags"]?.list?.count == 1)
        let error = await harness.error(
            "ListTagsForResource", ["ResourceARN": "arn:aws:events:us-east-1:000000000000:rule/k/gone"])
        #expect(error?.message == "Rule gone does not exist on EventBus k.")
    }
}
