import Contracts
import Platform
import Storage
import Synchronization
import Wire

@testable import EventSources

/// A queue in memory with the rules that pollers rely on: visibility, receive counts, a dead-letter queue, FIFO groups.
final class FakeQueue: QueueSource {
    struct Stored: Sendable {
        var id: String
        var body: String
        var group: String?
        var visibleAt: Instant
        var receives = 0
        var isDelivered = false
        var traceHeader: String?
    }

    struct State: Sendable {
        var messages: [Stored] = []
        var dead: [Stored] = []
        var deleted: [String] = []
        var discarded: [String] = []
        var observers: [Int: @Sendable (Instant) -> Void] = [:]
        var nextObserver = 0
        var receiveCalls = 0
        var principals: Set<Principal> = []
        var refusal: AWSError?
        /// So many receives are let through before `refusal`.
        var receivesBeforeRefusal = 0
        var describeRefusal: AWSError?
        /// Hands nothing out, although there is something.
        var isFull = false
    }

    static let name = "arn:aws:sqs:us-east-1:000000000000:q"
    let arn: String
    let isFIFO: Bool
    let visibility: Duration
    let maximumReceives: Int
    let state = Mutex(State())

    init(fifo: Bool = false, visibility: Duration = .seconds(30), maximumReceives: Int = .max) {
        arn = fifo ? Self.name + ".fifo" : Self.name
        isFIFO = fifo
        self.visibility = visibility
        self.maximumReceives = maximumReceives
    }

    func send(_ body: String, id: String, group: String? = nil, now: Instant, traceHeader: String? = nil) {
        let observers = state.withLock { state in
            state.messages.append(
                Stored(id: id, body: body, group: group, visibleAt: now, traceHeader: traceHeader))
            return Array(state.observers.values)
        }
        for observer in observers { observer(now) }
    }

    var count: Int { state.withLock { $0.messages.count } }

    // MARK: QueueSource

    func describe(queue arn: String, as principal: Principal, in transaction: any ReadTransaction) throws
        -> QueueDescription
    {
        if let refusal = state.withLock({ $0.describeRefusal }) { throw refusal }
        return QueueDescription(arn: arn, isFIFO: isFIFO, visibilityTimeout: visibility, deadLetterTargetARN: nil)
    }

    func receive(
        queue arn: String, maximum: Int, as principal: Principal, now: Instant, in transaction: any WriteTransaction
    ) throws -> QueueReceipt {
        try receive(maximum, as: principal, now: now)
    }

    func receive(_ maximum: Int, as principal: Principal, now: Instant) throws -> QueueReceipt {
        try state.withLock { state in
            if let refusal = state.refusal, state.receiveCalls >= state.receivesBeforeRefusal { throw refusal }
            state.principals.insert(principal)
            state.receiveCalls += 1
            moveDead(&state, now)
            if state.isFull { return QueueReceipt(messages: [], nextVisible: nextVisible(state, now)) }
            let blocked = Set(
                state.messages.filter { $0.isDelivered && $0.visibleAt > now }.compactMap { isFIFO ? $0.group : nil })
            var received: [QueueMessage] = []
            for index in state.messages.indices where received.count < maximum {
                var message = state.messages[index]
                guard message.visibleAt <= now, message.group.map({ !blocked.contains($0) }) ?? true else { continue }
                message.receives += 1
                message.isDelivered = true
                message.visibleAt = now + visibility
                state.messages[index] = message
                received.append(wire(message))
            }
            return QueueReceipt(messages: received, nextVisible: nextVisible(state, now))
        }
    }

    private func moveDead(_ state: inout State, _ now: Instant) {
        let over = state.messages.filter { $0.visibleAt <= now && $0.receives >= maximumReceives }
        state.dead += over
        let ids = Set(over.map(\.id))
        state.messages.removeAll { ids.contains($0.id) }
    }

    private func nextVisible(_ state: State, _ now: Instant) -> Instant? {
        var hidden: [String: Instant] = [:]
        if isFIFO {
            for message in state.messages where message.isDelivered && message.visibleAt > now {
                if let group = message.group { hidden[group] = max(hidden[group] ?? now, message.visibleAt) }
            }
        }
        return state.messages.map { message in
            max(message.visibleAt, message.group.flatMap { hidden[$0] } ?? message.visibleAt)
        }.min()
    }

    private func wire(_ message: Stored) -> QueueMessage {
        var attributes = [(name: "ApproximateReceiveCount", value: String(message.receives))]
        if let header = message.traceHeader { attributes.append((name: "AWSTraceHeader", value: header)) }
        return QueueMessage(
            messageID: message.id, receiptHandle: "\(message.id)#\(message.receives)", body: message.body,
            md5OfBody: "md5", attributes: attributes, messageAttributes: [], md5OfMessageAttributes: nil)
    }

    private func change(_ handles: [String], _ body: (inout State, Int) -> Void) {
        state.withLock { state in
            for handle in handles {
                let parts = handle.split(separator: "#")
                let found = state.messages.firstIndex {
                    $0.id == parts[0] && String($0.receives) == parts[1] && $0.isDelivered
                }
                if let index = found { body(&state, index) }
            }
        }
    }

    func delete(_ handles: [String]) {
        change(handles) { state, index in state.deleted.append(state.messages.remove(at: index).id) }
    }

    func release(_ handles: [String], at instant: Instant) {
        change(handles) { state, index in
            state.messages[index].visibleAt = instant
            state.messages[index].isDelivered = false
        }
    }

    func delete(
        queue arn: String, receiptHandles: [String], as principal: Principal, now: Instant,
        in transaction: any WriteTransaction
    ) throws { delete(receiptHandles) }

    func release(
        queue arn: String, receiptHandles: [String], at: Instant, as principal: Principal, now: Instant,
        in transaction: any WriteTransaction
    ) throws { release(receiptHandles, at: at) }

    func discard(
        queue arn: String, receiptHandles: [String], as principal: Principal, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        change(receiptHandles) { state, index in state.discarded.append(state.messages.remove(at: index).id) }
    }

    func observe(queue arn: String, _ wake: @escaping @Sendable (Instant) -> Void) -> @Sendable () -> Void {
        let number = state.withLock { state in
            state.nextObserver += 1
            state.observers[state.nextObserver] = wake
            return state.nextObserver
        }
        return { [weak self] in self?.state.withLock { $0.observers[number] = nil } }
    }
}

/// Small seeded generator (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

func makeMapping(
    source: String = FakeQueue.name, batchSize: Int = 10, window: Duration = .zero, filters: [String] = [],
    reports: Bool = false, maximumConcurrency: Int? = nil,
    provisioned: EventSourceMapping.ProvisionedPollers? = nil, state: EventSourceMapping.State = .creating,
    revision: Int64 = 1
) -> EventSourceMapping {
    EventSourceMapping(
        scope: AccountRegion(account: "000000000000", region: "us-east-1"), id: "m", revision: revision, state: state,
        isEnabled: ![.disabled, .disabling, .deleting].contains(state), sourceARN: source, function: "fn",
        qualifier: "$LATEST", functionARN: "arn:aws:lambda:us-east-1:000000000000:function:fn", batchSize: batchSize,
        batchingWindow: window, filters: filters, reportsBatchItemFailures: reports,
        maximumConcurrency: maximumConcurrency, provisionedPollers: provisioned)
}
