import Platform

/// One shard of a stream, open or closed.
struct Shard: Sendable, Hashable {
    /// Of its row: names the shard among all, and is never used again.
    var id: Int64
    /// Within the stream, from 0.
    var number: Int64
    var range: ClosedRange<UInt128>
    var created: Instant
    /// Of its sequence numbers: in seconds, later than its parents'.
    var createdSeconds: Int64
    var parent: Int64?
    var adjacentParent: Int64?
    var end: End?

    struct End: Sendable, Hashable {
        /// Behind every record.
        var position: Position
        var at: Instant
    }

    var isOpen: Bool { end == nil }
    var name: String { Shard.name(number) }

    static func name(_ number: Int64) -> String {
        let digits = String(number)
        return "shardId-" + String(repeating: "0", count: max(12 - digits.utf8.count, 0)) + digits
    }

    /// The number in a shard's id, as `shardId-000000000001`, or without the prefix as AWS takes it too; nil when it is none.
    static func number(_ name: String) -> Int64? {
        let prefix = "shardId-"
        guard name.hasPrefix(prefix) else { return nil }
        let digits = name.dropFirst(prefix.utf8.count)
        guard (1...19).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int64(digits)
    }

    func sequenceNumber(_ position: Position) -> String {
        SequenceNumber(shardCreated: createdSeconds, shard: number, position: position).text
    }

    var parents: [Int64] { [parent, adjacentParent].compactMap { $0 } }
}

/// The shards of a stream, and how they split and merge. A value: no store and no clock.
struct ShardMap: Sendable {
    /// By number, rising; closed ones whose records are gone are missing.
    private(set) var shards: [Shard]
    /// Indices into `shards` of the open ones, by where their ranges begin: together they cover everything.
    private(set) var open: [Int] = []
    private(set) var nextNumber: Int64

    init(_ shards: [Shard], nextNumber: Int64) {
        self.shards = shards
        self.nextNumber = nextNumber
        open = shards.indices.filter { shards[$0].isOpen }
            .sorted { shards[$0].range.lowerBound < shards[$1].range.lowerBound }
    }

    /// A new stream's.
    init(count: Int, now: Instant) {
        self.init([], nextNumber: 0)
        for range in HashKey.uniform(count) { _ = add(range, parents: [], now: now) }
        open = Array(shards.indices)
    }

    var openShards: [Shard] { open.map { shards[$0] } }

    /// The open shard that takes this hash key; nil only when there is none.
    func route(_ key: UInt128) -> Shard? { routeIndex(key).map { shards[open[$0]] } }

    /// Its place in `open`.
    func routeIndex(_ key: UInt128) -> Int? {
        var (low, high) = (0, open.count)
        while low < high {
            let middle = (low + high) / 2
            if shards[open[middle]].range.upperBound < key { low = middle + 1 } else { high = middle }
        }
        return low < open.count && shards[open[low]].range.contains(key) ? low : nil
    }

    func find(_ number: Int64) -> Shard? { position(number).map { shards[$0] } }

    private func position(_ number: Int64) -> Int? {
        let index = firstIndex(after: number) - 1
        return index >= 0 && shards[index].number == number ? index : nil
    }

    /// Index of the first shard behind this number.
    func firstIndex(after number: Int64) -> Int {
        var (low, high) = (0, shards.count)
        while low < high {
            let middle = (low + high) / 2
            if shards[middle].number <= number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func children(of shard: Shard) -> [Shard] {
        shards.filter { $0.parent == shard.number || $0.adjacentParent == shard.number }
    }

    // MARK: Changing

    /// A shard that a change makes; its row gives it an id.
    enum Change: Sendable, Hashable {
        case made(number: Int64)
        case closed(number: Int64)
    }

    private mutating func add(
        _ range: ClosedRange<UInt128>, parents: [Shard], now: Instant
    ) -> Change {
        let seconds = max(now.seconds, (parents.map(\.createdSeconds).max() ?? .min / 2) + 1)
        let number = nextNumber
        nextNumber += 1
        shards.append(
            Shard(
                id: 0, number: number, range: range, created: now,
                createdSeconds: parents.isEmpty ? now.seconds : seconds,
                parent: parents.first?.number, adjacentParent: parents.dropFirst().first?.number, end: nil))
        return .made(number: number)
    }

    /// Nil when there is no such open shard, or `at` does not lie within.
    mutating func split(_ number: Int64, at: UInt128, now: Instant) -> [Change]? {
        guard let index = position(number), shards[index].isOpen, shards[index].range.contains(at),
            at > shards[index].range.lowerBound, let place = routeIndex(at)
        else { return nil }
        let parent = shards[index]
        shards[index].end = Shard.End(position: .start, at: now)
        let changes = [
            Change.closed(number: number),
            add(parent.range.lowerBound...(at - 1), parents: [parent], now: now),
            add(at...parent.range.upperBound, parents: [parent], now: now),
        ]
        open.replaceSubrange(place...place, with: [shards.count - 2, shards.count - 1])
        return changes
    }

    /// Nil unless both are open and neighbours.
    mutating func merge(_ first: Int64, _ second: Int64, now: Instant) -> [Change]? {
        guard first != second, let one = position(first), let other = position(second), shards[one].isOpen,
            shards[other].isOpen
        else { return nil }
        let (a, b) = (shards[one], shards[other])
        let (low, high) = a.range.lowerBound < b.range.lowerBound ? (a, b) : (b, a)
        guard low.range.upperBound < .max, low.range.upperBound + 1 == high.range.lowerBound,
            let place = routeIndex(low.range.lowerBound), place + 1 < open.count
        else { return nil }
        shards[one].end = Shard.End(position: .start, at: now)
        shards[other].end = Shard.End(position: .start, at: now)
        let changes = [
            Change.closed(number: first), .closed(number: second),
            add(low.range.lowerBound...high.range.upperBound, parents: [a, b], now: now),
        ]
        open.replaceSubrange(place...(place + 1), with: [shards.count - 1])
        return changes
    }

    /// Splits and merges until the open shards are `count` ranges of one size: first cuts where a new range begins, then
    /// joins the pieces. Shards in between close at once, as with AWS.
    mutating func resize(to count: Int, now: Instant) -> [Change] {
        let targets = HashKey.uniform(count)
        var changes: [Change] = []
        for target in targets where target.lowerBound > 0 {
            guard let shard = route(target.lowerBound), shard.range.lowerBound < target.lowerBound else { continue }
            changes += split(shard.number, at: target.lowerBound, now: now) ?? []
        }
        for target in targets {
            var pieces = openShards(from: target.lowerBound, to: target.upperBound)
            while pieces.count > 1 {
                let (first, second) = (pieces.removeFirst(), pieces.removeFirst())
                guard let more = merge(first.number, second.number, now: now), let joined = shards.last else { break }
                changes += more
                pieces.insert(joined, at: 0)
            }
        }
        return changes
    }

    private func openShards(from low: UInt128, to high: UInt128) -> [Shard] {
        guard let first = routeIndex(low), let last = routeIndex(high), first <= last else { return [] }
        return open[first...last].map { shards[$0] }
    }
}
