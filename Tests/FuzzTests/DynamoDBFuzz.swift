import Testing
import Wire

@testable import DynamoDB

/// Expressions, numbers and values of requests, and the store's items.
@Suite struct DynamoDBFuzz {
    static let values: [(String, AttributeValue)] = [
        (":a", .number(DynamoNumber(1))), (":b", .string("b")), (":l", .list([.null])), (":s", .set(of: ["x", "y"])),
        (":t", .string("S")),
    ]
    static let item: Item = [
        "a": .number(DynamoNumber(3)), "b": .map(["c": .list([.string("d"), .null])]), "s": .set(of: ["x"]),
        "l": .list([.null, .null]),
    ]

    @Test(arguments: Mutator.seeds) func expressions(seed: UInt64) throws {
        var random = Mutator(seed: seed)
        let conditions = [
            "a = :a AND (NOT b.c[0] <> :b OR size(#n) BETWEEN :a AND :a)",
            "attribute_type(a, :t) and begins_with(b, :b) or contains((s), :b) AND a IN (:a, :b, c)",
        ]
        let updates = [
            "SET a = if_not_exists(a, :a) + :a, l[7] = :b, b.c[0] = list_append(l, :l) REMOVE #n, l[0] ADD q :a DELETE s :s"
        ]
        for _ in 0..<(300 * Mutator.factor) {
            var all = try Placeholders(names: [("#n", "name")], values: Self.values)
            for text in conditions {
                let condition = try? ConditionExpression.parse(random.mutated(text), kind: .filter, &all)
                _ = condition?.evaluate(Self.item)
            }
            for text in updates {
                let update = try? UpdateExpression.parse(random.mutated(text), &all)
                guard let outcome = try? update?.apply(to: Self.item) else { continue }
                #expect(throws: Never.self) { try ItemCodec.decode(ItemCodec.encode(outcome.item)) }
            }
            let projection = try? ProjectionExpression.parse(random.mutated("a, b.c[1], #n.x[0].y"), &all)
            _ = projection?.apply(Self.item)
            _ = try? KeyCondition.parse(
                random.mutated("a = :a AND b BETWEEN :b AND :b"), partitionKey: .init(name: "a", type: .number),
                sortKey: .init(name: "b", type: .string), &all)
        }
    }

    @Test(arguments: Mutator.seeds) func bytes(seed: UInt64) throws {
        var random = Mutator(seed: seed)
        let stored = ItemCodec.encode(Self.item)
        var key: [UInt8] = []
        for value in [AttributeValue.number(DynamoNumber(-120)), .string("a\0b"), .binary([0, 255])] {
            try KeyEncoding.append(value, to: &key)
        }
        for _ in 0..<(1_000 * Mutator.factor) {
            // What is read is what would be written, or it is refused.
            if let item = try? ItemCodec.decode(random.mutated(stored)) {
                #expect(try ItemCodec.decode(ItemCodec.encode(item)) == item)
            }
            let bytes = random.mutated(key)
            var position = random.below(3)
            for type in [AttributeType.number, .string, .binary] {
                guard let value = KeyEncoding.read(type, from: bytes, at: &position) else { break }
                #expect(position <= bytes.count && value.type == type)
            }
            _ = KeyEncoding.value(of: bytes, type: .number)
            _ = try? DynamoNumber(random.mutated("-12345.678e-10"))
        }
    }
}
