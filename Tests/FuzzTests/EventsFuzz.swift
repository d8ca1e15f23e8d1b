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
}
