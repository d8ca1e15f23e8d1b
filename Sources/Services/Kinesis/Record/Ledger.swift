import Platform
import Storage
import Wire

/// Appends records to shards inside a transaction of the caller: requests and deliveries both come here.
struct Ledger: Sendable {
    let ends = ShardEnds()
    let arrivals: Observers<String?>

    struct Written: Sendable {
        var shard: Shard
        var position: Position
    }

    /// Appends what was packed for this state of the stream's shards, and wakes those who wait. Answers a place for each
    /// record of the request; nil for those that were not wanted.
    func append(
        _ put: PackedPut, count: Int, to stream: Stream, now: Instant, in transaction: any WriteTransaction
    ) throws -> [Written?] {
        var written = [Written?](repeating: nil, count: count)
        for part in put.parts {
            var index = 0
            for segment in part.segments {
                let first = try ends.take(segment.count, of: part.shard.id, now: now, in: transaction)
                try SegmentTable.insert(segment, shard: part.shard.id, first: first, in: transaction)
                for offset in 0..<segment.count where index < part.indices.count {
                    written[part.indices[index]] = Written(shard: part.shard, position: first.advanced(by: offset))
                    index += 1
                }
            }
        }
        if !put.parts.isEmpty {
            arrivals.announce(stream.arn, put.parts.map(\.shard.name), in: transaction)
        }
        return written
    }
}
