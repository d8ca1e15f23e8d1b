import NIOCore

/// What a connection is waiting for and since when: a value, asked when its time has come.
struct IdleWatch: Sendable {
    enum Kind: Sendable, Equatable { case none, head, body, write, keepAlive, linger }

    enum Verdict: Sendable, Equatable {
        /// Look again at `deadline`.
        case wait
        case expired(Kind)
    }

    private(set) var kind = Kind.none
    /// When to look again; far away when there is nothing to wait for.
    private(set) var deadline = NIODeadline.distantFuture
    private var unsentBytes = 0

    mutating func begin(_ kind: Kind, limits: GatewayLimits, now: NIODeadline, unsentBytes: Int) {
        self.kind = kind
        self.unsentBytes = unsentBytes
        deadline = kind == .none ? .distantFuture : now + IdleWatch.span(kind, limits)
    }

    /// `unsentBytes` is what the channel still holds: an answer that shrinks is not stuck.
    mutating func check(limits: GatewayLimits, now: NIODeadline, unsentBytes: Int) -> Verdict {
        guard kind != .none, now >= deadline else { return .wait }
        let unmoved = unsentBytes == self.unsentBytes
        switch kind {
        case .none: return .wait
        case .write where unsentBytes == 0 || !unmoved, .keepAlive where unsentBytes > 0 && !unmoved:
            begin(kind, limits: limits, now: now, unsentBytes: unsentBytes)
            return .wait
        case .head, .body, .write, .keepAlive, .linger: return .expired(kind)
        }
    }

    private static func span(_ kind: Kind, _ limits: GatewayLimits) -> TimeAmount {
        switch kind {
        case .none: .zero
        case .head: TimeAmount(limits.headTimeout)
        case .body: TimeAmount(limits.bodyIdleTimeout)
        case .write: TimeAmount(limits.writeIdleTimeout)
        case .keepAlive: TimeAmount(limits.keepAliveTimeout)
        case .linger: TimeAmount(limits.lingeringTimeout)
        }
    }
}
