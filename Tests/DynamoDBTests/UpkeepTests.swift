import Logging
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

    private func damage(_ sql: String, _ harness: Harness) async throws {
        try await harness.database.write { _ = try $0.execute(sql, []) }
    }

    private func addIndex(_ harness: Harness, to table: String) async throws {
        _ = try await harness.call(
            "UpdateTable",
            [
                "TableName": .string(table), "AttributeDefinitions": [["AttributeName": "g", "AttributeType": "S"]],
                "GlobalSecondaryIndexUpdates": [
                    [
                        "Create": [
                            "IndexName": "late", "KeySchema": [["AttributeName": "g", "KeyType": "HASH"]],
                            "Projection": ["ProjectionType": "KEYS_ONLY"],
                        ]
                    ]
                ],
            ])
    }

    @Test func stepsBoundBytes() async throws {
        let harness = try Harness()
        let table = try await harness.makeTable("tab", view: "NEW_IMAGE")
        let large = AttributeValue.string(String(repeating: "x", count: 390_000))
        for number in 0..<24 {
            try await harness.put("tab", Harness.item("p", number, [("g", .string("g")), ("large", large)]))
        }
        let perStep = Limits.bytesPerStep / 390_000 + 1
        let page = try await harness.database.read { try ItemStore.page(table.id, after: [], in: $0) }
        #expect(page.rows.count == perStep && page.hasMore)
        harness.desk.jobs.stop()
        try await addIndex(harness, to: "tab")
        var steps = 1
        while try await harness.database.write({ [desk = harness.desk] in try desk.jobs.step(in: $0) }) { steps += 1 }
        #expect(steps >= 24 / perStep + 1)
        let cutoff = harness.time.now() + .seconds(1)
        let trimmed = try await harness.database.write {
            try StreamStore.trim(before: cutoff, limit: Limits.rowsPerStep, in: $0)
        }
        let kept = try await harness.database.read {
            try $0.first("SELECT count(*) FROM dynamodb_records", []) { $0.int(0) }
        }
        #expect(trimmed && (kept ?? 0) >= Int64(24 - perStep))
        let more = try await harness.database.write { try ItemStore.removeSome(table: table.id, in: $0) }
        let left = try await harness.database.read {
            try $0.first("SELECT count(*) FROM dynamodb_items", []) { $0.int(0) }
        }
        #expect(more && left == Int64(24 - perStep))
    }

    @Test func damagedItemsStopNothingElse() async throws {
        let harness = try Harness()
        try await harness.makeTable("tab")
        try await timeToLive(harness, true)
        try await harness.finishJobs()
        let now = harness.time.now().seconds
        for number in 0..<3 {
            try await harness.put("tab", Harness.item("p", number, [("g", .string("g"))] + ends(now + 10)))
        }
        try await damage(
            "UPDATE dynamodb_items SET item = x'FF' WHERE id = (SELECT min(id) FROM dynamodb_items)", harness)
        try await addIndex(harness, to: "tab")
        try await harness.finishJobs()
        let table = try await harness.table("tab")
        #expect(try table.index("late").state == .active)
        harness.time.advance(by: .seconds(60))
        await harness.service.housekeeping.expire()
        let left = try await harness.database.read {
            try $0.query("SELECT expires IS NULL FROM dynamodb_items", []) { $0.bool(0) }
        }
        #expect(left == [true])
    }

    @Test func aJobThatFailsIsPassedOver() async throws {
        let harness = try Harness()
        for name in ["bad", "good"] {
            try await harness.makeTable(name)
            try await harness.put(name, Harness.item("p", 1, [("g", .string("g"))]))
        }
        harness.desk.jobs.stop()
        try await addIndex(harness, to: "bad")
        try await addIndex(harness, to: "good")
        try await damage("UPDATE dynamodb_tables SET definition = x'FF' WHERE name = 'bad'", harness)
        let jobs = Jobs(
            database: harness.database, time: harness.time, directory: harness.desk.directory,
            expiry: harness.desk.keeper.expiry, logger: Logger(label: "test"))
        jobs.run()
        for _ in 0..<10_000 {
            if try await harness.table("good").index("late").state == .active { break }
            try await Task.sleep(for: .milliseconds(1))
        }
        #expect(try await harness.table("good").index("late").state == .active)
        jobs.stop()
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
