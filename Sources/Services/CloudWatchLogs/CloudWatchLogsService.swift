public import Contracts
public import Logging
public import Platform
public import Storage
import Synchronization
import Wire

/// CloudWatch Logs: groups, streams and events; functions' logs land here.
public final class CloudWatchLogsService: Sendable, LogSink {
    private struct State {
        var buffer = LogBuffer()
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    public let definition: ServiceDefinition
    public static var migrations: Migrations { Schema.migrations }

    private let database: any Database
    private let time: any TimeSource
    private let logger: Logger
    let sweeper: Sweeper
    let ingestion: Ingestion
    private let state = Mutex(State())

    /// `metrics` gets what events say of metrics; nil: it is not looked for.
    public init(
        database: any Database, outbox: any DeliveryOutbox, authorizer: (any Authorizer)? = nil,
        metrics: (any MetricSink)?, time: any TimeSource,
        logger: Logger
    ) throws {
        self.database = database
        self.time = time
        self.logger = logger
        sweeper = Sweeper(database: database, time: time, logger: logger)
        let cache = FilterCache()
        ingestion = Ingestion(
            subscriptions: SubscriptionWorker(
                database: database, outbox: outbox, cache: cache, time: time, logger: logger),
            taps: EventTaps(metrics: metrics, database: database, cache: cache, logger: logger))
        let groups = GroupOperations(database: database, sweeper: sweeper)
        let streams = StreamOperations(database: database, sweeper: sweeper)
        let events = EventOperations(database: database, ingestion: ingestion)
        let filters = FilterOperations(database: database, outbox: outbox, authorizer: authorizer)
        let policies = PolicyOperations(database: database)
        let schema = try ServiceSchema(text: CloudWatchLogsSchema.text)
        let tails = LiveTailOperations(
            database: database, tails: ingestion.taps.tails, schema: schema, time: time)
        definition = ServiceDefinition(
            schema: schema,
            operations: [
                "CreateLogGroup": .asynchronous(groups.create),
                "DeleteLogGroup": .asynchronous(groups.delete),
                "DescribeLogGroups": .asynchronous(groups.describe),
                "PutRetentionPolicy": .asynchronous(groups.putRetention),
                "DeleteRetentionPolicy": .asynchronous(groups.deleteRetention),
                "TagResource": .asynchronous(groups.tagResource),
                "UntagResource": .asynchronous(groups.untagResource),
                "ListTagsForResource": .asynchronous(groups.listTagsForResource),
                "TagLogGroup": .asynchronous(groups.tagLogGroup),
                "UntagLogGroup": .asynchronous(groups.untagLogGroup),
                "ListTagsLogGroup": .asynchronous(groups.listTagsLogGroup),
                "CreateLogStream": .asynchronous(streams.create),
                "DeleteLogStream": .asynchronous(streams.delete),
                "DescribeLogStreams": .asynchronous(streams.describe),
                "PutLogEvents": .asynchronous(events.put),
                "GetLogEvents": .asynchronous(events.get),
                "FilterLogEvents": .asynchronous(events.filter),
                "PutSubscriptionFilter": .asynchronous(filters.putSubscription),
                "DescribeSubscriptionFilters": .asynchronous(filters.describeSubscriptions),
                "DeleteSubscriptionFilter": .asynchronous(filters.deleteSubscription),
                "PutMetricFilter": .asynchronous(filters.putMetric),
                "DescribeMetricFilters": .asynchronous(filters.describeMetrics),
                "DeleteMetricFilter": .asynchronous(filters.deleteMetric),
                "TestMetricFilter": .asynchronous(filters.testMetric),
                "StartLiveTail": .asynchronous(tails.start),
                "PutResourcePolicy": .asynchronous(policies.put),
                "DescribeResourcePolicies": .asynchronous(policies.describe),
                "DeleteResourcePolicy": .asynchronous(policies.delete),
            ],
            bodyLimit: 4 << 20)
    }

    /// Starts looking for expired events, hourly, and goes on with what a stop left half removed or not yet sent.
    public func start() {
        sweeper.start()
        ingestion.subscriptions.start()
    }

    /// Ends live tails, which keep clients waiting.
    public func stopTails() { ingestion.taps.tails.stop() }

    /// Writes what is buffered and stops the sweep.
    public func stop() async {
        await flush()
        sweeper.stop()
        ingestion.subscriptions.stop()
    }

    // MARK: LogSink

    public func append(scope: AccountRegion, group: String, stream: String, events: [Contracts.LogEvent]) {
        let key = LogBuffer.Key(scope: scope, group: group, stream: stream)
        let now = time.now()
        switch state.withLock({ $0.buffer.append(events, to: key, now: now) }) {
        case .none: break
        case .schedule(let due): planWrite(at: due)
        case .writeNow: write()
        }
    }

    public func flush() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let quiet = state.withLock { state in
                if !state.buffer.isQuiet { state.waiting.append(continuation) }
                return state.buffer.isQuiet
            }
            if quiet { continuation.resume() } else { write() }
        }
        // What the lines say of metrics is told, too.
        await ingestion.taps.flush()
    }

    /// Lines that could not be kept, because the buffer was full or the store did not take them.
    public var droppedLines: UInt64 { state.withLock { $0.buffer.dropped } }

    /// What the sink is doing, in Prometheus's text format.
    public var metricLines: String {
        """
        # HELP martlet_log_lines_dropped_total Lines of functions' logs that could not be kept.
        # TYPE martlet_log_lines_dropped_total counter
        martlet_log_lines_dropped_total \(droppedLines)
        # HELP martlet_log_events_unseen_total Log events that came too fast to be searched for metrics and shown in live tails.
        # TYPE martlet_log_events_unseen_total counter
        martlet_log_events_unseen_total \(ingestion.taps.droppedEvents)
        # HELP martlet_log_events_refused_total Log events that a subscription's target did not let in.
        # TYPE martlet_log_events_refused_total counter
        martlet_log_events_refused_total \(ingestion.subscriptions.refusedEvents)
        # HELP martlet_log_events_too_large_total Log events that were too large for a subscription's target.
        # TYPE martlet_log_events_too_large_total counter
        martlet_log_events_too_large_total \(ingestion.subscriptions.tooLargeEvents)

        """
    }

    private func planWrite(at due: Instant) { _ = time.schedule(at: due) { [weak self] in self?.write() } }

    private func write() {
        let taken = time.now()
        let batch = state.withLock { $0.buffer.take(now: taken) }
        guard !batch.isEmpty else { return }
        let new = batch.mapValues { events in
            let events = events.map {
                NewEvent(timestamp: $0.timestamp.milliseconds, message: $0.message, lineage: $0.lineage)
            }
            return NewEvents(events: events, hasMetrics: EmbeddedMetrics.areIn(events))
        }
        write(new, taken: taken, isAgain: false)
    }

    /// Lines on their way to a stream.
    private struct NewEvents: Sendable {
        var events: [NewEvent]
        /// Found out before the transaction, which everybody waits for.
        var hasMetrics: Bool
    }

    /// Writes lines that were taken; once more in a moment when that fails: it may have been somebody else's part of the commit,
    /// or a queue for the disk that was full. Then they are lost, and counted: logs are best effort, and a full disk must not stop
    /// functions.
    private func write(_ batch: [LogBuffer.Key: NewEvents], taken: Instant, isAgain: Bool) {
        let now = taken.milliseconds
        database.write { [ingestion] transaction in
            for (key, events) in batch { try Self.store(events, key, now: now, ingestion, in: transaction) }
        } completion: { [self] result in
            if case .failure(let error) = result {
                logger.error(
                    "cannot write function logs", metadata: ["error": "\(error)", "isLast": "\(isAgain)"])
                if !isAgain, state.withLock({ $0.waiting.isEmpty }) {
                    _ = time.schedule(at: time.now() + Limits.rewriteDelay) { [self] in
                        write(batch, taken: taken, isAgain: true)
                    }
                    return
                }
                state.withLock { $0.buffer.lost(batch.values.reduce(0) { $0 + $1.events.count }) }
            }
            let end = time.now()
            let (again, quiet) = state.withLock { state in
                let again = state.buffer.written(now: end)
                let quiet = state.buffer.isQuiet ? state.waiting : []
                if state.buffer.isQuiet { state.waiting = [] }
                return (again, quiet)
            }
            for continuation in quiet { continuation.resume() }
            if let again { state.withLock({ !$0.waiting.isEmpty }) ? write() : planWrite(at: again) }
        }
    }

    private static func store(
        _ new: NewEvents, _ key: LogBuffer.Key, now: Int64, _ ingestion: Ingestion,
        in transaction: any WriteTransaction
    ) throws {
        let group =
            try GroupRow.find(key.group, key.scope, in: transaction)
            ?? GroupRow.insert(key.group, key.scope, created: now, in: transaction)
        let stream =
            try StreamRow.find(key.stream, group: group.id, in: transaction)?.id
            ?? StreamRow.insert(key.stream, group: group.id, created: now, isOwn: true, in: transaction)
        try ingestion.append(
            new.events, to: group, stream: (stream, key.stream), now: now, hasMetrics: new.hasMetrics, in: transaction)
    }
}
