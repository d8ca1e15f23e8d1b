import Testing

@testable import Sandbox

@Suite struct CellMachineTests {
    @Test func aProcessFromStartToEnd() {
        var cell = CellMachine()
        #expect(cell.start(1) == nil)
        #expect(cell.start(1) != nil, "the same id twice")
        #expect(cell.received(.started(process: 1)) == [.answerStart(process: 1, nil)])
        #expect(cell.running == [1])
        #expect(cell.start(1) != nil, "the id is still running")
        #expect(
            cell.received(.exited(process: 1, .exited(3))) == [.deliver(.exited(process: 1, .exited(3)))])
        #expect(cell.received(.exited(process: 1, .exited(3))) == [], "told once")
        #expect(cell.start(1) == nil, "the id is free again")
    }

    @Test func aFailedStartIsAnswered() {
        var cell = CellMachine()
        let error = SandboxError(stage: "execve", errno: 2, message: "/nope")
        #expect(cell.start(1) == nil)
        #expect(cell.received(.startFailed(process: 1, error)) == [.answerStart(process: 1, error)])
        #expect(cell.running == [])
    }

    @Test func anAbandonedStartThatSucceededIsStillTold() {
        var cell = CellMachine()
        #expect(cell.start(1) == nil)
        cell.startAbandoned(1)
        #expect(cell.received(.started(process: 1)) == [])
        #expect(
            cell.received(.exited(process: 1, .signaled(9))) == [.deliver(.exited(process: 1, .signaled(9)))])
    }

    @Test func theEndAnswersWhatWaits() {
        var cell = CellMachine()
        #expect(cell.start(2) == nil)
        #expect(cell.start(1) == nil)
        let actions = cell.ended("killed")
        #expect(actions.count == 3)
        #expect(actions.last == .deliver(.gone(reason: "killed")))
        #expect(cell.ended("again") == [])
        #expect(cell.received(.allKilled) == [])
        #expect(cell.start(3) != nil)
        #expect(cell.destroy() == [])
        #expect(cell.destroy() == nil)
    }

    @Test func destroyIsQuietAndFinal() {
        var cell = CellMachine()
        #expect(cell.start(1) == nil)
        #expect(cell.destroy()?.count == 1)
        #expect(cell.ended("socket") == [], "nobody is told of an end that was asked for")
        #expect(cell.start(2) != nil)
        #expect(!cell.isOpen)
    }

    @Test func nonsenseEndsTheCell() {
        var cell = CellMachine()
        guard case .end = cell.received(.ready(initProcess: 1, ports: [])).first else {
            Issue.record("a second ready must end the cell")
            return
        }
    }
}

@Suite struct UserIDPoolTests {
    @Test func usersAreDistinctAndReusedLate() throws {
        var pool = UserIDPool(range: 100...103, seed: 7)
        let all = (0..<4).compactMap { _ in pool.take() }
        #expect(Set(all) == [100, 101, 102, 103])
        #expect(pool.take() == nil)
        pool.giveBack(all[2])
        pool.giveBack(all[0])
        #expect(Set([pool.take(), pool.take()]) == [all[0], all[2]])
        #expect(pool.take() == nil)
    }
}
