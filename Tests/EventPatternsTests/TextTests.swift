import Platform
import Testing

@testable import EventPatterns

/// AWS's texts, recorded (reference 7.4 and 7.6).
@Suite struct TextTests {
    static let patterns: [(String, String)] = [
        (#"{"int":10}"#, #""int" must be an object or an array"#),
        (#"{"string":"x"}"#, #""string" must be an object or an array"#),
        (#"{"a":[{"numeric":[">",0,">",1]}]}"#, "Bad numeric range operator: >"),
        (#"{"a":[{"wildcard":"abcdefghijklmnopqrstuvwxy**"}]}"#, "Consecutive wildcard characters at pos 26"),
        (#"{"a":[]}"#, "Empty arrays are not allowed"),
        (#"{"a":[{"anything-but":["x",null]}]}"#, "Inside anything but list, start|null|boolean is not supported."),
        (
            #"{"a":[{"anything-but":{"equals-ignore-case":["x",1]}}]}"#,
            "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
        ),
        (#"{"a":[{"anything-but":{"prefix":""}}]}"#, "Null prefix/suffix not allowed"),
        (#"{"a":[{"EXISTS":true}]}"#, "Unrecognized match type EXISTS"),
        (#"{"a":[{"NUMERIC":["<",1]}]}"#, "Unrecognized match type NUMERIC"),
        (#"{"a":[{"numeric":["<","x"]}]}"#, "Value of < must be numeric"),
        (
            #"{"a":[{"anything-but":null}]}"#,
            "Value of anything-but must be an array or single string/number value."
        ),
        (#"{"a":[{"numeric":"x"}]}"#, "Value of numeric must be an array."),
        (#"{"a":[{"equals-ignore-case":["x"]}]}"#, "equals-ignore-case match pattern must be a string"),
        (#"{"a":[{"prefix":1}]}"#, "prefix match pattern must be a string"),
        (#"{"a":[{"anything-but":{"prefix":["x",1]}}]}"#, "prefix/suffix match pattern must be a string"),
        (#"{"a":[{"suffix":null}]}"#, "suffix match pattern must be a string"),
        (#"{"a":[{"wildcard":1}]}"#, "wildcard match pattern must be a string"),
        ("{}", "Empty objects are not allowed"),
        (#"{"a":{}}"#, "Empty objects are not allowed"),
        (#"{"$or":[{"a":[1]}]}"#, "There must have at least 2 Objects in $or relationship."),
        (#"{"$or":{"a":[1]}}"#, "It must be an Array followed with $or."),
        (#"{"$or":[1,2]}"#, "Only JSON object is allowed in array of $or relationship."),
        (
            #"{"$or":[{"prefix":["a"]},{"b":[1]}]}"#,
            "prefix is Ruler reserved fieldName which cannot be used inside $or."
        ),
        (#"{"a":[{"exists":1}]}"#, "exists match pattern must be either true or false."),
        (
            #"{"a":[{"anything-but":["x",1]}]}"#,
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        ),
        (#"{"a":[{"numeric":["<",5000000001]}]}"#, "Value must be between -5.0E9 and 5.0E9, inclusive"),
        (#"{"a":[{"wildcard":"a\\b"}]}"#, "Invalid escape character at pos 2"),
        (#"{"a":[{}]}"#, "Match expression name not found"),
    ]

    @Test(arguments: patterns) func patternTexts(_ pattern: String, _ reason: String) {
        #expect(
            refusal(pattern)?.hasPrefix(reason + "\n at [Source: (String)\"") == true, "\(refusal(pattern) ?? "taken")")
    }

    @Test func placesOfPatternTexts() {
        #expect(
            refusal(#"["not", "a", "dict", "but valid json"]"#)
                == "Filter is not an object\n at [Source: (String)\"[\"not\", \"a\", \"dict\", \"but valid json\"]\"; "
                + "line: 1, column: 2]")
        #expect(
            refusal("{'bad': 'quotation'}")
                == "Unexpected character (''' (code 39)): was expecting double-quote to start field name\n at "
                + "[Source: (String)\"{'bad': 'quotation'}\"; line: 1, column: 2]")
        #expect(
            refusal("this is valid json but not a dict")
                == "Unrecognized token 'this': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or "
                + "'false')\n at [Source: (String)\"this is valid json but not a dict\"; line: 1, column: 5]")
        #expect(refusal("{\n  \"é\": 1\n}")?.hasSuffix("; line: 2, column: 9]") == true)
        let long = #"{"a":1,"b":""# + String(repeating: "x", count: 600) + "\"}"
        #expect(refusal(long)?.contains("xxx\"[truncated 114 chars]; line: 1") == true)
    }

    /// Texts without a place.
    static let addresses: [(String, String)] = [
        ("bad-filter/xx", "Malformed CIDR, mask bits must be an integer"),
        ("bad-filter", "Malformed CIDR, one '/' required"),
        ("xx.11.xx/8", "Nonstandard IP address: xx.11.xx"),
        ("xxxx:db8:1234:1a00::/64", "Nonstandard IP address: xxxx:db8:1234:1a00::"),
        ("bad-filter/64", "Nonstandard IP address: bad-filter"),
    ]

    @Test(arguments: addresses) func addressTexts(_ block: String, _ reason: String) {
        #expect(refusal(#"{"a":[{"cidr":"\#(block)"}]}"#) == reason)
        #expect(filterRefusal(#"{"key":[{"cidr":"\#(block)"}]}"#) == "FilterPolicy: \(reason)")
    }

    func filterRefusal(_ policy: String, _ scope: FilterPolicy.Scope = .messageAttributes) -> String? {
        do throws(PatternError) {
            _ = try FilterPolicy(json: policy, scope: scope)
            return nil
        } catch {
            return error.message
        }
    }

    static let policies: [(String, String, Int)] = [
        (#"{"key":{"not-an-operator":"value"}}"#, #""not-an-operator" must be an object or an array"#, 28),
        (#"{"key":{"suffix":"value","prefix":"value"}}"#, #""suffix" must be an object or an array"#, 19),
        (#"{"key":{"suffix":"value"}}"#, #""suffix" must be an object or an array"#, 19),
        (#"{"key":[{"numeric":[">=",1,">",2]}]}"#, "Bad numeric range operator: >", 31),
        (#"{"key":[{"numeric":[">",20,"test"]}]}"#, "Bad numeric range operator: test", 34),
        (#"{"key":[{"numeric":[">",20,30]}]}"#, "Bad value in numeric range: 30", 30),
        (#"{"key":[{"numeric":[">",3,"<",1]}]}"#, "Bottom must be less than top", 33),
        (#"{"key":[]}"#, "Empty arrays are not allowed", 10),
        (#"{"key":[{"numeric":[1,"<="]}]}"#, "Invalid member in numeric match: 1", 22),
        (#"{"key":[{"numeric":[]}]}"#, "Invalid member in numeric match: ]", 22),
        (#"{"key":[["value"]]}"#, "Match value must be String, number, true, false, or null", 10),
        (#"{"key":[{"suffix":"value","prefix":"value2"}]}"#, "Only one key allowed in match expression", 37),
        (#"{"key":[{"numeric":["<",100,">",10]}]}"#, "Too many elements in numeric expression", 30),
        (#"{"key":[{"numeric":[">",20,"<",30,"<",50]}]}"#, "Too many terms in numeric range expression", 36),
        (#"{"key":[{"wrong-operator":true}]}"#, "Unrecognized match type wrong-operator", 31),
        (#"{"key":[{"numeric":["operator"]}]}"#, "Unrecognized numeric range operator: operator", 32),
        (#"{"key":[{"anything-but":{"exists":false}}]}"#, "Unsupported anything-but pattern: exists", 40),
        (#"{"key":[{"anything-but":{"suffix":"test"}}]}"#, "Unsupported anything-but pattern: suffix", 36),
        (
            #"{"key":[{"anything-but":{"wrong-operator":null}}]}"#, "Unsupported anything-but pattern: wrong-operator",
            47
        ),
    ]

    @Test(arguments: policies) func filterPolicyTexts(_ policy: String, _ reason: String, _ column: Int) {
        let text = "FilterPolicy: \(reason)\n at [Source: (String)\"\(policy)\"; line: 1, column: \(column)]"
        #expect(filterRefusal(policy) == text)
        // Blanks do not show.
        #expect(filterRefusal(" " + policy + "\n") == text)
    }

    @Test func limitsOfFilterPolicies() throws {
        let six = (0..<6).map { #""k\#($0)":["v"]"# }.joined(separator: ",")
        #expect(filterRefusal("{\(six)}") == "FilterPolicy: Filter policy can not have more than 5 keys")
        let values = (0..<151).map { "\($0)" }.joined(separator: ",")
        #expect(filterRefusal(#"{"a":[\#(values)]}"#) == "FilterPolicy: Filter policy is too complex")
        let most = (0..<150).map { "\($0)" }.joined(separator: ",")
        #expect(filterRefusal(#"{"a":[\#(most)]}"#) == nil)
        // 3 × 4 values at depth 3, 2 × 7 at depth 2: 12 × 14 = 168.
        let nested = #"{"a":{"b":{"c":[1,2,3,4]}},"d":{"e":[1,2,3,4,5,6,7]}}"#
        #expect(filterRefusal(nested, .messageBody) == "FilterPolicy: Filter policy is too complex")
        #expect(filterRefusal(#"{"a":{"b":{"c":[1,2,3,4]}},"d":{"e":[1,2,3]}}"#, .messageBody) == nil)
        #expect(
            filterRefusal(#"{"store":{"key":[{"exists":null}]}}"#)
                == "Filter policy scope MessageAttributes does not support nested filter policy")
        #expect(
            filterRefusal("{invalid}")?.hasPrefix(
                "FilterPolicy: failed to parse JSON. Unexpected character ('i' (code 105)): was expecting double-quote to "
                    + "start field name\n at [Source: REDACTED") == true)
        let huge =
            #"{"$or":["# + Array(repeating: #"{"a":[1,2,3,4,5,6,7,8,9]}"#, count: 5_000).joined(separator: ",") + "]}"
        #expect(filterRefusal(huge) == "FilterPolicy: Filter policy is too complex")
    }
}

@Suite struct FilterPolicyTests {
    func passes(_ policy: String, _ attributes: [(name: String, value: FilterPolicy.AttributeValue)]) throws -> Bool {
        try FilterPolicy(json: policy, scope: .messageAttributes).matches(attributes: attributes)
    }

    @Test func attributes() throws {
        #expect(try passes(#"{"a":["x"]}"#, [("a", .string("x"))]))
        #expect(try !passes(#"{"a":["x"]}"#, []))
        #expect(try !passes(#"{"a":["x"],"b":[{"exists":true}]}"#, [("a", .string("x"))]))
        #expect(try passes(#"{"a":["x"],"b":[{"exists":false}]}"#, [("a", .string("x"))]))
        #expect(try passes(#"{"a":[{"numeric":["=",301.5]}]}"#, [("a", .number("3.015e2"))]))
        #expect(try passes(#"{"a":[100]}"#, [("a", .number("100.0"))]))
        #expect(try !passes(#"{"a":[100]}"#, [("a", .string("100"))]))
        #expect(try passes(#"{"a":["rugby"]}"#, [("a", .stringArray(#"["soccer","rugby"]"#))]))
        #expect(try passes(#"{"a":[{"anything-but":["rugby"]}]}"#, [("a", .stringArray(#"["soccer","rugby"]"#))]))
        #expect(try !passes(#"{"a":[{"anything-but":["rugby"]}]}"#, [("a", .stringArray(#"["rugby"]"#))]))
        #expect(try passes(#"{"a":[null,true]}"#, [("a", .stringArray("[true]"))]))
        #expect(try !passes(#"{"a":[{"exists":true}]}"#, [("a", .binary)]))
        #expect(try !passes(#"{"a":[{"exists":true}]}"#, [("a", .stringArray("not json"))]))
        #expect(try !passes(#"{"a":[{"exists":true}]}"#, [("a", .number("nan"))]))
        #expect(try passes(#"{"$or":[{"a":["x"]},{"b":["y"]}]}"#, [("b", .string("y"))]))
        #expect(try passes("{}", []))
    }

    @Test func bodies() throws {
        let policy = try FilterPolicy(json: #"{"a":{"b":[{"prefix":"x"}]}}"#, scope: .messageBody)
        #expect(policy.matches(body: try JSON.parse(#"{"a":{"b":"xy"}}"#)))
        #expect(policy.matches(body: try JSON.parse(#"{"a":[{"b":"n"},{"b":["q","xy"]}]}"#)))
        #expect(!policy.matches(body: try JSON.parse(#"{"a":{"b":"y"}}"#)))
        #expect(!policy.matches(body: "xy"))
        #expect(try FilterPolicy(json: "{}", scope: .messageBody).matches(body: "xy"))
    }
}
