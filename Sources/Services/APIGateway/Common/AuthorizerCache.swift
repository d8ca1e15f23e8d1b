import Platform
import Synchronization

/// Answers of Lambda authorizers, kept for their time to live. Bounded: over the limit what was used longest ago goes.
final class AuthorizerCache: Sendable {
    struct Key: Sendable, Hashable {
        var api: String
        var stage: String
        var authorizer: String
        /// The values of the identity sources.
        var identity: [String]
    }

    private struct Entry {
        var answer: AuthorizerAnswer
        var expiresAt: Instant
        var usedAt: UInt64
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var clock: UInt64 = 0
    }

    private let state = Mutex(State())
    /// Counts what was forgotten: an answer that was asked for before is not kept after it.
    private let forgotten = Atomic<UInt64>(0)
    private let limit: Int

    init(limit: Int = Limits.cachedAuthorizations) { self.limit = limit }

    func find(_ key: Key, now: Instant) -> AuthorizerAnswer? {
        state.withLock { state in
            guard var entry = state.entries[key] else { return nil }
            guard now < entry.expiresAt else {
                state.entries[key] = nil
                return nil
            }
            state.clock += 1
            entry.usedAt = state.clock
            state.entries[key] = entry
            return entry.answer
        }
    }

    /// For `keep`. To be read before the API is looked up that names the authorizer: an edit drops the compiled API first and
    /// forgets then, so that who reads the new generation finds the new API.
    var generation: UInt64 { forgotten.load(ordering: .acquiring) }

    func keep(_ answer: AuthorizerAnswer, for key: Key, until: Instant, asked generation: UInt64) {
        guard key.identity.reduce(0, { $0 + $1.utf8.count }) <= Limits.authorizationKey else { return }
        state.withLock { state in
            guard forgotten.load(ordering: .relaxed) == generation else { return }
            if state.entries.count >= limit { Self.thinOut(&state) }
            state.clock += 1
            state.entries[key] = Entry(answer: answer, expiresAt: until, usedAt: state.clock)
        }
    }

    /// Drops the older half at once, so that a full cache costs little for each new entry.
    private static func thinOut(_ state: inout State) {
        let ages = state.entries.values.map(\.usedAt).sorted()
        let median = ages[ages.count / 2]
        state.entries = state.entries.filter { $0.value.usedAt > median }
    }

    /// Forgets what belongs to an API, or to one of its stages.
    func forget(api: String, stage: String? = nil) {
        state.withLock { state in
            forgotten.add(1, ordering: .releasing)
            state.entries = state.entries.filter { $0.key.api != api || stage != nil && $0.key.stage != stage }
        }
    }

    var count: Int { state.withLock { $0.entries.count } }
}
