import Contracts
import Platform

/// How many batches of one mapping run at the same time: begins small, grows while there is a backlog, shrinks with
/// failures and when the source is empty (reference 5.2). A value.
///
/// AWS grows by 300 a minute whatever the function does. On one machine more environments only help functions that wait for
/// something, so it does not grow while batches end quickly.
struct PollerConcurrency: Equatable {
    struct Bounds: Equatable {
        var start = Limits.startConcurrency
        var least = Limits.leastConcurrency
        var most = Limits.longestConcurrency
        var growthPerSecond = Limits.growthPerSecond

        /// The bounds of a mapping on a machine that can run so many environments.
        init(_ mapping: EventSourceMapping, machine: Int) {
            if let pollers = mapping.provisionedPollers {
                start = pollers.minimum * Limits.concurrencyPerProvisionedPoller
                least = start
                most = pollers.maximum * Limits.concurrencyPerProvisionedPoller
                growthPerSecond = Limits.provisionedGrowthPerSecond
            }
            most = max(1, min(most, machine, mapping.maximumConcurrency ?? .max))
            start = min(start, most)
            least = min(least, start)
        }
    }

    private(set) var bounds: Bounds
    /// The function's reserved concurrency: more would only be throttled. A reservation of 0 lets one through, which learns
    /// that it is throttled.
    var reserved: Int?
    private var wish: Int
    private var grownAt: Instant?
    private var completions = 0

    init(_ bounds: Bounds) {
        self.bounds = bounds
        wish = bounds.start
    }

    var limit: Int { max(1, min(wish, bounds.most, reserved ?? .max)) }

    mutating func change(_ bounds: Bounds) {
        guard bounds != self.bounds else { return }
        self.bounds = bounds
        wish = min(max(wish, bounds.start), bounds.most)
    }

    mutating func completed() { completions += 1 }

    /// The function failed, or there was no room for it: a step back.
    mutating func failed() { wish = max(bounds.least, limit - 1) }

    /// The source is empty.
    mutating func quiet() {
        wish = bounds.start
        grownAt = nil
        completions = 0
    }

    /// There is more than fits into what runs. Grows when it is time; answers when to ask again, nil when it cannot grow.
    mutating func backlog(now: Instant) -> Instant? {
        guard limit < min(bounds.most, max(reserved ?? .max, 1)) else { return nil }
        let last = grownAt ?? now
        if grownAt != nil, now >= last + .seconds(1) {
            let elapsed = max((now - last).fractionalSeconds, 1)
            if Double(completions) < Double(limit * Limits.quickBatchesPerSecond) * elapsed {
                wish = min(bounds.most, limit + bounds.growthPerSecond)
            }
            grownAt = now
            completions = 0
            return now + .seconds(1)
        }
        if grownAt == nil {
            grownAt = now
            completions = 0
        }
        return last + .seconds(1)
    }
}
