import Contracts
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Wire

@testable import CloudWatch

/// CloudWatch over a real store in a temporary directory, called through its operation table as the front door does.
final class Harness: Sendable {
    static let scope = AccountRegion(account: "000000000000", region: "us-east-1")
    let database: SQLiteDatabase
    let outbox = RecordingOutbox()
    let time = ManualTime(now: Instant(milliseconds: 1_795_413_600_000))
    let service: CloudWatchService

    init(timeScale: Double = 1) async throws {
        database = try SQLiteDatabase.temporary(migrations: [CloudWatchService.migrations])
        service = try CloudWatchService(
            database: database, outbox: outbox, authorizer: OpenAuthorizer(), time: time, timeScale: timeScale,
            logger: Logger(label: "test"))
        try await service.start()
    }

    var now: Int64 { time.now().seconds }

    @discardableResult
    func call(_ operation: String, _ input: Value) async throws -> Value {
        guard let handler = service.definition.operations[operation] else {
            throw AWSError.notImplemented(service: "cloudwatch", operation: operation)
        }
        let loop = NIOAsyncTestingEventLoop()
        let context = OperationContext(
            requestID: "REQUEST", service: "cloudwatch", operation: operation, scope: Self.scope,
            principal: .account(Self.scope.account), now: time.now(), endpoint: "http://localhost:4566",
            sourceIP: "127.0.0.1", headers: [], uri: "/", eventLoop: loop, closed: loop.makeSucceededVoidFuture())
        let request = OperationRequest(context: context, input: input, payload: ByteBuffer())
        switch handler {
        case .asynchronous(let body): return try await body(request).output
        case .callback(let body):
            return try await withCheckedThrowingContinuation { continuation in
                body(request) { continuation.resume(with: $0) }
            }.output
        }
    }

    func error(_ operation: String, _ input: Value) async -> AWSError? {
        do {
            try await call(operation, input)
            return nil
        } catch { return error as? AWSError }
    }

    /// Puts one value of the metric `T/m` at a time (seconds).
    func put(_ value: Double, at seconds: Int64, resolution: Int64 = 60, metric: String = "m") async throws {
        try await call(
            "PutMetricData",
            [
                "Namespace": "T",
                "MetricData": [
                    [
                        "MetricName": .string(metric), "Value": .double(value),
                        "Timestamp": .timestamp(Instant(milliseconds: seconds * 1_000)),
                        "StorageResolution": .int(resolution),
                    ]
                ],
            ])
    }

    func instant(_ seconds: Int64) -> Value { .timestamp(Instant(milliseconds: seconds * 1_000)) }

    /// Values of one query over the last minutes, oldest first.
    func data(_ queries: Value, minutes: Int64 = 60, more: Fields = [:]) async throws -> [Value] {
        var input: Fields = [
            "MetricDataQueries": queries, "StartTime": instant(now - minutes * 60), "EndTime": instant(now + 60),
            "ScanBy": "TimestampAscending",
        ]
        for entry in more.entries { input[entry.name] = entry.value }
        return try await call("GetMetricData", .map(input))["MetricDataResults"]?.list ?? []
    }

    func stat(_ id: String, _ stat: String, period: Int64 = 60, metric: String = "m", returns: Bool = true) -> Value {
        [
            "Id": .string(id), "ReturnData": .bool(returns),
            "MetricStat": [
                "Metric": ["Namespace": "T", "MetricName": .string(metric)], "Period": .int(period),
                "Stat": .string(stat),
            ],
        ]
    }

    /// Evaluates every alarm now, as the timer does.
    func evaluate() async throws {
        let (now, end) = (time.now(), EvaluationClock(timeScale: 1).end(time.now(), isFast: false))
        try await database.write { [outbox] transaction in
            for alarm in try AlarmTable.due(fast: false, after: nil, limit: 100, in: transaction).alarms {
                if let state = try AlarmEvaluations.newState(
                    of: alarm, end: end, now: now, present: now, in: transaction)
                {
                    try AlarmChanges(outbox: outbox).set(state, of: alarm, in: transaction)
                }
            }
        }
    }

    /// Waits until a condition holds that another thread brings about.
    func until(_ condition: @Sendable () async throws -> Bool) async throws {
        for _ in 0..<2_000 {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(2))
        }
        throw Failure(.bug, "it did not happen")
    }

    func alarm(_ name: String = "a") async throws -> Value {
        try await call("DescribeAlarms", ["AlarmNames": [.string(name)]])["MetricAlarms"]?.list?.first ?? .null
    }
}

struct OpenAuthorizer: Authorizer {
    func decide(
        _ principal: Principal, action: String, resource: String, in transaction: any ReadTransaction
    ) throws -> PolicyDecision { .allowed }
}

/// Keeps what was committed; refuses targets with `gone` in their names.
final class RecordingOutbox: DeliveryOutbox {
    private let kept = Mutex<[Delivery]>([])

    var deliveries: [Delivery] { kept.withLock { $0 } }

    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {
        transaction.afterCommit { self.kept.withLock { $0.append(delivery) } }
    }

    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        if target.contains("gone") { throw DeliveryRefusal.permanent(code: "NotFound", message: "It is gone") }
    }
}
