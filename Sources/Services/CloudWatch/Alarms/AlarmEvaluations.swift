import Logging
import Platform
import Schedules
import Storage
import Synchronization
import Wire

/// When alarms are evaluated next: every minute after its end, those with shorter periods every ten seconds. A value.
struct EvaluationClock: Sendable, Equatable {
    /// Divides the time between evaluations (development); 1 is CloudWatch's.
    let timeScale: Double
    private(set) var slow: Instant?
    private(set) var fast: Instant?

    init(timeScale: Double) { self.timeScale = timeScale }

    var next: Instant? { [slow, fast].compactMap { $0 }.min() }

    /// There are such alarms; keeps a time that was set before.
    mutating func expect(slow hasSlow: Bool, fast hasFast: Bool, now: Instant) {
        slow = hasSlow ? slow ?? next(now, every: Limits.evaluationInterval, delay: Limits.evaluationDelay) : nil
        fast =
            hasFast ? fast ?? next(now, every: Limits.fastEvaluationInterval, delay: Limits.fastEvaluationDelay) : nil
    }

    /// What is due now; it is not due again before its next time. So is what lies further ahead than the longest wait: the
    /// clock was set back since.
    mutating func takeDue(_ now: Instant) -> (slow: Bool, fast: Bool) {
        func isDue(_ time: Instant?, every seconds: Int64, delay: Duration) -> Bool {
            time.map { $0 <= now || $0 > now + .seconds(seconds) + delay } ?? false
        }
        let due = (
            slow: isDue(slow, every: Limits.evaluationInterval, delay: Limits.evaluationDelay),
            fast: isDue(fast, every: Limits.fastEvaluationInterval, delay: Limits.fastEvaluationDelay)
        )
        if due.slow { slow = nil }
        if due.fast { fast = nil }
        return due
    }

    private func next(_ now: Instant, every seconds: Int64, delay: Duration) -> Instant {
        guard timeScale == 1 else {
            return now + max(Duration.seconds(seconds).divided(by: timeScale), Limits.shortestEvaluationInterval)
        }
        let last = (now - delay).seconds.flooredDivision(by: seconds) * seconds
        return Instant(milliseconds: (last + seconds) * 1_000) + delay
    }

    /// The end of the newest period that counts, in seconds: the last full minute (or ten seconds); with a time scale of one's
    /// own the present, so that nobody waits for the clock.
    func end(_ now: Instant, isFast: Bool) -> Int64 {
        guard timeScale == 1 else { return now.seconds + 1 }
        let step = isFast ? Limits.fastEvaluationInterval : Limits.evaluationInterval
        return now.seconds.flooredDivision(by: step) * step
    }
}

/// Evaluates all alarms, on snapshots; only what changes is written. One timer, none while there is no alarm.
final class AlarmEvaluations: Sendable {
    private let database: any Database
    private let changes: AlarmChanges
    private let time: any TimeSource
    private let logger: Logger
    private let clock: Mutex<EvaluationClock>
    private let timer: Mutex<Schedules.Alarm?> = Mutex(nil)

    init(database: any Database, changes: AlarmChanges, time: any TimeSource, timeScale: Double, logger: Logger) {
        self.database = database
        self.changes = changes
        self.time = time
        self.logger = logger
        clock = Mutex(EvaluationClock(timeScale: timeScale))
    }

    func start() async throws {
        let timer = Schedules.Alarm(time: time) { [weak self] in self?.work() }
        self.timer.withLock { $0 = timer }
        if let next = try await plan() { timer.set(at: next) }
    }

    func stop() { timer.withLock { $0 }?.stop() }

    /// There is an alarm that there was not before.
    func added(_ alarm: Alarm, in transaction: any WriteTransaction) {
        let isFast = alarm.isFast
        transaction.afterCommit { [weak self] in
            guard let self else { return }
            let now = self.time.now()
            let next = self.clock.withLock { clock in
                clock.expect(slow: true, fast: clock.fast != nil || isFast, now: now)
                return clock.next
            }
            if let next { self.timer.withLock { $0 }?.set(at: next) }
        }
    }

    private func plan() async throws -> Instant? {
        let (slow, fast) = try await database.read {
            (try AlarmTable.any(fast: false, in: $0), try AlarmTable.any(fast: true, in: $0))
        }
        let now = time.now()
        return clock.withLock { clock in
            clock.expect(slow: slow, fast: fast, now: now)
            return clock.next
        }
    }

    private func work() {
        let now = time.now()
        let due = clock.withLock { $0.takeDue(now) }
        Task {
            var next: Instant?
            do {
                if due.fast { try await evaluate(fast: true, now: now) }
                if due.slow { try await evaluate(fast: false, now: now) }
                next = try await plan()
            } catch {
                logger.error("cannot evaluate alarms", metadata: ["error": "\(error)"])
                next = time.now() + .seconds(1)
                let time = self.time.now()
                clock.withLock { $0.expect(slow: true, fast: true, now: time) }
            }
            timer.withLock { $0 }?.finished(next: next)
        }
    }

    private func evaluate(fast: Bool, now: Instant) async throws {
        var last: AlarmKey?
        let end = clock.withLock { $0.end(now, isFast: fast) }
        repeat {
            let after = last
            let (changed, more) = try await database.read { [self] in
                try step(fast: fast, after: after, end: end, now: now, in: $0)
            }
            for (alarm, state) in changed { try await apply(state, to: alarm) }
            last = more
        } while last != nil
    }

    /// What some alarms must change to, and the last one that was looked at, if there are more.
    private func step(
        fast: Bool, after key: AlarmKey?, end: Int64, now: Instant, in transaction: any ReadTransaction
    ) throws -> (changed: [(alarm: Alarm, state: AlarmState)], last: AlarmKey?) {
        let (alarms, last) = try AlarmTable.due(
            fast: fast, after: key, limit: Limits.alarmsPerStep, in: transaction)
        let deadline = time.uptimeNanoseconds() &+ Limits.alarmStepNanoseconds
        var changed: [(alarm: Alarm, state: AlarmState)] = []
        for alarm in alarms {
            do {
                let state = try Self.newState(of: alarm, end: end, now: now, present: time.now(), in: transaction)
                if let state { changed.append((alarm, state)) }
            } catch let error as AWSError {
                logger.warning(
                    "an alarm cannot be evaluated",
                    metadata: ["alarm": "\(alarm.key.arn)", "error": "\(error.message)"])
            }
            if time.uptimeNanoseconds() > deadline { return (changed, alarm.key) }
        }
        return (changed, last)
    }

    /// The commit of a change; nothing when somebody else has changed the alarm since it was read.
    private func apply(_ state: AlarmState, to alarm: Alarm) async throws {
        try await database.write { [changes] transaction in
            guard let current = try AlarmTable.get(alarm.key, in: transaction), current.revision == alarm.revision
            else {
                return
            }
            try changes.set(state, of: current, in: transaction)
        }
    }

    /// The state that an alarm must change to; nil when it stays as it is. `now` is when the evaluation began. Throws what
    /// reading throws, and AWSError where an expression cannot be worked out.
    static func newState(
        of alarm: Alarm, end: Int64, now: Instant, present: Instant, in transaction: any ReadTransaction
    ) throws -> AlarmState? {
        // An evaluation that was held up says nothing of a state that was set since. One that was set in the future was not:
        // the clock was set back.
        guard alarm.state.updated <= now || alarm.state.updated > present else { return nil }
        let range = try datapoints(of: alarm, end: end, in: transaction)
        guard let finding = AlarmMachine.evaluate(range, alarm.rules), finding.value != alarm.state.value else {
            return nil
        }
        return AlarmState(
            value: finding.value, reason: AlarmTexts.reason(finding, alarm),
            reasonData: AlarmTexts.reasonData(finding, alarm, end: end, now: now), updated: now, transitioned: now)
    }

    /// The datapoints of the periods that end with `end`, newest first.
    private static func datapoints(
        of alarm: Alarm, end: Int64, in transaction: any ReadTransaction
    ) throws -> [Datapoint?] {
        let range = Int64(alarm.rules.range)
        let start = end - range * alarm.period
        var found: [Datapoint] = []
        switch alarm.subject {
        case .metric(let id, let statistic, let unit):
            found = try SeriesReader.datapoints(
                of: id, alarm.key.scope, statistic, in: Window(start: start, end: end, period: alarm.period),
                unit: unit,
                transaction)
        case .math(let set):
            let results = try set.evaluate(
                alarm.key.scope, from: start, to: end, budget: Limits.alarmMathSteps, in: transaction)
            if let series = results.first?.series, results.count == 1 {
                found = series.times.indices.map {
                    Datapoint(time: series.times[$0], value: series.values[$0], samples: 1)
                }
            }
        }
        var points = [Datapoint?](repeating: nil, count: Int(range))
        for point in found {
            let index = Int((end - 1 - point.time) / alarm.period)
            if points.indices.contains(index) { points[index] = point }
        }
        return points
    }
}
