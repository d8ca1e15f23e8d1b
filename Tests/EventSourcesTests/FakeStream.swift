import Contracts
import Platform
import Storage
import Synchronization
import Wire

@testable import EventSources

/// A stream in memory with the rules that pollers rely on.
final class FakeStream: StreamSource {
    struct Stored: Sendable {
        var id: String
        var parents: [String]
        var createdAt: Instant
        var isClosed = false
        var records: [StreamRecord] = []
    }

    struct State: Sendable {
        var shards: [Stored] = []
        var observers: [Int: @Sendable (String?) -> Void] = [:]
        var nextObserver = 0
        var sequence = 0
        var reads = 0
        var principals: Set<Principal> = []
        var refusal: AWSError?
        var retention = Duration.seconds(86_400)
    }

    static let name = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    let arnService = "kinesis"
    let state = Mutex(State())

    init(shards: Int = 1, now: Instant = ManualTime().now()) {
        for index in 0..<shards { add("shardId-\(index)", now: now) }
    }

    func add(_ id: String, parents: [String] = [], now: Instant) {
        state.withLock { $0.shards.append(Stored(id: id, parents: parents, createdAt: now)) }
    }

    func put(_ key: String, _ data: String, shard: Int = 0, now: Instant) {
        let (id, observers) = state.withLock { state in
            state.sequence += 1
            let number = String(state.sequence)
            state.shards[shard].records.append(
                StreamRecord(
                    sequenceNumber: number, orderingKey: key, arrivedAt: now, size: data.utf8.count,
                    content: .data(Array(data.utf8))))
            return (state.shards[shard].id, Array(state.observers.values))
        }
        for observer in observers { observer(id) }
    }

    /// Closes a shard; two take its place.
    func split(_ shard: Int, now: Instant) {
        let observers = state.withLock { state in
            state.shards[shard].isClosed = true
            let parent = state.shards[shard].id
            for _ in 0..<2 {
                state.shards.append(Stored(id: "shardId-\(state.shards.count)", parents: [parent], createdAt: now))
            }
            return Array(state.observers.values)
        }
        for observer in observers { observer(nil) }
    }

    /// Deletes it, or makes it anew: with shards of the same names.
    func replace(shards: Int, now: Instant) {
        let observers = state.withLock { state in
            state.shards = (0..<shards).map { Stored(id: "shardId-\($0)", parents: [], createdAt: now) }
            return Array(state.observers.values)
        }
        for observer in observers { observer(nil) }
    }

    // MARK: StreamSource

    private func check(_ principal: Principal) throws {
        try state.withLock { state in
            state.principals.insert(principal)
            if let refusal = state.refusal { throw refusal }
            if state.shards.isEmpty {
                throw AWSError("ResourceNotFoundException", "Stream s under account 000000000000 not found.")
            }
        }
    }

    func describe(stream arn: String, as principal: Principal, in transaction: any ReadTransaction) throws
        -> StreamDescription
    {
        try check(principal)
        return StreamDescription(arn: arn, isActive: true, retention: state.withLock { $0.retention })
    }

    func shards(
        stream arn: String, after: String?, limit: Int, as principal: Principal, in transaction: any ReadTransaction
    ) throws -> [StreamShard] {
        try check(principal)
        return state.withLock { state in
            let start = after.flatMap { after in state.shards.firstIndex { $0.id == after } }.map { $0 + 1 } ?? 0
            return state.shards.dropFirst(start).prefix(limit).map {
                StreamShard(id: $0.id, parents: $0.parents, createdAt: $0.createdAt, isClosed: $0.isClosed)
            }
        }
    }

    func position(
        stream arn: String, shard: String, at start: StreamStart, as principal: Principal,
        in transaction: any ReadTransaction
    ) throws -> String? {
        state.withLock { state in
            let records = state.shards.first { $0.id == shard }?.records ?? []
            switch start {
            case .trimHorizon: return nil
            case .latest: return records.last?.sequenceNumber
            case .timestamp(let instant): return records.last { $0.arrivedAt < instant }?.sequenceNumber
            }
        }
    }

    func read(
        stream arn: String, shard: String, after: String?, limit: Int, byteLimit: Int, as principal: Principal,
        now: Instant, in transaction: any ReadTransaction
    ) throws -> StreamPage {
        try check(principal)
        return try state.withLock { state in
            state.reads += 1
            guard let shard = state.shards.first(where: { $0.id == shard }) else {
                throw AWSError("ResourceNotFoundException", "no shard")
            }
            let first = after.flatMap { Int($0) } ?? 0
            let behind = shard.records.filter {
                (Int($0.sequenceNumber) ?? 0) > first && $0.arrivedAt + state.retention > now
            }
            let page = Array(behind.prefix(limit))
            let hasMore = behind.count > page.count
            return StreamPage(records: page, isEnd: shard.isClosed && !hasMore, hasMore: hasMore)
        }
    }

    func isBefore(_ first: String, _ second: String) -> Bool { (Int(first) ?? 0) < (Int(second) ?? 0) }

    func observe(stream arn: String, _ wake: @escaping @Sendable (String?) -> Void) -> @Sendable () -> Void {
        let number = state.withLock { state in
            state.nextObserver += 1
            state.observers[state.nextObserver] = wake
            return state.nextObserver
        }
        return { [weak self] in self?.state.withLock { $0.observers[number] = nil } }
    }
}

/// Keeps what is sent.
final class FakeOutbox: DeliveryOutbox {
    let sent = Mutex<[Delivery]>([])
    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {
        transaction.afterCommit { [self] in sent.withLock { $0.append(delivery) } }
    }
    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {}
}

func makeStreamMapping(
    batchSize: Int = 100, window: Duration = .zero, filters: [String] = [], reports: Bool = false,
    state: EventSourceMapping.State = .creating, revision: Int64 = 1,
    stream: EventSourceMapping.StreamSettings = EventSourceMapping.StreamSettings(start: .trimHorizon)
) -> EventSourceMapping {
    var mapping = makeMapping(
        source: FakeStream.name, batchSize: batchSize, window: window, filters: filters, reports: reports,
        state: state, revision: revision)
    mapping.stream = stream
    return mapping
}
