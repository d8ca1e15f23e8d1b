import Contracts
import Logging
import Platform
import Schedules
import Storage
import Synchronization
import Wire

/// Fires schedules at their times. A firing and the schedule's next time are one commit, so that a crash neither skips nor repeats
/// one. Schedules at rest are rows behind an index: one alarm waits for the earliest.
final class Firing: Sendable {
    let zones: ZoneFiles
    private let database: any Database
    private let outbox: any DeliveryOutbox
    private let time: any TimeSource
    private let logger: Logger
    private let alarm: Mutex<Alarm?> = Mutex(nil)

    init(
        database: any Database, outbox: any DeliveryOutbox, zones: ZoneFiles, time: any TimeSource, logger: Logger
    ) {
        self.database = database
        self.outbox = outbox
        self.zones = zones
        self.time = time
        self.logger = logger
    }

    func start() async throws {
        let alarm = Alarm(time: time) { [weak self] in self?.work() }
        self.alarm.withLock { $0 = alarm }
        if let next = try await database.read({ try ScheduleTable.nextDue(in: $0) }) { alarm.set(at: next) }
    }

    func stop() { alarm.withLock { $0 }?.stop() }

    /// A schedule has a time now.
    func changed(_ due: Instant?, in transaction: any WriteTransaction) {
        guard let due else { return }
        transaction.afterCommit { [weak self] in self?.alarm.withLock { $0 }?.set(at: due) }
    }

    private func work() {
        let now = time.now()
        let since = alarm.withLock { $0 }?.workingSince ?? now
        database.write { [self] transaction in
            for schedule in try ScheduleTable.due(now, limit: Limits.firingsPerTransaction, in: transaction) {
                try fire(schedule, now: now, workingSince: since, in: transaction)
            }
            return try ScheduleTable.nextDue(in: transaction)
        } completion: { [self] result in
            let alarm = alarm.withLock { $0 }
            switch result {
            case .success(let due): alarm?.finished(next: due)
            case .failure(let error):
                logger.error("cannot fire schedules", metadata: ["error": "\(error)"])
                alarm?.failed(retryAt: time.now() + .seconds(1))
            }
        }
    }

    private func fire(
        _ schedule: Schedule, now: Instant, workingSince: Instant, in transaction: any WriteTransaction
    ) throws {
        let key = schedule.key
        guard let group = try GroupTable.get(key.group, in: transaction), !group.isDeleting else {
            try ScheduleTable.setNext(key, occurrence: nil, due: nil, in: transaction)
            return
        }
        guard let plan = plan(of: schedule) else {
            // Descriptors may have run out: the time that is due stays due.
            try ScheduleTable.setNext(
                key, occurrence: schedule.occurrence ?? schedule.due, due: now + Limits.zoneRetry, in: transaction)
            return
        }
        let due = schedule.due ?? now
        let step = plan.step(occurrence: schedule.occurrence ?? due, due: due, now: now, workingSince: workingSince)
        if let scheduled = step.fire {
            let call = TargetCall(
                schedule: schedule, scheduled: scheduled, executionID: Identifier.hex(16), now: now)
            try outbox.send(call.delivery(), in: transaction)
        } else {
            logger.notice(
                "a schedule missed its time", metadata: ["schedule": "\(key.arn)", "due": "\(due.iso8601())"])
        }
        if step.next == nil, schedule.deletesItself {
            _ = try ScheduleTable.delete(key, in: transaction)
        } else {
            try ScheduleTable.setNext(
                key, occurrence: step.next, due: step.next.map { plan.due(for: $0, now: now) }, in: transaction)
        }
    }

    private func plan(of schedule: Schedule) -> SchedulePlan? {
        do throws(AWSError) {
            if let plan = schedule.plan(zone: try zones.zone(schedule.zoneName)) { return plan }
            logger.error("a schedule cannot be read and does not fire", metadata: ["schedule": "\(schedule.key.arn)"])
            return nil
        } catch {
            // The system's time zones are gone since the schedule was made.
            logger.error(
                "a schedule cannot fire", metadata: ["schedule": "\(schedule.key.arn)", "error": "\(error.message)"])
            return nil
        }
    }
}
