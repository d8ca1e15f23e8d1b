import Contracts
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Kinesis

/// A Kinesis service on a temporary database, with a clock that the test moves.
struct Harness {
    let time = ManualTime()
    let database: SQLiteDatabase
    let service: KinesisService
    static let scope = AccountRegion(account: "000000000000", region: "us-east-1")
    static let owner = Principal.account(scope.account)

    init(limitsThroughput: Bool = false) throws {
        database = try SQLiteDatabase.temporary(migrations: [KinesisService.migrations])
        service = try Self.service(database, time, limitsThroughput)
    }

    static func service(
        _ database: SQLiteDatabase, _ time: ManualTime, _ limitsThroughput: Bool = false
    ) throws -> KinesisService {
        try KinesisService(
            database: database, time: time, serverKey: Array(repeating: 7, count: 32),
            limitsThroughput: limitsThroughput, logger: Logger(label: "test"))
    }

    static func arn(_ name: String) -> String { Stream.arn(scope, name) }

    /// Calls an operation as the front door would.
    func call(
        _ operation: String, _ input: Value, as principal: Principal = Harness.owner, on other: KinesisService? = nil
    ) async throws -> Value {
        try await response(operation, input, as: principal, on: other).output
    }

    func response(
        _ operation: String, _ input: Value, as principal: Principal = Harness.owner, on other: KinesisService? = nil
    ) async throws -> OperationResponse {
        let loop = NIOAsyncTestingEventLoop()
        let context = OperationContext(
            requestID: "r", service: "kinesis", operation: operation, scope: Self.scope, principal: principal,
            now: time.now(), endpoint: "http://localhost", sourceIP: "127.0.0.1", headers: [], uri: "/",
            eventLoop: loop, closed: loop.makeSucceededVoidFuture())
        let request = OperationRequest(context: context, input: input, payload: ByteBuffer())
        switch try #require((other ?? service).definition.operations[operation]) {
        case .asynchronous(let handle): return try await handle(request)
        case .callback(let handle):
            // The test's loop runs nothing by itself.
            let gate = Gatherer()
            handle(request) { gate.finish($0) }
            while true {
                if let result = gate.result { return try result.get() }
                await loop.run()
                await Task.yield()
            }
        }
    }

    func put(_ stream: String, _ keys: [String], explicit: [UInt128]? = nil) async throws -> [Value] {
        let records = keys.enumerated().map { index, key -> Value in
            var record: Value = ["PartitionKey": .string(key), "Data": .blob(Array("\(key)-\(index)".utf8))]
            if let explicit { record["ExplicitHashKey"] = .string(String(explicit[index])) }
            return record
        }
        return try await call("PutRecords", ["StreamName": .string(stream), "Records": .list(records)])["Records"]?
            .list ?? []
    }

    func iterator(_ stream: String, _ shard: String, _ type: String, _ more: Value = [:]) async throws -> String {
        var input: Value = [
            "StreamName": .string(stream), "ShardId": .string(shard), "ShardIteratorType": .string(type),
        ]
        for entry in more.fields?.entries ?? [] { input[entry.name] = entry.value }
        return try #require(try await call("GetShardIterator", input)["ShardIterator"]?.string)
    }

    /// All records of a shard, from the oldest.
    func drain(_ stream: String, _ shard: String, limit: Int = 10_000) async throws -> [Value] {
        var next: String? = try await iterator(stream, shard, "TRIM_HORIZON")
        var all: [Value] = []
        while let iterator = next {
            let answer = try await call(
                "GetRecords", ["ShardIterator": .string(iterator), "Limit": .int(Int64(limit))])
            all += answer["Records"]?.list ?? []
            next =
                answer["MillisBehindLatest"]?.int == 0 && answer["Records"]?.list?.isEmpty == true
                ? nil : answer["NextShardIterator"]?.string
        }
        return all
    }

    func shards(_ stream: String, _ more: Value = [:]) async throws -> [Model.Shard] {
        var input: Value = ["StreamName": .string(stream)]
        for entry in more.fields?.entries ?? [] { input[entry.name] = entry.value }
        return Model.ListShardsOutput(try await call("ListShards", input)).shards ?? []
    }
}

private final class Gatherer: Sendable {
    private let state = Mutex<Result<OperationResponse, any Error>?>(nil)
    var result: Result<OperationResponse, any Error>? { state.withLock { $0 } }
    func finish(_ result: Result<OperationResponse, any Error>) { state.withLock { $0 = result } }
}

/// A small seeded generator.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state >> 29) ^ (state &* 0x9E37_79B9_7F4A_7C15)
    }
}

func code(_ body: () async throws -> Void) async -> String? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? AWSError)?.code ?? "\(error)"
    }
}
