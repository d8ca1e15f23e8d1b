import Platform
import Schedules
import Testing

@testable import Scheduler

@Suite struct PlanTests {
    private static let start = Instant(milliseconds: 1_795_413_600_000)
    private static let minute = Duration.seconds(60)

    private static func plan(
        _ expression: String, window: Duration = .zero, start: Instant? = nil, end: Instant? = nil,
        maximumAge: Duration = .seconds(86_400)
    ) throws -> SchedulePlan {
        SchedulePlan(
            expression: try #require(ScheduleExpression(schedule: expression)), zone: .utc, start: start, end: end,
            anchor: Self.start, window: window, maximumAge: maximumAge, seed: "arn")
    }

    @Test func ratesBeginAtOnceOrAtTheirStart() throws {
        #expect(try Self.plan("rate(5 minutes)").first(now: Self.start) == Self.start)
        let later = Self.start + .seconds(90)
        let plan = try Self.plan("rate(5 minutes)", start: later, end: later + Self.minute * 7)
        #expect(plan.first(now: Self.start) == later)
        #expect(plan.occurrence(after: later) == later + Self.minute * 5)
        #expect(plan.occurrence(after: later + Self.minute * 5) == nil)
    }

    @Test func onceIsOnce() throws {
        let plan = try Self.plan("at(2026-11-23T06:00:00)", start: Self.start + .seconds(99_999))
        #expect(plan.first(now: Self.start - Self.minute) == Self.start)
        #expect(plan.first(now: Self.start + Self.minute) == Self.start)
        #expect(plan.occurrence(after: Self.start) == nil)
        let step = plan.step(
            occurrence: Self.start, due: Self.start, now: Self.start + .seconds(3_600),
            workingSince: Self.start + .seconds(3_600))
        #expect(step == SchedulePlan.Step(fire: Self.start, next: nil))
        let late = plan.step(
            occurrence: Self.start, due: Self.start, now: Self.start + .seconds(90_000),
            workingSince: Self.start + .seconds(90_000))
        #expect(late == SchedulePlan.Step(fire: nil, next: nil))
    }

    @Test func ofMissedTimesOneIsMadeUpFor() throws {
        let plan = try Self.plan("rate(1 hour)")
        let hour = Duration.seconds(3_600)
        // On time, though other things were slow.
        #expect(
            plan.step(
                occurrence: Self.start, due: Self.start, now: Self.start + .seconds(59),
                workingSince: Self.start + .seconds(59))
                == SchedulePlan.Step(fire: Self.start, next: Self.start + hour))
        // Down for five and a half hours.
        #expect(
            plan.step(
                occurrence: Self.start, due: Self.start, now: Self.start + hour * 5 + .seconds(1_800),
                workingSince: Self.start + hour * 5 + .seconds(1_800))
                == SchedulePlan.Step(fire: Self.start, next: Self.start + hour * 6))
        // Down for two days: the oldest that is not too old.
        let step = plan.step(
            occurrence: Self.start, due: Self.start, now: Self.start + hour * 48 + .seconds(60),
            workingSince: Self.start + hour * 48 + .seconds(60))
        #expect(step == SchedulePlan.Step(fire: Self.start + hour * 25, next: Self.start + hour * 49))
        let strict = try Self.plan("rate(1 hour)", maximumAge: .seconds(120))
        #expect(
            strict.step(
                occurrence: Self.start, due: Self.start, now: Self.start + hour * 2 + .seconds(200),
                workingSince: Self.start + hour * 2 + .seconds(200))
                == SchedulePlan.Step(fire: nil, next: Self.start + hour * 3))
    }

    @Test func muchToDoIsNoDowntime() throws {
        let plan = try Self.plan("rate(1 minute)", maximumAge: .seconds(60))
        // Two hours late, of work that began in time.
        let step = plan.step(
            occurrence: Self.start, due: Self.start, now: Self.start + .seconds(7_200),
            workingSince: Self.start + .seconds(5))
        #expect(step == SchedulePlan.Step(fire: Self.start, next: Self.start + Self.minute))
    }

    @Test func windows() throws {
        let plan = try Self.plan("rate(1 hour)", window: Self.minute * 15)
        var places: Set<Int64> = []
        var time = Self.start
        for _ in 0..<500 {
            let due = plan.due(for: time)
            #expect(due >= time && due < time + Self.minute * 15)
            #expect(due == plan.due(for: time))
            places.insert((due - time).clampedNanoseconds / 60_000_000_000)
            time = try #require(plan.occurrence(after: time))
        }
        // Every minute of the window comes up.
        #expect(places.count == 15)
    }

    /// A seeded life: whatever the delays and downtimes, times never go back, nothing is fired twice, and without downtime
    /// nothing is skipped.
    @Test(arguments: 0..<40) func aLife(seed: Int) throws {
        var random = SeededRandom(UInt64(seed))
        let texts = ["rate(1 minute)", "rate(7 minutes)", "cron(0/5 * * * ? *)", "cron(15 10 * * ? *)", "rate(1 day)"]
        let window = seed % 3 == 0 ? Self.minute * 3 : .zero
        let plan = try Self.plan(texts[seed % texts.count], window: window)
        let hasDowntime = seed % 2 == 0
        var occurrence = try #require(plan.first(now: Self.start))
        var due = plan.due(for: occurrence)
        var fired: [Instant] = []
        var expected = [occurrence]
        var now = Self.start
        for _ in 0..<300 {
            now = max(now, due)
            now = now + .milliseconds(Int64.random(in: 0...900, using: &random))
            if hasDowntime, Int.random(in: 0..<20, using: &random) == 0 {
                now = now + .seconds(Int64.random(in: 1...200_000, using: &random))
            }
            let step = plan.step(occurrence: occurrence, due: due, now: now, workingSince: now)
            if let time = step.fire {
                if let last = fired.last { #expect(time > last) }
                #expect(time <= now && now - time <= .seconds(86_400) + Self.minute * 4)
                fired.append(time)
            }
            let next = try #require(step.next)
            #expect(next > occurrence)
            occurrence = next
            due = plan.due(for: next, now: now)
            if expected.count < 300 {
                expected.append(try #require(plan.occurrence(after: expected[expected.count - 1])))
            }
        }
        if !hasDowntime { #expect(fired == expected) }
    }
}

struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}
