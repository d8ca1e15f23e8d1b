import Platform
import Synchronization

/// A rate limit: `burst` requests at once, `rate` requests a second in the long run.
struct TokenBucket: Sendable {
    private let rate: Double
    private let burst: Double
    private var tokens: Double
    private var updatedAt: Instant

    /// Starts full.
    init(rate: Double, burst: Int, now: Instant) {
        self.rate = max(rate.isFinite ? rate : 0, 0)
        self.burst = Double(max(burst, 0))
        tokens = self.burst
        updatedAt = now
    }

    /// Takes one token; false when there is none.
    mutating func take(now: Instant) -> Bool {
        // A clock that is set back gives nothing and takes nothing.
        let elapsed = max((now - updatedAt).fractionalSeconds, 0)
        updatedAt = max(updatedAt, now)
        tokens = min(burst, tokens + elapsed * rate)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}

/// The limit of a stage or a route.
struct ThrottleSettings: Sendable, Hashable {
    var rate: Double
    var burst: Int
}

/// The buckets of one stage, made when first needed: as many as it has routes with settings, and one.
final class Throttle: Sendable {
    private let buckets = Mutex<[String: TokenBucket]>([:])

    func admits(_ key: String, _ settings: ThrottleSettings, now: Instant) -> Bool {
        buckets.withLock { buckets in
            buckets[key, default: TokenBucket(rate: settings.rate, burst: settings.burst, now: now)].take(now: now)
        }
    }
}
