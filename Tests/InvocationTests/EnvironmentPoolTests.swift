import Platform
import Testing

@testable import Invocation

@Suite struct EnvironmentPoolTests {
    let function = EnvironmentPool<Int>.FunctionKey(
        scope: AccountRegion(account: "000000000000", region: "us-east-1"), name: "f")
    let now = Instant(milliseconds: 0)

    @Test func theEnvironmentUsedLastIsReusedFirst() {
        var pool = EnvironmentPool<Int>(capacity: 10)
        for environment in 1...2 {
            #expect(pool.choose(generation: "g") == .start(evicting: nil))
            pool.started(environment, function: function, generation: "g", now: now)
        }
        #expect(pool.finished(1, now: now) == false)
        #expect(pool.finished(2, now: now) == false)
        #expect(pool.choose(generation: "g") == .reuse(2))
        #expect(pool.choose(generation: "g") == .reuse(1))
        #expect(pool.choose(generation: "g") == .start(evicting: nil))
    }

    @Test func generationsDoNotShare() {
        var pool = EnvironmentPool<Int>(capacity: 10)
        _ = pool.choose(generation: "old")
        pool.started(1, function: function, generation: "old", now: now)
        _ = pool.finished(1, now: now)
        #expect(pool.choose(generation: "new") == .start(evicting: nil))
    }

    @Test func staleEnvironmentsDrain() {
        var pool = EnvironmentPool<Int>(capacity: 10)
        for environment in 1...2 {
            _ = pool.choose(generation: "old")
            pool.started(environment, function: function, generation: "old", now: now)
        }
        _ = pool.finished(1, now: now)
        // The idle one goes now, the busy one when it is done.
        #expect(pool.setCurrent(["new"], of: function) == [1])
        #expect(pool.finished(2, now: now) == true)
        #expect(pool.count == 0)
        #expect(pool.choose(generation: "old") == .start(evicting: nil))
    }

    @Test func fullPoolEvictsTheLongestIdleElseRefuses() {
        var pool = EnvironmentPool<Int>(capacity: 2)
        for environment in 1...2 {
            _ = pool.choose(generation: "g\(environment)")
            pool.started(environment, function: function, generation: "g\(environment)", now: now)
        }
        #expect(pool.choose(generation: "g3") == .full)
        _ = pool.finished(2, now: now)
        _ = pool.finished(1, now: now + .seconds(1))
        #expect(pool.choose(generation: "g3") == .start(evicting: 2))
        #expect(pool.count == 2)
    }

    @Test func finishedTwiceOrAfterTheEndDoesNothing() {
        var pool = EnvironmentPool<Int>(capacity: 2)
        _ = pool.choose(generation: "g")
        pool.started(1, function: function, generation: "g", now: now)
        _ = pool.finished(1, now: now)
        #expect(pool.finished(1, now: now) == false)
        #expect(pool.idleCount == 1)
        pool.ended(1)
        #expect(pool.finished(1, now: now) == false)
        #expect(pool.choose(generation: "g") == .start(evicting: nil))
    }

    @Test func anEndBeforeTheStartIsKnownLeavesNothing() {
        var pool = EnvironmentPool<Int>(capacity: 1)
        #expect(pool.choose(generation: "g") == .start(evicting: nil))
        pool.ended(7)
        pool.started(7, function: function, generation: "g", now: now)
        #expect(pool.count == 0)
        #expect(pool.choose(generation: "g") == .start(evicting: nil))
    }

    @Test func theNearestOfTheLastUsedIsPreferredAndAnyOtherServes() {
        var pool = EnvironmentPool<Int>(capacity: 100)
        for environment in 1...40 {
            _ = pool.choose(generation: "g")
            pool.started(environment, function: function, generation: "g", now: now)
        }
        for environment in 1...40 { _ = pool.finished(environment, now: now) }
        #expect(pool.choose(generation: "g", isNear: { $0 % 10 == 7 }) == .reuse(37))
        #expect(pool.choose(generation: "g", isNear: { $0 % 10 == 7 }) == .reuse(27))
        // The only near one is too far down: not worth looking for.
        #expect(pool.choose(generation: "g", isNear: { $0 == 2 }) == .reuse(40))
        #expect(pool.choose(generation: "g", isNear: { _ in false }) == .reuse(39))
        #expect(pool.idleCount == 36)
    }

    /// An environment that is being shut down still holds memory.
    @Test func thoseOnTheirWayOutCount() {
        var pool = EnvironmentPool<Int>(capacity: 10)
        for environment in 1...10 {
            _ = pool.choose(generation: "g")
            pool.started(environment, function: function, generation: "g", now: now)
            _ = pool.finished(environment, now: now + .milliseconds(environment))
            #expect(pool.choose(generation: "g") == .reuse(environment))
        }
        for environment in 1...10 { _ = pool.finished(environment, now: now + .milliseconds(environment)) }
        for victim in 1...5 { #expect(pool.choose(generation: "h\(victim)") == .start(evicting: victim)) }
        #expect(pool.choose(generation: "h6") == .full, "half of the machine is on its way out already")
        pool.ended(1)
        #expect(pool.choose(generation: "h6") == .start(evicting: 6))
    }

    @Test func theyAreReplacedBeforeTheirCredentialsExpire() {
        var pool = EnvironmentPool<Int>(capacity: 10)
        _ = pool.choose(generation: "g")
        pool.started(1, function: function, generation: "g", now: now)
        #expect(pool.finished(1, now: now + .seconds(11 * 3600 - 1)) == false)
        #expect(pool.choose(generation: "g") == .reuse(1))
        #expect(pool.finished(1, now: now + .seconds(11 * 3600)) == true)
        #expect(pool.choose(generation: "g") == .start(evicting: nil))
        #expect(pool.leaving == [1])
    }

    @Test func idleOnesAreEvictedByAge() {
        var pool = EnvironmentPool<Int>(capacity: 2)
        _ = pool.choose(generation: "g")
        pool.started(1, function: function, generation: "g", now: now)
        #expect(pool.evict(idleSince: now + .seconds(900)).isEmpty)
        _ = pool.finished(1, now: now + .seconds(10))
        #expect(pool.evict(idleSince: now + .seconds(9)).isEmpty)
        #expect(pool.evict(idleSince: now + .seconds(10)) == [1])
        #expect(pool.idleCount == 0)
    }

    /// Any order of events keeps the books: counts agree, and no environment is given out twice.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func randomEventsKeepTheBooks(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var pool = EnvironmentPool<Int>(capacity: 5)
        var busy = Set<Int>()
        var next = 0
        for step in 0..<2_000 {
            let now = Instant(milliseconds: Int64(step))
            switch Int.random(in: 0..<7, using: &generator) {
            case 0, 1, 2:
                let generation = "g\(Int.random(in: 0..<3, using: &generator))"
                switch pool.choose(generation: generation) {
                case .reuse(let environment):
                    #expect(busy.insert(environment).inserted)
                case .start:
                    next += 1
                    pool.started(next, function: function, generation: generation, now: now)
                    busy.insert(next)
                case .full:
                    #expect(pool.count + pool.leaving.count >= 5)
                }
            case 3:
                if let environment = busy.randomElement(using: &generator) {
                    busy.remove(environment)
                    _ = pool.finished(environment, now: now)
                }
            case 4:
                if let environment = busy.randomElement(using: &generator) {
                    busy.remove(environment)
                    pool.ended(environment)
                }
            case 5:
                _ = pool.evict(idleSince: now - .milliseconds(50))
            default:
                if let environment = pool.leaving.randomElement(using: &generator) { pool.ended(environment) }
            }
            #expect(pool.count == busy.count + pool.idleCount)
            #expect(pool.count <= 5)
            #expect(pool.count + pool.leaving.count <= 5 + Limits.leavingEnvironments)
        }
    }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
