import Testing

@testable import Platform

@Suite struct JSONTests {
    @Test(
        arguments: [
            ("null", Value.null), ("true", true), (" false ", false), ("0", 0), ("-0", 0),
            ("9223372036854775807", .int(.max)),
            ("-9223372036854775808", .int(.min)), ("9223372036854775808", .double(9_223_372_036_854_775_808)),
            ("1.5", 1.5), ("-1e3", .double(-1000)), ("1E-2", 0.01),
            ("123456789012345678.5", .double(123456789012345678.5)),
            ("0.1", 0.1), ("1e-400", .double(0)), (#""a\"b\\\/\n\u00e9\ud83d\ude00""#, "a\"b\\/\né😀"),
            (#""\ud83dx""#, "\u{fffd}x"),
            ("[]", []), ("{}", [:]), ("[1,[2,{\"a\":null}]]", [1, [2, ["a": .null]]]),
            ("{\"a\":1,\"b\":2,\"a\":3}", ["a": 3, "b": 2]), ("\"0123456789é123456789\"", "0123456789é123456789"),
        ] as [(String, Value)])
    func reads(text: String, expected: Value) throws {
        #expect(try JSON.parse(text) == expected)
        try JSON.validate(text.utf8)
    }

    @Test(arguments: [
        "", "  ", "{", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "01", "1.", ".5", "1e", "+1", "-",
        "nul",
        "truex", "\"a", "\"\\x\"", "\"\\u12g4\"", "\"\u{1}\"", "1 2", "[1 2]", "'a'", "NaN", "Infinity", "1e999",
        "\u{feff}1",
    ])
    func refuses(text: String) {
        #expect(throws: JSONError.self) { try JSON.parse(text) }
        if text != "1e999" { #expect(throws: JSONError.self) { try JSON.validate(text.utf8) } }
    }

    @Test(
        arguments: [
            [0x80], [0xc0, 0x80], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf0, 0x80, 0x80, 0x80],
            [0xf4, 0x90, 0x80, 0x80],
            [0xf8, 0x88], [0xc3], [0xe2, 0x82],
        ] as [[UInt8]])
    func refusesBadUTF8(bytes: [UInt8]) {
        let quoted = [UInt8(ascii: "\"")] + bytes + [UInt8(ascii: "\"")]
        #expect(throws: JSONError.self) { try JSON.parse(quoted) }
        #expect(throws: JSONError.self) { try JSON.validate(quoted) }
    }

    /// The two texts that were recorded from Lambda's Invoke.
    @Test func reportsAsJacksonDoes() throws {
        let place =
            "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: "
        let first = #expect(throws: JSONError.self) { try JSON.validate([0x99, 0x58] as [UInt8]) }
        #expect(
            first?.jacksonText == "Unexpected character ((CTRL-CHAR, code 153)): expected a valid value (JSON String, "
                + "Number, Array, Object or token 'null', 'true' or 'false')" + place + "1]")
        let second = #expect(throws: JSONError.self) { try JSON.validate([0x61, 0x62, 0x87] as [UInt8]) }
        #expect(second?.jacksonText == "Invalid UTF-8 start byte 0x87" + place + "3]")
    }

    @Test func errorSaysWhere() {
        let error = #expect(throws: JSONError.self) { try JSON.parse("{\n \"a\": ;}") }
        #expect(error?.offset == 8)
        #expect(error?.line == 2)
    }

    @Test func depthIsBounded() throws {
        let deepest = String(repeating: "[", count: 512) + String(repeating: "]", count: 512)
        #expect(try JSON.parse(deepest).list?.count == 1)
        for text in [
            "[" + deepest + "]", String(repeating: "{\"a\":", count: 100_000), String(repeating: "[", count: 1_000_000),
        ] {
            #expect(throws: JSONError.self) { try JSON.parse(text) }
            #expect(throws: JSONError.self) { try JSON.validate(text.utf8) }
        }
    }

    @Test func repeatedNamesStayLinear() throws {
        let members = (0..<50_000).map { "\"k\($0 % 25_000)\":\($0)" }.joined(separator: ",")
        let value = try JSON.parse("{\(members)}")
        #expect(value.fields?.count == 25_000)
        #expect(value["k0"] == 25_000)
    }

    @Test(
        arguments: [
            (Value.double(5), "5.0"), (0.1, "0.1"), (.double(1e300), "1e+300"), (.double(.nan), "\"NaN\""),
            (.int(.min), "-9223372036854775808"),
            ("a\"\\\u{1f}\t\u{7f}é/", "\"a\\\"\\\\\\u001F\\t\u{7f}é/\""), (.blob([1, 2, 3, 4]), "\"AQIDBA==\""),
            (.timestamp(Instant(milliseconds: 1_732_345_678_250)), "1732345678.25"),
            (.timestamp(Instant(milliseconds: -500)), "-0.5"),
            (["b": 1, "a": [true, .null]], "{\"b\":1,\"a\":[true,null]}"),
        ] as [(Value, String)])
    func writes(value: Value, text: String) {
        #expect(JSON.encodeString(value) == text)
    }

    @Test func base64InPlace() {
        for count in 0..<70 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }
            let text = Array(Base64.encode(bytes).utf8)
            #expect(text.withUnsafeBufferPointer { Base64.decode($0) } == bytes)
        }
        for bad in ["A", "AA=A", "====", "A\nAA", "Aé==", "AAAAA"] {
            #expect(Array(bad.utf8).withUnsafeBufferPointer { Base64.decode($0) } == nil, "\(bad)")
        }
    }

    /// Mutated documents: reading and checking agree, and nothing traps.
    @Test(arguments: 0..<20)
    func survivesMutations(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let original = Array(
            #"{"a":[1,-2.5e10,"x\u00e9\ud83d\ude00é😀",{"b":null,"c":[true,false]}],"d":"","e":1e-7}"#.utf8)
        for _ in 0..<2_000 {
            var bytes = original
            for _ in 0..<(1 + random.next() % 4) {
                let index = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 4 {
                case 0: bytes[index] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: index)
                case 2: bytes.insert(original[Int(random.next() % UInt64(original.count))], at: index)
                default: bytes.removeSubrange(index...)
                }
                if bytes.isEmpty { bytes = [0x20] }
            }
            let isValid = (try? JSON.validate(bytes)) != nil
            let value = try? JSON.parse(bytes)
            if value != nil { #expect(isValid) }
            if let value { #expect((try? JSON.parse(JSON.encode(value))) == value) }
        }
    }

    private struct SplitMix {
        var state: UInt64
        init(seed: UInt64) { state = seed }
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }
}
