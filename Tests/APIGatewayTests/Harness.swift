import Contracts
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Wire

@testable import APIGateway

/// API Gateway over a real store in a temporary directory, called as the front door does.
final class Harness: Sendable {
    static let account = "000000000000"
    let database: SQLiteDatabase
    let functions = FakeFunctions()
    let http = FakeHTTP()
    let logs = FakeLogs()
    let time = ManualTime()
    let service: APIGatewayService

    init(functionsReachTheNetwork: Bool = true) throws {
        database = try SQLiteDatabase.temporary(
            migrations: [APIGatewayService.migrations, APIGatewayService.restMigrations])
        service = try APIGatewayService(
            database: database, functions: functions, http: http, logs: logs, authorizer: FakeAuthorizer(),
            time: time, functionsReachTheNetwork: functionsReachTheNetwork, functionEndpoint: "http://127.0.0.1:5000",
            logger: Logger(label: "test"))
    }

    deinit { database.close() }

    func context(_ operation: String, principal: Principal = .account(account), uri: String = "/")
        -> OperationContext
    {
        let loop = NIOAsyncTestingEventLoop()
        return OperationContext(
            requestID: "REQUEST", service: "apigatewayv2", operation: operation,
            scope: AccountRegion(account: Self.account, region: "us-east-1"), principal: principal, now: time.now(),
            endpoint: "http://localhost:4566", sourceIP: "127.0.0.1", headers: [], uri: uri, eventLoop: loop,
            closed: loop.makeSucceededVoidFuture())
    }

    @discardableResult
    func call(
        _ operation: String, _ input: Value, principal: Principal = .account(account), uri: String = "/"
    ) async throws -> Value {
        guard case .asynchronous(let body)? = service.definition.operations[operation] else {
            throw AWSError.notImplemented(service: "apigatewayv2", operation: operation)
        }
        let request = OperationRequest(
            context: context(operation, principal: principal, uri: uri), input: input, payload: ByteBuffer())
        return try await body(request).output
    }

    /// The error of a call that must fail.
    func error(
        _ operation: String, _ input: Value, principal: Principal = .account(account), uri: String = "/"
    ) async -> AWSError? {
        do {
            try await call(operation, input, principal: principal, uri: uri)
            return nil
        } catch { return error as? AWSError }
    }

    /// An API with one function behind the routes, deployed to `$default`.
    func api(_ keys: [String], version: String = "2.0", _ more: Value = [:]) async throws -> String {
        let input: Value = ["Name": "test", "ProtocolType": "HTTP"]
        let api = try await call("CreateApi", input.merging(more, more.fields?.names ?? []))["ApiId"]?.string ?? ""
        let integration =
            try await call(
                "CreateIntegration",
                [
                    "ApiId": .string(api), "IntegrationType": "AWS_PROXY", "PayloadFormatVersion": .string(version),
                    "IntegrationUri": "arn:aws:lambda:us-east-1:000000000000:function:f",
                ])["IntegrationId"]?.string ?? ""
        for key in keys {
            try await call(
                "CreateRoute",
                ["ApiId": .string(api), "RouteKey": .string(key), "Target": .string("integrations/\(integration)")])
        }
        try await call("CreateStage", ["ApiId": .string(api), "StageName": "$default", "AutoDeploy": true])
        return api
    }

    /// One request through the door.
    func send(
        _ api: String, _ method: String = "GET", _ path: String = "/", query: String = "", body: String = "",
        headers: [(name: String, value: String)] = [], isSigned: Bool = false
    ) async -> (status: Int, headers: [(name: String, value: String)], body: String) {
        let request = request(
            api, method, path, query: query, body: body, headers: headers, isSigned: isSigned)
        let response = await withCheckedContinuation { continuation in
            service.respond(to: request) { continuation.resume(returning: $0) }
        }
        var text = ""
        if case .bytes(let bytes) = response.payload { text = String(buffer: bytes) }
        return (response.status, response.headers, text)
    }

    func request(
        _ api: String, _ method: String, _ path: String, query: String = "", body: String = "",
        headers: [(name: String, value: String)] = [], isSigned: Bool = false
    ) -> DoorRequest {
        let head = RequestHead(
            method: method, path: path, query: query,
            headers: [("host", "\(api).execute-api.localhost:4566")] + headers)
        var request = DoorRequest(
            context: context("", principal: isSigned ? .account(Self.account) : .anonymous), head: head,
            labels: [api, "execute-api", "us-east-1"], body: ByteBuffer(string: body))
        if isSigned { request.accessKeyID = Self.account }
        return request
    }
}

/// Answers as a test says, and keeps what it was asked.
final class FakeFunctions: FunctionCaller {
    struct Call: Sendable {
        var function: String
        var principal: Principal
        var event: Value
    }
    private struct State {
        var calls: [Call] = []
        var answer: @Sendable (Call) -> Result<InvocationResult, any Error>? = { call in
            .success(FakeFunctions.result(call.event))
        }
    }
    private let state = Mutex(State())

    static func result(_ value: Value, error: String? = nil) -> InvocationResult {
        InvocationResult(
            payload: ByteBuffer(bytes: JSON.encode(value)), functionError: error, executedVersion: "$LATEST",
            logTail: nil)
    }

    var calls: [Call] { state.withLock { $0.calls } }

    /// Nil: never answers.
    func answer(_ body: @escaping @Sendable (Call) -> Result<InvocationResult, any Error>?) {
        state.withLock { $0.answer = body }
    }

    func call(
        function arn: String, as principal: Principal, by context: OperationContext?, payload: ByteBuffer,
        traceID: String?,
        completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        let event = (try? JSON.parse(payload.readableBytesView)) ?? .null
        let call = Call(function: arn, principal: principal, event: event)
        let answer = state.withLock { state in
            state.calls.append(call)
            return state.answer
        }
        if let result = answer(call) { completion(result) }
    }

    func callStreaming(
        function arn: String, as principal: Principal, by context: OperationContext?, payload: ByteBuffer,
        traceID: String?,
        completion: @escaping ResponseStream.Begun
    ) {
        let stream = ResponseStream(executedVersion: "$LATEST", begun: completion)
        call(function: arn, as: principal, by: context, payload: payload, traceID: traceID) { result in
            // What a function streams is its answer's `pieces`, here.
            guard case .success(let whole) = result, whole.functionError == nil,
                let pieces = (try? JSON.parse(whole.payload.readableBytesView))?["pieces"]?.list
            else { return stream.end(result) }
            for piece in pieces { _ = stream.write(ByteBuffer(string: piece.string ?? "")) {} }
            stream.end(.success(FakeFunctions.result(.null)))
        }
    }
}

final class FakeHTTP: OutboundHTTP {
    private struct State {
        var requests: [OutboundRequest] = []
        var answers: [String: OutboundResponse] = [:]
    }
    private let state = Mutex(State())

    var requests: [OutboundRequest] { state.withLock { $0.requests } }

    func answer(_ url: String, _ body: Value) {
        answer(url, OutboundResponse(status: 200, headers: [], body: JSON.encode(body)))
    }

    func answer(_ url: String, _ response: OutboundResponse) {
        state.withLock { $0.answers[url] = response }
    }

    func send(_ request: OutboundRequest, bodyLimit: Int) async throws -> OutboundResponse {
        let answer = state.withLock { state in
            state.requests.append(request)
            return state.answers[request.url]
        }
        guard let answer else { throw Failure(.unavailable, "nobody there") }
        return answer
    }

    /// The answer's bytes one by one, and then a body that breaks off when its last byte says so.
    func open(_ request: OutboundRequest, longest: Duration, idle: Duration) async throws -> OutboundStream {
        let answer = try await send(request, bodyLimit: .max)
        return OutboundStream(status: answer.status, headers: answer.headers) { each in
            for byte in answer.body { try await each(ByteBuffer(bytes: [byte])) }
            if answer.body.last == UInt8(ascii: "!") { throw Failure(.unavailable, "broken off") }
        }
    }
}

final class FakeLogs: LogSink {
    private let kept = Mutex<[(group: String, message: String)]>([])
    var lines: [(group: String, message: String)] { kept.withLock { $0 } }
    func append(scope: AccountRegion, group: String, stream: String, events: [Contracts.LogEvent]) {
        kept.withLock { $0 += events.map { (group, $0.message) } }
    }
    func flush() async {}
}

struct FakeAuthorizer: Authorizer {
    func decide(_ principal: Principal, action: String, resource: String, in transaction: any ReadTransaction) throws
        -> PolicyDecision
    { resource.hasSuffix("/denied") ? .explicitlyDenied : .allowed }
}

/// Repeatable randomness.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
