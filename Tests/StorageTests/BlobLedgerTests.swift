import Testing

@testable import Storage

@Suite struct BlobLedgerTests {
    let id: BlobID

    init() throws { id = try #require(BlobID(hex: String(repeating: "a", count: 64))) }

    /// The row was deleted and the same bytes came again before the file went: the file must stay.
    @Test func aReferenceThatComesBackKeepsTheFile() {
        var ledger = BlobLedger()
        #expect(ledger.becameUnreferenced(id) == true)
        #expect(ledger.takeUnreferenced(limit: 10) == [id])
        ledger.staged(id, now: 1)
        ledger.retained(id)
        #expect(ledger.mayRemove(id) == false)
        // Nor later: it is no candidate any more.
        #expect(ledger.mayRemove(id) == false)
    }

    @Test func anUnreferencedFileGoesOnce() {
        var ledger = BlobLedger()
        _ = ledger.becameUnreferenced(id)
        _ = ledger.takeUnreferenced(limit: 10)
        #expect(ledger.mayRemove(id) == true)
        #expect(ledger.mayRemove(id) == false)
    }

    @Test func aHeldFileGoesAfterItsRelease() {
        var ledger = BlobLedger()
        _ = ledger.becameUnreferenced(id)
        _ = ledger.takeUnreferenced(limit: 10)
        ledger.hold(id)
        #expect(ledger.mayRemove(id) == false)
        ledger.removalEnded()
        #expect(ledger.released(id) == true)
        #expect(ledger.takeUnreferenced(limit: 10) == [id])
        #expect(ledger.mayRemove(id) == true)
    }

    /// The sweep asks the database after it named its candidates, so that a reference committed meanwhile counts.
    @Test func aSweepRespectsReferencesThatComeMeanwhile() {
        var ledger = BlobLedger()
        ledger.retire([id])
        ledger.retained(id)
        #expect(ledger.mayRemove(id) == false)
    }
}
