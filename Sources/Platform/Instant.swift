/// A point in wall-clock time: nanoseconds since 1970-01-01T00:00:00Z.
public struct Instant: Sendable, Hashable, Comparable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// Clamps at the ends of the representable range (years 1677 to 2262), so that hostile numbers cannot trap.
    public init(milliseconds: Int64) {
        let (value, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        self.nanoseconds = overflow ? (milliseconds < 0 ? .min : .max) : value
    }

    /// Seconds since the epoch; clamps, and takes NaN as the epoch.
    public init(seconds: Double) {
        let value = seconds * 1e9
        if value.isNaN {
            self.nanoseconds = 0
        } else if value >= 9.2e18 {
            self.nanoseconds = .max
        } else if value <= -9.2e18 {
            self.nanoseconds = .min
        } else {
            self.nanoseconds = Int64(value)
        }
    }

    public var milliseconds: Int64 { nanoseconds.flooredDivision(by: 1_000_000) }
    public var seconds: Int64 { nanoseconds.flooredDivision(by: 1_000_000_000) }
    /// Seconds with a fraction, as JSON protocols send timestamps.
    public var fractionalSeconds: Double { Double(nanoseconds) / 1e9 }

    public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    public static func + (a: Instant, b: Duration) -> Instant {
        let (value, overflow) = a.nanoseconds.addingReportingOverflow(b.clampedNanoseconds)
        return Instant(nanoseconds: overflow ? (b < .zero ? .min : .max) : value)
    }

    public static func - (a: Instant, b: Duration) -> Instant { a + (.zero - b) }

    public static func - (a: Instant, b: Instant) -> Duration {
        let (value, overflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds)
        return .nanoseconds(overflow ? (a < b ? .min : .max) : value)
    }
}

extension Duration {
    /// The whole duration in nanoseconds, clamped to Int64.
    public var clampedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, overflow2) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow2 ? (seconds < 0 ? .min : .max) : sum
    }

    public var fractionalMilliseconds: Double { Double(clampedNanoseconds) / 1e6 }
    public var fractionalSeconds: Double { Double(clampedNanoseconds) / 1e9 }

    /// A wait in the time of `--time-scale`.
    public func divided(by scale: Double) -> Duration {
        scale == 1 ? self : .nanoseconds(Int64(Double(clampedNanoseconds) / max(scale, 0.001)))
    }
}

extension Int64 {
    /// Division that rounds towards minus infinity, so that times before 1970 keep their order. `divisor` is positive.
    @inlinable
    public func flooredDivision(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
