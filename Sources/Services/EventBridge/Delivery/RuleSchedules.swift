import Contracts
import Logging
import Platform
import Schedules
import Storage
import Synchronization

/// Fires rules at their times. The firing and the next time are one commit, so that nothing is fired twice or skipped by a crash.
/// A time that passed while no server ran is not made up for, unless it is less than a minute ago.
final class RuleSchedules: Sendable {
    private let database: any Database
    private let fanOut: FanOut
    private let time: any TimeSource
    private let logger: Logger
    private let alarm: Mutex<Alarm?> = Mutex(nil)

    init(database: any Database, fanOut: FanOut, time: any TimeSource, logger: Logger) {
        self.database = database
        self.fanOut = fanOut
        self.time = time
        self.logger = logger
    }

    func start() async throws {
        let alarm = Alarm(time: time) { [weak self] in self?.work() }
        self.alarm.withLock { $0 = alarm }
        if let next = try await database.read({ try RuleTable.nextDue(in: $0) }) { alarm.set(at: next) }
    }

    func stop() { alarm.withLock { $0 }?.stop() }

    /// A rule has a time now.
    func changed(_ due: Instant?, in transaction: any WriteTransaction) {
        guard let due else { return }
        transaction.afterCommit { [weak self] in self?.alarm.withLock { $0 }?.set(at: due) }
    }

    /// When a rule with this expression, which counts from `anchor`, fires next.
    static func next(_ expression: String, anchor: Instant, after now: Instant) -> Instant? {
        ScheduleExpression(rule: expression)?.next(after: now, anchor: anchor, zone: .utc)
    }

    private func work() {
        let now = time.now()
        let since = alarm.withLock { $0 }?.workingSince ?? now
        database.write { [self] transaction in
            for rule in try RuleTable.due(now, limit: Limits.schedulesPerTransaction, in: transaction) {
                try fire(rule, now: now, workingSince: since, in: transaction)
            }
            return try RuleTable.nextDue(in: transaction)
        } completion: { [self] result in
            let alarm = alarm.withLock { $0 }
            switch result {
            case .success(let due): alarm?.finished(next: due)
            case .failure(let error):
                logger.error("cannot fire scheduled rules", metadata: ["error": "\(error)"])
                alarm?.failed(retryAt: time.now() + .seconds(1))
            }
        }
    }

    private func fire(
        _ rule: Rule, now: Instant, workingSince: Instant, in transaction: any WriteTransaction
    ) throws {
        let due = rule.due ?? now
        // What is late because there is much to do is not missed, nor is what comes due meanwhile.
        let isMissed = workingSince - due > Limits.scheduleGrace
        let next = rule.text("ScheduleExpression").flatMap {
            Self.next($0, anchor: rule.anchor ?? due, after: isMissed ? now : due)
        }
        try RuleTable.setDue(next, of: rule.key, in: transaction)
        guard !isMissed else {
            logger.notice(
                "a scheduled rule missed its time", metadata: ["rule": "\(rule.key.arn)", "due": "\(due.iso8601())"])
            return
        }
        let scope = rule.key.bus.scope
        let event = Event(
            Event.Head(
                id: Identifier.uuid(), detailType: "Scheduled Event", source: "aws.events", account: scope.account,
                time: due, region: scope.region, resources: [rule.key.arn]),
            detail: [:], detailBytes: "{}".utf8, ingestion: now)
        var budget = FanOutBudget()
        let compiled = try fanOut.indexes.index(of: rule.key.bus, in: transaction).rule(rule.key.name)
        for target in compiled?.targets ?? [] {
            try fanOut.send(event, to: target, of: rule.key, &budget, now: now, in: transaction)
        }
    }
}
