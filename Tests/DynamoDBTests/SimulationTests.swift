import Contracts
import Platform
import Storage
import Testing
import Wire

@testable import DynamoDB

/// Random writes against a plain model: whatever happened, reads, indexes, counts and the stream tell the same story.
@Suite struct SimulationTests {
    static let indexes: Value = [
        [
            "IndexName": "global", "Projection": ["ProjectionType": "KEYS_ONLY"],
            "KeySchema": [["AttributeName": "g", "KeyType": "HASH"], ["AttributeName": "r", "KeyType": "RANGE"]],
        ]
    ]
    static let local: Value = [
        [
            "IndexName": "local", "Projection": ["ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]],
            "KeySchema": [["AttributeName": "pk", "KeyType": "HASH"], ["AttributeName": "r", "KeyType": "RANGE"]],
        ]
    ]

    struct Key: Hashable {
        var partition: String
        var sort: Int
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func everythingAgrees(seed: UInt64) async throws {
        var random = Seeded(seed)
        let harness = try Harness()
        try await harness.makeTable(
            "tab", indexes: Self.indexes, local: Self.local, attributes: ["pk": "S", "sk": "N", "g": "S", "r": "N"],
            view: "NEW_AND_OLD_IMAGES")
        var model: [Key: Item] = [:]
        for _ in 0..<300 { try await step(harness, &model, &random) }

        try await checkTable(harness, model)
        try await checkIndexes(harness, model)
        try await checkStream(harness, model)
    }

    private func step(_ harness: Harness, _ model: inout [Key: Item], _ random: inout Seeded) async throws {
        let key = Key(partition: "p\(Int.random(in: 0..<4, using: &random))", sort: .random(in: -6..<6, using: &random))
        func value() -> AttributeValue { .number(DynamoNumber(Int.random(in: -3...3, using: &random))) }
        var more: [(String, AttributeValue)] = [("x", value()), ("y", value())]
        if Bool.random(using: &random) { more.append(("g", .string("g\(Int.random(in: 0..<3, using: &random))"))) }
        if Bool.random(using: &random) { more.append(("r", value())) }
        let item = Harness.item(key.partition, key.sort, more)
        let keyValue = Harness.item(key.partition, key.sort).wire
        switch Int.random(in: 0..<6, using: &random) {
        case 0, 1:
            try await harness.put("tab", item)
            model[key] = item
        case 2:
            _ = try await harness.call("DeleteItem", ["TableName": "tab", "Key": keyValue])
            model[key] = nil
        case 3:
            _ = try await harness.call(
                "UpdateItem",
                [
                    "TableName": "tab", "Key": keyValue, "UpdateExpression": "SET r = :r REMOVE g",
                    "ExpressionAttributeValues": [":r": item["x"]?.wire ?? .null],
                ])
            var updated = model[key] ?? Harness.item(key.partition, key.sort)
            updated["r"] = item["x"]
            updated["g"] = nil
            model[key] = updated
        case 4:
            // Goes or does not as a whole.
            let wants = Bool.random(using: &random)
            let result = try? await harness.call(
                "TransactWriteItems",
                [
                    "TransactItems": [
                        ["Put": ["TableName": "tab", "Item": item.wire]],
                        [
                            "Delete": [
                                "TableName": "tab", "Key": Harness.item("other", key.sort).wire,
                                "ConditionExpression": wants ? "attribute_not_exists(zz)" : "attribute_exists(zz)",
                            ]
                        ],
                    ]
                ])
            #expect((result != nil) == wants)
            if wants {
                model[key] = item
                model[Key(partition: "other", sort: key.sort)] = nil
            }
        default:
            _ = try await harness.call(
                "BatchWriteItem",
                ["RequestItems": ["tab": [["PutRequest": ["Item": item.wire]]]]])
            model[key] = item
        }
    }

    private func checkTable(_ harness: Harness, _ model: [Key: Item]) async throws {
        let scanned = try await harness.call("Scan", ["TableName": "tab"])
        let items = try (scanned["Items"]?.list ?? []).map { try Item(wire: $0) }
        #expect(Set(items) == Set(model.values) && items.count == model.count)
        for partition in Set(model.keys.map(\.partition)) {
            let answer = try await harness.call(
                "Query",
                [
                    "TableName": "tab", "KeyConditionExpression": "pk = :p AND sk BETWEEN :a AND :b",
                    "ExpressionAttributeValues": [
                        ":p": ["S": .string(partition)], ":a": ["N": "-4"], ":b": ["N": "3"],
                    ],
                ])
            let found = try (answer["Items"]?.list ?? []).map { try Item(wire: $0) }
            let wanted = model.filter { $0.key.partition == partition && (-4...3).contains($0.key.sort) }
                .sorted { $0.key.sort < $1.key.sort }.map(\.value)
            #expect(found == wanted)
        }
        let table = try await harness.table("tab")
        let counts = try await harness.database.read { try TableStore.counts(table.id, in: $0) }
        #expect(counts.items == model.count)
        #expect(counts.bytes == model.values.reduce(0) { $0 + $1.size })
    }

    private func checkIndexes(_ harness: Harness, _ model: [Key: Item]) async throws {
        let table = try await harness.table("tab")
        for index in table.definition.indexes {
            let inIndex = model.values.filter { item in index.key.attributes.allSatisfy { item[$0.name] != nil } }
                .map { index.project($0, table: table.key) }
            let answer = try await harness.call("Scan", ["TableName": "tab", "IndexName": .string(index.name)])
            let found = try (answer["Items"]?.list ?? []).map { try Item(wire: $0) }
            #expect(found.count == inIndex.count && Set(found) == Set(inIndex), "\(index.name)")
            let counts = try await harness.database.read { try TableStore.counts(index.id, in: $0) }
            #expect(counts.items == inIndex.count)
            #expect(counts.bytes == inIndex.reduce(0) { $0 + $1.size })
        }
    }

    /// Played from its beginning, the stream makes the table.
    private func checkStream(_ harness: Harness, _ model: [Key: Item]) async throws {
        let table = try await harness.table("tab")
        let stream = try #require(table.definition.stream)
        var played: [Item: Item] = [:]
        let records = try await harness.database.read { transaction in
            let shard = try #require(try StreamStore.shards(stream.id, after: 0, limit: 10, in: transaction).first)
            return try StreamStore.records(
                shard: shard.row, after: 0, limit: .max, bytes: .max, since: Instant(nanoseconds: 0), in: transaction)
        }.records
        for stored in records {
            let record = stored.record
            #expect(played[record.keys] == record.old)
            #expect(record.old != record.new)
            played[record.keys] = record.new
        }
        #expect(Set(played.values) == Set(model.values) && played.count == model.count)
    }
}
