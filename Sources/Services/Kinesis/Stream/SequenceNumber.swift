import Platform

/// The number of a record in its shard: what orders records, and is never given twice.
///
/// Its upper bits are the milliseconds of the record's arrival, so that a time is a place in the shard; the lower twenty
/// count within. It only grows: a clock that steps back, and more than a million records in a millisecond, run ahead.
struct Position: Sendable, Hashable, Comparable {
    var number: Int64

    init(_ number: Int64) { self.number = number }

    /// Before everything.
    static let start = Position(0)
    /// The first that can arrive at `time` or later. Times out of range clamp.
    static func first(at time: Instant) -> Position {
        let milliseconds = (time.nanoseconds / 1_000_000) + (time.nanoseconds % 1_000_000 > 0 ? 1 : 0)
        return Position(min(max(milliseconds, 0), (1 << 42) - 1) << bits)
    }

    private static let bits: Int64 = 20

    /// To the millisecond.
    var arrival: Instant { Instant(milliseconds: number >> Position.bits) }
    /// Clamps at the end of numbers, which no clock reaches.
    func advanced(by count: Int) -> Position {
        let (sum, overflow) = number.addingReportingOverflow(Int64(count))
        return Position(overflow ? .max : sum)
    }

    static func < (a: Position, b: Position) -> Bool { a.number < b.number }
}

/// A sequence number as clients see it: 56 decimal digits in AWS's second layout, 47 hexadecimal digits of which the first
/// is 2: nine of the shard's creation in seconds, one of zero, sixteen of the position, two of zero, nine of the arrival in
/// seconds, eight of the shard's number, and the layout, 2.
struct SequenceNumber: Sendable, Hashable {
    /// Seconds since 1970.
    var shardCreated: Int64
    var shard: Int64
    var position: Position

    /// Text of the first number of a shard, before every record.
    var text: String {
        let seconds = position == .start ? shardCreated : position.arrival.seconds
        let time = UInt64(bitPattern: seconds) & 0xF_FFFF_FFFF
        let number = UInt64(bitPattern: position.number)
        let low = 2 | (UInt64(bitPattern: shard) & 0xFFFF_FFFF) << 4 | time << 36
        let middle = time >> 28 | number << 16
        let high = number >> 48 | (UInt64(bitPattern: shardCreated) & 0xF_FFFF_FFFF) << 20 | 2 << 56
        return Self.decimal(high, middle, low)
    }

    /// Nil for what no such number is.
    init?(_ text: String) {
        guard text.utf8.count == 56, let (high, middle, low) = Self.words(text), high >> 56 == 2, low & 15 == 2,
            high >> 16 & 15 == 0, middle >> 8 & 0xFF == 0
        else { return nil }
        let number = (high & 0xFFFF) << 48 | middle >> 16
        guard number <= UInt64(Int64.max) else { return nil }
        shardCreated = Int64(high >> 20 & 0xF_FFFF_FFFF)
        shard = Int64(low >> 4 & 0xFFFF_FFFF)
        position = Position(Int64(number))
    }

    init(shardCreated: Int64, shard: Int64, position: Position) {
        self.shardCreated = shardCreated
        self.shard = shard
        self.position = position
    }

    /// Whether a comes before b, as numbers.
    static func isBefore(_ a: String, _ b: String) -> Bool {
        let (first, second) = (a.utf8.drop { $0 == 0x30 }, b.utf8.drop { $0 == 0x30 })
        if first.count != second.count { return first.count < second.count }
        return first.lexicographicallyPrecedes(second)
    }

    // MARK: Decimal

    private static let chunk: UInt64 = 1_000_000_000_000_000_000

    /// 56 digits of a number of 188 bits.
    private static func decimal(_ high: UInt64, _ middle: UInt64, _ low: UInt64) -> String {
        var (a, b, c) = (high, middle, low)
        return String(unsafeUninitializedCapacity: 56) { out in
            var end = 56
            while end > 0 {
                let first = a.quotientAndRemainder(dividingBy: chunk)
                let second = chunk.dividingFullWidth((first.remainder, b))
                let third = chunk.dividingFullWidth((second.remainder, c))
                (a, b, c) = (first.quotient, second.quotient, third.quotient)
                var rest = third.remainder
                for _ in 0..<min(18, end) {
                    end -= 1
                    out[end] = UInt8(0x30 + rest % 10)
                    rest /= 10
                }
            }
            return 56
        }
    }

    /// Nil when it is not of digits only. 56 digits are below 2^187.
    private static func words(_ text: String) -> (UInt64, UInt64, UInt64)? {
        var (a, b, c): (UInt64, UInt64, UInt64) = (0, 0, 0)
        for byte in text.utf8 {
            guard (0x30...0x39).contains(byte) else { return nil }
            let third = c.multipliedFullWidth(by: 10)
            let (low, carry) = third.low.addingReportingOverflow(UInt64(byte - 0x30))
            let second = b.multipliedFullWidth(by: 10)
            let (middle, carry2) = second.low.addingReportingOverflow(third.high + (carry ? 1 : 0))
            a = a &* 10 &+ second.high &+ (carry2 ? 1 : 0)
            (b, c) = (middle, low)
        }
        return (a, b, c)
    }
}
