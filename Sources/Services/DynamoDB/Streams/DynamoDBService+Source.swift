public import Contracts
public import Platform
public import Storage
import Wire

// DynamoDB Streams for pollers.

extension DynamoDBService: StreamSource {
    public var arnService: String { "dynamodb" }

    public func describe(
        stream arn: String, as principal: Principal, in transaction: any ReadTransaction
    ) throws -> StreamDescription {
        let stream = try desk.stream(arn, principal, "DescribeStream", in: transaction)
        // One that was switched off is read to its end.
        return StreamDescription(arn: stream.arn, isActive: true, retention: .seconds(Limits.streamSeconds))
    }

    public func shards(
        stream arn: String, after: String?, limit: Int, as principal: Principal, in transaction: any ReadTransaction
    ) throws -> [StreamShard] {
        let stream = try desk.stream(arn, principal, "DescribeStream", in: transaction)
        let row = after.flatMap { ShardRow.row(of: $0) } ?? 0
        let horizon = desk.time.now() - .seconds(Limits.streamSeconds)
        return try StreamStore.shards(stream.id, after: row, limit: limit, in: transaction)
            .filter { shard in shard.closed.map { $0 > horizon } ?? true }
            .map { shard in
                StreamShard(
                    id: shard.name, parents: shard.parent.map { [$0] } ?? [], createdAt: shard.created,
                    isClosed: shard.closed != nil)
            }
    }

    public func position(
        stream arn: String, shard name: String, at start: StreamStart, as principal: Principal,
        in transaction: any ReadTransaction
    ) throws -> String? {
        let shard = try self.shard(name, arn, "GetShardIterator", principal, in: transaction).shard
        switch start {
        case .trimHorizon: return nil
        case .latest:
            // A shard without records: what comes has higher numbers than all there are.
            let last = try StreamStore.newest(shard.row, in: transaction) ?? shard.first - 1
            return SequenceNumber.text(last)
        case .timestamp(let instant):
            return try StreamStore.lastBefore(instant, shard: shard.row, in: transaction).map(SequenceNumber.text)
        }
    }

    public func read(
        stream arn: String, shard name: String, after: String?, limit: Int, byteLimit: Int, as principal: Principal,
        now: Instant, in transaction: any ReadTransaction
    ) throws -> StreamPage {
        let (stream, shard) = try self.shard(name, arn, "GetRecords", principal, in: transaction)
        let page = try StreamStore.records(
            shard: shard.row, after: after.flatMap { SequenceNumber.id($0) } ?? 0, limit: limit, bytes: byteLimit,
            since: now - .seconds(Limits.streamSeconds), in: transaction)
        let records = page.records.map { stored in
            StreamRecord(
                sequenceNumber: SequenceNumber.text(stored.id), orderingKey: Self.orderingKey(stored.record.keys),
                arrivedAt: stored.created, size: stored.record.size,
                content: .change(
                    eventID: StreamRecords.eventID(stored.id, stream), eventName: stored.record.event.name,
                    userIdentity: stored.record.byService
                        ? StreamRecord.UserIdentity(type: "Service", principalID: "dynamodb.amazonaws.com") : nil,
                    dynamodb: StreamRecords.json(stored, of: stream)))
        }
        return StreamPage(records: records, isEnd: shard.closed != nil && !page.hasMore, hasMore: page.hasMore)
    }

    private func shard(
        _ name: String, _ arn: String, _ action: String, _ principal: Principal, in transaction: any ReadTransaction
    ) throws -> (stream: StreamRow, shard: ShardRow) {
        let stream = try desk.stream(arn, principal, action, in: transaction)
        guard let shard = try StreamStore.shard(name, of: stream.id, in: transaction) else {
            throw AWSError(
                "ResourceNotFoundException", "Requested resource not found: Shard does not exist: \(name.prefix(128))")
        }
        return (stream, shard)
    }

    /// The item's key as text.
    private static func orderingKey(_ keys: Item) -> String {
        var writer = JSONWriter(capacity: 64)
        keys.write(to: &writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Both of one length: they sort as text.
    public func isBefore(_ first: String, _ second: String) -> Bool {
        first.utf8.count == second.utf8.count ? first < second : first.utf8.count < second.utf8.count
    }

    public func observe(
        stream arn: String, _ wake: @escaping @Sendable (_ shard: String?) -> Void
    ) -> @Sendable () -> Void {
        desk.changes.observe(arn, wake)
    }
}
