import EventPatterns
import Platform
import Schedules
import Testing

@testable import EventBridge
@testable import Wire

/// What buses, rules and schedules decode.
@Suite struct EventsFuzz {
    @Test(arguments: Mutator.seeds) func expressions(seed: UInt64) {
        var random = Mutator(seed: seed)
        let texts = [
            "cron(0/10 9-17 ? JAN-MAR,DEC MON#2 2026-2030)", "cron(5,35 14 L-3,15W * ? *)", "rate(5 minutes)",
            "at(2026-11-23T06:00:00)", "cron(* * ? * 6L *)",
        ]
        let now = Instant(milliseconds: 1_795_413_600_000)
        for text in texts { #expect(ScheduleExpression(schedule: text) != nil) }
        for _ in 0..<(400 * Mutator.factor) {
            let text = random.mutated(random.pick(texts))
            for expression in [ScheduleExpression(rule: text), ScheduleExpression(schedule: text)] {
                guard let next = expression?.next(after: now, anchor: now, zone: .utc) else { continue }
                #expect(next > now)
            }
        }
    }

    @Test(arguments: Mutator.seeds) func inputs(seed: UInt64) throws {
        var random = Mutator(seed: seed)
        let head = Event.Head(
            id: "i", detailType: "t", source: "s", account: "a", time: Instant(milliseconds: 0), region: "r",
            resources: [])
        let detail = #"{"a":[1,{"b":"x\"y"}],"c":null}"#
        let event = Event(
            head, detail: try JSON.parse(detail), detailBytes: detail.utf8, ingestion: Instant(milliseconds: 0))
        let bus = BusKey(scope: AccountRegion(account: "a", region: "r"), name: "default")
        let rule = RuleKey(bus: bus, name: "r")
        let template = #"{"x": <v>, "y": "and <v>", "z": <aws.events.event.json>}"#
        let piece = FanOutPiece(bus: bus, event: event, place: FanOutPlace(rule: "r", target: "t")).encoded()
        for _ in 0..<(400 * Mutator.factor) {
            let path = random.mutated("$.detail.a[1]['b'][*]")
            _ = JSONPath(path)?.value(in: event.value)
            let text = random.mutated(template)
            let paths = [(key: "v", value: "$.detail.a")]
            if let made = try? InputTemplate(text, paths: paths, target: "t"), let out = made.render(event, rule: rule),
                text.utf8.first == UInt8(ascii: "{")
            {
                // What looks like JSON is JSON.
                #expect((try? JSON.validate(out)) != nil, "\(text)")
            }
            _ = FanOutPiece(encoded: random.mutated(piece))
            _ = try? BusPolicy.adding(
                "s", action: "events:PutEvents", principal: "*", condition: nil,
                to: random.mutated(#"{"Version":"2012-10-17","Statement":[{"Sid":"s"}]}"#), bus: bus)
            _ = RuleKey(arn: random.mutated("arn:aws:events:us-east-1:000000000000:rule/bus/name"))
        }
    }

    @Test(arguments: Mutator.seeds) func zones(seed: UInt64) {
        var random = Mutator(seed: seed)
        for _ in 0..<(300 * Mutator.factor) {
            _ = TimeZoneRules(tzif: random.mutated(Array("TZif2".utf8) + [UInt8](repeating: 0, count: 39)))
        }
    }

    /// What a rule's pattern becomes, and what it is asked.
    @Test(arguments: Mutator.seeds) func patterns(seed: UInt64) throws {
        var random = Mutator(seed: seed)
        let texts = [
            #"{"source":["aws.s3"],"detail":{"n":[{"numeric":[">=",1.5,"<",9e3]}],"ip":[{"cidr":"10.0.0.0/8"}]}}"#,
            #"{"$or":[{"detail":{"k":[{"wildcard":"a*b\\*c"}]}},{"detail":{"k":[{"anything-but":{"suffix":"x"}}]}}]}"#,
            #"{"detail":{"a":[{"prefix":{"equals-ignore-case":"Ab"}},{"exists":false},null,true,"\u00e9"]}}"#,
        ]
        let event = try JSON.parse(
            #"{"source":"aws.s3","detail":{"n":7,"ip":"10.1.2.3","k":"axxb*c","a":"aB","l":[1,[2,{"x":3}]]}}"#)
        let head = Event.Head(
            id: "i", detailType: "t", source: "aws.s3", account: "a", time: Instant(milliseconds: 0), region: "r",
            resources: [])
        let whole = Event(
            head, detail: event["detail"] ?? .null, detailBytes: JSON.encode(event["detail"] ?? .null),
            ingestion: Instant(milliseconds: 0))
        let bus = BusKey(scope: AccountRegion(account: "a", region: "r"), name: "default")
        for text in texts { _ = try EventPattern(json: Array(text.utf8), dialect: .eventBridge) }
        for _ in 0..<(150 * Mutator.factor) {
            let bytes = random.mutated(Array(random.pick(texts).utf8))
            guard let pattern = try? EventPattern(json: bytes, dialect: .eventBridge) else { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            guard Array(text.utf8) == bytes else { continue }
            // The index of a bus asks no fewer rules than there are: it finds what the pattern alone finds.
            let index = BusIndex(
                revision: 1,
                rules: [
                    (
                        RuleKey(bus: bus, name: "r"), text,
                        [try RuleTarget(Model.Target(["Id": "t", "Arn": "arn:aws:sqs:r:a:q"]), account: "a")]
                    )
                ])
            #expect(index.matching(whole).count == (pattern.matches(whole.value) ? 1 : 0), "\(text)")
        }
    }
}
