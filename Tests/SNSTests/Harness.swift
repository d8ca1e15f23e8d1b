import Contracts
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Wire

@testable import SNS

/// SNS over a real store in a temporary directory, called through its operation table as the front door does.
final class Harness: Sendable {
    static let account = "000000000000"
    let database: SQLiteDatabase
    let outbox = RecordingOutbox()
    let http: FakeHTTP
    let authorizer = FakeAuthorizer()
    let time = ManualTime()
    let service: SNSService

    init(timeScale: Double = 1, functionsMaySubscribeHTTP: Bool = true, chance: Double = 0) async throws {
        http = FakeHTTP(time: time)
        database = try SQLiteDatabase.temporary(migrations: [DueQueue.migrations, SNSService.migrations])
        service = try SNSService(
            database: database, outbox: outbox, http: http, authorizer: authorizer, time: time, timeScale: timeScale,
            functionsMaySubscribeHTTP: functionsMaySubscribeHTTP, chance: { chance }, logger: Logger(label: "test"))
        try await service.start()
    }

    deinit { database.close() }

    @discardableResult
    func call(
        _ operation: String, _ input: Value, account: String = account, principal: Principal? = nil,
        region: String = "us-east-1", headers: [(name: String, value: String)] = [("authorization", "AWS4 …")]
    ) async throws -> Value {
        guard let handler = service.definition.operations[operation] else {
            throw AWSError.notImplemented(service: "sns", operation: operation)
        }
        let loop = NIOAsyncTestingEventLoop()
        let context = OperationContext(
            requestID: "REQUEST", service: "sns", operation: operation,
            scope: AccountRegion(account: account, region: region), principal: principal ?? .account(account),
            now: time.now(), endpoint: "http://localhost:4566", sourceIP: "127.0.0.1", headers: headers, uri: "/",
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

    /// The error of a call that must fail.
    func error(
        _ operation: String, _ input: Value, account: String = account, principal: Principal? = nil
    ) async -> AWSError? {
        do {
            try await call(operation, input, account: account, principal: principal)
            return nil
        } catch { return error as? AWSError }
    }

    /// How many messages to HTTP(S) subscribers are on the disk.
    func rows() async throws -> Int64 {
        try await database.read { try $0.first("SELECT COUNT(*) FROM duequeue_items", []) { $0.int(0) } } ?? 0
    }

    func execute(_ statement: String) async throws {
        try await database.write { _ = try $0.execute(statement, []) }
    }

    /// A topic's ARN.
    func topic(_ name: String = "news", _ attributes: Fields = [:]) async throws -> String {
        try await call("CreateTopic", ["Name": .string(name), "Attributes": .map(attributes)])["TopicArn"]?.string ?? ""
    }

    /// A FIFO topic's ARN.
    func fifo(_ name: String = "orders.fifo", _ attributes: Fields = [:]) async throws -> String {
        var all: Fields = ["FifoTopic": "true"]
        for entry in attributes.entries { all[entry.name] = entry.value }
        return try await topic(name, all)
    }

    @discardableResult
    func subscribe(
        _ topic: String, _ transport: String, _ endpoint: String, _ attributes: Fields = [:], account: String = account
    ) async throws -> String {
        let answer = try await call(
            "Subscribe",
            [
                "TopicArn": .string(topic), "Protocol": .string(transport), "Endpoint": .string(endpoint),
                "Attributes": .map(attributes), "ReturnSubscriptionArn": true,
            ], account: account)
        return answer["SubscriptionArn"]?.string ?? ""
    }

    @discardableResult
    func publish(_ topic: String, _ text: String, _ more: Fields = [:]) async throws -> Value {
        var input: Value = ["TopicArn": .string(topic), "Message": .string(text)]
        for entry in more.entries { input[entry.name] = entry.value }
        return try await call("Publish", input)
    }

    func attributes(ofTopic arn: String) async throws -> [String: String] {
        Self.dictionary(try await call("GetTopicAttributes", ["TopicArn": .string(arn)])["Attributes"])
    }

    func attributes(of arn: String) async throws -> [String: String] {
        Self.dictionary(try await call("GetSubscriptionAttributes", ["SubscriptionArn": .string(arn)])["Attributes"])
    }

    static func dictionary(_ value: Value?) -> [String: String] {
        Dictionary((value?.fields?.entries ?? []).map { ($0.name, $0.value.string ?? "") }) { $1 }
    }

    static func queue(_ name: String, account: String = account) -> String {
        "arn:aws:sqs:us-east-1:\(account):\(name)"
    }
    static let function = "arn:aws:lambda:us-east-1:000000000000:function:fn"
}

/// Keeps what was sent and committed.
final class RecordingOutbox: DeliveryOutbox {
    struct Full: Error {}
    private let sent = Mutex<[Delivery]>([])
    private let sends = Mutex<(open: Int, most: Int, left: Int?)>((0, 0, nil))
    /// Deliveries that one transaction sent, at most.
    var most: Int { sends.withLock { $0.most } }
    /// Throws once, after so many sends more.
    func fail(after count: Int) { sends.withLock { $0.left = count } }
    var deliveries: [Delivery] { sent.withLock { $0 } }
    var bodies: [Value] { deliveries.compactMap { try? JSON.parse($0.payload) } }
    func clear() { sent.withLock { $0 = [] } }

    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {
        let isFull = sends.withLock { sends in
            sends.open += 1
            guard let left = sends.left else { return false }
            sends.left = left > 0 ? left - 1 : nil
            if left == 0 { sends.open = 0 }
            return left == 0
        }
        if isFull { throw Full() }
        transaction.afterCommit { [self] in
            // On the store's one writer: what is open now was sent by this transaction.
            sends.withLock { sends in
                sends.most = max(sends.most, sends.open)
                sends.open = 0
            }
            sent.withLock { $0.append(delivery) }
        }
    }

    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {}
}

/// Answers as it is told, and keeps the requests.
final class FakeHTTP: OutboundHTTP {
    private struct State {
        var requests: [OutboundRequest] = []
        var answers: [Int?] = []
        var before: (@Sendable () -> Void)?
        /// Requests to URLs with this in them are never answered.
        var swallowed: String?
    }
    private let state = Mutex(State())
    private let time: ManualTime

    init(time: ManualTime) { self.time = time }

    /// Statuses of the next answers (nil: none comes); 200 when there are no more.
    func answer(_ statuses: Int?...) { state.withLock { $0.answers = statuses } }
    /// What happens while each request is under way.
    func before(_ body: (@Sendable () -> Void)?) { state.withLock { $0.before = body } }
    func swallow(_ part: String?) { state.withLock { $0.swallowed = part } }
    var requests: [OutboundRequest] { state.withLock { $0.requests } }

    func send(_ request: OutboundRequest, bodyLimit: Int) async throws -> OutboundResponse {
        state.withLock { $0.before }?()
        let status = state.withLock { state in
            state.requests.append(request)
            return state.answers.isEmpty ? 200 : state.answers.removeFirst()
        }
        if let part = state.withLock({ $0.swallowed }), request.url.contains(part) {
            try await Task.sleep(for: .seconds(60))
        }
        guard let status else { throw Failure(.unavailable, "no answer") }
        return OutboundResponse(status: status, headers: [], body: [])
    }

    /// Returns when so many requests have been made.
    func wait(for count: Int) async throws { try await waitUntil(time) { requests.count >= count } }
}

/// For what happens on other threads; throws when it takes 20 seconds. Runs what has fallen due meanwhile: `ManualTime` does
/// not run by itself what is scheduled, by a thread that looked at the clock before the test advanced it, for a time gone by.
func waitUntil(_ time: ManualTime, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < end {
        if try await condition() { return }
        time.advance(by: .zero)
        try await Task.sleep(for: .milliseconds(1))
    }
    throw Failure(.bug, "it never came")
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
