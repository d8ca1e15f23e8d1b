import Platform

/// The offsets of a time zone from UTC, past and future.
public struct TimeZoneRules: Sendable, Hashable {
    public static let utc = TimeZoneRules(times: [], offsets: [], before: 0, tail: nil)

    /// Bytes that a file of a time zone may have.
    public static let maximumFileBytes = Limits.zoneFileBytes

    /// Seconds since 1970 (UTC) at which the offset changes, ascending.
    private let times: [Int64]
    /// Seconds east of UTC from each of `times` on.
    private let offsets: [Int64]
    /// Before the first of `times`.
    private let before: Int64
    /// Behind the last of `times`.
    private let tail: PosixZone?

    private init(times: [Int64], offsets: [Int64], before: Int64, tail: PosixZone?) {
        self.times = times
        self.offsets = offsets
        self.before = before
        self.tail = tail
    }

    /// Seconds east of UTC at a time (seconds since 1970).
    public func offset(at seconds: Int64) -> Int64 {
        guard let last = times.last else { return tail?.offset(at: seconds) ?? before }
        if seconds >= last, let tail { return tail.offset(at: seconds) }
        // The first change that is later.
        var (low, high) = (0, times.count)
        while low < high {
            let middle = (low + high) / 2
            if times[middle] <= seconds { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? before : offsets[low - 1]
    }

    /// The time (UTC) at which the place's clock shows `local`; the first if it does twice, nil if it never does.
    public func existingInstant(local: Int64) -> Int64? {
        // No zone changes twice within two days.
        let candidates = [offset(at: local - 86_400), offset(at: local + 86_400)].map { local - $0 }
        return candidates.filter { $0 + offset(at: $0) == local }.min()
    }

    /// As `existingInstant`; a time that the clock leaves out is as much later as the clock was put forward.
    public func instant(local: Int64) -> Int64 {
        existingInstant(local: local) ?? local - offset(at: local - 86_400)
    }

    /// Reads a file of the time zone database (TZif version 2 or later, RFC 9636); nil when it is none.
    public init?(tzif bytes: [UInt8]) {
        var reader = TZifReader(bytes)
        guard let first = reader.header(), first.version >= UInt8(ascii: "2") else { return nil }
        reader.skip(first.dataBytes(timeBytes: 4))
        guard let header = reader.header(), header.times <= Limits.transitions, (1...256).contains(header.types) else {
            return nil
        }
        var times: [Int64] = []
        for _ in 0..<header.times {
            guard let time = reader.int64() else { return nil }
            if let last = times.last, time <= last { return nil }
            times.append(time)
        }
        guard let indices = reader.take(header.times) else { return nil }
        var types: [Int64] = []
        for _ in 0..<header.types {
            guard let offset = reader.int32(), reader.take(2) != nil, abs(offset) <= 172_800 else { return nil }
            types.append(Int64(offset))
        }
        guard indices.allSatisfy({ Int($0) < types.count }) else { return nil }
        reader.skip(header.names + header.leapSeconds * 12 + header.standardFlags + header.utcFlags)
        guard reader.take(1) == [UInt8(ascii: "\n")], let footer = reader.line() else { return nil }
        let tail = footer.isEmpty ? nil : PosixZone(String(decoding: footer, as: UTF8.self))
        if !footer.isEmpty, tail == nil { return nil }
        self.init(times: times, offsets: indices.map { types[Int($0)] }, before: types[0], tail: tail)
    }
}

/// Walks through a TZif file; everything ends in nil rather than beyond the end.
private struct TZifReader {
    private var rest: ArraySlice<UInt8>

    struct Header {
        var version: UInt8
        var utcFlags, standardFlags, leapSeconds, times, types, names: Int

        func dataBytes(timeBytes: Int) -> Int {
            times * (timeBytes + 1) + types * 6 + names + leapSeconds * (timeBytes + 4) + standardFlags + utcFlags
        }
    }

    init(_ bytes: [UInt8]) { rest = bytes.prefix(Limits.zoneFileBytes) }

    mutating func header() -> Header? {
        guard take(4) == Array("TZif".utf8), let version = take(1)?.first, take(15) != nil else { return nil }
        var counts: [Int] = []
        for _ in 0..<6 {
            guard let count = int32(), (0...Int32(Limits.zoneFileBytes)).contains(count) else { return nil }
            counts.append(Int(count))
        }
        return Header(
            version: version, utcFlags: counts[0], standardFlags: counts[1], leapSeconds: counts[2], times: counts[3],
            types: counts[4], names: counts[5])
    }

    mutating func take(_ count: Int) -> [UInt8]? {
        guard rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func skip(_ count: Int) { rest = rest.dropFirst(count) }

    mutating func int32() -> Int32? {
        take(4).map { Int32(truncatingIfNeeded: $0.reduce(0) { $0 << 8 | Int64($1) }) }
    }

    mutating func int64() -> Int64? {
        take(8).map { Int64(bitPattern: $0.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }) }
    }

    mutating func line() -> [UInt8]? {
        guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        return Array(rest[..<end])
    }
}
