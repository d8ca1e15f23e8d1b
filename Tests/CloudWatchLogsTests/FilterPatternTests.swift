import Platform
import Testing
import Wire

@testable import CloudWatchLogs

@Suite struct FilterPatternTests {
    func matches(_ pattern: String, _ message: String) throws -> Bool { try FilterPattern(pattern).matches(message) }

    func refusal(_ pattern: String) -> String? {
        do {
            _ = try FilterPattern(pattern)
            return nil
        } catch {
            return error.message
        }
    }

    @Test func terms() throws {
        #expect(try matches("", "anything"))
        #expect(try matches(#"" ""#, "any thing"))
        #expect(try matches("ERROR", "[ERROR 400] BAD REQUEST"))
        #expect(try !matches("ERROR", "error"))
        #expect(try matches("ERROR ARGUMENTS", "ERROR 419 MISSING ARGUMENTS"))
        #expect(try !matches("ERROR ARGUMENTS", "ERROR 400"))
        #expect(try matches("?ERROR ?WARN", "WARN x"))
        #expect(try !matches("?ERROR ?WARN", "INFO"))
        #expect(try matches("?ERROR ?ARGUMENTS REQUEST", "[INFO] REQUEST FAILED"))
        #expect(try matches("ERROR -ARGUMENTS", "ERROR 400"))
        #expect(try !matches("ERROR -ARGUMENTS", "ERROR ARGUMENTS"))
        #expect(try !matches("-ARGUMENTS ?x", "ERROR ARGUMENTS x"))
        #expect(try matches(#""BAD REQUEST" -"no way""#, "a BAD REQUEST b"))
        #expect(try matches(#""say \"hi\"""#, #"say "hi""#))
    }

    /// The documents of the user guide, and what it says of them.
    @Test func json() throws {
        let trail = #"""
            {"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","arrayKey":["value","another value"],
             "objectList":[{"name":"a","id":1},{"name":"b","id":2}],"SomeObject":null,"ThisFlag":true,"cluster.name":"c",
             "latency":52.5,"code":"404","number":[1000, 0.001]}
            """#
        for pattern in [
            #"{ $.eventType = "UpdateTrail" }"#, "{ $.eventType = UpdateTrail }", "{ $.sourceIPAddress != 123.123.* }",
            #"{ $.arrayKey[0] = "value" }"#, "{ $.objectList[1].id = 2 }", "{ $.SomeObject IS NULL }",
            "{ $.SomeOtherObject NOT EXISTS }", "{ $.ThisFlag IS TRUE }", "{ $.eventType = %Trail% }",
            "{ $.arrayKey[*] = %val.{2}% }", #"{ $.* = %111\.111\.111\.1[0-9]{1,2}% }"#,
            "{ $.['cluster.name'] = \"c\" }",
            "{ $.latency = * }", "{ $.latency >= 52.5 && $.latency < 1e2 }", "{ $.code = 404 }", "{ $.code != 40 }",
            "{ $.number[0] = 1e+3 }", "{ $.number[1] = 1e-3 }", "{ $.objectList[*].name = b }", "{$.eventType=Up*ail}",
        ] { #expect(try matches(pattern, trail), "\(pattern)") }
        for pattern in [
            #"{ $.eventType = "updatetrail" }"#, "{ $.arrayKey = value }", "{ $.arrayKey != value }",
            "{ $.arrayKey[2] = value }", "{ $.SomeObject = x }", "{ $.gone = 1 }", "{ $.gone != 1 }",
            "{ $.eventType IS NULL }", "{ $.eventType NOT EXISTS }", "{ $.ThisFlag IS FALSE }", "{ $.latency > 52.5 }",
            "{ $.eventType > 3 }", "{ $.eventType != %Trail% }",
        ] { #expect(try !matches(pattern, trail), "\(pattern)") }
        #expect(try !matches("{ $.a = 1 }", "not json"))
        #expect(try !matches("{ $.a NOT EXISTS }", "[1]"))
    }

    @Test func compoundConditions() throws {
        let event = #"""
            {"user":{"id":1,"email":"John.Stiles@example.com"},"users":[{"id":2,"email":"John.Doe@example.com"},
             {"id":3,"email":"Jane.Doe@example.com"}],"actions":["GET","PUT","DELETE"],"coordinates":[[0,1,2],[4,5,6]]}
            """#
        for pattern in [
            #"{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }"#,
            #"{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch }"#,
        ] { #expect(try matches(pattern, event), "\(pattern)") }
        for pattern in [
            #"{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }"#,
            #"{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch) && $.actions[2] = nomatch }"#,
        ] { #expect(try !matches(pattern, event), "\(pattern)") }
    }

    @Test func spaceDelimited() throws {
        let line = #"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#
        for pattern in [
            "[ip, user, username, timestamp, request, status_code, bytes]",
            #"[ip=%127\.0\.0\.[1-9]%, user, username, timestamp, request =*.html*, status_code = 4*, bytes]"#,
            "[..., request =*.html*, status_code = 4*, bytes]",
            "[ip, ..., status_code = 404 || status_code = 410, bytes]",
            "[ip, user, ...]", "[..., status_code, bytes > 1000]", "[..., code = 4* && code != 403, bytes]",
            "[..., request=*.html*, status_code=4*,]", "[ip, (user = Prod || user = Test), rest]",
        ] { #expect(try matches(pattern, line), "\(pattern)") }
        for pattern in [
            "[..., bytes > 2000]", "[..., status_code = 5*, bytes]", "[a, b, c, d, e, f, g, h]", "[ip != 127*, ...]",
            "[ip, user = 404, ...]",
        ] { #expect(try !matches(pattern, line), "\(pattern)") }
        let pattern = try FilterPattern("[..., request=*.html*, status_code=4*,]")
        let match = try #require(pattern.match(line))
        #expect(
            Dictionary(pattern.extracted(match)) { a, _ in a } == [
                "$1": "127.0.0.1", "$2": "Prod", "$3": "frank", "$4": "10/Oct/2000:13:25:15 -0700",
                "$request": "GET /index.html HTTP/1.0", "$status_code": "404", "$7": "1534",
            ])
        // The last field takes the rest of the line.
        #expect(try matches("[w1=ERROR, w2]", "ERROR 09/25/2014 12:00:02 Failed to process request"))
        #expect(try matches("[w1=ERROR || w1=WARNING, w2]", "WARNING 09/25/2014 Invalid user request"))
        #expect(try !matches("[w1=!ERROR&&w1=!WARNING, w2]", "WARNING 09/25/2014 Invalid user request"))
        #expect(try !matches("[w1, w2=Invalid]", "WARNING Invalid user request"))
    }

    @Test func regularExpressions() throws {
        for (pattern, yes, no) in [
            ("^[hc]at", ["hat", "cats"], ["that", "bat"]), ("[hc]at$", ["that"], ["hats"]),
            ("colou?r", ["color", "colour"], ["colouur"]), ("gra|ey", ["gray", "grey"], ["groy"]),
            ("^a{3,5}$", ["aaa", "aaaaa"], ["aa", "aaaaaa"]), ("^a{,2}b", ["b", "aab"], ["aaab"]),
            ("a{2,}b", ["xaaaab"], ["ab"]), ("ab*c", ["ac", "abbbc"], ["adc"]), ("ab+c", ["abbc"], ["ac"]),
            (#"\[.\]"#, ["[a]", "[]]", "[ü]"], ["[ab]"]), (#"10\.10\.0\.1"#, ["10.10.0.1"], ["10010,051"]),
            (#"\d{1,3}\s\W"#, ["12 !"], ["12 a"]), (#"\x28\x41"#, ["(A"], ["A"]),
            ("[^a-c]$", ["abcd", "ü"], ["a", ""]),
            ("^starting|^shutting down", ["shutting down"], ["is starting"]),
            ("^.{3}$", ["aüb", "日本語"], ["ab", "abcd"]),
            ("x*", ["", "anything"], []), ("abcc|ab[^c]$", ["abcc ...", "aba"], ["aac"]),
        ] as [(String, [String], [String])] {
            for text in yes { #expect(try matches("%\(pattern)%", text), "\(pattern) \(text)") }
            for text in no { #expect(try !matches("%\(pattern)%", text), "\(pattern) \(text)") }
        }
    }

    @Test func whatAWSRefuses() throws {
        for (pattern, message) in [
            ("?Status: timeout", "Invalid character(s) in term ':'"),
            (#"{ $."sc-status" = 5* }"#, #"Invalid character(s) in term '$."'"#),
            ("%a(b)%", "Invalid character(s) in term '('"), ("%something!%", "Invalid character(s) in term '!'"),
            ("a@b", "Invalid character(s) in term '@'"),
            ("{ $.a = 1", "If a filter pattern starts with '{' it must end with '}'"),
            ("[a, b", "If a filter pattern starts with '[' it must end with ']'"),
            ("`ERROR", "Invalid character(s) in term '`'"),
            ("[ip, status_code = 4* && bytes > 1000]", "Invalid filter pattern"),
        ] { #expect(refusal(pattern) == message, "\(pattern)") }
        for pattern in [
            "{}", "{ $.a }", "{ $.a = }", "{ a = 1 }", #"{ $.a = "x }"#, "\"open", "-", "{ $.a IS NOT NULL }",
            "{ $.a EXISTS }",
            "{ $.a = %x% && $.b = %y% && $.c = %z% }", "{ $.*.* = 1 }", "{ $.a > x }", "[]", "[a, ..., ...]", "[a b]",
            "{ $.*.a = 1 || $.*.b = 1 || $.*.c = 1 || $.*.d = 1 }", "%a%b", "%%", "%a{3,1}%", "%a{9999}%", "%[z-a]%",
            "%a$b%",
            "%[a%", #"%\q%"#, "{ $.a = 1 } x", "{ $.a[99999999999999999999] = 1 }", "{ $ = 1 }", #"%a\%"#, "%ü%",
            String(repeating: "x", count: 1_025),
            "{ " + String(repeating: "(", count: 100) + "$.a = 1" + String(repeating: ")", count: 100) + " }",
        ] { #expect(refusal(pattern) != nil, "\(pattern)") }
    }

    /// Patterns that make engines which go back and try again run for ages, on an event as large as events are.
    @Test(.timeLimit(.minutes(1))) func hostilePatternsAreLinear() throws {
        let text = String(repeating: "a", count: 1 << 16)
        #expect(try !matches("%" + String(repeating: "a*", count: 200) + "b%", text))
        #expect(try !matches("%a{1,250}a{1,250}b%", text))
        #expect(try !matches("[x = " + String(repeating: "*a", count: 300) + "*b]", text))
        #expect(try !matches("\"" + String(repeating: "a", count: 900) + "b\"", text))
        #expect(try !matches("[a, b, c=%x%]", String(repeating: "a ", count: 1 << 15)))
        let deep = String(repeating: #"{"a":"#, count: 400) + "1" + String(repeating: "}", count: 400)
        #expect(try !matches("{ $.*.b = 1 }", deep))
    }

    @Test func selectorsOfMetrics() throws {
        let json = try FilterPattern("{ $.a = * }")
        #expect(json.offers(try #require(FieldSelector("$.b.c[0]"))))
        #expect(!json.offers(try #require(FieldSelector("$b"))))
        let fields = try FilterPattern("[ip, bytes]")
        #expect(fields.offers(try #require(FieldSelector("$bytes"))))
        #expect(!fields.offers(try #require(FieldSelector("$other"))))
        #expect(FieldSelector("bytes") == nil && FieldSelector("$") == nil && FieldSelector("$.") == nil)
    }
}
