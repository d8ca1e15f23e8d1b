import Platform

/// A record on its way into a shard.
struct RecordDraft: Sendable {
    var partitionKey: String
    var hash: UInt128
    var data: [UInt8]

    /// As it counts for every limit, bytes.
    var size: Int { data.count + partitionKey.utf8.count }
}

/// A record as it was read.
struct StoredRecord: Sendable, Hashable {
    var position: Position
    var partitionKey: String
    var isEncrypted: Bool
    var data: [UInt8]

    var size: Int { data.count + partitionKey.utf8.count }
}

/// Records that one put brought to one shard, in one row: a row and its place in an index cost more than a small record.
///
/// For each record: its flags (1 byte; 1: the stream was encrypted), the length of its key (2 bytes, big-endian), of its
/// data (4 bytes), key, data. Their positions follow one another.
struct Segment: Sendable {
    private(set) var count = 0
    private(set) var bytes: [UInt8] = []

    private static let head = 7

    mutating func append(_ record: RecordDraft, isEncrypted: Bool) {
        // The model allows 256 characters, of four bytes at most.
        let keyLength = UInt16(clamping: record.partitionKey.utf8.count)
        let dataLength = UInt32(clamping: record.data.count)
        bytes.append(isEncrypted ? 1 : 0)
        withUnsafeBytes(of: keyLength.bigEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: dataLength.bigEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: record.partitionKey.utf8.prefix(Int(keyLength)))
        bytes.append(contentsOf: record.data)
        count += 1
    }

    /// In rows of about `Limits.segmentBytes`, or of one record when it is larger.
    static func pack(_ records: some Sequence<RecordDraft>, isEncrypted: Bool) -> [Segment] {
        var segments: [Segment] = []
        var current = Segment()
        for record in records {
            if current.count > 0, current.bytes.count + record.size > Limits.segmentBytes {
                segments.append(current)
                current = Segment()
            }
            current.append(record, isEncrypted: isEncrypted)
        }
        if current.count > 0 { segments.append(current) }
        return segments
    }

    /// The records from `from` on, until `take` says that it has enough: called with each before it is copied out.
    /// Throws `Failure(.corrupt)`.
    static func read(
        _ bytes: [UInt8], first: Position, from: Position, _ take: (Int) -> Bool, _ body: (StoredRecord) -> Void
    ) throws -> Bool {
        var offset = 0
        var position = first
        while offset < bytes.count {
            guard bytes.count - offset >= head else { throw unreadable }
            let keyLength = Int(bytes[offset + 1]) << 8 | Int(bytes[offset + 2])
            let dataLength = bytes[(offset + 3)..<(offset + 7)].reduce(0) { $0 << 8 | Int($1) }
            let start = offset + head
            guard bytes.count - start >= keyLength + dataLength else { throw unreadable }
            let next = start + keyLength + dataLength
            if position >= from {
                guard take(keyLength + dataLength) else { return false }
                body(
                    StoredRecord(
                        position: position,
                        partitionKey: String(decoding: bytes[start..<(start + keyLength)], as: UTF8.self),
                        isEncrypted: bytes[offset] & 1 == 1, data: Array(bytes[(start + keyLength)..<next])))
            }
            position = position.advanced(by: 1)
            offset = next
        }
        return true
    }

    private static let unreadable = Failure(.corrupt, "Records of a Kinesis stream cannot be read.")
}

/// Records of one put, by shard, in rows. Made off the writer's thread; good as long as the stream's shards are the same.
struct PackedPut: Sendable {
    struct Part: Sendable {
        var shard: Shard
        /// Of the records in the request, rising.
        var indices: [Int]
        var segments: [Segment]
    }
    var parts: [Part]

    /// `wanted`: the records that are to be kept, by index; nil for all. Records without a shard are left out (there are none
    /// while open shards cover everything).
    init(_ records: [RecordDraft], to stream: Stream, only wanted: Set<Int>? = nil) {
        var byShard: [Int: [Int]] = [:]
        for (index, record) in records.enumerated() {
            if let wanted, !wanted.contains(index) { continue }
            guard let shard = stream.shards.routeIndex(record.hash) else { continue }
            byShard[shard, default: []].append(index)
        }
        let isEncrypted = stream.settings.isEncrypted
        let open = stream.shards.openShards
        parts = byShard.sorted { $0.key < $1.key }.map { shard, indices in
            Part(
                shard: open[shard], indices: indices,
                segments: Segment.pack(indices.lazy.map { records[$0] }, isEncrypted: isEncrypted))
        }
    }
}
