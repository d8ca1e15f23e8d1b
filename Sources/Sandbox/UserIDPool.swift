/// Gives every cell a user of its own. A value type; given out in turn, so that a user is reused as late as possible.
struct UserIDPool {
    private let range: ClosedRange<UInt32>
    private var used: Set<UInt32> = []
    private var next: UInt32

    /// `seed` spreads the beginnings of several servers on one host.
    init(range: ClosedRange<UInt32>, seed: UInt32) {
        self.range = range
        next = range.lowerBound + UInt32(UInt64(seed) * 251 % UInt64(range.count))
    }

    /// Nil when all are in use.
    mutating func take() -> UInt32? {
        guard used.count < range.count else { return nil }
        while used.contains(next) { advance() }
        let id = next
        used.insert(id)
        advance()
        return id
    }

    mutating func giveBack(_ id: UInt32) { used.remove(id) }

    private mutating func advance() { next = next == range.upperBound ? range.lowerBound : next + 1 }
}
