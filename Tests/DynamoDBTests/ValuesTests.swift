import Platform
import Testing
import Wire

@testable import DynamoDB

@Suite struct ValuesTests {
    // MARK: Keys

    @Test(arguments: [AttributeType.string, .number, .binary])
    func keysAreInTheOrderOfTheirValues(type: AttributeType) throws {
        var random = ValueRandom(seed: 3)
        for _ in 0..<2_000 {
            let (left, right) = (random.key(type), random.key(type))
            let order = try #require(left.order(to: right)).signum()
            #expect(
                order == ByteOrder.compare(try KeyEncoding.bytes(of: left), try KeyEncoding.bytes(of: right)).signum())
            var (first, second): ([UInt8], [UInt8]) = ([], [])
            try KeyEncoding.append(left, to: &first)
            try KeyEncoding.append(right, to: &second)
            #expect(order == ByteOrder.compare(first, second).signum())
            #expect(left == right || !second.starts(with: first), "one key is the beginning of another")
            #expect(KeyEncoding.value(of: try KeyEncoding.bytes(of: left), type: type) == left)
        }
    }

    @Test func keysOfSeveralValuesAreReadBack() throws {
        var random = ValueRandom(seed: 4)
        let types: [AttributeType] = [.string, .number, .binary]
        for _ in 0..<1_000 {
            let values = (0..<3).map { _ in random.key(random.pick(types)) }
            var bytes: [UInt8] = [9]
            for value in values { try KeyEncoding.append(value, to: &bytes) }
            var position = 1
            for value in values { #expect(KeyEncoding.read(value.type, from: bytes, at: &position) == value) }
            #expect(position == bytes.count)
        }
        var position = 0
        #expect(KeyEncoding.read(.string, from: [0x61, 0], at: &position) == nil)
        #expect(KeyEncoding.value(of: [0x41, 130, 1, 0], type: .number) == nil, "a zero with digits")
        #expect(throws: AWSError.self) { try KeyEncoding.bytes(of: .bool(true)) }
    }

    @Test func theEndOfAPrefix() {
        #expect(KeyEncoding.end(ofPrefix: [1, 2]) == [1, 3])
        #expect(KeyEncoding.end(ofPrefix: [1, 255, 255]) == [2])
        #expect(KeyEncoding.end(ofPrefix: [255]) == nil)
    }

    // MARK: The store's form

    @Test func itemsSurviveTheCodec() throws {
        var random = ValueRandom(seed: 5)
        for _ in 0..<1_500 {
            let item = random.item()
            let bytes = ItemCodec.encode(item)
            let decoded = try ItemCodec.decode(bytes)
            #expect(decoded == item)
            #expect(ItemCodec.encode(decoded) == bytes)
            #expect(throws: ItemCodec.Damage.self) {
                try ItemCodec.decode(Array(bytes.dropLast()))
            }
        }
    }

    @Test func itemsSurviveTheWire() throws {
        var random = ValueRandom(seed: 6)
        for _ in 0..<500 {
            let item = random.item()
            #expect(try Item(wire: item.wire) == item)
            var writer = JSONWriter()
            item.write(to: &writer)
            var plain = JSONWriter()
            plain.write(item.wire)
            #expect(writer.bytes == plain.bytes)
        }
    }

    @Test func damageIsRefused() {
        let damaged: [[UInt8]] = [
            [], [2, 0], [1], [1, 1], [1, 0, 0], [1, 1, 1, 0x61, 99], [1, 1, 1, 0x61, 7, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            // Names out of order, and one twice; an empty set; text that is not UTF-8; a number that is not normal.
            [1, 2, 1, 0x62, 6, 1, 0x61, 6], [1, 2, 1, 0x61, 6, 1, 0x61, 6], [1, 1, 1, 0x61, 9, 0],
            [1, 1, 1, 0x61, 1, 1, 0xFF], [1, 1, 1, 0x61, 2, 1, 10],
        ]
        for bytes in damaged {
            #expect(throws: ItemCodec.Damage.self) { try ItemCodec.decode(bytes) }
        }
        var deep: [UInt8] = [1, 1, 1, 0x61]
        for _ in 0..<100_000 { deep += [7, 1] }
        #expect(throws: ItemCodec.Damage.self) { try ItemCodec.decode(deep) }
    }

    // MARK: Equality and order

    @Test func textIsComparedByItsBytes() {
        #expect("é" == "e\u{301}")
        #expect(AttributeValue.string("é") != .string("e\u{301}"))
        let item: Item = ["é": .null, "e\u{301}": .bool(true), "z": .null]
        #expect(item.count == 3)
        #expect(item["e\u{301}"] == .bool(true))
        #expect(item.names == ["e\u{301}", "z", "é"])
        #expect(AttributeValue.set(of: ["é", "e\u{301}"]) == .set(of: ["e\u{301}", "é", "é"]))
    }

    @Test func namesAreFoundSetAndRemoved() {
        var random = ValueRandom(seed: 7)
        var item = Item()
        var model: [[UInt8]: AttributeValue] = [:]
        for _ in 0..<500 {
            let name = random.string()
            let value: AttributeValue? = random.below(3) == 0 ? nil : random.value(depth: 0)
            item[name] = value
            model[Array(name.utf8)] = value
            #expect(item[name] == value)
        }
        #expect(item.count == model.count)
        #expect(item.names.map { Array($0.utf8) } == model.keys.sorted { $0.lexicographicallyPrecedes($1) })
        #expect(Item([("a", .null), ("b", .null), ("a", .bool(true))])["a"] == .bool(true))
    }

    // MARK: Sizes

    @Test func sizes() throws {
        let item: Item = [
            "id": .string("é"), "n": .number(try DynamoNumber("12")), "b": .binary([1, 2, 3]), "t": .bool(true),
            "l": .list([.null, .string("ab")]), "m": .map(["x": .null]), "s": .set(of: ["a", "bc"]),
        ]
        // Names 8, é 2, 12 2, bytes 3, true 1, list 3+2+1+2, map 3+1+1+1, set 3.
        #expect(item.size == 8 + 2 + 2 + 3 + 1 + 8 + 6 + 3)
        let full: Item = ["a": .string(String(repeating: "x", count: 400 * 1024 - 1))]
        try full.checkSize()
        let over: Item = ["aa": .string(String(repeating: "x", count: 400 * 1024 - 1))]
        #expect(throws: AWSError.validation("Item size has exceeded the maximum allowed size")) {
            try over.checkSize()
        }
        #expect(throws: AWSError.validation("Item size to update has exceeded the maximum allowed size")) {
            try over.checkSize(updating: true)
        }
    }

    // MARK: Refusals

    @Test(
        arguments: [
            ([:], "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
            (
                ["S": "a", "N": "1"],
                "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
                    + "datatypes"
            ),
            (["SS": []], "One or more parameter values were invalid: An string set  may not be empty"),
            (["NS": []], "One or more parameter values were invalid: An number set  may not be empty"),
            (["BS": []], "One or more parameter values were invalid: Binary sets should not be empty"),
            (
                ["SS": ["a", "a"]],
                "One or more parameter values were invalid: Input collection [a, a] contains duplicates."
            ),
            (["NS": ["1", "1.0"]], "Input collection contains duplicates"),
            (
                ["BS": [.blob([0]), .blob([0])]],
                "One or more parameter values were invalid: Input collection [AA==, AA==]of type BS contains duplicates."
            ),
            (
                ["NULL": false],
                "One or more parameter values were invalid: Null attribute value types must have the value of true"
            ),
            (["NS": ["1", "x"]], "The parameter cannot be converted to a numeric value: x"),
            (
                ["M": ["a": [:]]],
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
            ),
        ] as [(Platform.Value, String)])
    func refusals(value: Platform.Value, message: String) {
        #expect(throws: AWSError.validation(message)) { try AttributeValue(wire: value) }
    }

    @Test func nestingIsBounded() throws {
        func nested(_ levels: Int) -> Platform.Value {
            (0..<levels).reduce(["S": "leaf"]) { value, level in level % 2 == 0 ? ["M": ["n": value]] : ["L": [value]] }
        }
        let deepest = try Item(wire: ["a": nested(31)])
        #expect(try ItemCodec.decode(ItemCodec.encode(deepest)) == deepest)
        #expect(throws: AttributeValue.tooDeep) { try Item(wire: ["a": nested(32)]) }
        #expect(throws: AttributeValue.tooDeep) { try Item(wire: ["a": nested(240)]) }
        #expect(deepest["a"]?.levels == 32)
    }
}
