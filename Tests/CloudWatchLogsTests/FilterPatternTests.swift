import Testing
import Wire

@testable import CloudWatchLogs

@Suite struct FilterPatternTests {
    func matches(_ pattern: String, _ message: String) throws -> Bool { try FilterPattern(pattern).matches(message) }

    @Test func terms() throws {
        #expect(try matches("", "anything"))
        #expect(try matches("ERROR", "[ERROR 400] BAD REQUEST"))
        #expect(try !matches("ERROR", "error"))
        #expect(try matches("ERROR ARGUMENTS", "ERROR 419 MISSING ARGUMENTS"))
        #expect(try !matches("ERROR ARGUMENTS", "ERROR 400"))
        #expect(try matches("?ERROR ?WARN", "WARN x"))
        #expect(try !matches("?ERROR ?WARN", "INFO"))
        #expect(try matches("ERROR -ARGUMENTS", "ERROR 400"))
        #expect(try !matches("ERROR -ARGUMENTS", "ERROR ARGUMENTS"))
        #expect(try matches(#""BAD REQUEST""#, "a BAD REQUEST b"))
        #expect(try matches(#""say \"hi\"""#, #"say "hi""#))
    }

    @Test func json() throws {
        let message = #"{"level":"ERROR","ms":12.5,"n":null,"ok":true,"a":[{"b":"deep"}],"s":"user-77"}"#
        for pattern in [
            #"{ $.level = "ERROR" }"#, "{ $.level = ERROR }", "{ $.ms > 12 }", "{ $.ms <= 12.5 }", "{ $.n IS NULL }",
            "{ $.gone NOT EXISTS }", "{ $.ok IS TRUE }", #"{ $.a[0].b = "de*" }"#, #"{ $.s = "user-*7" }"#,
            #"{ ($.ms > 100 || $.level = "ERROR") && $.ok IS TRUE }"#, #"{ $.level != "INFO" }"#,
        ] { #expect(try matches(pattern, message), "\(pattern)") }
        for pattern in [
            #"{ $.level = "error" }"#, "{ $.ms > 12.5 }", "{ $.level IS NULL }", "{ $.level NOT EXISTS }",
            "{ $.a[1].b = x }", "{ $.ok IS FALSE }", "{ $.gone = 1 }",
        ] { #expect(try !matches(pattern, message), "\(pattern)") }
        #expect(try !matches("{ $.a = 1 }", "not json"))
    }

    @Test func malformedAndUnsupportedPatternsAreRefused() {
        for pattern in [
            "{", "{ $.a }", "{ $.a = }", "{ a = 1 }", "{ $.a = 1 } x", "{ $.a = \"x }", "\"open", "-", "[ip, code]",
            "%a%",
            String(repeating: "x", count: 1_025),
            "{ " + String(repeating: "(", count: 100) + "$.a = 1" + String(repeating: ")", count: 100) + " }",
        ] { #expect(throws: AWSError.self, "\(pattern)") { try FilterPattern(pattern) } }
    }

    @Test func wildcardsDoNotStall() {
        let text = [UInt8](repeating: 97, count: 20_000)
        let pattern = Array(String(repeating: "a*", count: 500).utf8) + [98]
        #expect(!FilterPattern.wildcard(pattern, text))
    }
}
