import Platform
import Schedules

/// A schedule as it is kept.
struct Schedule: Sendable {
    var key: ScheduleKey
    /// ScheduleExpression, ScheduleExpressionTimezone, Description, State, KmsKeyArn, Target, FlexibleTimeWindow and
    /// ActionAfterCompletion by their names in the model; times in nanoseconds.
    var document: Fields
    /// The time for which it fires next; nil when it does no more, or is disabled.
    var occurrence: Instant?
    /// When it does: later than that within a flexible window.
    var due: Instant?

    func text(_ name: String) -> String? { document[name]?.string }
    func time(_ name: String) -> Instant? { document[name]?.int.map { Instant(nanoseconds: $0) } }
    mutating func set(_ name: String, _ time: Instant?) { document[name] = time.map { .int($0.nanoseconds) } }

    var isEnabled: Bool { text("State") != "DISABLED" }
    var zoneName: String { text("ScheduleExpressionTimezone") ?? "UTC" }
    var target: Model.Target { Model.Target(document["Target"] ?? [:]) }
    var deletesItself: Bool { text("ActionAfterCompletion") == "DELETE" }

    /// When it fires, in a zone. Nil for an expression that is none.
    func plan(zone: TimeZoneRules) -> SchedulePlan? {
        guard let expression = text("ScheduleExpression").flatMap({ ScheduleExpression(schedule: $0) }) else {
            return nil
        }
        let window = Model.FlexibleTimeWindow(document["FlexibleTimeWindow"] ?? [:])
        return SchedulePlan(
            expression: expression, zone: zone, start: time("StartDate"), end: time("EndDate"),
            anchor: time("Anchor") ?? time("Created") ?? Instant(nanoseconds: 0),
            window: window.mode == "FLEXIBLE" ? .seconds(60 * (window.maximumWindowInMinutes ?? 0)) : .zero,
            maximumAge: target.retryPolicy?.maximumEventAgeInSeconds.map { .seconds($0) } ?? Limits.eventAge,
            seed: key.arn)
    }

    /// Whether the times at which it fires are those of another.
    func hasTimes(of other: Schedule) -> Bool {
        ["ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate", "State"].allSatisfy {
            document[$0] == other.document[$0]
        }
    }
}

/// When a schedule fires: pure.
struct SchedulePlan: Sendable {
    var expression: ScheduleExpression
    var zone: TimeZoneRules
    /// Of recurring schedules only.
    var start: Instant?
    var end: Instant?
    /// Where a rate counts from when there is no start.
    var anchor: Instant
    /// Zero: at the time itself.
    var window: Duration
    /// Nothing older is fired.
    var maximumAge: Duration
    /// What the places within the window follow from: the same after a restart.
    var seed: String

    /// The first time that a new schedule fires for. A single time may have passed already.
    func first(now: Instant) -> Instant? {
        expression.isRecurring ? occurrence(after: now - .nanoseconds(1)) : occurrence(after: Instant(nanoseconds: 0))
    }

    /// The first of its times after `time`.
    func occurrence(after time: Instant) -> Instant? {
        guard expression.isRecurring else { return expression.next(after: time, anchor: anchor, zone: zone) }
        var time = time
        if let start, start > time { time = start - .nanoseconds(1) }
        let next = expression.next(after: time, anchor: start ?? anchor, zone: zone)
        if let end, let next, next > end { return nil }
        return next
    }

    /// When it fires for an occurrence.
    func due(for occurrence: Instant) -> Instant {
        let width = UInt64(max(window.clampedNanoseconds, 0))
        guard width > 0 else { return occurrence }
        var hash: UInt64 = 14_695_981_039_346_656_037
        for byte in seed.utf8 { hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211 }
        hash ^= UInt64(bitPattern: occurrence.nanoseconds)
        // The finalizer of SplitMix64.
        hash = (hash ^ hash >> 30) &* 0xbf58_476d_1ce4_e5b9
        hash = (hash ^ hash >> 27) &* 0x94d0_49bb_1331_11eb
        return occurrence + .nanoseconds(Int64((hash ^ hash >> 31) % width))
    }

    /// As `due(for:)`, of the occurrence behind one that is fired now. A window may be longer than the interval: then one firing
    /// waits for the other, and is not late.
    func due(for occurrence: Instant, now: Instant) -> Instant { max(due(for: occurrence), now) }

    struct Step: Sendable, Equatable {
        /// What is fired now; nil: it is too late for it.
        var fire: Instant?
        /// The next occurrence; nil: it was the last.
        var next: Instant?
    }

    /// What happens when `now` an occurrence's due time has come. Of several that were missed while no server ran, only one is made
    /// up for: the oldest that is not older than the maximum age. Missed is what was overdue when the work that goes on began
    /// (`workingSince`): what is late because there is much to do is not.
    func step(occurrence: Instant, due: Instant, now: Instant, workingSince: Instant) -> Step {
        if workingSince - due < Limits.precision {
            return Step(fire: occurrence, next: self.occurrence(after: occurrence))
        }
        let oldest = now - maximumAge
        let next = self.occurrence(after: max(now, occurrence))
        if occurrence >= oldest { return Step(fire: occurrence, next: next) }
        guard expression.isRecurring, let other = self.occurrence(after: oldest), other <= now else {
            return Step(fire: nil, next: next)
        }
        return Step(fire: other, next: next)
    }
}
