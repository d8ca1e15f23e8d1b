public import Contracts
public import Logging
public import Platform
public import Storage
import Synchronization
import Wire

/// CloudWatch: metrics, alarms on them, dashboards; takes what the server itself measures.
public final class CloudWatchService: Sendable, MetricSink {
    public let definition: ServiceDefinition
    public static var migrations: Migrations { cloudWatchMigrations }

    private struct State {
        var buffer = PointBuffer()
        var waiting: [CheckedContinuation<Void, Never>] = []
        /// A write is planned and has not begun.
        var isPlanned = false
    }

    private let database: any Database
    private let time: any TimeSource
    private let logger: Logger
    private let evaluations: AlarmEvaluations
    private let sweeper: Sweeper
    private let state = Mutex(State())

    /// `timeScale` divides the time between evaluations of alarms (development); 1 is CloudWatch's timing.
    public init(
        database: any Database, outbox: any DeliveryOutbox, authorizer: any Authorizer, time: any TimeSource,
        timeScale: Double = 1, logger: Logger
    ) throws {
        self.database = database
        self.time = time
        self.logger = logger
        sweeper = Sweeper(database: database, time: time, logger: logger)
        let changes = AlarmChanges(outbox: outbox)
        evaluations = AlarmEvaluations(
            database: database, changes: changes, time: time, timeScale: timeScale, logger: logger)
        let access = Access(authorizer: authorizer)
        let data = DataOperations(database: database, access: access)
        let lists = ListOperations(database: database, access: access)
        let alarms = AlarmOperations(database: database, access: access, changes: changes, evaluations: evaluations)
        let tags = TagOperations(database: database, access: access)
        let dashboards = DashboardOperations(database: database, access: access)
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: CloudWatchSchema.text),
            operations: [
                "PutMetricData": .callback(data.put),
                "GetMetricStatistics": .asynchronous(data.statistics),
                "GetMetricData": .asynchronous(data.data),
                "ListMetrics": .asynchronous(lists.metrics),
                "PutMetricAlarm": .asynchronous(alarms.put),
                "DeleteAlarms": .asynchronous(alarms.delete),
                "EnableAlarmActions": .asynchronous(alarms.enableActions),
                "DisableAlarmActions": .asynchronous(alarms.disableActions),
                "SetAlarmState": .asynchronous(alarms.setState),
                "DescribeAlarms": .asynchronous(alarms.describe),
                "DescribeAlarmsForMetric": .asynchronous(alarms.describeForMetric),
                "DescribeAlarmHistory": .asynchronous(alarms.history),
                "TagResource": .asynchronous(tags.tag),
                "UntagResource": .asynchronous(tags.untag),
                "ListTagsForResource": .asynchronous(tags.list),
                "PutDashboard": .asynchronous(dashboards.put),
                "GetDashboard": .asynchronous(dashboards.get),
                "ListDashboards": .asynchronous(dashboards.list),
                "DeleteDashboards": .asynchronous(dashboards.delete),
            ],
            bodyLimit: 2 << 20, bodyLimits: ["PutMetricData": Limits.putBytes])
    }

    /// Evaluates alarms from now on, and rolls old data up.
    public func start() async throws {
        try await evaluations.start()
        sweeper.start()
    }

    /// Evaluates nothing more; what was measured is still taken and written.
    public func stop() {
        evaluations.stop()
        sweeper.stop()
    }

    // MARK: MetricSink

    public func record(_ samples: [MetricSample], scope: AccountRegion) {
        if state.withLock({ $0.buffer.record(samples, scope: scope) }) == .plan { planWrite() }
    }

    /// Completes when everything that was measured before is on disk, or lost; at shutdown and in tests.
    public func flush() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isQuiet = state.withLock { state in
                if !state.buffer.isQuiet { state.waiting.append(continuation) }
                return state.buffer.isQuiet
            }
            if isQuiet { continuation.resume() } else { writeIfPlanned() }
        }
    }

    /// What the sink is doing, in Prometheus's text format.
    public var metricLines: String {
        """
        # HELP martlet_metric_samples_dropped_total Measured values that could not be kept.
        # TYPE martlet_metric_samples_dropped_total counter
        martlet_metric_samples_dropped_total \(state.withLock { $0.buffer.dropped })

        """
    }

    private func planWrite() {
        state.withLock { $0.isPlanned = true }
        _ = time.schedule(at: time.now() + Limits.bufferDelay) { [weak self] in self?.writeIfPlanned() }
    }

    private func writeIfPlanned() {
        let isDue = state.withLock { state in
            defer { state.isPlanned = false }
            return state.isPlanned
        }
        if isDue { write() }
    }

    private func write() {
        let points = state.withLock { $0.buffer.take() }
        write(points[...], isAgain: false)
    }

    /// Writes points in bounded transactions, one after the other; each once more in a moment when it fails.
    private func write(_ points: ArraySlice<(PointBuffer.Key, StatisticPoint)>, isAgain: Bool) {
        guard !points.isEmpty else { return written() }
        let batch = points.prefix(Limits.pointsPerTransaction)
        database.write { transaction in
            for (key, point) in batch {
                let metric = try MetricTable.touch(key.metric, key.scope, time: key.place.time, in: transaction)
                try PointTable.add(point, to: metric, at: key.place, in: transaction)
            }
        } completion: { [self] result in
            if case .failure(let error) = result {
                logger.error("cannot write metrics", metadata: ["error": "\(error)", "isLast": "\(isAgain)"])
                if !isAgain {
                    _ = time.schedule(at: time.now() + Limits.rewriteDelay) { [self] in write(points, isAgain: true) }
                    return
                }
                state.withLock { $0.buffer.lost(batch.count) }
            }
            write(points.dropFirst(batch.count), isAgain: false)
        }
    }

    private func written() {
        let (action, done, isAwaited) = state.withLock { state in
            let action = state.buffer.written()
            guard state.buffer.isQuiet else {
                return (action, [CheckedContinuation<Void, Never>](), !state.waiting.isEmpty)
            }
            defer { state.waiting = [] }
            return (action, state.waiting, false)
        }
        for continuation in done { continuation.resume() }
        guard action == .plan else { return }
        isAwaited ? write() : planWrite()
    }
}
