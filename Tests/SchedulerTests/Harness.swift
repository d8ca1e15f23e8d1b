import Contracts
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Wire

@testable import Scheduler

/// Scheduler over a real store in a temporary directory, called through its operation table as the front door does.
final class Harness: Sendable {
    static let account = "000000000000"
    let database: SQLiteDatabase
    let outbox = RecordingOutbox()
    let time = ManualTime(now: Instant(milliseconds: 1_795_413_600_000))
    let service: SchedulerService
    let authorizer = FakeAuthorizer()

    init(_ database: SQLiteDatabase? = nil) async throws {
        self.database =
            try database
            ?? SQLiteDatabase.temporary(migrations: [DueQueue.migrations, SchedulerService.migrations])
        service = try SchedulerService(
            database: self.database, outbox: outbox, authorizer: authorizer, time: time, logger: Logger(label: "test"))
        try await service.start()
    }

    @discardableResult
    func call(
        _ operation: String, _ input: Value, account: String = account, principal: Principal? = nil
    ) async throws -> Value {
        guard let handler = service.definition.operations[operation] else {
            throw AWSError.notImplemented(service: "scheduler", operation: operation)
        }
        let loop = NIOAsyncTestingEventLoop()
        let context = OperationContext(
            requestID: "REQUEST", service: "scheduler", operation: operation,
            scope: AccountRegion(account: account, region: "us-east-1"), principal: principal ?? .account(account),
            now: time.now(), endpoint: "http://localhost:4566", sourceIP: "127.0.0.1", headers: [], uri: "/",
            eventLoop: loop, closed: loop.makeSucceededVoidFuture())
        let request = OperationRequest(context: context, input: input, payload: ByteBuffer())
        switch handler {
        case .asynchronous(let body): return try await body(request).output
        case .callback(let body):
            return try await withCheckedThrowingContinuation { continuation in
                body(request) { continuation.resume(with: $0) }
            }.output
        }
    }

    func error(_ operation: String, _ input: Value, account: String = account, principal: Principal? = nil) async
        -> AWSError?
    {
        do {
            try await call(operation, input, account: account, principal: principal)
            return nil
        } catch { return error as? AWSError }
    }

    static let role = "arn:aws:iam::000000000000:role/scheduler"
    static let queue = "arn:aws:sqs:us-east-1:000000000000:q"

    /// Makes or changes a schedule that calls a queue.
    @discardableResult
    func schedule(
        _ name: String, _ expression: String, _ more: Fields = [:], target: Fields = [:],
        operation: String = "CreateSchedule"
    ) async throws -> String {
        var all: Fields = ["Arn": .string(Self.queue), "RoleArn": .string(Self.role)]
        for entry in target.entries { all[entry.name] = entry.value }
        var input: Value = [
            "Name": .string(name), "ScheduleExpression": .string(expression), "Target": .map(all),
            "FlexibleTimeWindow": ["Mode": "OFF"],
        ]
        for entry in more.entries { input[entry.name] = entry.value }
        return try await call(operation, input)["ScheduleArn"]?.string ?? ""
    }

    /// Lets time pass to the next due time, `count` times, and waits until so many have been sent in all.
    func fire(_ count: Int = 1, total: Int) async throws {
        for _ in 0..<count {
            let due = try await database.read { try ScheduleTable.nextDue(in: $0) }
            guard let due else { break }
            time.advance(by: max(due - time.now(), .zero))
            try await waitUntil(time) {
                try await database.read { try ScheduleTable.nextDue(in: $0) } != due
            }
        }
        try await waitUntil(time) { outbox.deliveries.count >= total }
    }
}

/// Keeps what was sent and committed.
final class RecordingOutbox: DeliveryOutbox {
    private let sent = Mutex<[Delivery]>([])
    var deliveries: [Delivery] { sent.withLock { $0 } }
    var texts: [String] { deliveries.map { String(decoding: $0.payload, as: UTF8.self) } }
    func clear() { sent.withLock { $0 = [] } }

    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {
        transaction.afterCommit { [self] in sent.withLock { $0.append(delivery) } }
    }

    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {}
}

/// Allows what it is not told to deny.
final class FakeAuthorizer: Authorizer {
    private let decisions = Mutex<[String: PolicyDecision]>([:])
    func set(_ action: String, _ decision: PolicyDecision) { decisions.withLock { $0[action] = decision } }

    func decide(
        _ principal: Principal, action: String, resource: String, in transaction: any ReadTransaction
    ) throws -> PolicyDecision {
        switch principal {
        case .service, .anonymous: .notAllowed
        case .account, .roleSession: decisions.withLock { $0[action] } ?? .allowed
        }
    }
}

/// For what happens on other threads.
func waitUntil(_ time: ManualTime, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < end {
        if try await condition() { return }
        time.advance(by: .zero)
        try await Task.sleep(for: .milliseconds(1))
    }
    throw Failure(.bug, "it never came")
}
