import Glibc

/// How often which values were measured: exactly while they are few, then in groups of neighbours whose width grows with the
/// value (each `Limits.distributionWidth` times the one before, squared each time there are too many groups). Bounded.
struct Distribution: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        var value: Double
        var weight: Double
    }

    /// By value, each once.
    private(set) var entries: [Entry] = []
    /// 0: exact. n: groups are width^(2^(n-1)) wide.
    private(set) var level: UInt8 = 0

    init() {}

    /// Weights must be above 0; values finite.
    init(_ pairs: [(value: Double, weight: Double)]) {
        entries = pairs.map { Entry(value: $0.value, weight: $0.weight) }.sorted { $0.value < $1.value }
        joinEqual()
        shrink()
    }

    var total: Double { entries.reduce(0) { $0 + $1.weight } }

    mutating func add(_ value: Double, weight: Double) {
        let value = level == 0 ? value : Self.representative(value, level)
        let index = firstIndex(notBelow: value)
        if index < entries.count, entries[index].value == value {
            entries[index].weight += weight
        } else {
            entries.insert(Entry(value: value, weight: weight), at: index)
            shrink()
        }
    }

    mutating func merge(_ other: Distribution) {
        if other.entries.count == 1, other.level <= level, let one = other.entries.first {
            return add(one.value, weight: one.weight)
        }
        let common = max(level, other.level)
        raise(to: common)
        var other = other
        other.raise(to: common)
        entries = (entries + other.entries).sorted { $0.value < $1.value }
        joinEqual()
        shrink()
    }

    private func firstIndex(notBelow value: Double) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].value < value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Joins neighbours of the same value; entries are in order.
    private mutating func joinEqual() {
        guard entries.count > 1 else { return }
        var joined: [Entry] = [entries[0]]
        joined.reserveCapacity(entries.count)
        for entry in entries.dropFirst() {
            if joined[joined.count - 1].value == entry.value {
                joined[joined.count - 1].weight += entry.weight
            } else {
                joined.append(entry)
            }
        }
        entries = joined
    }

    private mutating func shrink() {
        while entries.count > Limits.distributionEntries, level < Self.highestLevel { raise(to: level + 1) }
    }

    /// At this level all positive numbers up to 2^360 are a handful of groups.
    private static let highestLevel: UInt8 = 16

    private mutating func raise(to newLevel: UInt8) {
        guard newLevel > level else { return }
        level = newLevel
        for index in entries.indices { entries[index].value = Self.representative(entries[index].value, level) }
        joinEqual()
    }

    /// The middle of a value's group. Of a middle of a narrower group it is the middle of the wider one around it.
    private static func representative(_ value: Double, _ level: UInt8) -> Double {
        guard value != 0 else { return 0 }
        let width = log(Limits.distributionWidth) * Double(1 << (Int(level) - 1))
        let group = (log(abs(value)) / width - 1e-9).rounded(.up)
        let middle = exp((group - 0.5) * width)
        return value < 0 ? -middle : middle
    }

    // MARK: As bytes

    /// The level, then value and weight of each entry as big-endian doubles.
    func encoded() -> [UInt8] {
        var bytes: [UInt8] = [level]
        bytes.reserveCapacity(1 + entries.count * 16)
        for entry in entries {
            for part in [entry.value, entry.weight] {
                withUnsafeBytes(of: part.bitPattern.bigEndian) { bytes.append(contentsOf: $0) }
            }
        }
        return bytes
    }

    /// nil for bytes that are none of ours.
    init?(encoded bytes: [UInt8]) {
        guard let first = bytes.first, first <= Self.highestLevel, (bytes.count - 1) % 16 == 0 else { return nil }
        level = first
        entries.reserveCapacity(bytes.count / 16)
        var position = 1
        func double() -> Double {
            defer { position += 8 }
            return Double(bitPattern: bytes[position..<(position + 8)].reduce(0) { $0 << 8 | UInt64($1) })
        }
        while position < bytes.count {
            let value = double()
            let weight = double()
            guard value.isFinite, weight.isFinite, weight > 0, value > entries.last?.value ?? -.infinity else {
                return nil
            }
            entries.append(Entry(value: value, weight: weight))
        }
    }
}
