import Contracts
import NIOCore
import Platform
import Testing
import Wire

@testable import APIGateway

@Suite struct RESTDoorTests {
    private func header(_ got: RESTGot, _ name: String) -> String? { got.headers.first { $0.name == name }?.value }

    @Test func eventsHaveTheKeysOfREST() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(api, "ANY", "/pets/{id}", ["operationName": "one"])
        try await harness.deploy(api, ["variables": ["v": "1"]])
        harness.answers("ok")
        let got = await harness.get(
            api, "POST", "/s/pets/a%2Bb/", query: "q=1&q=2%20x", body: "ä",
            headers: [("accept", "*/*"), ("x-own", "1")])
        #expect(got.status == 200 && got.body == "ok" && header(got, "Content-Type") == "application/json")
        #expect(header(got, "x-amzn-RequestId")?.utf8.count == 36 && header(got, "x-amz-apigw-id") != nil)
        let call = try #require(harness.functions.calls.first)
        let event = call.event
        #expect(
            event.fields?.names == [
                "resource", "path", "httpMethod", "headers", "multiValueHeaders", "queryStringParameters",
                "multiValueQueryStringParameters", "pathParameters", "stageVariables", "requestContext", "body",
                "isBase64Encoded",
            ])
        #expect(event["resource"] == "/pets/{id}" && event["path"] == "/pets/a%2Bb/")
        #expect(event["pathParameters"] == ["id": "a%2Bb"] && event["stageVariables"] == ["v": "1"])
        #expect(event["queryStringParameters"] == ["q": "2 x"])
        #expect(event["multiValueQueryStringParameters"] == ["q": ["1", "2 x"]])
        #expect(event["headers"]?["Accept"] == "*/*" && event["headers"]?["x-own"] == "1")
        #expect(event["headers"]?["content-length"] == nil && event["body"] == "ä" && event["isBase64Encoded"] == false)
        let context = event["requestContext"]
        #expect(
            Set(context?.fields?.names ?? []) == [
                "accountId", "apiId", "deploymentId", "domainName", "domainPrefix", "extendedRequestId", "httpMethod",
                "identity", "operationName", "path", "protocol", "requestId", "requestTime", "requestTimeEpoch",
                "resourceId", "resourcePath", "stage",
            ])
        #expect(context?["path"] == "/s/pets/a%2Bb/" && context?["resourcePath"] == "/pets/{id}")
        #expect(
            Set(context?["identity"]?.fields?.names ?? []) == [
                "accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType",
                "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "sourceIp", "user", "userAgent",
                "userArn",
            ])
        let source = "arn:aws:execute-api:us-east-1:000000000000:\(api.id.string ?? "")/s/POST/pets/{id}"
        #expect(
            call.principal
                == .service(name: "apigateway.amazonaws.com", sourceARN: source, sourceAccount: Harness.account))
    }

    @Test func emptyMapsAreNull() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(api, "GET", "/")
        try await harness.deploy(api)
        _ = await harness.get(api, "GET", "/s")
        let event = try #require(harness.functions.calls.first?.event)
        for name in [
            "body", "pathParameters", "queryStringParameters", "multiValueQueryStringParameters", "stageVariables",
        ] {
            #expect(event[name] == .null, "\(name)")
        }
        #expect(event["path"] == "/")
    }

    @Test(arguments: [
        (#""text""#, 502), ("{}", 200), (#"{"headers":{"a":"b"}}"#, 200), (#"{"statusCode":"201"}"#, 201),
        (#"{"statusCode":200,"other":1}"#, 502), (#"{"statusCode":99}"#, 502), (#"{"statusCode":200,"body":{}}"#, 502),
        (#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#, 502), ("[]", 502), ("null", 502),
    ])
    func whatFunctionsMayAnswer(_ answer: String, _ status: Int) async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(api, "GET", "/")
        try await harness.deploy(api)
        let value = try JSON.parse(answer)
        harness.functions.answer { _ in .success(FakeFunctions.result(value)) }
        let got = await harness.get(api)
        #expect(got.status == status)
        if status == 502 {
            #expect(got.body == #"{"message": "Internal server error"}"#)
            #expect(header(got, "x-amzn-ErrorType") == "InternalServerErrorException")
        }
    }

    @Test func refusalsOfUnknownPlaces() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(api, "GET", "/a")
        try await harness.deploy(api)
        let unknown = await harness.get(api, "GET", "/s/b")
        #expect(unknown.status == 403 && unknown.body == #"{"message":"Missing Authentication Token"}"#)
        #expect(header(unknown, "x-amzn-ErrorType") == "MissingAuthenticationTokenException")
        let method = await harness.get(api, "POST", "/s/a")
        #expect(method.status == 403 && method.body == unknown.body)
        let stage = await harness.get(api, "GET", "/t/a")
        #expect(stage.status == 403 && stage.body == #"{"message":"Forbidden"}"#)
        #expect(header(stage, "x-amzn-ErrorType") == "ForbiddenException")
    }

    @Test func slowFunctionsAreGivenUpAfterTheirTime() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(
            api, "GET", "/",
            integration: [
                "type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": Harness.functionURI,
                "timeoutInMillis": 500,
            ])
        try await harness.deploy(api)
        harness.functions.answer { _ in nil }
        async let answer = harness.get(api)
        while harness.time.nextDue() == nil { await Task.yield() }
        harness.time.advance(by: .milliseconds(500))
        let got = await answer
        #expect(got.status == 504 && got.body == #"{"message": "Endpoint request timed out"}"#)
    }

    @Test func deploymentsAreSnapshots() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(api, "GET", "/a")
        try await harness.deploy(api)
        try await harness.method(api, "GET", "/b")
        harness.answers("x")
        #expect(await harness.get(api, "GET", "/s/b").status == 403)
        try await harness.deploy(api)
        #expect(await harness.get(api, "GET", "/s/b").status == 200)
    }

    @Test func mocksAnswerPreflightsOfDeploymentTools() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(
            api, "OPTIONS", "/",
            integration: ["type": "MOCK", "requestTemplates": ["application/json": "{ statusCode: 204 }"]])
        let base: Value = ["restApiId": api.id, "resourceId": api.root, "httpMethod": "OPTIONS", "statusCode": "204"]
        let parameters: Value = [
            "responseParameters": [
                "method.response.header.Access-Control-Allow-Origin": "'*'",
                "method.response.header.x-from": "method.request.header.origin",
            ]
        ]
        // What comes of a request's header is not an answer's to say.
        #expect(
            await harness.restError("PutIntegrationResponse", base.merging(parameters, ["responseParameters"]))?
                .hasPrefix(
                    "BadRequestException: Invalid mapping expression specified") == true)
        let good: Value = [
            "responseParameters": ["method.response.header.Access-Control-Allow-Origin": "'*'"],
            "responseTemplates": ["application/json": "hi"],
        ]
        try await harness.rest(
            "PutIntegrationResponse", base.merging(good, ["responseParameters", "responseTemplates"]))
        try await harness.deploy(api)
        let got = await harness.get(api, "OPTIONS", "/s", headers: [("origin", "https://a")])
        #expect(got.status == 204 && header(got, "Access-Control-Allow-Origin") == "*")
        // A type without a template goes through as it is: there is no status in it.
        let other = await harness.get(api, "OPTIONS", "/s", body: "x", headers: [("content-type", "text/plain")])
        #expect(other.status == 500)
    }

    @Test func velocityIsRefusedByName() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.rest(
            "PutMethod",
            ["restApiId": api.id, "resourceId": api.root, "httpMethod": "GET", "authorizationType": "NONE"])
        let error = await harness.restError(
            "PutIntegration",
            [
                "restApiId": api.id, "resourceId": api.root, "httpMethod": "GET", "type": "MOCK",
                "requestTemplates": ["application/json": "{\"statusCode\": $input.params('x')}"],
            ])
        #expect(error?.hasPrefix("NotImplementedException: A request mapping template with Velocity") == true)
    }

    @Test(
        arguments: [
            (#"{"statusCode": 200}"#, 200), ("{ statusCode: 204 }", 204), ("{\"statusCode\" : \"201\"}", 201),
            ("{\n  \"statusCode\" : 200\n}\n", 200), ("{}", nil), ("", nil), ("statusCode: 200", nil),
            ("{statusCode:}", nil),
        ] as [(String, Int?)])
    func statusesOfMocks(_ text: String, _ status: Int?) { #expect(StaticTemplate.statusCode(text) == status) }

    @Test(arguments: [
        ("plain", false), ("#set($x = 1)", true), ("$input.body", true), ("${x}", true), ("$!x", true),
        ("costs $5", false),
        ("# heading", false), ("#fff", false), ("## comment", true), ("a $", false), ("#if(true)", true),
    ])
    func directives(_ text: String, _ has: Bool) { #expect(StaticTemplate.hasDirectives(text) == has) }

    @Test func binaryBodiesGoBothWays() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI(["binaryMediaTypes": ["image/*"]])
        try await harness.method(api, "POST", "/")
        try await harness.deploy(api)
        harness.functions.answer { call in
            .success(
                FakeFunctions.result([
                    "statusCode": 200,
                    "body": call.event["isBase64Encoded"] == true ? call.event["body"] ?? "" : "aGk=",
                    "isBase64Encoded": true, "headers": ["Content-Type": "image/png"],
                ]))
        }
        let bytes = await harness.get(
            api, "POST", "/s", body: "hi", headers: [("content-type", "image/png"), ("accept", "image/png")])
        #expect(bytes.body == "hi" && harness.functions.calls[0].event["body"] == "aGk=")
        // A client that does not ask for it gets the text that stands for it.
        let text = await harness.get(
            api, "POST", "/s", body: "hi", headers: [("content-type", "text/plain"), ("accept", "text/html")])
        #expect(text.body == "aGk=" && harness.functions.calls[1].event["body"] == "hi")
    }

    @Test func gatewayResponsesAreTheAPIsOwn() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(api, "GET", "/a")
        try await harness.rest(
            "PutGatewayResponse",
            [
                "restApiId": api.id, "responseType": "DEFAULT_4XX",
                "responseParameters": [
                    "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
                    "gatewayresponse.header.x-q": "method.request.querystring.q",
                ],
            ])
        try await harness.rest(
            "PutGatewayResponse",
            [
                "restApiId": api.id, "responseType": "MISSING_AUTHENTICATION_TOKEN", "statusCode": "404",
                "responseTemplates": [
                    "application/json":
                        #"{"m":$context.error.messageString,"t":"$context.error.responseType","s":"${context.stage}","$":"$x"}"#
                ],
            ])
        try await harness.deploy(api)
        harness.answers("x")
        let own = await harness.get(api, "GET", "/s/b")
        #expect(own.status == 404)
        #expect(
            own.body == #"{"m":"Missing Authentication Token","t":"MISSING_AUTHENTICATION_TOKEN","s":"s","$":"$x"}"#)
        let general = await harness.get(api, "GET", "/s/a", query: "q=1")
        #expect(general.status == 200)
        let listed = try await harness.rest("GetGatewayResponses", ["restApiId": api.id])["items"]?.list ?? []
        #expect(listed.count == 21 && listed.filter { $0["defaultResponse"] == false }.count == 2)
    }

    @Test func streamsPassThePreludeAndThePieces() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(
            api, "GET", "/",
            integration: [
                "type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": Harness.functionURI,
                "responseTransferMode": "STREAM", "timeoutInMillis": 900_000,
            ])
        try await harness.deploy(api)
        harness.functions.answer { _ in
            .success(
                FakeFunctions.result([
                    "pieces": [
                        "{\"statusCode\":201,\"headers\":{\"x-a\":\"b\"}}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}on",
                        "e,", "two",
                    ]
                ]))
        }
        let head = RequestHead(method: "GET", path: "/s", query: "", headers: [("host", "x.execute-api.localhost")])
        let request = DoorRequest(
            context: harness.context("", principal: .anonymous), head: head,
            labels: [api.id.string ?? "", "execute-api", "us-east-1"], body: ByteBuffer())
        let response = await withCheckedContinuation { continuation in
            harness.service.respond(to: request) { continuation.resume(returning: $0) }
        }
        #expect(response.status == 201 && response.headers.contains { $0.name == "x-a" && $0.value == "b" })
        guard case .stream(_, let produce) = response.payload else { throw Failure(.unavailable, "no stream") }
        let writer = PieceWriter()
        try await produce(writer)
        #expect(writer.pieces.joined() == "one,two")
        // Without a head there is nothing to answer.
        harness.functions.answer { _ in .success(FakeFunctions.result(["pieces": ["no head"]])) }
        #expect(await harness.get(api, "GET", "/s").status == 502)
    }

    @Test func accessLogsOfStreamsAreWrittenAtTheirEnd() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(
            api, "GET", "/",
            integration: [
                "type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": Harness.functionURI,
                "responseTransferMode": "STREAM",
            ])
        try await harness.deploy(api)
        let format =
            "$context.requestId|$context.responseLength|$context.integration.responseTransferMode|"
            + "$context.integration.timeToAllHeaders|$context.integration.timeToFirstContent|$context.integrationLatency"
        let patches: [Value] = [
            [
                "op": "replace", "path": "/accessLogSettings/destinationArn",
                "value": "arn:aws:logs:us-east-1:000000000000:log-group:g",
            ],
            ["op": "replace", "path": "/accessLogSettings/format", "value": .string(format)],
        ]
        try await harness.rest(
            "UpdateStage", ["restApiId": api.id, "stageName": "s", "patchOperations": .list(patches)])
        let head = "{\"statusCode\":200}" + String(repeating: "\u{0}", count: 8)
        harness.functions.answer { _ in .success(FakeFunctions.result(["pieces": [.string(head + "on"), "e,", "two"]]))
        }
        let request = harness.request(api.id.string ?? "", "GET", "/s")
        func answer() async -> DoorResponse {
            await withCheckedContinuation { continuation in
                harness.service.respond(to: request) { continuation.resume(returning: $0) }
            }
        }
        guard case .stream(_, let produce) = await answer().payload else { throw Failure(.bug, "no stream") }
        #expect(harness.logs.lines.isEmpty)
        try await produce(PieceWriter())
        let fields = harness.logs.lines.map { $0.message.split(separator: "|").dropFirst().map(String.init) }
        #expect(fields.count == 1 && fields.first?.prefix(2) == ["7", "STREAMED"], "\(fields)")
        #expect(fields.first?.dropFirst(2).allSatisfy { Int($0) != nil } == true, "\(fields)")
        // Whoever goes away before the body begins, or asked for the head alone, is in the log, too.
        _ = await answer()
        // Written when the door lets go of the body, which may be after the answer.
        for _ in 0..<100_000 where harness.logs.lines.count < 2 { await Task.yield() }
        #expect(harness.logs.lines.count == 2)
        #expect(harness.logs.lines.last?.message.split(separator: "|")[1] == "0")
    }

    @Test func answersToHEADHaveTheBackendsLength() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        let url = "http://backend/x"
        try await harness.method(
            api, "ANY", "/", integration: ["type": "HTTP_PROXY", "integrationHttpMethod": "ANY", "uri": .string(url)])
        try await harness.method(
            api, "ANY", "/h", integration: ["type": "HTTP_PROXY", "integrationHttpMethod": "HEAD", "uri": .string(url)])
        try await harness.deploy(api)
        func length(_ method: String, _ path: String, _ said: String?) async -> Int64? {
            let headers = said.map { [(name: "Content-Length", value: $0)] } ?? []
            harness.http.answer(url, OutboundResponse(status: 200, headers: headers, body: []))
            let request = harness.request(api.id.string ?? "", method, path)
            let answer = await withCheckedContinuation { continuation in
                harness.service.respond(to: request) { continuation.resume(returning: $0) }
            }
            switch answer.payload {
            case .stream(let length, _): return length
            case .bytes(let bytes): return Int64(bytes.readableBytes)
            default: return -1
            }
        }
        #expect(await length("HEAD", "/s", "12345") == 12345)
        #expect(await length("HEAD", "/s", nil) == nil)
        #expect(await length("HEAD", "/s", "-1") == nil)
        #expect(await length("GET", "/s", "12345") == 0)
        #expect(await length("GET", "/s/h", "12345") == 0)
    }

    @Test func backendsStreamAsFunctionsDo() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        let url = "http://backend/x"
        try await harness.method(
            api, "ANY", "/",
            integration: [
                "type": "HTTP_PROXY", "integrationHttpMethod": "ANY", "uri": .string(url),
                "responseTransferMode": "STREAM", "timeoutInMillis": 900_000,
            ])
        try await harness.deploy(api)
        func produced(_ response: OutboundResponse) async throws -> (DoorResponse, Int64?, [String], (any Error)?) {
            harness.http.answer(url, response)
            let head = RequestHead(method: "GET", path: "/s", query: "", headers: [("host", "x.execute-api.localhost")])
            let request = DoorRequest(
                context: harness.context("", principal: .anonymous), head: head,
                labels: [api.id.string ?? "", "execute-api", "us-east-1"], body: ByteBuffer())
            let answer = await withCheckedContinuation { continuation in
                harness.service.respond(to: request) { continuation.resume(returning: $0) }
            }
            guard case .stream(let length, let produce) = answer.payload else { return (answer, nil, [], nil) }
            let writer = PieceWriter()
            do { try await produce(writer) } catch { return (answer, length, writer.pieces, error) }
            return (answer, length, writer.pieces, nil)
        }
        let headers = [(name: "x-a", value: "b"), (name: "Server", value: "c"), (name: "content-length", value: "3")]
        let whole = try await produced(OutboundResponse(status: 206, headers: headers, body: Array("one".utf8)))
        #expect(whole.0.status == 206 && whole.0.headers.contains { $0.name == "x-amzn-Remapped-Server" })
        #expect(whole.1 == 3 && whole.2 == ["o", "n", "e"] && whole.3 == nil)
        let broken = try await produced(
            OutboundResponse(status: 200, headers: [(name: "content-length", value: "-1")], body: Array("no!".utf8)))
        #expect(broken.1 == nil && broken.2 == ["n", "o", "!"] && broken.3 != nil)
        let bare = try await produced(OutboundResponse(status: 304, headers: headers, body: []))
        guard case .none = bare.0.payload else { throw Failure(.unavailable, "a body with 304") }
        // Nobody there: as without streaming.
        #expect(await harness.get(api, "GET", "/s", query: "other").status == 504)
    }
}
