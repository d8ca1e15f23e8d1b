import Platform
import Testing

@testable import EventPatterns

func matches(_ pattern: String, _ event: String, _ dialect: Dialect = .eventBridge) throws -> Bool {
    try EventPattern(json: Array(pattern.utf8), dialect: dialect).matches(try JSON.parse(event))
}

func refusal(_ pattern: String, _ dialect: Dialect = .eventBridge) -> String? {
    do throws(PatternError) {
        _ = try EventPattern(json: Array(pattern.utf8), dialect: dialect)
        return nil
    } catch {
        return error.message
    }
}

@Suite struct OperatorTests {
    /// Alternatives of field `a`, a value of it, and whether they match.
    static let cases: [(String, String, Bool)] = [
        (#""x""#, #""x""#, true), (#""x""#, #""X""#, false), (#""""#, #""""#, true), (#""""#, "null", false),
        (#""K""#, "\"\u{212A}\"", false), ("\"e\u{301}\"", "\"\u{e9}\"", false),
        ("null", "null", true), ("null", #""""#, false), ("null", #""null""#, false),
        ("true", "true", true), ("true", "false", false), ("false", "false", true), ("true", #""true""#, false),
        ("300", "300", true), ("300", "300.0", true), ("3e2", "300", true), ("300", #""300""#, false),
        ("0.1", "0.1", true), ("0.1", "0.1000001", true), ("0.1", "0.100001", false),
        ("123456789012", "123456789012", true), ("123456789012", "123456789013", false),
        (#""x", 1, null"#, "1", true), (#""x", 1, null"#, "null", true), (#""x", 1, null"#, "2", false),
        (#"{"prefix":"ab"}"#, #""abc""#, true), (#"{"prefix":"ab"}"#, #""xab""#, false),
        (#"{"prefix":"ab"}"#, "1", false), (#"{"prefix":"ab"}"#, #""a""#, false),
        (#"{"prefix":{"equals-ignore-case":"aB"}}"#, #""AbC""#, true),
        (#"{"prefix":{"equals-ignore-case":"äB"}}"#, #""ÄbC""#, true),
        (#"{"suffix":"bc"}"#, #""abc""#, true), (#"{"suffix":"bc"}"#, #""abcd""#, false),
        (#"{"suffix":{"equals-ignore-case":".PNG"}}"#, #""a.pNg""#, true),
        (#"{"suffix":{"equals-ignore-case":".PNG"}}"#, #""png""#, false),
        (#"{"equals-ignore-case":"AbC"}"#, #""aBc""#, true), (#"{"equals-ignore-case":"AbC"}"#, #""aBcd""#, false),
        (#"{"equals-ignore-case":"É"}"#, #""é""#, true),
        (#"{"wildcard":"dir/*.png"}"#, #""dir/sub/a.png""#, true),
        (#"{"wildcard":"dir/*.png"}"#, #""dir/a.jpg""#, false),
        (#"{"wildcard":"*"}"#, #""""#, true), (#"{"wildcard":"a*a"}"#, #""a""#, false),
        (#"{"wildcard":"a*b*c"}"#, #""a-b-b-c""#, true), (#"{"wildcard":"a*b*c"}"#, #""a-c-b""#, false),
        (#"{"wildcard":"a\\*b"}"#, #""a*b""#, true), (#"{"wildcard":"a\\*b"}"#, #""axb""#, false),
        (#"{"wildcard":"a\\\\*"}"#, #""a\\z""#, true), (#"{"wildcard":"x"}"#, #""x""#, true),
        (#"{"anything-but":"x"}"#, #""y""#, true), (#"{"anything-but":"x"}"#, #""x""#, false),
        (#"{"anything-but":"x"}"#, "1", true), (#"{"anything-but":"x"}"#, "null", true),
        (#"{"anything-but":["x","y"]}"#, #""y""#, false), (#"{"anything-but":["x","y"]}"#, #""z""#, true),
        (#"{"anything-but":5}"#, "5.0", false), (#"{"anything-but":[5,6]}"#, "7", true),
        (#"{"anything-but":[5,6]}"#, #""5""#, true),
        (#"{"anything-but":{"prefix":"in"}}"#, #""init""#, false),
        (#"{"anything-but":{"prefix":["in","a"]}}"#, #""b""#, true),
        (#"{"anything-but":{"suffix":".png"}}"#, #""a.png""#, false),
        (#"{"anything-but":{"suffix":".png"}}"#, #""a""#, true),
        (#"{"anything-but":{"equals-ignore-case":["A","b"]}}"#, #""B""#, false),
        (#"{"anything-but":{"wildcard":"*/lib/*"}}"#, #""/a/lib/b""#, false),
        (#"{"anything-but":{"wildcard":["*/lib/*","x*"]}}"#, #""/a/b""#, true),
        (#"{"numeric":["=",5]}"#, "5.0", true), (#"{"numeric":["<",5]}"#, "5", false),
        (#"{"numeric":["<=",5]}"#, "5", true),
        (#"{"numeric":[">",0,"<=",5]}"#, "5", true), (#"{"numeric":[">",0,"<=",5]}"#, "0", false),
        (#"{"numeric":[">=",-5e9]}"#, "-5000000000", true), (#"{"numeric":[">",0]}"#, "5000000001", false),
        (#"{"numeric":[">",0]}"#, #""1""#, false), (#"{"numeric":["=",301.8]}"#, "301.80", true),
        (#"{"exists":true}"#, "null", true), (#"{"exists":true}"#, "{}", false), (#"{"exists":true}"#, "[]", false),
        (#"{"exists":true}"#, "[1]", true), (#"{"exists":false}"#, "1", false),
        (#"{"exists":false}"#, #"{"b":1}"#, true),
        (#"{"exists":false}, "x""#, #""x""#, true), (#"{"exists":false}, "x""#, #""y""#, false),
        (#"{"cidr":"10.0.0.0/24"}"#, #""10.0.0.255""#, true), (#"{"cidr":"10.0.0.0/24"}"#, #""10.0.1.0""#, false),
        (#"{"cidr":"10.0.0.7/24"}"#, #""10.0.0.1""#, true), (#"{"cidr":"0.0.0.0/0"}"#, #""255.1.1.1""#, true),
        (#"{"cidr":"2001:db8::/32"}"#, #""2001:db8:ffff::1""#, true),
        (#"{"cidr":"2001:db8::/32"}"#, #""2001:db9::""#, false),
        (#"{"cidr":"0.0.0.0/0"}"#, #""::1""#, false), (#"{"cidr":"10.0.0.0/24"}"#, #""10.0.0""#, false),
        (#""::1""#, #""0:0:0:0:0:0:0:1""#, true), (#""1.2.3.4""#, #""1.2.3.4""#, true),
        (#""x""#, #"["y","x"]"#, true), (#""x""#, #"[["x"]]"#, true), (#""x""#, #"[{"a":"x"}]"#, false),
        (#"{"anything-but":"x"}"#, #"["x","y"]"#, true), (#"{"anything-but":"x"}"#, #"["x"]"#, false),
    ]

    @Test(arguments: cases) func alternatives(_ alternatives: String, _ value: String, _ expected: Bool) throws {
        let found = try matches(#"{"a":[\#(alternatives)]}"#, #"{"z":0,"a":\#(value)}"#)
        #expect(found == expected)
    }

    @Test func absenceIsOfTheWholePath() throws {
        #expect(try matches(#"{"d":{"a":[{"exists":false}]}}"#, #"{"d":{"b":1}}"#))
        #expect(try matches(#"{"d":{"a":[{"exists":false}]}}"#, "{}"))
        #expect(try !matches(#"{"d":{"a":[{"exists":false}]}}"#, #"{"d":{"a":null}}"#))
        #expect(try matches(#"{"a":[{"exists":false},"x"],"b":[1]}"#, #"{"b":1}"#))
        #expect(try !matches(#"{"a":[{"exists":false},"x"],"b":[1]}"#, #"{"b":1,"a":"y"}"#))
    }

    @Test func fieldsOfOneElementBelongTogether() throws {
        let people = #"{"e":[{"f":"John","l":"Doe"},{"f":"Anna","l":"Smith"},[{"f":"Peter","l":"Jones"}]]}"#
        #expect(try matches(#"{"e":{"f":["Anna"],"l":["Smith"]}}"#, people))
        #expect(try matches(#"{"e":{"f":["Peter"],"l":["Jones"]}}"#, people))
        #expect(try !matches(#"{"e":{"f":["Anna"],"l":["Jones"]}}"#, people))
        #expect(try matches(#"{"e":{"f":["Anna"],"x":[{"exists":false}]}}"#, people))
    }

    @Test func manyExactValuesAreLookedUp() throws {
        let list = (0..<100).map { "\"v\($0)\"" }.joined(separator: ",")
        #expect(try matches(#"{"a":[\#(list)]}"#, #"{"a":"v99"}"#))
        #expect(try matches(#"{"a":[\#(list)]}"#, #"{"a":"v0"}"#))
        #expect(try !matches(#"{"a":[\#(list)]}"#, #"{"a":"v100"}"#))
    }

    @Test func eitherOr() throws {
        let pattern = #"{"s":["x"],"$or":[{"a":[1]},{"b":[2],"c":[3],"$or":[{"d":[4]},{"e":[5]}]}]}"#
        #expect(try matches(pattern, #"{"s":"x","a":1}"#))
        #expect(try !matches(pattern, #"{"s":"y","a":1}"#))
        #expect(try matches(pattern, #"{"s":"x","b":2,"c":3,"e":5}"#))
        #expect(try !matches(pattern, #"{"s":"x","b":2,"c":3}"#))
        // The requirement of the last place where a path stands.
        #expect(try matches(#"{"a":["x"],"$or":[{"a":["y"]},{"b":["z"]}]}"#, #"{"a":"y"}"#))
        #expect(try matches(#"{"a":["x"],"a":["y"]}"#, #"{"a":"y"}"#))
    }

    @Test func mappingsCompareNumbersAsText() throws {
        #expect(try !matches(#"{"a":[300]}"#, #"{"a":300.0}"#, .eventSourceMapping))
        #expect(try matches(#"{"a":[300]}"#, #"{"a":300}"#, .eventSourceMapping))
        #expect(try matches(#"{"a":[{"numeric":["=",300]}]}"#, #"{"a":300.0}"#, .eventSourceMapping))
        #expect(try matches(#"{"a":[300]}"#, #"{"a":300.0}"#, .pipes))
    }

    @Test(arguments: [Dialect.eventSourceMapping, .pipes]) func dialectsHaveFewerOperators(_ dialect: Dialect) {
        #expect(refusal(#"{"a":[{"wildcard":"x*"}]}"#, dialect)?.hasPrefix("Unrecognized match type wildcard") == true)
        #expect(
            refusal(#"{"a":[{"anything-but":{"prefix":"x"}}]}"#, dialect)?.hasPrefix(
                "Unsupported anything-but pattern: prefix") == true)
        #expect(refusal(#"{"a":[{"anything-but":["x"]}]}"#, dialect) == nil)
        #expect(refusal(#"{"a":[{"cidr":"10.0.0.0/8"},{"suffix":"x"},{"exists":false}]}"#, dialect) == nil)
    }

    @Test func onlyObjectsAreEvents() throws {
        for event in ["[]", "1", "null", #""a""#, #"[{"a":1}]"#] { #expect(try !matches(#"{"a":[1]}"#, event)) }
    }
}

@Suite struct LimitTests {
    @Test func combinationsAreLimited() {
        func either(_ count: Int) -> String {
            let objects = (0..<count).map { #"{"k\#($0)":[1]}"# }.joined(separator: ",")
            return #"{"x":{"$or":[\#(objects)]},"y":{"$or":[\#(objects)]}}"#
        }
        #expect(refusal(either(31)) == nil)
        #expect(refusal(either(32))?.hasPrefix("Rule is too complex") == true)
        let absences = (0..<12).map { #""k\#($0)":[1,{"exists":false}]"# }.joined(separator: ",")
        #expect(refusal("{\(absences)}")?.hasPrefix("Rule is too complex") == true)
        let fewer = (0..<9).map { #""k\#($0)":[1,{"exists":false}]"# }.joined(separator: ",")
        #expect(refusal("{\(fewer)}") == nil)
    }

    @Test func deepDocumentsAreRefusedOrMatched() throws {
        let deep = String(repeating: #"{"a":"#, count: 500) + "[1]" + String(repeating: "}", count: 500)
        #expect(try matches(deep, deep))
        let tooDeep = String(repeating: #"{"a":"#, count: 100_000)
        #expect(refusal(tooDeep) != nil)
        let lists = #"{"a":"# + String(repeating: "[", count: 500) + "1" + String(repeating: "]", count: 500) + "}"
        #expect(try matches(#"{"a":[1]}"#, lists))
    }

    /// Which were taken and which refused by EventBridge.
    @Test func wildcardsAreLimited() {
        func pattern(_ texts: String...) -> String {
            #"{"k":[\#(texts.map { #"{"wildcard":"\#($0)"}"# }.joined(separator: ","))]}"#
        }
        #expect(refusal(pattern("*.bif", "*.tiff", "*.tif", "*.svs")) == nil)
        #expect(refusal(pattern("*/datasync/*.bif", "*/datasync/*.tif")) == nil)
        let four = pattern("*/datasync/*.bif", "*/datasync/*.tif", "*/datasync/*.tiff", "*/datasync/*.svs")
        let text =
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after "
            + "a wildcard character"
        #expect(refusal(four) == text)
        #expect(refusal(pattern("*aaaaaaaaaaaaaaaa")) == text)
        #expect(refusal(pattern("*a*b*c*d*e*f*g*h*i*j*k*l*m*n")) == text)
    }

    @Test func matchingIsNotExponential() throws {
        let names = (0..<12).map { "k\($0)" }
        let pattern = names.map { #""\#($0)":{"x":[1],"y":[2]}"# }.joined(separator: ",")
        let elements = (0..<200).map { _ in #"{"x":1}"# }.joined(separator: ",") + #",{"x":1,"y":2}"#
        let event = names.map { #""\#($0)":[\#(elements)]"# }.joined(separator: ",")
        #expect(try matches("{\(pattern)}", "{\(event)}"))
        #expect(try !matches("{\(pattern),\"q\":[1]}", "{\(event)}"))
    }
}
