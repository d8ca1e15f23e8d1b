import Platform

/// An open tumbling window of a shard, and what the function has made of its records so far (reference 5.3). A value.
struct TumblingWindow: Sendable, Equatable {
    var start: Instant
    var end: Instant
    /// The function's own, in JSON.
    var state: [UInt8]
    /// Its state has outgrown what is kept: the next invocation is its last, and the window goes on with a new state.
    var isOverfull: Bool { state.count > Limits.windowStateBytes }

    static let emptyState = Array("{}".utf8)

    /// The window of this length that an instant lies in; windows are counted from the epoch.
    init(containing instant: Instant, length: Duration) {
        let length = max(length.clampedNanoseconds, 1)
        start = Instant(nanoseconds: instant.nanoseconds.flooredDivision(by: length) &* length)
        end = start + .nanoseconds(length)
        state = Self.emptyState
    }

    init(start: Instant, end: Instant, state: [UInt8]) {
        self.start = start
        self.end = end
        self.state = state
    }
}
