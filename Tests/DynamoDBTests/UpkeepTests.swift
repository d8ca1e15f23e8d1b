import Platform
import Storage
import Testing
import Wire

@testable import DynamoDB

@Suite struct UpkeepTests {
    private func count(_ harness: Harness, _ table: String) async throws -> Int64 {
        try await harness.call("Scan", ["TableName": .string(table)])["Count"]?.int ?? -1
    }

    private func timeToLive(_ harness: Harness, _ enabled: Bool) async throws {
        _ = try await harness.call(
            "UpdateTimeToLive",
            ["TableName": "tab", "TimeToLiveSpecification": ["Enabled": .bool(enabled), "AttributeName": "end"]])
    }

    private func ends(_ seconds: Int64) -> [(String, AttributeValue)] {
        [("end", .number(DynamoNumber(Int(seconds))))]
    }

    @Test func itemsGoWhenTheirTimeEnds() async throws {
        let harness = try Harness()
        try await harness.makeTable("tab")
        let now = harness.time.now().seconds
        // More than one step's worth from before it was switched on.
        for number in 0..<Limits.rowsPerStep + 20 {
            try await harness.put("tab", Harness.item("old", number, ends(now + 100)))
        }
        try await timeToLive(harness, true)
        try await harness.finishJobs()
        #expect(try await harness.table("tab").definition.timeToLive?.isReady == true)
        try await harness.put("tab", Harness.item("new", 1, ends(now + 50)))
        try await harness.put("tab", Harness.item("new", 2, ends(now + 500)))
        try await harness.put("tab", Harness.item("new", 3, [("end", .string("soon"))]))
        try await harness.put("tab", Harness.item("new", 4, ends(now - Limits.oldestExpirySeconds)))
        harness.time.advance(by: .seconds(60))
        await harness.service.housekeeping.expire()
        #expect(try await count(harness, "tab") == Int64(Limits.rowsPerStep + 20 + 3))
        harness.time.advance(by: .seconds(60))
        await harness.service.housekeeping.expire()
        #expect(try await count(harness, "tab") == 3)
        try await timeToLive(harness, false)
        harness.time.advance(by: .seconds(1000))
        await harness.service.housekeeping.expire()
        #expect(try await count(harness, "tab") == 3)
    }

    @Test func theTimerWakesForTheNextItem() async throws {
        let harness = try Harness()
        try await harness.makeTable("tab")
        try await timeToLive(harness, true)
        try await harness.finishJobs()
        let expiry = harness.desk.keeper.expiry
        expiry.start {}
        #expect(harness.time.nextDue() == nil)
        let now = harness.time.now().seconds
        try await harness.put("tab", Harness.item("a", 1, ends(now + 3600)))
        #expect(harness.time.nextDue()?.seconds == now + 3600)
        try await harness.put("tab", Harness.item("a", 2, ends(now + 60)))
        #expect(harness.time.nextDue()?.seconds == now + 60)
        expiry.stop()
        #expect(harness.time.nextDue() == nil)
    }

    @Test func aNewIndexIsFilledInStepsWhileItemsChange() async throws {
        let harness = try Harness()
        try await harness.makeTable("tab")
        let total = Limits.rowsPerStep * 2 + 10
        for number in 0..<total {
            try await harness.put("tab", Harness.item("p", number, [("g", .string("g\(number % 2)"))]))
        }
        _ = try await harness.call(
            "UpdateTable",
            [
                "TableName": "tab", "AttributeDefinitions": [["AttributeName": "g", "AttributeType": "S"]],
                "GlobalSecondaryIndexUpdates": [
                    [
                        "Create": [
                            "IndexName": "late", "KeySchema": [["AttributeName": "g", "KeyType": "HASH"]],
                            "Projection": ["ProjectionType": "ALL"],
                        ]
                    ]
                ],
            ])
        // Before, behind and in the middle of where the filling is.
        for number in stride(from: 0, to: total, by: 7) {
            _ = try await harness.call("DeleteItem", ["TableName": "tab", "Key": Harness.item("p", number).wire])
        }
        for number in stride(from: 1, to: total, by: 7) {
            try await harness.put("tab", Harness.item("p", number, [("g", .string("other"))]))
        }
        for number in stride(from: 2, to: total, by: 7) {
            try await harness.put(
                "tab", Harness.item("p", number, [("g", .string("g\(number % 2)")), ("more", .bool(true))]))
        }
        try await harness.finishJobs()
        let table = try await harness.table("tab")
        let index = try table.index("late")
        #expect(index.state == .active)
        let items = try await harness.call("Scan", ["TableName": "tab"])["Items"]?.list ?? []
        let indexed = try await harness.call("Scan", ["TableName": "tab", "IndexName": "late"])["Items"]?.list ?? []
        #expect(Set(items) == Set(indexed) && items.count == indexed.count)
        let (whole, part) = try await harness.database.read {
            (try TableStore.counts(table.id, in: $0), try TableStore.counts(index.id, in: $0))
        }
        #expect(whole.items == part.items && whole.bytes == part.bytes)
    }

    @Test func whatADeletedTableLeavesIsRemoved() async throws {
        let harness = try Harness()
        try await harness.makeTable(
            "tab", indexes: SimulationTests.indexes, attributes: ["pk": "S", "sk": "N", "g": "S", "r": "N"])
        for number in 0..<Limits.rowsPerStep + 5 {
            try await harness.put(
                "tab", Harness.item("p", number, [("g", .string("g")), ("r", .number(DynamoNumber(number)))]))
        }
        _ = try await harness.call("DeleteTable", ["TableName": "tab"])
        try await harness.makeTable("tab")
        try await harness.put("tab", Harness.item("p", 1))
        try await harness.finishJobs()
        let left = try await harness.database.read { transaction in
            try ["items", "entries", "counts", "jobs"].map { name in
                try transaction.first("SELECT count(*) FROM dynamodb_\(name)", { $0.int(0) }) ?? -1
            }
        }
        #expect(left == [1, 0, 1, 0])
    }

    @Test func definitionsAreKept() async throws {
        let harness = try Harness()
        try await harness.makeTable(
            "tab", indexes: SimulationTests.indexes, local: SimulationTests.local,
            attributes: ["pk": "S", "sk": "N", "g": "S", "r": "N"], view: "OLD_IMAGE")
        let table = try await harness.table("tab")
        let again = try TableDefinition(stored: table.definition.stored)
        #expect(again.stored == table.definition.stored)
        #expect(again.indexes.map(\.name) == ["local", "global"])
        #expect(throws: Failure.self) { try TableDefinition(stored: Array("{}".utf8)) }
    }
}
