import Platform
import Synchronization
import Testing

private final class Counts: Sendable {
    private let state = Mutex((now: 0, most: 0, done: 0))
    var most: Int { state.withLock { $0.most } }
    var done: Int { state.withLock { $0.done } }
    func begin() { state.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1), $0.done) } }
    func end() { state.withLock { $0 = ($0.now - 1, $0.most, $0.done + 1) } }
}

@Suite struct GateTests {
    @Test func onlySoManyAtATime() async throws {
        let gate = Gate(limit: 2, waiting: 100)
        let counts = Counts()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<40 {
                group.addTask {
                    try await gate.run {
                        counts.begin()
                        await Task.yield()
                        counts.end()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(counts.most <= 2)
        #expect(counts.done == 40)
    }

    @Test func tooManyWaitingAreRefused() async throws {
        let gate = Gate(limit: 1, waiting: 0)
        try await gate.run {
            await #expect(throws: Failure.self) { try await gate.run {} }
        }
        try await gate.run {}
    }

    @Test func aFailureGivesTheTurnBack() async throws {
        let gate = Gate(limit: 1, waiting: 0)
        await #expect(throws: Failure.self) { try await gate.run { throw Failure(.bug, "") } }
        try await gate.run {}
    }
}
