import Contracts
import NIOCore
import Platform
import Testing
import Wire

@testable import APIGateway

@Suite struct DoorTests {
    /// What the functions say their event was.
    private func event(_ answer: (status: Int, headers: [(name: String, value: String)], body: String)) throws -> Value
    {
        #expect(answer.status == 200)
        return try JSON.parse(answer.body)
    }

    @Test func functionsAreCalledForTheRouteAndWithItsARN() async throws {
        let harness = try Harness()
        let api = try await harness.api(["GET /pets/{id}", "$default"])
        let event = try event(await harness.send(api, "GET", "/pets/a%2Fb", query: "x=1"))
        #expect(event["pathParameters"] == ["id": "a/b"] && event["rawPath"] == "/pets/a/b")
        _ = await harness.send(api, "POST", "/else")
        let sources = harness.functions.calls.map { call -> String in
            if case .service(let name, let source, _) = call.principal { return name + " " + source }
            return ""
        }
        let prefix = "apigateway.amazonaws.com arn:aws:execute-api:us-east-1:000000000000:\(api)/$default/"
        #expect(sources == [prefix + "GET/pets/{id}", prefix + "$default"])
    }

    @Test func aSlowFunctionIsGivenUpAndItsLateAnswerIsDropped() async throws {
        let harness = try Harness()
        let api = try await harness.api(["$default"])
        harness.functions.answer { _ in nil }
        async let answer = harness.send(api)
        while harness.time.nextDue() == nil { await Task.yield() }
        harness.time.advance(by: .seconds(30))
        let got = await answer
        #expect(got.status == 503 && got.body == #"{"message":"Service Unavailable"}"#)
    }

    @Test(arguments: [
        ("TooManyRequestsException", 429, 503), ("AccessDeniedException", 403, 500),
        ("ResourceNotFoundException", 404, 500), ("RequestTooLargeException", 413, 413), ("ServiceException", 500, 500),
    ])
    func failuresOfLambda(code: String, status: Int, answered: Int) async throws {
        let harness = try Harness()
        let api = try await harness.api(["$default"])
        harness.functions.answer { _ in .failure(AWSError(code, status: status, "secret")) }
        let got = await harness.send(api)
        #expect(got.status == answered && !got.body.contains("secret"))
    }

    @Test func throttlesAreKeptByRouteAndRefill() async throws {
        let harness = try Harness()
        let api = try await harness.api(["GET /a", "GET /b"])
        try await harness.call(
            "UpdateStage",
            [
                "ApiId": .string(api), "StageName": "$default",
                "DefaultRouteSettings": ["ThrottlingRateLimit": 1.0, "ThrottlingBurstLimit": 1],
                "RouteSettings": ["GET /b": ["ThrottlingRateLimit": 1.0, "ThrottlingBurstLimit": 2]],
            ])
        var statuses: [Int] = []
        for path in ["/a", "/a", "/b", "/b", "/b"] { statuses.append(await harness.send(api, "GET", path).status) }
        #expect(statuses == [200, 429, 200, 200, 429])
        harness.time.advance(by: .seconds(1))
        #expect(await harness.send(api, "GET", "/a").status == 200)
    }

    @Test func accessLogsHaveOneLineForEachRequest() async throws {
        let harness = try Harness()
        let api = try await harness.api(["GET /a"])
        try await harness.call(
            "UpdateStage",
            [
                "ApiId": .string(api), "StageName": "$default",
                "AccessLogSettings": [
                    "DestinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:g:*",
                    "Format": "$context.requestId $context.status $context.routeKey $context.integrationErrorMessage",
                ],
            ])
        // A line is written behind its answer.
        func send(_ path: String) async -> (status: Int, headers: [(name: String, value: String)], body: String) {
            let count = harness.logs.lines.count
            let answer = await harness.send(api, "GET", path)
            for _ in 0..<1_000_000 where harness.logs.lines.count == count { await Task.yield() }
            return answer
        }
        let first = await send("/a")
        harness.functions.answer { _ in .success(FakeFunctions.result(["errorMessage": "no"], error: "Unhandled")) }
        _ = await send("/a")
        _ = await send("/b")
        let lines = harness.logs.lines
        try #require(lines.map(\.group) == ["g", "g", "g"])
        let id = first.headers.first { $0.name == "apigw-requestid" }?.value ?? ""
        #expect(lines[0].message == "\(id) 200 GET /a -")
        // Quotes are escaped, so that templates of JSON stay JSON.
        let problem = #"500 GET /a The Lambda function returned an error. {\"errorMessage\":\"no\"}"#
        #expect(lines[1].message.hasSuffix(problem))
        #expect(lines[2].message.hasSuffix("404 - -"))
    }

    @Test func lambdaAuthorizersAreKeptForTheirTime() async throws {
        let harness = try Harness()
        let api = try await harness.api(["GET /a", "GET /b"])
        let authorizer = try await harness.call(
            "CreateAuthorizer",
            [
                "ApiId": .string(api), "Name": "z", "AuthorizerType": "REQUEST",
                "AuthorizerPayloadFormatVersion": "2.0",
                "AuthorizerUri": "arn:aws:lambda:us-east-1:000000000000:function:auth", "EnableSimpleResponses": true,
                "IdentitySource": ["$request.header.token", "$context.routeKey"], "AuthorizerResultTtlInSeconds": 60,
            ])["AuthorizerId"]
        for route in try await harness.call("GetRoutes", ["ApiId": .string(api)])["Items"]?.list ?? [] {
            try await harness.call(
                "UpdateRoute",
                [
                    "ApiId": .string(api), "RouteId": route["RouteId"] ?? .null, "AuthorizationType": "CUSTOM",
                    "AuthorizerId": authorizer ?? .null,
                ])
        }
        harness.functions.answer { call in
            guard call.function.hasSuffix(":auth") else { return .success(FakeFunctions.result(call.event)) }
            let token = call.event["headers"]?["token"]?.string
            return .success(FakeFunctions.result(["isAuthorized": .bool(token == "yes"), "context": ["k": "v"]]))
        }
        func asked() -> Int { harness.functions.calls.filter { $0.function.hasSuffix(":auth") }.count }
        let event = try event(await harness.send(api, "GET", "/a", headers: [("token", "yes")]))
        #expect(event["requestContext"]?["authorizer"] == ["lambda": ["k": "v"]])
        #expect(await harness.send(api, "GET", "/a", headers: [("token", "yes")]).status == 200)
        #expect(asked() == 1)
        #expect(await harness.send(api, "GET", "/b", headers: [("token", "yes")]).status == 200)
        #expect(asked() == 2)
        #expect(await harness.send(api, "GET", "/a", headers: [("token", "no")]).status == 403)
        #expect(await harness.send(api, "GET", "/a", headers: [("token", "no")]).status == 403)
        #expect(asked() == 3)
        #expect(await harness.send(api, "GET", "/a").status == 401)
        harness.time.advance(by: .seconds(60))
        #expect(await harness.send(api, "GET", "/a", headers: [("token", "yes")]).status == 200)
        #expect(asked() == 4)
    }

    @Test func awsIAM() async throws {
        let harness = try Harness()
        let api = try await harness.api(["GET /a", "GET /denied"])
        for route in try await harness.call("GetRoutes", ["ApiId": .string(api)])["Items"]?.list ?? [] {
            try await harness.call(
                "UpdateRoute",
                ["ApiId": .string(api), "RouteId": route["RouteId"] ?? .null, "AuthorizationType": "AWS_IAM"])
        }
        #expect(await harness.send(api, "GET", "/a").status == 403)
        #expect(await harness.send(api, "GET", "/denied", isSigned: true).status == 403)
        let event = try event(await harness.send(api, "GET", "/a", isSigned: true))
        #expect(event["requestContext"]?["authorizer"]?["iam"]?["accountId"] == "000000000000")
    }

    private static let mapping: Value = [
        "append:header.h": "$request.querystring.q", "overwrite:header.cookie": "own=1", "remove:header.gone": "''",
        "append:querystring.q": "a b", "remove:querystring.r": "''", "overwrite:path": "$request.path.rest",
    ]

    /// Made, changed or imported with `mapping`: a request to it, and what the function is told.
    @Test(arguments: ["CreateIntegration", "UpdateIntegration", "ImportApi"], ["1.0", "2.0"])
    func requestsOfFunctionsAreMapped(way: String, version: String) async throws {
        let harness = try Harness()
        harness.functions.answer { _ in .success(FakeFunctions.result(["statusCode": 200])) }
        let arn: Value = "arn:aws:lambda:us-east-1:000000000000:function:f"
        let api: String
        if way == "ImportApi" {
            let integration: Value = [
                "type": "aws_proxy", "uri": arn, "httpMethod": "POST", "payloadFormatVersion": .string(version),
                "requestParameters": Self.mapping,
            ]
            let document: Value = [
                "openapi": "3.0.1", "info": ["title": "t", "version": "1"],
                "paths": ["/v1/{rest+}": ["get": ["x-amazon-apigateway-integration": integration]]],
            ]
            let made = try await harness.call("ImportApi", ["Body": .string(JSON.encodeString(document))])
            api = try #require(made["ApiId"]?.string)
        } else {
            api = try await harness.call("CreateApi", ["Name": "m", "ProtocolType": "HTTP"])["ApiId"]?.string ?? ""
            var input: Value = [
                "ApiId": .string(api), "IntegrationType": "AWS_PROXY", "IntegrationUri": arn,
                "PayloadFormatVersion": .string(version),
            ]
            if way == "CreateIntegration" { input["RequestParameters"] = Self.mapping }
            let id = try await harness.call("CreateIntegration", input)["IntegrationId"] ?? .null
            if way == "UpdateIntegration" {
                let parameters: Value = [
                    "ApiId": .string(api), "IntegrationId": id, "RequestParameters": Self.mapping,
                ]
                let updated = try await harness.call("UpdateIntegration", parameters)
                #expect(updated["RequestParameters"] == Self.mapping)
            }
            let route: Value = [
                "ApiId": .string(api), "RouteKey": "GET /v1/{rest+}",
                "Target": .string("integrations/\(id.string ?? "")"),
            ]
            try await harness.call("CreateRoute", route)
        }
        try await harness.call(
            "CreateStage", ["ApiId": .string(api), "StageName": "prod", "AutoDeploy": true])
        let answer = await harness.send(
            api, "GET", "/prod/v1/x%20y/z", query: "q=1&r=2&q=3",
            headers: [("h", "0"), ("gone", "x"), ("kept", "k"), ("cookie", "a=1"), ("cookie", "b=2")])
        #expect(answer.status == 200)
        let event = try #require(harness.functions.calls.last?.event)
        let headers = event["headers"]
        #expect(headers?["gone"] == nil && headers?["kept"] == "k")
        #expect(event["pathParameters"] == ["rest": "x y/z"])
        if version == "2.0" {
            #expect(headers?["h"] == "0,1,3" && event["cookies"] == ["own=1"])
            #expect(event["queryStringParameters"] == ["q": "1,3,a b"])
            #expect(event["rawQueryString"] == "q=1&q=3&q=a%20b" && event["rawPath"] == "/x y/z")
            #expect(event["requestContext"]?["http"]?["path"] == "/prod/v1/x y/z")
        } else {
            #expect(event["multiValueHeaders"]?["h"] == ["0", "1,3"] && headers?["cookie"] == "own=1")
            #expect(event["multiValueQueryStringParameters"] == ["q": ["1", "3", "a b"]])
            #expect(event["path"] == "/x y/z" && event["requestContext"]?["path"] == "/prod/v1/x y/z")
        }
    }

    /// What no mapping names is as it came, to the byte.
    @Test func mappingsOfHeadersLeaveTheQueryAlone() async throws {
        let harness = try Harness()
        let api = try await harness.api(["$default"])
        let id = try await harness.call("GetIntegrations", ["ApiId": .string(api)])["Items"]?.list?.first
        try await harness.call(
            "UpdateIntegration",
            [
                "ApiId": .string(api), "IntegrationId": id?["IntegrationId"] ?? .null,
                "RequestParameters": ["append:header.h": "1"],
            ])
        let event = try event(await harness.send(api, "GET", "/%61", query: "a=b+c&&d"))
        #expect(event["headers"]?["h"] == "1" && event["rawQueryString"] == "a=b+c&&d" && event["rawPath"] == "/a")
        for (name, text) in [
            ("append:header.host", "Operations on header host are restricted"), ("append:path", "Invalid mapping"),
        ] {
            let error = await harness.error(
                "UpdateIntegration",
                [
                    "ApiId": .string(api), "IntegrationId": id?["IntegrationId"] ?? .null,
                    "RequestParameters": [name: "1"],
                ])
            #expect(error?.code == "BadRequestException" && error?.message.contains(text) == true)
        }
    }

    @Test func credentialsAreNotForEveryOrigin() async throws {
        let harness = try Harness()
        let cors: Value = ["AllowOrigins": ["*"], "AllowCredentials": true]
        let error = await harness.error(
            "CreateApi", ["Name": "c", "ProtocolType": "HTTP", "CorsConfiguration": cors])
        #expect(error?.code == "BadRequestException")
        #expect(error?.message == "allow-credentials is not supported if 'allow-origin' is *")
    }

    @Test func functionsReachNoNetworkThroughTheServer() async throws {
        let harness = try Harness(functionsReachTheNetwork: false)
        let api = try await harness.api(["$default"])
        let role = Principal.roleSession(
            roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "f", account: Harness.account)
        let proxy: Value = [
            "ApiId": .string(api), "IntegrationType": "HTTP_PROXY", "IntegrationUri": "http://127.0.0.1:1",
            "IntegrationMethod": "GET", "PayloadFormatVersion": "1.0",
        ]
        #expect(await harness.error("CreateIntegration", proxy, principal: role)?.code == "BadRequestException")
        #expect(await harness.error("CreateIntegration", proxy) == nil)
        let quick: Value = ["Name": "q", "ProtocolType": "HTTP", "Target": "http://127.0.0.1:1"]
        #expect(await harness.error("CreateApi", quick, principal: role)?.code == "BadRequestException")
        let document = #"""
            {"openapi":"3.0.1","info":{"title":"t"},"paths":{"/a":{"get":{"x-amazon-apigateway-integration":
            {"type":"http_proxy","uri":"http://127.0.0.1:1","httpMethod":"GET"}}}}}
            """#
        #expect(
            await harness.error("ImportApi", ["Body": .string(document)], principal: role)?.code
                == "BadRequestException")
    }

    /// An import takes what the operations take, and nothing else.
    @Test(arguments: [
        (#""timeoutInMillis":30001"#, "", ""), (#""timeoutInMillis":"5000""#, "", ""), (#""description":{}"#, "", ""),
        (#""requestParameters":{"overwrite:path":1}"#, "", ""),
        ("", #""security":[{"z":["1","2","3","4","5","6","7","8","9","10","11"]}]"#, ""),
        ("", #""security":[{"z":[1]}]"#, ""), ("", "", #""maxAge":86401"#), ("", "", #""allowOrigins":"*""#),
    ])
    func importsAreHeldToTheRules(integration: String, operation: String, cors: String) async throws {
        let harness = try Harness()
        func document(_ integration: String, _ operation: String, _ cors: String) -> Value {
            func more(_ text: String) -> String { text.isEmpty ? "" : "," + text }
            return .string(
                #"{"openapi":"3.0.1","info":{"title":"x"},"x-amazon-apigateway-cors":{"maxAge":5"# + more(cors)
                    + #"},"components":{"securitySchemes":{"z":{"type":"oauth2","x-amazon-apigateway-authorizer":{"type":"jwt","#
                    + #""identitySource":"$request.header.a","jwtConfiguration":{"issuer":"https://i","audience":["a"]}}}}},"#
                    + #""paths":{"/a":{"get":{"x-amazon-apigateway-integration":{"type":"http_proxy","#
                    + #""uri":"https://a","httpMethod":"GET""# + more(integration) + "}" + more(operation) + "}}}}")
        }
        let made = try await harness.call("ImportApi", ["Body": document("", "", "")])["ApiId"] ?? .null
        let wrong = document(integration, operation, cors)
        #expect(await harness.error("ImportApi", ["Body": wrong])?.code == "BadRequestException")
        #expect(await harness.error("ReimportApi", ["ApiId": made, "Body": wrong])?.code == "BadRequestException")
        // What was there stays.
        #expect(try await harness.call("GetRoutes", ["ApiId": made])["Items"]?.list?.count == 1)
    }

    /// What programs write: names that are too long for a route, and members without a value.
    @Test func importsLeaveOutWhatIsNotNeeded() async throws {
        let harness = try Harness()
        let (long, fitting) = (String(repeating: "x", count: 65), String(repeating: "y", count: 64))
        let document = #"""
            {"openapi":"3.0.1","info":{"title":"x","description":null,"version":null},"x-amazon-apigateway-cors":{"maxAge":null},
            "paths":{"/a":{"get":{"operationId":"\#(long)","security":null,"x-amazon-apigateway-integration":{"type":"http_proxy",
            "uri":"https://a","httpMethod":"GET","credentials":null,"description":null,"timeoutInMillis":null,
            "requestParameters":null}},"put":{"operationId":"\#(fitting)"}}}}
            """#
        let made = try await harness.call("ImportApi", ["Body": .string(document)])
        #expect(made["Warnings"]?.list?.contains { $0.string?.contains("operationId of GET /a") == true } == true)
        #expect(made["Description"] == nil && made["CorsConfiguration"]?["MaxAge"] == nil)
        let routes = try await harness.call("GetRoutes", ["ApiId": made["ApiId"] ?? .null])["Items"]?.list ?? []
        #expect(Set(routes.map { $0["OperationName"]?.string ?? "none" }) == ["none", fitting])
        let kept = try await harness.call("GetIntegrations", ["ApiId": made["ApiId"] ?? .null])["Items"]?.list?.first
        #expect(kept?.fields?.entries.contains { $0.value.isNull } == false, "\(String(describing: kept))")
        #expect(
            await harness.error("ImportApi", ["Body": .string(document), "FailOnWarnings": true])?.code
                == "BadRequestException")
    }

    @Test func theMarkOfThisServerIsNotHandedOn() async throws {
        let harness = try Harness()
        let api = try await harness.api(["$default"])
        let event = try event(await harness.send(api, headers: [(OutboundMark.header, "secret")]))
        #expect(event["headers"]?[OutboundMark.header] == nil)
    }

    /// Any path, query and headers make an event that is JSON with the same text in it, and never a crash.
    @Test(arguments: 0..<20) func anyRequestMakesAnEvent(seed: UInt64) async throws {
        var random = Seeded(seed)
        let harness = try Harness()
        let apis = [
            try await harness.api(["ANY /{a}/{b+}", "$default"]), try await harness.api(["$default"], version: "1.0"),
        ]
        let alphabet = Array("ab/%2F%41%ff?&=+;é\"\\{}$ \u{1}")
        func text(_ count: Int) -> String {
            String((0..<count).map { _ in alphabet.randomElement(using: &random) ?? "x" })
        }
        for _ in 0..<30 {
            let (path, query, value) = ("/" + text(12), text(20), text(10))
            for api in apis {
                let answer = await harness.send(
                    api, "GET", path, query: query, body: value,
                    headers: [("x-any", value), ("x-any", "2"), ("cookie", value)])
                #expect([200, 500].contains(answer.status))
            }
        }
        for call in harness.functions.calls { #expect(call.event["rawPath"] != nil || call.event["path"] != nil) }
    }
}

@Suite struct AccessTests {
    @Test func resourcesAreThePathsOfRequests() {
        var context = (try? Harness())?.context("GetRoute")
        context?.uri = "/v2/apis/abc/routes/def?x=1"
        #expect(context.map(Access.resource) == "arn:aws:apigateway:us-east-1::/apis/abc/routes/def")
    }

    @Test func rolesNeedAPolicy() async throws {
        let harness = try Harness()
        let api = try await harness.api(["$default"])
        let role = Principal.roleSession(
            roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "f", account: Harness.account)
        #expect(await harness.error("GetApi", ["ApiId": .string(api)], principal: role) == nil)
        let denied = await harness.error("GetApi", ["ApiId": .string(api)], principal: role, uri: "/v2/apis/denied")
        #expect(denied?.code == "AccessDeniedException" && denied?.status == 403)
        #expect(
            denied?.message.contains("apigateway:GET on resource: arn:aws:apigateway:us-east-1::/apis/denied") == true)
        // Of another account, with a role there.
        let stranger = Principal.account("111122223333")
        #expect(await harness.error("GetApi", ["ApiId": .string(api)], principal: stranger, uri: "/denied") != nil)
    }
}
