import Platform
import Storage

/// Reads records of a shard, on a snapshot.
enum ShardReader {
    struct Page: Sendable {
        var records: [StoredRecord] = []
        /// Where reading goes on.
        var next: Position
        /// There are records behind these now.
        var hasMore = false
        /// The shard is closed, and nothing lies behind these records.
        var isEnd = false
        /// Since the arrival of the last of these records, when there are more; else zero.
        var behind: Duration = .zero
    }

    /// Records from `from` on that are not over their retention, up to `limit` and about `byteLimit` bytes, but at least one if
    /// there is one.
    static func page(
        of shard: Shard, in stream: Stream, from: Position, limit: Int, byteLimit: Int, now: Instant,
        _ transaction: any ReadTransaction
    ) throws -> Page {
        let start = max(from, stream.horizon(now: now))
        var page = Page(next: from)
        let newest = try SegmentTable.newest(shard.id, in: transaction)
        if let newest, newest >= start {
            page.next = start
            var (count, bytes) = (0, 0)
            var entries = try firstEntries(shard, start, transaction)
            reading: while !entries.isEmpty {
                for entry in entries {
                    let isWhole = try Segment.read(
                        try SegmentTable.data(entry.id, in: transaction), first: entry.first, from: start
                    ) { size in
                        guard count < limit, count == 0 || bytes + size <= byteLimit else { return false }
                        count += 1
                        bytes += size
                        return true
                    } _: { record in
                        page.records.append(record)
                        page.next = record.position.advanced(by: 1)
                    }
                    if !isWhole { break reading }
                }
                guard count < limit, bytes < byteLimit, let last = entries.last else { break }
                entries = try SegmentTable.after(
                    last.first, shard: shard.id, limit: Limits.segmentsPerLook, in: transaction)
            }
            page.hasMore = newest >= page.next
            if page.hasMore { page.behind = max(now - (page.records.last?.position ?? page.next).arrival, .zero) }
        }
        // Asked of the same snapshot: the shards in memory may be newer than the records that are seen here.
        if !page.hasMore, !shard.isOpen { page.isEnd = try ShardTable.isClosed(shard.id, in: transaction) }
        return page
    }

    /// A few at first: most reads want what came last.
    private static func firstEntries(
        _ shard: Shard, _ start: Position, _ transaction: any ReadTransaction
    ) throws -> [SegmentTable.Entry] {
        if let entry = try SegmentTable.at(start, shard: shard.id, in: transaction), entry.last >= start {
            return [entry]
        }
        return try SegmentTable.after(start, shard: shard.id, limit: 4, in: transaction)
    }

    /// Behind the newest record of a shard.
    static func tip(of shard: Shard, in transaction: any ReadTransaction) throws -> Position {
        if let newest = try SegmentTable.newest(shard.id, in: transaction) { return newest.advanced(by: 1) }
        return try ShardTable.floor(shard.id, in: transaction).advanced(by: 1)
    }
}
