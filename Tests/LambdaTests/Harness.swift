import Contracts
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Wire

@testable import Lambda

/// An engine that notes what it is asked and echoes.
final class FakeInvoker: FunctionInvoker {
    struct State: Sendable {
        var invoked: [(function: FunctionVersion, invocation: Invocation)] = []
        var enqueued: [AsynchronousEvent] = []
        var generations: [String: Set<String>] = [:]
        var reserved: [String: Int?] = [:]
    }

    let state = Mutex(State())

    func invoke(
        _ function: FunctionVersion, _ invocation: Invocation,
        completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        state.withLock { $0.invoked.append((function, invocation)) }
        completion(
            .success(
                InvocationResult(
                    payload: invocation.payload, functionError: nil, executedVersion: function.version,
                    logTail: invocation.wantsLogTail ? Array("log".utf8) : nil)))
    }

    func enqueue(_ event: AsynchronousEvent, in transaction: any WriteTransaction) throws {
        state.withLock { $0.enqueued.append(event) }
    }

    func generationsChanged(scope: AccountRegion, function: String, currentGenerations: Set<String>) {
        state.withLock { $0.generations[function] = currentGenerations }
    }

    func setReservedConcurrency(scope: AccountRegion, function: String, _ reserved: Int?) {
        state.withLock { $0.reserved[function] = reserved }
    }
}

/// One bucket with one object.
struct FakeObjects: ObjectReader {
    var zip: [UInt8]
    var blobs: Blobs

    func stage(
        bucket: String, key: String, version: String?, for context: OperationContext, limit: Int64
    ) async throws -> (blob: BlobID, size: Int64) {
        if bucket != "code" {
            throw AWSError("NoSuchBucket", status: 404, "The specified bucket does not exist")
        }
        if key != "fn.zip" { throw AWSError("NoSuchKey", status: 404, "The specified key does not exist.") }
        let stored = try await blobs.store(zip)
        return (stored.id, stored.size)
    }
}

/// Notes which mappings it is told of.
final class FakeRunner: EventSourceRunner {
    let changes = Mutex<[EventSourceMapping]>([])
    func mappingChanged(_ mapping: EventSourceMapping) { changes.withLock { $0.append(mapping) } }
}

/// Queues that exist unless they are called `gone` or `denied`, with a visibility timeout of 30 seconds.
struct FakeQueues: QueueSource {
    func describe(queue arn: String, as principal: Principal, in transaction: any ReadTransaction) throws
        -> QueueDescription
    {
        if arn.hasSuffix(":gone") {
            throw AWSError(
                "AWS.SimpleQueueService.NonExistentQueue", status: 400, "The specified queue does not exist.")
        }
        if arn.hasSuffix(":denied") { throw AWSError("AccessDenied", status: 403, "Access Denied") }
        return QueueDescription(
            arn: arn, isFIFO: arn.hasSuffix(".fifo"), visibilityTimeout: .seconds(30), deadLetterTargetARN: nil)
    }

    func receive(
        queue arn: String, maximum: Int, as principal: Principal, now: Instant, in transaction: any WriteTransaction
    ) throws -> QueueReceipt {
        _ = try describe(queue: arn, as: principal, in: transaction)
        return QueueReceipt(messages: [], nextVisible: nil)
    }

    func delete(
        queue arn: String, receiptHandles: [String], as principal: Principal, now: Instant,
        in transaction: any WriteTransaction
    ) throws {}

    func release(
        queue arn: String, receiptHandles: [String], at: Instant, as principal: Principal, now: Instant,
        in transaction: any WriteTransaction
    ) throws {}

    func discard(
        queue arn: String, receiptHandles: [String], as principal: Principal, now: Instant,
        in transaction: any WriteTransaction
    ) throws {}

    func observe(queue arn: String, _ wake: @escaping @Sendable (Instant) -> Void) -> @Sendable () -> Void { {} }
}

/// Streams that exist unless they are called `gone` or `denied`.
struct FakeStreams: StreamSource {
    let arnService = "kinesis"

    func describe(stream arn: String, as principal: Principal, in transaction: any ReadTransaction) throws
        -> StreamDescription
    {
        if arn.hasSuffix("/gone") { throw AWSError("ResourceNotFoundException", "Stream gone not found.") }
        if arn.hasSuffix("/denied") { throw AWSError("AccessDeniedException", "no") }
        return StreamDescription(arn: arn, isActive: true, retention: .seconds(86_400))
    }

    func shards(
        stream arn: String, after: String?, limit: Int, as principal: Principal, in transaction: any ReadTransaction
    ) throws -> [StreamShard] { [] }

    func position(
        stream arn: String, shard: String, at start: StreamStart, as principal: Principal,
        in transaction: any ReadTransaction
    ) throws -> String? { nil }

    func read(
        stream arn: String, shard: String, after: String?, limit: Int, byteLimit: Int, as principal: Principal,
        now: Instant, in transaction: any ReadTransaction
    ) throws -> StreamPage { StreamPage(records: [], isEnd: false, hasMore: false) }

    func isBefore(_ first: String, _ second: String) -> Bool { first < second }
    func observe(stream arn: String, _ wake: @escaping @Sendable (String?) -> Void) -> @Sendable () -> Void { {} }
}

/// The service on a real store in a temporary directory, called through its definition.
final class Harness: Sendable {
    static let role = "arn:aws:iam::000000000000:role/r"
    static let zip = ZipWriter([("index.py", "def handler(event, context): return event")]).bytes()
    static let otherZip = ZipWriter([("index.py", "def handler(event, context): return 2")]).bytes()
    static let scope = AccountRegion(account: "000000000000", region: "us-east-1")

    let database: SQLiteDatabase
    let service: LambdaService
    let invoker = FakeInvoker()
    let runner = FakeRunner()
    let time = ManualTime()
    /// What alias weights are drawn by.
    let draws = Draws()
    private let operations: [String: OperationHandler]
    private let loop = NIOAsyncTestingEventLoop()
    private let directory: String

    init() async throws {
        database = try SQLiteDatabase.temporary(migrations: [LambdaService.migrations])
        directory = database.directory
        let blobs = try Blobs(directory: directory + "/blobs", database: database)
        let draws = draws
        service = try LambdaService(
            database: database, blobs: blobs, codeDirectory: directory + "/code", time: time,
            logger: Logger(label: "test"), draw: { draws.withLock { $0 } })
        service.connect(invoker: invoker, objects: FakeObjects(zip: Harness.zip, blobs: blobs))
        service.connectEventSources(runner: runner, queues: FakeQueues(), streams: [FakeStreams()])
        try await service.start()
        operations = service.definition.operations
    }

    final class Draws: Sendable {
        private let value = Mutex(0.5)
        func withLock<T: Sendable>(_ body: (inout sending Double) -> sending T) -> T { value.withLock(body) }
    }

    deinit { database.close() }

    func call(
        _ operation: String, _ input: Value, payload: String = "", headers: [(name: String, value: String)] = [],
        account: String = scope.account
    ) async throws -> OperationResponse {
        guard let handler = operations[operation] else {
            throw AWSError.notImplemented(service: "lambda", operation: operation)
        }
        let context = OperationContext(
            requestID: Identifier.uuid(), service: "lambda", operation: operation,
            scope: AccountRegion(account: account, region: Harness.scope.region), principal: .account(account),
            now: time.now(), endpoint: "http://localhost:4566", sourceIP: "127.0.0.1", headers: headers, uri: "/",
            eventLoop: loop, closed: loop.makeSucceededVoidFuture())
        let request = OperationRequest(context: context, input: input, payload: ByteBuffer(string: payload))
        switch handler {
        case .asynchronous(let body): return try await body(request)
        case .callback(let body):
            return try await withCheckedThrowingContinuation { continuation in
                body(request) { continuation.resume(with: $0) }
            }
        }
    }

    /// Creates a function and lets it become Active.
    @discardableResult
    func create(_ name: String = "fn", _ more: Value = [:]) async throws -> Value {
        let output = try await call("CreateFunction", request(name, more)).output
        try await settle(name)
        return output
    }

    func request(_ name: String = "fn", _ more: Value = [:]) -> Value {
        var input: Value = [
            "FunctionName": .string(name), "Runtime": "python3.13", "Role": .string(Harness.role),
            "Handler": "index.handler", "Code": ["ZipFile": .blob(Harness.zip)],
        ]
        for entry in more.fields?.entries ?? [] { input[entry.name] = entry.value }
        return input
    }

    func settle(_ name: String = "fn") async throws { try await service.settleNow(Harness.scope, name) }

    /// The error of a call that must fail.
    func error(_ operation: String, _ input: Value, payload: String = "") async -> AWSError? {
        do {
            _ = try await call(operation, input, payload: payload)
            return nil
        } catch {
            return error as? AWSError
        }
    }

    func arn(_ name: String = "fn", _ qualifier: String? = nil) -> String {
        Harness.scope.functionARN(name, qualifier: qualifier)
    }
}
