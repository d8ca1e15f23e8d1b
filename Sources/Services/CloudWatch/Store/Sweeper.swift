import Logging
import Platform
import Schedules
import Storage
import Synchronization

/// Rolls old data up into coarser periods and removes what is past its retention, hourly, one bounded transaction after the
/// other. What has nothing old costs four index look-ups on a snapshot.
final class Sweeper: Sendable {
    private let database: any Database
    private let time: any TimeSource
    private let logger: Logger
    private let upkeep: Mutex<Upkeep?> = Mutex(nil)

    init(database: any Database, time: any TimeSource, logger: Logger) {
        self.database = database
        self.time = time
        self.logger = logger
    }

    func start() {
        let upkeep = Upkeep(time: time, every: Limits.sweepInterval) { [weak self] in await self?.sweep() }
        self.upkeep.withLock { $0 = upkeep }
        upkeep.start(after: Limits.firstSweep)
    }

    func stop() { upkeep.withLock { $0 }?.stop() }

    private var isStopped: Bool { upkeep.withLock { $0 }?.isStopped ?? false }

    func sweep() async {
        let now = time.now().seconds
        do {
            var last: Int64 = 0
            while !isStopped {
                let after = last
                let (old, end) = try await database.read { try Self.old(after: after, now: now, in: $0) }
                for metric in old {
                    while try await database.write({ try Self.step(metric, now: now, in: $0) }) {}
                }
                guard let end else { break }
                last = end
            }
            while try await database.write({ try HistoryTable.expire(before: now - Limits.historyAge, in: $0) }) {}
        } catch {
            logger.error("cannot roll up old metrics", metadata: ["error": "\(error)"])
        }
    }

    /// Metrics behind a number that have something to roll up or to remove, and the last number looked at, if there are more.
    private static func old(
        after number: Int64, now: Int64, in transaction: any ReadTransaction
    ) throws -> (old: [Int64], end: Int64?) {
        let metrics = try MetricTable.all(after: number, limit: Limits.metricsPerSweep, in: transaction)
        let old = try metrics.filter { metric, last in
            if last < now - (Limits.retention.last?.age ?? 0) { return true }
            return try Limits.retention.contains {
                try PointTable.hasOld(metric, resolution: $0.resolution, before: now - $0.age, in: transaction)
            }
        }
        return (old.map(\.0), metrics.count < Limits.metricsPerSweep ? nil : metrics.last?.0)
    }

    /// Whether there is more to do for the metric.
    private static func step(_ metric: Int64, now: Int64, in transaction: any WriteTransaction) throws -> Bool {
        for (index, (resolution, age)) in Limits.retention.enumerated() {
            let next = index + 1 < Limits.retention.count ? Limits.retention[index + 1].resolution : nil
            // Whole periods of the next resolution, so that each is rolled up once.
            let before = PointPlace(seconds: now - age, resolution: next ?? resolution, unit: 0).time
            let moved = try PointTable.roll(
                metric, resolution: resolution, before: before, into: next, limit: Limits.rowsPerSweep, in: transaction)
            if moved == Limits.rowsPerSweep { return true }
        }
        if let last = try MetricTable.all(after: metric - 1, limit: 1, in: transaction).first, last.0 == metric,
            last.1 < now - (Limits.retention.last?.age ?? 0)
        {
            try MetricTable.delete(metric, in: transaction)
        }
        return false
    }
}
