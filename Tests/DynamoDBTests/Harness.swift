import Contracts
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Testing
import Wire

@testable import DynamoDB

/// A DynamoDB service on a temporary database, with a clock that the test moves.
struct Harness {
    let time = ManualTime()
    let database: SQLiteDatabase
    let service: DynamoDBService
    static let scope = AccountRegion(account: "000000000000", region: "us-east-1")
    static let principal = Principal.account("000000000000")

    init() throws {
        database = try SQLiteDatabase.temporary(migrations: [DynamoDBService.migrations])
        service = try DynamoDBService(
            database: database, time: time, serverKey: Array(repeating: 7, count: 32), logger: Logger(label: "test"))
    }

    var desk: Desk { service.desk }

    // MARK: Calls

    /// Calls an operation and answers its body.
    func call(_ operation: String, _ input: Value, streams: Bool = false) async throws -> Value {
        let definition = streams ? service.streamsDefinition : service.definition
        let handler = try #require(definition.operations[operation])
        let loop = NIOAsyncTestingEventLoop()
        let context = OperationContext(
            requestID: "r", service: streams ? "dynamodbstreams" : "dynamodb", operation: operation, scope: Self.scope,
            principal: Self.principal, now: time.now(), endpoint: "http://localhost:4566", sourceIP: "127.0.0.1",
            headers: [], uri: "/", eventLoop: loop, closed: loop.makeSucceededVoidFuture())
        let request = OperationRequest(context: context, input: input, payload: ByteBuffer())
        let response: OperationResponse
        switch handler {
        case .asynchronous(let handle): response = try await handle(request)
        case .callback(let handle):
            let answer = Task {
                try await withCheckedThrowingContinuation { continuation in
                    handle(request) { continuation.resume(with: $0) }
                }
            }
            let runner = Task {
                while !Task.isCancelled {
                    await loop.run()
                    await Task.yield()
                }
            }
            defer { runner.cancel() }
            response = try await answer.value
        }
        guard case .bytes(let bytes) = response.payload else { return response.output }
        return try JSON.parse(Array(bytes.readableBytesView))
    }

    /// The code and message of the error that a call must end with.
    func refusal(_ operation: String, _ input: Value, streams: Bool = false) async throws -> AWSError {
        try await #require(throws: AWSError.self) { try await call(operation, input, streams: streams) }
    }

    @discardableResult
    func makeTable(
        _ name: String, indexes: Value? = nil, local: Value? = nil,
        attributes: [String: String] = ["pk": "S", "sk": "N"],
        view: String? = nil
    ) async throws -> Table {
        var input: Fields = [
            "TableName": .string(name), "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [
                ["AttributeName": "pk", "KeyType": "HASH"], ["AttributeName": "sk", "KeyType": "RANGE"],
            ],
            "AttributeDefinitions": .list(
                attributes.sorted { $0.key < $1.key }.map {
                    ["AttributeName": .string($0.key), "AttributeType": .string($0.value)]
                }),
        ]
        input["GlobalSecondaryIndexes"] = indexes
        input["LocalSecondaryIndexes"] = local
        if let view {
            input["StreamSpecification"] = ["StreamEnabled": true, "StreamViewType": .string(view)]
        }
        _ = try await call("CreateTable", .map(input))
        return try await table(name)
    }

    func table(_ name: String) async throws -> Table {
        let table = try await database.read { try TableStore.get(Self.scope, name, in: $0) }
        return try #require(table)
    }

    func put(_ table: String, _ item: Item) async throws {
        _ = try await call("PutItem", ["TableName": .string(table), "Item": item.wire])
    }

    /// Lets the background work go to its end.
    func finishJobs() async throws {
        while try await database.write({ [desk] in try desk.jobs.step(in: $0) }) {}
    }

    static func item(_ partition: String, _ sort: Int, _ more: [(String, AttributeValue)] = []) -> Item {
        Item(
            [("pk", .string(partition)), ("sk", .number(DynamoNumber(sort)))] + more.map { (name: $0.0, value: $0.1) })
    }
}

/// The generator of the Java class SplittableRandom: the same numbers for the same seed, on every machine.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}
