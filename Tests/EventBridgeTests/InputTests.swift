import Contracts
import Platform
import Testing
import Wire

@testable import EventBridge

@Suite struct InputTests {
    private static let rule = RuleKey(
        bus: BusKey(scope: AccountRegion(account: "000000000000", region: "us-east-1"), name: "default"), name: "r")

    private static func event() throws -> Event {
        let detail =
            #"{"instance-id":"i-0123456789","state":"RUN\"NING","n":1.5,"ok":true,"no":null,"list":["a",{"b":2}],"o":{"x":"y"}}"#
        let head = Event.Head(
            id: "7bf73129", detailType: "Type", source: "app", account: "000000000000",
            time: Instant(milliseconds: 1_447_277_394_000), region: "us-east-1", resources: ["arn:x"])
        return Event(
            head, detail: try JSON.parse(detail), detailBytes: detail.utf8,
            ingestion: Instant(milliseconds: 1_447_277_400_000))
    }

    private static func render(_ template: String, _ paths: [(key: String, value: String)] = []) throws -> String {
        let made = try InputTemplate(template, paths: paths, target: "t")
        return String(decoding: try #require(made.render(try event(), rule: rule)), as: UTF8.self)
    }

    private static let paths = [
        (key: "instance", value: "$.detail.instance-id"), (key: "state", value: "$.detail.state"),
        (key: "n", value: "$.detail.n"), (key: "ok", value: "$.detail.ok"), (key: "no", value: "$.detail.no"),
        (key: "list", value: "$.detail.list"), (key: "o", value: "$.detail.o"), (key: "gone", value: "$.detail.gone"),
    ]

    @Test(arguments: [
        (#""<instance> is <state>""#, #""i-0123456789 is RUN\"NING""#),
        (#"{"i":<instance>,"s":"<state>"}"#, #"{"i":"i-0123456789","s":"RUN\"NING"}"#),
        (#"{"s":[9,<n>,<ok>,<no>]}"#, #"{"s":[9,1.5,true,null]}"#),
        (#"{"l":<list>,"o":<o>}"#, #"{"l":["a",{"b":2}],"o":{"x":"y"}}"#),
        (#""<list> and <o> and <n>""#, #""[a,{b:2}] and {x:y} and 1.5""#),
        (#"{"g":<gone>,"h":"<gone>"}"#, #"{"g":"","h":""}"#),
        (#"<o>"#, #"{"x":"y"}"#),
        ("\"<instance>\"\n\"two\"", "\"i-0123456789\"\n\"two\""),
        (
            #"{"a":<aws.events.rule-arn>,"b":"<aws.events.rule-name>"}"#,
            #"{"a":"arn:aws:events:us-east-1:000000000000:rule/r","b":"r"}"#
        ),
        (#"{"t":<aws.events.event.ingestion-time>}"#, #"{"t":"2015-11-11T21:30:00Z"}"#),
    ]) func templates(template: String, expected: String) throws {
        #expect(try Self.render(template, Self.paths) == expected)
    }

    @Test func wholeEvents() throws {
        let event = String(decoding: try Self.event().bytes, as: UTF8.self)
        #expect(try Self.render(#"{"e":<aws.events.event.json>}"#) == #"{"e":\#(event)}"#)
        let short = try JSON.parse(try Self.render(#"{"e":<aws.events.event>}"#))["e"]
        #expect(
            short?.fields?.names == ["version", "id", "detailType", "source", "account", "time", "region", "resources"])
    }

    /// A short template over a large event could make a thousand times as much.
    @Test func noTemplateMakesMemoryGrow() async throws {
        let harness = try await Harness()
        let template = String(repeating: "<aws.events.event.json>\n", count: 300)
        let target = Harness.target(
            "t",
            [
                "InputTransformer": ["InputTemplate": .string("\"\(template)\"")],
                "DeadLetterConfig": ["Arn": .string(Harness.queue("dead"))],
            ])
        try await harness.rule("r", #"{"source":["app"]}"#, targets: [target])
        try await harness.put("{\"a\":\"\(String(repeating: "x", count: 900_000))\"}")
        let letter = try #require(harness.outbox.deliveries.first)
        #expect(harness.outbox.deliveries.count == 1 && letter.target == Harness.queue("dead"))
        #expect(letter.attributes.message.map(\.name).contains("ERROR_CODE") && letter.payload.count < 1_000_000)
    }

    @Test func refused() {
        let message: (String, [(key: String, value: String)]) -> String? = { template, paths in
            do {
                _ = try InputTemplate(template, paths: paths, target: "t")
                return nil
            } catch { return (error as? AWSError)?.message }
        }
        #expect(message("\"<a>\"", []) == "InputTemplate for target t contains invalid placeholder a.")
        #expect(message(#"{"a":<a>"#, [("a", "$.a")])?.hasPrefix("Invalid InputTemplate for target t : ") == true)
        #expect(message("plain", [])?.hasPrefix("Invalid InputTemplate for target t : ") == true)
        #expect(message("\"<a>\"", [("a", "detail")])?.contains("not a valid JSON path") == true)
        #expect(message("\"<aws.events.rule-name>\"", [("aws.events.rule-name", "$.a")])?.contains("reserved") == true)
    }

    @Test(arguments: [
        ("$.detail.list[0]", "\"a\""), ("$.detail.list[1].b", "2"), ("$.detail['instance-id']", "\"i-0123456789\""),
        ("$.detail.list[*]", #"["a",{"b":2}]"#), ("$['detail'].o.x", "\"y\""), ("$.detail.list[*].b", "[2]"),
    ]) func paths(path: String, expected: String) throws {
        let value = try #require(JSONPath(path)?.value(in: try Self.event().value))
        #expect(JSON.encodeString(value) == expected)
    }

    @Test(arguments: [
        "", "detail", "$.", "$..a", "$.a[", "$.a[x]", "$[']", "$.a[-1]", "$a", "$.a[99999999999]", "$['a'",
    ])
    func pathsThatAreNone(path: String) {
        #expect(JSONPath(path) == nil)
    }

    @Test func whatTargetsGet() async throws {
        let harness = try await Harness()
        let kinesis: Value = [
            "Id": "k", "Arn": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
            "RoleArn": "arn:aws:iam::000000000000:role/r", "KinesisParameters": ["PartitionKeyPath": "$.detail.key"],
        ]
        let fifo: Value = [
            "Id": "f", "Arn": .string(Harness.queue("f.fifo")), "SqsParameters": ["MessageGroupId": "g"],
            "Input": #"{"constant":true}"#, "RetryPolicy": ["MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60],
            "DeadLetterConfig": ["Arn": .string(Harness.queue("dead"))],
        ]
        let bus: Value = ["Id": "z", "Arn": "arn:aws:events:us-east-1:000000000000:event-bus/b"]
        try await harness.rule(
            "r", #"{"source":["app"]}"#,
            targets: [kinesis, fifo, Harness.target("p", ["InputPath": "$.detail.key"]), bus])
        try await harness.put(#"{"key":"v"}"#)
        let sent = Dictionary(grouping: harness.outbox.deliveries) { $0.target.split(separator: ":").last ?? "" }
            .compactMapValues(\.first)
        #expect(sent["stream/s"]?.attributes.partitionKey == "v")
        #expect(
            sent["stream/s"]?.principal
                == .roleSession(roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "r", account: Harness.account)
        )
        let letter = try #require(sent["f.fifo"]?.deadLetter)
        #expect(letter.ruleARN == "arn:aws:events:us-east-1:000000000000:rule/r")
        #expect(sent["f.fifo"]?.attributes.messageGroupID == "g")
        #expect(sent["f.fifo"]?.retry == DeliveryRetry(maximumRetries: 3, maximumAge: .seconds(60)))
        #expect(sent["f.fifo"].map { String(decoding: $0.payload, as: UTF8.self) } == #"{"constant":true}"#)
        #expect(sent["p"].map { String(decoding: $0.payload, as: UTF8.self) } == "\"v\"")
        #expect(sent["event-bus/b"]?.attributes.forwards == 1)
    }
}
