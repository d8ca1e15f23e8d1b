import Platform
import Storage
import Synchronization

/// The last position that was given out in each shard, in memory. Only transactions that write take positions, so they are
/// taken one after the other; when one is rolled back, its positions are gaps.
final class ShardEnds: Sendable {
    private let ends = Mutex<[Int64: Position]>([:])

    /// The first of `count` positions behind everything in the shard, not before `now`.
    func take(_ count: Int, of shard: Int64, now: Instant, in transaction: any WriteTransaction) throws -> Position {
        let last: Position
        if let known = ends.withLock({ $0[shard] }) {
            last = known
        } else {
            last = max(
                try ShardTable.floor(shard, in: transaction),
                try SegmentTable.newest(shard, in: transaction) ?? .start)
        }
        let first = max(last.advanced(by: 1), Position.first(at: now))
        ends.withLock { ends in
            if ends.count >= Limits.cachedPositions { ends = [:] }
            ends[shard] = first.advanced(by: max(count, 1) - 1)
        }
        return first
    }
}
