import NIOCore
import Platform
import Testing

@testable import APIGateway

@Suite struct ProxyAnswerTests {
    func answer(_ json: String, _ version: PayloadVersion = .v2) -> ProxyAnswer {
        ProxyAnswer.interpret(ByteBuffer(string: json), version: version)
    }

    @Test func whatIsNoProxyAnswerIsTheBodyItself() {
        for json in ["1", "\"x\"", "null", "[1,2]", "{\"a\":1}", "{\"statusCode\":null}"] {
            let got = answer(json)
            #expect(got.status == 200 && String(buffer: got.body) == json && got.problem == nil)
            #expect(answer(json, .v1).status == 500)
        }
    }

    @Test func statusMayBeText() {
        #expect(answer(#"{"statusCode":"204"}"#).status == 204)
        #expect(answer(#"{"statusCode":201.0}"#).status == 201)
    }

    @Test(arguments: [
        #"{"statusCode":0}"#, #"{"statusCode":1e99}"#, #"{"statusCode":-200}"#, #"{"statusCode":[]}"#,
        #"{"statusCode":200,"headers":{"a\nb":"c"}}"#, #"{"statusCode":200,"headers":{"":"c"}}"#,
        #"{"statusCode":200,"headers":{"a":"b\u0000"}}"#, #"{"statusCode":200,"cookies":"a=1"}"#,
        #"{"statusCode":200,"body":[1]}"#, #"{"statusCode":200,"body":"a","isBase64Encoded":true}"#, "{", "",
    ])
    func failures(json: String) {
        let got = answer(json)
        #expect(got.status == 500 && String(buffer: got.body) == #"{"message":"Internal Server Error"}"#)
    }

    /// Whatever a function answers, no header can end early and no status is out of range.
    @Test(arguments: 0..<30) func mutationsAreHarmless(seed: UInt64) {
        var random = Seeded(seed)
        let sample = Array(
            #"{"statusCode":200,"headers":{"x-a":"b","c":1},"multiValueHeaders":{"d":["e"]},"cookies":["f=g"],"body":"aGk=","isBase64Encoded":true}"#
                .utf8)
        for _ in 0..<200 {
            var bytes = sample
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            for version in [PayloadVersion.v1, .v2] {
                let got = ProxyAnswer.interpret(ByteBuffer(bytes: bytes), version: version)
                #expect((100...599).contains(got.status))
                for (name, value) in got.headers { #expect(ProxyAnswer.isHeader(name, value)) }
            }
        }
    }
}

@Suite struct TemplateTests {
    @Test func accessLogs() {
        let format = AccessLogFormat(#"{"a":"$context.requestId","b":"$context.x.y-z"} $context.status. $other"#)
        let line = format.line { ["requestId": "R", "status": "20\"0\n", "x.y-z": "V"][$0] }
        #expect(line == #"{"a":"R","b":"V"} 20\"0\n. $other"#)
        #expect(AccessLogFormat("$context.").line { _ in nil } == "-")
        #expect(AccessLogFormat("").line { _ in nil } == "")
    }

    @Test func mappingTemplates() {
        let values: (Substring) -> String? = { ["request.header.a": "1", "context.b": "2"][$0] }
        #expect(MappingTemplate("$request.header.a").evaluate(values) == "1")
        #expect(MappingTemplate("x ${request.header.a}-${ context.b }${none}!").evaluate(values) == "x 1-2!")
        #expect(MappingTemplate("plain $5").evaluate(values) == "plain $5")
        #expect(MappingTemplate("${open").evaluate(values) == "${open")
    }

    @Test func members() {
        let body = ByteBuffer(string: #"{"a":{"b":[1,{"c":"d"}]},"n":null}"#)
        #expect(RequestRecord.member("a.b[1].c", of: body) == "d")
        #expect(RequestRecord.member("a.b[0]", of: body) == "1")
        for none in ["a.x", "a.b[2]", "a.b[-1]", "a.b[", "a.b[99999999999999999999]", "n", "", "a..b", "[0]"] {
            #expect(RequestRecord.member(Substring(none), of: body) == nil, "\(none)")
        }
    }

    @Test func integrationURLs() {
        var outgoing = ParameterMapping.Outgoing(path: nil, query: [("q", "a b&c")], headers: [])
        let make = { IntegrationURL.make($0, [("id", "x/y?z#"), ("host", "evil")], route: "/{id+}", outgoing) }
        #expect(make("http://h:1/p/{id}?f=1") == "http://h:1/p/x/y%3Fz%23?f=1&q=a%20b%26c")
        // What is one segment for the route stays one.
        let one = IntegrationURL.make("http://h/{id}/x", [("id", "../a")], route: "/{id}", outgoing)
        #expect(one == "http://h/..%2Fa/x?q=a%20b%26c")
        for (url, leads) in [
            ("http://h/a/../b", true), ("http://h/..", true), ("http://h/./a", true), ("http://h/a..b/...", false),
            ("http://h/a?x=/../", false), ("http://h/..%2Fa", false), ("http://h", false),
        ] { #expect(IntegrationURL.leadsElsewhere(url) == leads, "\(url)") }
        #expect(make("https://h") == "https://h/?q=a%20b%26c")
        for bad in ["http://{host}/x", "http://u@h/", "ftp://h/", "http:///x", "", "http://h/ö"] {
            #expect(make(bad) == nil, "\(bad)")
        }
        outgoing.path = "/n w"
        #expect(IntegrationURL.make("http://h/old", [], route: "/", outgoing) == "http://h/n%20w?q=a%20b%26c")
    }

    @Test func functionURIs() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f:live"
        #expect(FunctionURI.function(in: arn) == arn)
        let uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\(arn)/invocations"
        #expect(FunctionURI.function(in: uri) == arn)
        for none in ["", "arn:aws:sqs:us-east-1:1:q", "arn:aws:apigateway:us-east-1:lambda:path/x", "http://x"] {
            #expect(FunctionURI.function(in: none) == nil)
        }
        let text = FunctionURI.substitute("a${stageVariables.x}b${stageVariables.y}c", stageVariables: [("x", "1")])
        #expect(text == "a1bc")
        #expect(FunctionURI.substitute("${stageVariables.x", stageVariables: []) == "${stageVariables.x")
    }
}

@Suite struct AuthorizerTests {
    @Test func policiesOfAuthorizers() throws {
        let value = try JSON.parse(
            #"""
            {"principalId":"me","policyDocument":{"version":"2012-10-17","statement":
             {"effect":"Allow","action":"execute-api:*","resource":["arn:aws:execute-api:us-east-1:1:api/*/GET/*"]}}}
            """#)
        let answer = try #require(AuthorizerAnswer(value, allowsSimple: false))
        #expect(answer.allows("arn:aws:execute-api:us-east-1:1:api/$default/GET/pets/{id}"))
        #expect(!answer.allows("arn:aws:execute-api:us-east-1:1:api/$default/POST/pets"))
        #expect(AuthorizerAnswer(value, allowsSimple: true) == nil)
        #expect(AuthorizerAnswer(["isAuthorized": "true"], allowsSimple: true) == nil)
        #expect(AuthorizerAnswer(["policyDocument": [:]], allowsSimple: false) == nil)
    }

    @Test func theCacheIsBoundedAndForgets() throws {
        let cache = AuthorizerCache(limit: 100)
        let answer = try #require(AuthorizerAnswer(["isAuthorized": true], allowsSimple: true))
        let now = Instant(milliseconds: 0)
        func key(_ number: Int) -> AuthorizerCache.Key {
            AuthorizerCache.Key(api: "a", stage: "s", authorizer: "z", identity: ["\(number)"])
        }
        for number in 0..<1_000 {
            cache.keep(answer, for: key(number), until: now + .seconds(10), asked: cache.generation)
            #expect(cache.count <= 100)
        }
        #expect(cache.find(key(999), now: now) != nil)
        #expect(cache.find(key(999), now: now + .seconds(10)) == nil)
        let asked = cache.generation
        cache.forget(api: "a")
        #expect(cache.count == 0)
        // Who was asked before the change answers by what no longer holds.
        cache.keep(answer, for: key(1), until: now + .seconds(10), asked: asked)
        #expect(cache.find(key(1), now: now) == nil)
    }
}

@Suite struct DocumentTests {
    @Test func yaml() throws {
        let value = try DocumentReader.read(
            """
            openapi: 3.0.1
            a: "3"
            b: 3
            c: [true, ~, 1.5, yes]
            'd': |
              text
            200: x
            """)
        #expect(value["openapi"] == "3.0.1" && value["a"] == "3" && value["b"] == 3)
        #expect(value["c"] == [true, .null, 1.5, "yes"] && value["d"] == "text\n" && value["200"] == "x")
    }

    @Test func yamlIsWrittenSoThatItReadsBack() throws {
        let value: Value = [
            "a": "true", "b": "3", "c": ["", "x y", "#no", "- no", "é\n\"q\"", "null"], "d": true, "e": 1.5, "f": 7,
            "/p/{id}": [:], "g": [], "h": .null,
        ]
        #expect(try DocumentReader.read("# yaml\n" + DocumentReader.yamlText(value)) == value)
    }

    @Test(arguments: [
        "a: &a [1]\nb: *a", "? *x\n: 1\nb: &x 1", String(repeating: "[", count: 2_000),
        String(repeating: "- ", count: 5_000), "{" + String(repeating: "\"a\":{", count: 5_000), "a: b: c", "\u{0}",
        String(repeating: "? ", count: 5_000),
    ])
    func hostileDocuments(text: String) {
        #expect(throws: DocumentReader.Problem.self) { try DocumentReader.read(text) }
    }

    /// What is no anchor stays text.
    @Test func starsAndAmpersands() throws {
        let value = try DocumentReader.read("a: \"*/*\"\nb: x & y * z\nc: |\n  * item\n  *bold*\n")
        #expect(value["a"] == "*/*" && value["b"] == "x & y * z")
    }

    @Test(arguments: 0..<10) func mutationsAreHarmless(seed: UInt64) {
        var random = Seeded(seed)
        let sample = Array(
            """
            openapi: "3.0.1"
            info: {title: t, version: 1}
            paths:
              /a/{b}:
                get: &x
                  security: [{s: [r]}]
                  x-amazon-apigateway-integration: {type: aws_proxy, uri: u, payloadFormatVersion: 2.0}
            components: {securitySchemes: {s: {x-amazon-apigateway-authorizer: {type: jwt}}}}
            """.utf8)
        for _ in 0..<100 {
            var bytes = sample
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...127, using: &random)
            }
            if let value = try? DocumentReader.read(String(decoding: bytes, as: UTF8.self)) {
                _ = try? APIDocument(value, basePath: .prepend)
            }
        }
    }
}
