import Contracts
import Logging
import Platform
import Storage
import Synchronization

/// Stored events that somebody wants to see: those with metrics in them, those of groups with metric filters or live tails.
struct TappedBatch: Sendable {
    var scope: AccountRegion
    var group: Int64
    var groupARN: String
    var stream: String
    /// Milliseconds.
    var ingested: Int64
    /// Some may be in the embedded metric format.
    var hasMetrics: Bool
    /// The state of the group's metric filters, when it has any.
    var metricFilters: Int64?
    var events: [NewEvent]
}

/// Makes metrics of events and shows them to live tails, after their commit, one batch after the other, outside of the
/// store's writer. In memory and bounded: what comes too fast is counted and not looked at.
final class EventTaps: Sendable {
    private struct State {
        var waiting: [TappedBatch] = []
        var bytes = 0
        var isRunning = false
        var dropped: UInt64 = 0
        var idle: [CheckedContinuation<Void, Never>] = []
    }

    let tails = LiveTails()
    private let metrics: (any MetricSink)?
    private let database: any Database
    private let cache: FilterCache
    private let logger: Logger
    private let state = Mutex(State())

    init(metrics: (any MetricSink)?, database: any Database, cache: FilterCache, logger: Logger) {
        self.metrics = metrics
        self.database = database
        self.cache = cache
        self.logger = logger
    }

    /// Events that were not looked at.
    var droppedEvents: UInt64 { state.withLock { $0.dropped } }

    /// Does not block: for the store's writer thread.
    func offer(_ batch: TappedBatch) {
        guard metrics != nil || tails.isWatched(batch.group) else { return }
        let bytes = Self.bytes(batch)
        let starts = state.withLock { state in
            guard state.bytes + bytes <= Limits.tappedBytes || state.waiting.isEmpty else {
                state.dropped += UInt64(batch.events.count)
                return false
            }
            state.waiting.append(batch)
            state.bytes += bytes
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if starts { Task { await run() } }
    }

    private static func bytes(_ batch: TappedBatch) -> Int {
        batch.events.reduce(0) { $0 + $1.message.utf8.count + 64 }
    }

    /// Returns when everything offered before has been looked at.
    func flush() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isIdle = state.withLock { state in
                if state.isRunning { state.idle.append(continuation) }
                return !state.isRunning
            }
            if isIdle { continuation.resume() }
        }
    }

    private func run() async {
        while true {
            let (batches, idle) = state.withLock { state -> ([TappedBatch], [CheckedContinuation<Void, Never>]) in
                let batches = state.waiting
                state.waiting = []
                state.bytes = 0
                state.isRunning = !batches.isEmpty
                guard batches.isEmpty else { return (batches, []) }
                defer { state.idle = [] }
                return ([], state.idle)
            }
            if batches.isEmpty {
                for continuation in idle { continuation.resume() }
                return
            }
            for batch in batches {
                tails.offer(batch)
                await measure(batch)
            }
        }
    }

    private func measure(_ batch: TappedBatch) async {
        guard let metrics else { return }
        var samples: [MetricSample] = []
        if batch.hasMetrics {
            for event in batch.events { samples += EmbeddedMetrics.samples(event.message, now: batch.ingested) }
        }
        if let version = batch.metricFilters {
            do {
                for filter in try await filters(batch.group, version) { samples += filter.samples(batch.events) }
            } catch {
                logger.error("cannot read metric filters", metadata: ["error": "\(error)"])
            }
        }
        if !samples.isEmpty { metrics.record(samples, scope: batch.scope) }
    }

    private func filters(_ group: Int64, _ version: Int64) async throws -> [MetricFilter] {
        if let found = cache.find(group, version: version) { return found.metrics }
        return try await database.read { [cache] transaction in
            guard let row = try GroupRow.find(id: group, in: transaction) else { return [] }
            return try cache.filters(of: row, in: transaction).metrics
        }
    }
}
