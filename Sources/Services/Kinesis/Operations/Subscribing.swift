import Contracts
import Platform
import Storage
import Synchronization
import Wire

/// SubscribeToShard: records are pushed as they are appended, for five minutes or until the shard ends.
struct Subscribing: Sendable {
    let desk: Desk
    let schema: ServiceSchema
    let subscriptions: Subscriptions

    func subscribe(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.SubscribeToShardInput(request.input)
        let context = request.context
        let (arn, shardID) = (input.consumerARN ?? "", input.shardId ?? "")
        let position = input.startingPosition
        let start = try StartingPoint(
            position?.type, sequenceNumber: position?.sequenceNumber, timestamp: position?.timestamp,
            operation: "SubscribeToShard")
        let isDryRun = input.dryRun == true
        let place = try await desk.database.read { [desk] transaction in
            guard case .consumer(let consumer, let stream) = try desk.resource(arn, request, in: transaction) else {
                throw AWSError.noResource(arn)
            }
            let now = desk.time.now()
            guard let shard = stream.readableShard(shardID, now: now) else { throw AWSError.noShard(shardID, stream) }
            let from = try start.position(in: shard, of: stream, now: now, transaction)
            if isDryRun { throw AWSError.dryRun }
            return Subscription.Place(
                consumer: consumer, consumerARN: arn, streamID: stream.id, streamARN: stream.arn, shard: shard,
                from: from)
        }
        let key = SubscriptionMachine.Key(consumer: place.consumer.id, shard: place.shard.id)
        let wireProtocol: AWSProtocol =
            context.header("content-type")?.hasPrefix("application/x-amz-cbor-1") == true ? .cbor11 : .json11
        guard let match = OperationMatch(schema: schema, operation: "SubscribeToShard", wireProtocol: wireProtocol)
        else { throw Failure(.bug, "The model of Kinesis has no SubscribeToShard.") }
        switch subscriptions.start(key, now: desk.time.now()) {
        case .refused(.tooMany):
            throw AWSError.limit("More than \(Limits.subscriptions) subscriptions run at the same time.")
        case .refused:
            throw AWSError.inUse(
                "Another active subscription exists for this consumer: \(arn) and shard: \(place.shard.name)")
        case .started(let number, let signal):
            // Ends also with an answer that is never written because the client has gone.
            let lease = Lease { [subscriptions] in subscriptions.ended(key, number: number) }
            let subscription = Subscription(desk: desk, match: match, place: place, signal: signal)
            return OperationResponse(
                payload: .stream(length: nil) { writer in
                    defer { lease.end() }
                    try await subscription.run(writer)
                })
        }
    }
}

/// Calls back at its end, and again when nobody holds it any more.
private final class Lease: Sendable {
    private let onEnd: @Sendable () -> Void
    init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }
    func end() { onEnd() }
    deinit { onEnd() }
}

/// One subscription while it runs.
struct Subscription: Sendable {
    struct Place: Sendable {
        var consumer: Consumer
        var consumerARN: String
        var streamID: Int64
        var streamARN: String
        var shard: Shard
        var from: Position
    }
    let desk: Desk
    let match: OperationMatch
    let place: Place
    let signal: SubscriptionSignal

    func run(_ writer: any BodyWriter) async throws {
        // Before the first read, so that nothing is appended in between unseen.
        let stopObserving = desk.arrivals.observe(place.streamARN) { [signal, name = place.shard.name] shard in
            if shard == nil || shard == name { signal.wake() }
        }
        let timeout = desk.time.schedule(at: desk.time.now() + .seconds(Limits.subscriptionSeconds)) { [signal] in
            signal.end(.timedOut)
        }
        defer {
            stopObserving()
            timeout.cancel()
        }
        try await writer.write(Codec.encodeInitialResponse([:], for: match))
        var from = place.from
        var isHeartbeatDue = false
        while true {
            if let end = signal.ended { return try await finish(end, writer) }
            guard let (event, page) = try await next(from) else {
                let error = AWSError.noStream(arn: place.streamARN)
                return try await writer.write(Codec.encodeEventException(error, for: match))
            }
            from = page.next
            if !page.records.isEmpty || page.isEnd || isHeartbeatDue {
                isHeartbeatDue = false
                if let bytes = Codec.encodeEvent("SubscribeToShardEvent", event, for: match) {
                    try await writer.write(bytes)
                }
                if page.isEnd { return }
            }
            if page.hasMore { continue }
            isHeartbeatDue = await waitForMore()
        }
    }

    /// Whether it was a long time.
    private func waitForMore() async -> Bool {
        let isLate = Flag()
        let heartbeat = desk.time.schedule(at: desk.time.now() + .seconds(Limits.heartbeatSeconds)) { [signal] in
            isLate.set()
            signal.wake()
        }
        await signal.wait()
        heartbeat.cancel()
        return isLate.isSet
    }

    /// Nil when the stream or shard is gone.
    private func next(_ from: Position) async throws -> (Value, ShardReader.Page)? {
        try await desk.database.read { [desk, place] transaction in
            guard let stream = try desk.directory.find(id: place.streamID, in: transaction),
                let shard = stream.shards.find(place.shard.number)
            else { return nil }
            let page = try ShardReader.page(
                of: shard, in: stream, from: from, limit: Limits.recordsPerGet, byteLimit: Limits.eventBytes,
                now: desk.time.now(), transaction)
            var event: Value = ["Records": .list(page.records.map { $0.value(in: shard, of: stream) })]
            if page.isEnd {
                event["ChildShards"] = .list(stream.childShards(of: shard).map(\.value))
            } else {
                let last = Position(max(page.next.number - 1, 0))
                event["ContinuationSequenceNumber"] = .string(shard.sequenceNumber(last))
            }
            event["MillisBehindLatest"] = .int(Int64(page.behindMilliseconds))
            return (event, page)
        }
    }

    private func finish(_ end: SubscriptionEnd, _ writer: any BodyWriter) async throws {
        switch end {
        case .timedOut, .stopping: return
        case .replaced:
            let error = AWSError.inUse(
                "Another active subscription exists for this consumer: \(place.consumerARN) and shard: "
                    + place.shard.name)
            try await writer.write(Codec.encodeEventException(error, for: match))
        case .deregistered:
            let error = AWSError(
                "ResourceNotFoundException", "Consumer \(place.consumerARN) was deregistered.")
            try await writer.write(Codec.encodeEventException(error, for: match))
        }
    }
}

private final class Flag: Sendable {
    private let state = Mutex(false)
    var isSet: Bool { state.withLock { $0 } }
    func set() { state.withLock { $0 = true } }
}
