/// When a body that streams has taken too long: all of it, or its next piece. Generic over the clock so that its rules are
/// tested without waiting.
struct StreamWatch<Moment: InstantProtocol> where Moment.Duration == Duration {
    private let end: Moment
    private let idle: Duration
    private var askedAt: Moment?

    init(now: Moment, longest: Duration, idle: Duration) {
        end = now.advanced(by: longest)
        self.idle = idle
    }

    /// The next piece is waited for.
    mutating func asked(now: Moment) { askedAt = now }

    /// It is there; what its taker does with it takes the time it takes.
    mutating func came() { askedAt = nil }

    /// When to look again; nil when it has taken too long.
    func check(now: Moment) -> Moment? {
        let next = min(end, (askedAt ?? now).advanced(by: idle))
        return next > now ? next : nil
    }
}
