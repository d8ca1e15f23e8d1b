import Testing

@testable import Storage

@Suite struct BlobLedgerTests {
    let id: BlobID

    init() throws { id = try #require(BlobID(hex: String(repeating: "a", count: 64))) }

    /// The row was deleted and the same bytes came again before the file went: the file must stay.
    @Test func aReferenceThatComesBackKeepsTheFile() {
        var ledger = BlobLedger()
        #expect(ledger.becameUnreferenced(id, now: 0) == true)
        #expect(ledger.takeUnreferenced(limit: 10, now: 0).ids == [id])
        ledger.staged(id, now: 1)
        ledger.retained(id)
        #expect(ledger.mayRemove(id) == false)
        // Nor later: it is no candidate any more.
        #expect(ledger.mayRemove(id) == false)
    }

    @Test func anUnreferencedFileGoesOnce() {
        var ledger = BlobLedger()
        _ = ledger.becameUnreferenced(id, now: 0)
        _ = ledger.takeUnreferenced(limit: 10, now: 0)
        #expect(ledger.mayRemove(id) == true)
        #expect(ledger.mayRemove(id) == false)
    }

    @Test func aHeldFileGoesAfterItsRelease() {
        var ledger = BlobLedger()
        _ = ledger.becameUnreferenced(id, now: 0)
        _ = ledger.takeUnreferenced(limit: 10, now: 0)
        ledger.hold(id)
        #expect(ledger.mayRemove(id) == false)
        _ = ledger.removalEnded()
        #expect(ledger.released(id, now: 0) == true)
        #expect(ledger.takeUnreferenced(limit: 10, now: 0).ids == [id])
        #expect(ledger.mayRemove(id) == true)
    }

    /// What lost its last reference while others were being removed is not removed with the next round, but when its own
    /// time has come: somebody may just have read that reference.
    @Test func everyBlobKeepsItsDelay() throws {
        let young = try #require(BlobID(hex: String(repeating: "b", count: 64)))
        var ledger = BlobLedger(removalDelay: 100)
        #expect(ledger.becameUnreferenced(id, now: 0) == true)
        #expect(ledger.becameUnreferenced(id, now: 0) == false, "one plan is enough")
        var taken = ledger.takeUnreferenced(limit: 10, now: 100)
        #expect(taken.ids == [id] && !taken.again)
        #expect(ledger.becameUnreferenced(young, now: 100) == false, "a removal is under way")
        #expect(ledger.removalEnded() == true)
        taken = ledger.takeUnreferenced(limit: 10, now: 150)
        #expect(taken.ids.isEmpty && taken.again, "too young, and not forgotten")
        taken = ledger.takeUnreferenced(limit: 10, now: 200)
        #expect(taken.ids == [young] && !taken.again)
        #expect(ledger.removalEnded() == false)
    }

    /// The sweep asks the database after it named its candidates, so that a reference committed meanwhile counts.
    @Test func aSweepRespectsReferencesThatComeMeanwhile() {
        var ledger = BlobLedger()
        ledger.retire([id])
        ledger.retained(id)
        #expect(ledger.mayRemove(id) == false)
    }
}
