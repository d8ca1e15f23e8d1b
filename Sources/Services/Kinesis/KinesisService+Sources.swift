public import Contracts
public import Platform
public import Storage
import Wire

/// Streams for pollers.
extension KinesisService: StreamSource {
    public var arnService: String { "kinesis" }

    public func describe(
        stream arn: String, as principal: Principal, in transaction: any ReadTransaction
    ) throws -> StreamDescription {
        let found = try desk.resource(arn, in: transaction)
        switch found {
        case .stream(let stream):
            try desk.access.check(principal, "DescribeStreamSummary", on: stream, in: transaction)
            return StreamDescription(
                arn: stream.arn, isActive: true, retention: stream.settings.retention)
        case .consumer(let consumer, let stream):
            // What AWS's managed policy for mappings has; it does not have DescribeStreamConsumer.
            try desk.access.check(
                principal, "SubscribeToShard", resource: arn, of: stream.scope.account,
                policy: consumer.policy, in: transaction)
            return StreamDescription(
                arn: stream.arn, consumerARN: arn, isActive: true, retention: stream.settings.retention)
        }
    }

    public func shards(
        stream arn: String, after: String?, limit: Int, as principal: Principal, in transaction: any ReadTransaction
    ) throws -> [StreamShard] {
        let stream = try stream(arn, "ListShards", principal, in: transaction)
        let number = after.flatMap { Shard.number($0) } ?? -1
        let rest = stream.shards.shards[stream.shards.firstIndex(after: number)...]
        let now = desk.time.now()
        return rest.lazy.filter { stream.isReadable($0, now: now) }.prefix(max(limit, 0)).map { shard in
            StreamShard(
                id: shard.name, parents: shard.parents.map { Shard.name($0) }, createdAt: shard.created,
                isClosed: !shard.isOpen)
        }
    }

    public func position(
        stream arn: String, shard id: String, at start: StreamStart, as principal: Principal,
        in transaction: any ReadTransaction
    ) throws -> String? {
        let stream = try stream(arn, "GetShardIterator", principal, in: transaction)
        guard let shard = Shard.number(id).flatMap({ stream.shards.find($0) }) else {
            throw AWSError.noShard(id, stream)
        }
        let first: Position
        switch start {
        case .trimHorizon: return nil
        case .latest: first = try ShardReader.tip(of: shard, in: transaction)
        case .timestamp(let time): first = .first(at: time)
        }
        return shard.sequenceNumber(Position(max(first.number - 1, 0)))
    }

    public func read(
        stream arn: String, shard id: String, after: String?, limit: Int, byteLimit: Int, as principal: Principal,
        now: Instant, in transaction: any ReadTransaction
    ) throws -> StreamPage {
        let stream = try stream(arn, "GetRecords", principal, in: transaction)
        guard let shard = Shard.number(id).flatMap({ stream.shards.find($0) }) else {
            throw AWSError.noShard(id, stream)
        }
        let from = try after.map { try StartingPoint.position($0, in: shard, of: stream).advanced(by: 1) } ?? .start
        let page = try ShardReader.page(
            of: shard, in: stream, from: from, limit: max(limit, 1), byteLimit: byteLimit, now: now, transaction)
        return StreamPage(
            records: page.records.map { record in
                StreamRecord(
                    sequenceNumber: shard.sequenceNumber(record.position), orderingKey: record.partitionKey,
                    arrivedAt: record.position.arrival, size: record.size, content: .data(record.data))
            }, isEnd: page.isEnd, hasMore: page.hasMore)
    }

    public func isBefore(_ first: String, _ second: String) -> Bool { SequenceNumber.isBefore(first, second) }

    public func observe(
        stream arn: String, _ wake: @escaping @Sendable (_ shard: String?) -> Void
    ) -> @Sendable () -> Void {
        desk.arrivals.observe(Self.streamARN(arn), wake)
    }

    /// A consumer's ARN begins with its stream's.
    private static func streamARN(_ arn: String) -> String {
        ResourceAddress(arn).map { Stream.arn($0.scope, $0.stream) } ?? arn
    }

    /// The stream of a stream's or consumer's ARN, which the principal may do `action` to. Who reads as a consumer needs
    /// `SubscribeToShard` on the consumer instead of reading the stream.
    private func stream(
        _ arn: String, _ action: String, _ principal: Principal, in transaction: any ReadTransaction
    ) throws -> Stream {
        switch try desk.resource(arn, in: transaction) {
        case .stream(let stream):
            try desk.access.check(principal, action, on: stream, in: transaction)
            return stream
        case .consumer(let consumer, let stream):
            if action == "ListShards" {
                try desk.access.check(principal, action, on: stream, in: transaction)
            } else {
                try desk.access.check(
                    principal, "SubscribeToShard", resource: arn, of: stream.scope.account, policy: consumer.policy,
                    in: transaction)
            }
            return stream
        }
    }
}

/// What is pushed to streams: by rules, schedules, log subscriptions.
extension KinesisService: DeliveryTarget {
    public func accept(_ delivery: Delivery, in transaction: any WriteTransaction, now: Instant) throws {
        let stream = try permitted(delivery.target, for: delivery.principal, in: transaction)
        let key = delivery.attributes.partitionKey ?? Identifier.uuid()
        guard Limits.partitionKeyCharacters.contains(key.unicodeScalars.count) else {
            throw DeliveryRefusal.permanent(
                code: "ValidationException",
                message: "A partition key has between 1 and \(Limits.partitionKeyCharacters.upperBound) characters.")
        }
        let draft = RecordDraft(partitionKey: key, hash: HashKey.of(key), data: delivery.payload)
        guard draft.size <= stream.settings.recordKiB << 10 else {
            throw DeliveryRefusal.permanent(
                code: "ValidationException",
                message: "The record is larger than \(stream.settings.recordKiB << 10) bytes.")
        }
        if Putting.admitted([draft], to: stream, desk.throughput, now: now)?.isEmpty == true {
            let error = stream.shards.route(draft.hash).map { AWSError.rateExceeded($0, stream) }
            throw DeliveryRefusal.temporary(
                code: "ProvisionedThroughputExceededException", message: error?.message ?? "Rate exceeded")
        }
        _ = try desk.ledger.append(
            PackedPut([draft], to: stream), count: 1, to: stream, now: now, in: transaction)
    }

    public func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        _ = try permitted(target, for: principal, in: transaction)
    }

    private func permitted(
        _ target: String, for principal: Principal, in transaction: any ReadTransaction
    ) throws -> Stream {
        do {
            guard case .stream(let stream) = try desk.resource(target, in: transaction) else {
                throw AWSError.noResource(target)
            }
            try desk.access.check(principal, "PutRecord", on: stream, in: transaction)
            return stream
        } catch let error as AWSError {
            throw DeliveryRefusal.permanent(code: error.code, message: error.message)
        }
    }
}
