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
            pool.started(environment, function: function, generation: "g")
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
        pool.started(1, function: function, generation: "old")
        _ = pool.finished(1, now: now)
        #expect(pool.choose(generation: "new") == .start(evicting: nil))
    }

    @Test func staleEnvironmentsDrain() {
        var pool = EnvironmentPool<Int>(capacity: 10)
        for environment in 1...2 {
            _ = pool.choose(generation: "old")
            pool.started(environment, function: function, generation: "old")
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
            pool.started(environment, function: function, generation: "g\(environment)")
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
        pool.started(1, function: function, generation: "g")
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
        pool.started(7, function: function, generation: "g")
        #expect(pool.count == 0)
        #expect(pool.choose(generation: "g") == .start(evicting: nil))
    }

    @Test func idleOnesAreEvictedByAge() {
        var pool = EnvironmentPool<Int>(capacity: 2)
        _ = pool.choose(generation: "g")
        pool.started(1, function: function, generation: "g")
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
            switch Int.random(in: 0..<6, using: &generator) {
            case 0, 1, 2:
                let generation = "g\(Int.random(in: 0..<3, using: &generator))"
                switch pool.choose(generation: generation) {
                case .reuse(let environment):
                    #expect(busy.insert(environment).inserted)
                case .start:
                    next += 1
                    pool.started(next, function: function, generation: generation)
                    busy.insert(next)
                case .full:
                    #expect(busy.count == 5)
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
            default:
                _ = pool.evict(idleSince: now - .milliseconds(50))
            }
            #expect(pool.count == busy.count + pool.idleCount)
            #expect(pool.count <= 5)
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
