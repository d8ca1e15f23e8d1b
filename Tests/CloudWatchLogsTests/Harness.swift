import CArchive
import Contracts
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Wire

@testable import CloudWatchLogs

/// The service on a temporary store, with everything that it meets faked.
struct Harness {
    static let scope = AccountRegion(account: "000000000000", region: "us-east-1")
    let database: SQLiteDatabase
    let outbox = RecordingOutbox()
    let metrics = RecordingMetrics()
    let time = ManualTime()
    let service: CloudWatchLogsService

    init() throws {
        database = try SQLiteDatabase.temporary(migrations: [CloudWatchLogsService.migrations])
        service = try Self.service(database, outbox, metrics, time)
    }

    static func service(
        _ database: SQLiteDatabase, _ outbox: RecordingOutbox, _ metrics: RecordingMetrics, _ time: ManualTime
    ) throws -> CloudWatchLogsService {
        try CloudWatchLogsService(
            database: database, outbox: outbox, metrics: metrics, time: time, logger: Logger(label: "test"))
    }

    @discardableResult
    func call(_ operation: String, _ input: Value) async throws -> Value {
        try await response(operation, input).output
    }

    func response(_ operation: String, _ input: Value) async throws -> OperationResponse {
        guard case .asynchronous(let handler) = service.definition.operations[operation] else {
            throw Failure(.bug, "no operation \(operation)")
        }
        let loop = NIOAsyncTestingEventLoop()
        let context = OperationContext(
            requestID: "r", service: "logs", operation: operation, scope: Self.scope,
            principal: .account(Self.scope.account), now: time.now(), endpoint: "", sourceIP: "", headers: [], uri: "/",
            eventLoop: loop, closed: loop.makeSucceededVoidFuture())
        return try await handler(OperationRequest(context: context, input: input, payload: ByteBuffer()))
    }

    /// The error of a call that must fail.
    func refusal(_ operation: String, _ input: Value) async -> AWSError? {
        do {
            try await call(operation, input)
            return nil
        } catch {
            return error as? AWSError
        }
    }

    func group(_ name: String = "g", streams: [String] = ["s"]) async throws {
        try await call("CreateLogGroup", ["logGroupName": .string(name)])
        for stream in streams {
            try await call("CreateLogStream", ["logGroupName": .string(name), "logStreamName": .string(stream)])
        }
    }

    func put(_ messages: [String], to group: String = "g", stream: String = "s") async throws {
        let now = time.now().milliseconds
        try await call(
            "PutLogEvents",
            [
                "logGroupName": .string(group), "logStreamName": .string(stream),
                "logEvents": .list(messages.map { ["timestamp": .int(now), "message": .string($0)] }),
            ])
    }

    /// Sends everything that subscriptions wait for.
    func send() async throws { while try await service.ingestion.subscriptions.round() {} }
}

final class RecordingOutbox: DeliveryOutbox {
    private let sent = Mutex<[Delivery]>([])
    /// Principals that targets let in; nil: all.
    let allowed = Mutex<Set<String>?>(nil)
    var deliveries: [Delivery] { sent.withLock { $0 } }

    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {
        transaction.afterCommit { [self] in sent.withLock { $0.append(delivery) } }
    }

    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        guard let allowed = allowed.withLock({ $0 }), case .service(let name, _, _) = principal else { return }
        if !allowed.contains(name) { throw DeliveryRefusal.permanent(code: "AccessDeniedException", message: "no") }
    }

    /// The documents that were sent.
    func documents() throws -> [Value] {
        try deliveries.map { delivery in
            if let data = (try? JSON.parse(delivery.payload))?["awslogs"]?["data"]?.string.flatMap({ Base64.decode($0) }
            ) {
                return try JSON.parse(try gunzip(data))
            }
            return try JSON.parse(try gunzip(delivery.payload))
        }
    }

    func messages() throws -> [String] {
        try documents().flatMap { ($0["logEvents"]?.list ?? []).compactMap { $0["message"]?.string } }
    }
}

final class RecordingMetrics: MetricSink {
    private let recorded = Mutex<[MetricSample]>([])
    var samples: [MetricSample] { recorded.withLock { $0 } }
    func record(_ samples: [MetricSample], scope: AccountRegion) { recorded.withLock { $0 += samples } }
}

/// By libarchive.
func gunzip(_ bytes: [UInt8]) throws -> [UInt8] {
    guard let archive = archive_read_new() else { throw Failure(.limit, "no memory") }
    defer { archive_read_free(archive) }
    return try bytes.withUnsafeBytes { input in
        var entry: OpaquePointer?
        guard archive_read_support_filter_gzip(archive) == ARCHIVE_OK,
            archive_read_support_format_raw(archive) == ARCHIVE_OK,
            archive_read_open_memory(archive, input.baseAddress, input.count) == ARCHIVE_OK,
            archive_read_next_header(archive, &entry) == ARCHIVE_OK
        else { throw Failure(.corrupt, "not gzip") }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = archive_read_data(archive, &buffer, buffer.count)
            guard count >= 0 else { throw Failure(.corrupt, "bad gzip") }
            if count == 0 { return output }
            output += buffer[..<count]
        }
    }
}
