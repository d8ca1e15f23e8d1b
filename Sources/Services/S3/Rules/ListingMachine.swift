/// A row that a listing shows: ordered by key bytes, then by `tie` (a multipart upload's id; empty for objects).
protocol ListingEntry: Sendable {
    var keyBytes: [UInt8] { get }
    var tie: String { get }
}

/// Lists keys with prefix and delimiter over a sorted index, asking for no more rows than it needs: after a common
/// prefix it seeks to the first key behind it.
struct ListingMachine<Entry: ListingEntry>: Sendable {
    enum Position: Sendable, Hashable {
        /// Keys from here on, this one included.
        case from([UInt8])
        /// Entries behind this one.
        case after([UInt8], tie: String)
    }

    enum Action: Sendable, Hashable {
        /// Fetch up to `limit` rows from the position on, with keys below `end`, in order, and give them to `received`.
        case fetch(Position, end: [UInt8], limit: Int)
        case finished
    }

    private let prefix: [UInt8]
    private let delimiter: [UInt8]
    private let end: [UInt8]
    private let limit: Int
    private var position: Position
    private var chunk: Int
    private var asked = 0

    private(set) var entries: [Entry] = []
    private(set) var commonPrefixes: [[UInt8]] = []
    private(set) var isTruncated = false
    /// The last thing returned: the next page starts behind it.
    private(set) var last: (key: [UInt8], tie: String)?

    /// `marker` is where the last page ended: a key, or a common prefix; then nothing of that prefix is shown again.
    init(prefix: [UInt8], delimiter: [UInt8], marker: [UInt8]?, markerTie: String? = nil, limit: Int) {
        self.prefix = prefix
        self.delimiter = delimiter
        self.limit = limit
        end = KeyOrder.successor(ofPrefix: prefix)
        chunk = delimiter.isEmpty ? limit + 1 : min(Limits.firstListingChunk, limit + 1)
        position = .from(prefix)
        if let marker, !marker.isEmpty {
            if let rolled = commonPrefix(of: marker) {
                position = .from(KeyOrder.successor(ofPrefix: rolled))
            } else if !KeyOrder.isLess(marker, prefix) {
                position = markerTie.map { .after(marker, tie: $0) } ?? .from(marker + [0])
            }
        }
    }

    mutating func start() -> Action { limit == 0 ? .finished : fetch() }

    mutating func received(_ rows: [Entry]) -> Action {
        var skipped: [UInt8]?
        var plain = 0
        for row in rows {
            if let skipped, row.keyBytes.starts(with: skipped) { continue }
            guard entries.count + commonPrefixes.count < limit else {
                isTruncated = true
                return .finished
            }
            if let rolled = commonPrefix(of: row.keyBytes) {
                commonPrefixes.append(rolled)
                last = (rolled, "")
                position = .from(KeyOrder.successor(ofPrefix: rolled))
                skipped = rolled
                plain = 0
            } else {
                entries.append(row)
                last = (row.keyBytes, row.tie)
                position = row.tie.isEmpty ? .from(row.keyBytes + [0]) : .after(row.keyBytes, tie: row.tie)
                skipped = nil
                plain += 1
            }
        }
        if rows.count < asked { return .finished }
        if !delimiter.isEmpty {
            let grown = plain == rows.count ? min(chunk * 2, Limits.largestDelimitedChunk) : Limits.firstListingChunk
            chunk = max(grown, 1)
        }
        return fetch()
    }

    /// The part of a key up to and with the first delimiter behind the prefix; nil when there is none.
    private func commonPrefix(of key: [UInt8]) -> [UInt8]? {
        guard !delimiter.isEmpty, key.count >= prefix.count + delimiter.count, key.starts(with: prefix) else {
            return nil
        }
        var start = prefix.count
        while start + delimiter.count <= key.count {
            if key[start..<(start + delimiter.count)].elementsEqual(delimiter) {
                return Array(key[..<(start + delimiter.count)])
            }
            start += 1
        }
        return nil
    }

    private mutating func fetch() -> Action {
        // One more than fits tells whether the listing goes on.
        asked = min(chunk, limit - entries.count - commonPrefixes.count + 1)
        return .fetch(position, end: end, limit: asked)
    }
}

/// The order of keys: their UTF-8 bytes.
enum KeyOrder {
    /// The least byte string above every one that starts with `prefix`. No UTF-8 text contains 0xFF, so one byte of it
    /// is above all keys.
    static func successor(ofPrefix prefix: [UInt8]) -> [UInt8] {
        var bytes = prefix
        while let last = bytes.popLast() {
            if last < 0xFF { return bytes + [last + 1] }
        }
        return [0xFF]
    }

    static func isLess(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.lexicographicallyPrecedes(b) }
}
