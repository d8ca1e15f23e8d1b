import Testing

@testable import CodeCommit

/// A repeatable source of numbers (SplitMix64).
private struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

struct RepositoryTurnsTests {
    @Test func manyShareAndOneRepairs() {
        var turns = RepositoryTurns()
        #expect(turns.enter(.share).grant == .share)
        #expect(turns.enter(.share).grant == .share)
        // The first leaves locks behind: nobody comes in until they are removed, which waits for the other.
        #expect(turns.leave(clean: false).isEmpty == true)
        let waiting = turns.enter(.share)
        #expect(waiting.grant == nil)
        let admitted = turns.leave(clean: true)
        #expect(admitted.map(\.ticket) == [waiting.ticket])
        #expect(admitted.first?.grant == .alone(repair: true))
        #expect(turns.leaveAlone(repaired: true).isEmpty == true)
        #expect(turns.isIdle)
        #expect(turns.enter(.share).grant == .share)
    }

    @Test func doomTurnsEverybodyAway() {
        var turns = RepositoryTurns()
        #expect(turns.enter(.share).grant == .share)
        turns.damage()
        let waiting = turns.enter(.share)
        #expect(turns.doom().map(\.ticket) == [waiting.ticket])
        #expect(turns.enter(.share).grant == .refused)
        let last = turns.enterDoomed()
        #expect(last.grant == nil)
        #expect(turns.leave(clean: false).map(\.grant) == [.alone(repair: false)])
    }

    /// Whatever happens in whatever order: alone means alone, and everybody gets a turn in the end.
    @Test(arguments: 0..<200) func anyOrder(_ seed: Int) {
        var random = Seeded(state: UInt64(seed))
        var turns = RepositoryTurns()
        var sharing = 0
        var isAlone = false
        var isRepairing = false
        var waiting: Set<RepositoryTurns.Ticket> = []
        func take(_ grant: RepositoryTurns.Grant) {
            switch grant {
            case .share:
                #expect(!isAlone && !turns.needsRepair)
                sharing += 1
            case .alone(let repair):
                #expect(!isAlone && sharing == 0)
                isAlone = true
                isRepairing = repair
            case .refused: break
            }
        }
        func settle(_ admitted: [(ticket: RepositoryTurns.Ticket, grant: RepositoryTurns.Grant)]) {
            for (ticket, grant) in admitted {
                #expect(waiting.remove(ticket) != nil)
                take(grant)
            }
        }
        for step in 0..<400 {
            let isEnding = step > 300
            switch Int.random(in: 0..<4, using: &random) {
            case 0 where !isEnding:
                let (ticket, grant) = turns.enter(Bool.random(using: &random) ? .share : .alone)
                if let grant { take(grant) } else { waiting.insert(ticket) }
            case 1 where sharing > 0:
                sharing -= 1
                settle(turns.leave(clean: Int.random(in: 0..<4, using: &random) > 0))
            case 2 where isAlone:
                isAlone = false
                settle(turns.leaveAlone(repaired: isRepairing))
            case 3 where !isEnding: turns.damage()
            default: break
            }
        }
        while sharing > 0 || isAlone {
            if isAlone {
                isAlone = false
                settle(turns.leaveAlone(repaired: true))
            } else {
                sharing -= 1
                settle(turns.leave(clean: true))
            }
        }
        #expect(waiting.isEmpty)
    }
}
