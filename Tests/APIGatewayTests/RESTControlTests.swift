import Contracts
import NIOCore
import Platform
import Testing
import Wire

@testable import APIGateway

@Suite struct RESTControlTests {
    private func patch(_ op: String, _ path: String, _ value: String? = nil) -> Value {
        var patch: Value = ["op": .string(op), "path": .string(path)]
        if let value { patch["value"] = .string(value) }
        return .list([patch])
    }

    /// Texts as AWS was recorded to say them.
    @Test func patchesThatAWSRefuses() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI(["description": "d"])
        let resource = try await harness.resource(api.id, api.root, "/pets")
        func refusal(_ operation: String, _ input: Value, _ patches: Value) async -> String? {
            var input = input.merging(["restApiId": api.id], ["restApiId"])
            input["patchOperations"] = patches
            return await harness.restError(operation, input)
        }
        let bad = "BadRequestException: "
        #expect(
            await refusal("UpdateResource", ["resourceId": resource], patch("replace", "/invalid", "x"))
                == bad
                + "Invalid patch path  '/invalid' specified for op 'replace'. Must be one of: [/parentId, /pathPart]")
        #expect(
            await refusal("UpdateResource", ["resourceId": resource], patch("remove", "/pathPart"))
                == bad + "Invalid patch path  '/pathPart' specified for op 'remove'. Please choose supported operations"
        )
        #expect(
            await refusal("UpdateRestApi", [:], patch("add", "/binaryMediaTypes", "x"))
                == bad + "Invalid patch path /binaryMediaTypes")
        #expect(
            await refusal("UpdateRestApi", [:], patch("add", "/minimumCompressionSize", "1"))
                == bad + "Invalid patch operation specified. Must be one of: [replace]")
        #expect(
            await refusal("UpdateRestApi", [:], patch("replace", "/minimumCompressionSize", "-1"))
                == bad + "Invalid minimum compression size, must be between 0 and 10485760")
        #expect(
            await refusal("UpdateResource", ["resourceId": api.root], patch("replace", "/pathPart", "x"))
                == bad + "Root resource cannot update its pathPart.")
        #expect(
            await refusal("UpdateGatewayResponse", ["responseType": "DEFAULT_4XX"], .list([["op": "add"]]))
                == bad + "Invalid patch path null")
        let types = try await harness.rest(
            "UpdateRestApi",
            ["restApiId": api.id, "patchOperations": patch("add", "/binaryMediaTypes/image~1png")])
        #expect(types["binaryMediaTypes"] == ["image/png"] && types["tags"] == [:])
        let less = try await harness.rest(
            "UpdateRestApi",
            ["restApiId": api.id, "patchOperations": patch("remove", "/description")])
        #expect(less["description"] == nil && less["version"] == nil)
    }

    @Test func stagesKeepMethodSettingsByPathAndMethod() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(api, "GET", "/a")
        try await harness.deploy(api)
        let input: Value = ["restApiId": api.id, "stageName": "s"]
        var patches = patch("replace", "/~1a/GET/throttling/burstLimit", "1").list ?? []
        patches += patch("replace", "/~1a/GET/throttling/rateLimit", "1").list ?? []
        patches += patch("replace", "/*/*/logging/loglevel", "INFO").list ?? []
        patches += patch("replace", "/variables/v", "1").list ?? []
        let stage = try await harness.rest(
            "UpdateStage", input.merging(["patchOperations": .list(patches)], ["patchOperations"]))
        #expect(stage["methodSettings"]?["a/GET"]?["throttlingBurstLimit"] == 1)
        #expect(stage["methodSettings"]?["*/*"]?["loggingLevel"] == "INFO" && stage["variables"] == ["v": "1"])
        harness.answers("x")
        #expect(await harness.get(api, "GET", "/s/a").status == 200)
        #expect(await harness.get(api, "GET", "/s/a").status == 429)
        let error = await harness.restError(
            "UpdateStage", input.merging(["patchOperations": patch("replace", "/tags/t", "x")], ["patchOperations"]))
        let start =
            "BadRequestException: Invalid method setting path: /tags/t. Must be one of: [/deploymentId, /description, "
        #expect(error?.hasPrefix(start) == true)
        #expect(
            error?.contains("/*/*/throttling/burstLimit /*/*/throttling/rateLimit /*/*/caching/ttlInSeconds, ") == true)
        #expect(error?.hasSuffix(", /variables/{variable_name}, /tracingEnabled]") == true)
    }

    @Test func resourcesThatAWSRefuses() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        func create(_ parent: Value, _ part: String) async -> String? {
            await harness.restError(
                "CreateResource", ["restApiId": api.id, "parentId": parent, "pathPart": .string(part)])
        }
        let proxy = try await harness.resource(api.id, api.root, "/{proxy+}")
        #expect(
            await create(api.root, "{proxy+}")?.hasPrefix("ConflictException: Another resource with the same") == true)
        #expect(
            await create(api.root, "{id}")
                == "BadRequestException: A sibling ({proxy+}) of this resource already has a variable path part -- only one is allowed"
        )
        #expect(
            await create(proxy, "x")
                == "BadRequestException: Cannot create a child of a resource with a greedy path variable: {proxy+}")
        #expect(await create("nobody", "x") == "NotFoundException: Invalid Resource identifier specified")
        for part in ["", "a/b", "{", "a{b}", "{a b}", "ä"] { #expect(await create(api.root, part) != nil, "\(part)") }
        let parent = try await harness.resource(api.id, api.root, "/parent/{proxy+}")
        #expect(parent != .null)
        _ = try await harness.resource(api.id, api.root, "/parent/{child}")
    }

    /// Whatever is made, moved and deleted: paths are those of the parents, names differ, nothing hangs in the air.
    @Test(arguments: 1...24) func treesStayTrees(seed: UInt64) async throws {
        var random = Seeded(seed)
        let harness = try Harness()
        let api = try await harness.restAPI()
        let parts = ["a", "b", "{x}", "{y}", "{p+}"]
        for _ in 0..<60 {
            let known =
                (try await harness.rest("GetResources", ["restApiId": api.id, "limit": 500])["items"]?.list ?? [])
                // In the order of their paths: their ids are others each time.
                .sorted { ($0["path"]?.string ?? "") < ($1["path"]?.string ?? "") }
            guard let one = known.randomElement(using: &random), let other = known.randomElement(using: &random) else {
                break
            }
            let part = parts.randomElement(using: &random) ?? "a"
            let base: Value = ["restApiId": api.id]
            switch Int.random(in: 0..<8, using: &random) {
            case 0...4:
                let input: Value = ["parentId": one["id"] ?? .null, "pathPart": .string(part)]
                _ = await harness.restError("CreateResource", base.merging(input, ["parentId", "pathPart"]))
            case 5...6:
                let patches = patch("replace", "/parentId", other["id"]?.string).list ?? []
                let input: Value = [
                    "resourceId": one["id"] ?? .null,
                    "patchOperations": .list(patches + (patch("replace", "/pathPart", part).list ?? [])),
                ]
                _ = await harness.restError("UpdateResource", base.merging(input, ["resourceId", "patchOperations"]))
            default:
                _ = await harness.restError(
                    "DeleteResource", base.merging(["resourceId": one["id"] ?? .null], ["resourceId"]))
            }
        }
        let items = try await harness.rest("GetResources", ["restApiId": api.id, "limit": 500])["items"]?.list ?? []
        var paths: [String: String] = [:]
        for item in items { paths[item["id"]?.string ?? ""] = item["path"]?.string }
        #expect(Set(paths.values).count == items.count)
        for item in items where item["path"] != "/" {
            let parent = try #require(paths[item["parentId"]?.string ?? ""])
            #expect(!parent.hasSuffix("+}"))
            #expect(item["path"]?.string == ResourceTree.join(parent, item["pathPart"]?.string ?? ""))
        }
        #expect(items.filter { $0["parentId"] == nil }.count == 1)
    }

    @Test func methodsAndTheirPartsComeBackAsTheyWere() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        let base: Value = ["restApiId": api.id, "resourceId": api.root, "httpMethod": "GET"]
        let method = try await harness.rest(
            "PutMethod", base.merging(["authorizationType": "NONE"], ["authorizationType"]))
        #expect(method == ["httpMethod": "GET", "apiKeyRequired": false, "authorizationType": "NONE"])
        #expect(
            await harness.restError("GetIntegration", base)
                == "NotFoundException: Invalid Integration identifier specified")
        let integration = try await harness.rest(
            "PutIntegration",
            base.merging(
                ["type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": Harness.functionURI],
                ["type", "integrationHttpMethod", "uri"]))
        #expect(
            integration == [
                "cacheKeyParameters": [], "cacheNamespace": api.root, "type": "AWS_PROXY", "uri": Harness.functionURI,
                "httpMethod": "POST", "passthroughBehavior": "WHEN_NO_MATCH", "timeoutInMillis": 29_000,
            ])
        let code = base.merging(["statusCode": "200"], ["statusCode"])
        #expect(try await harness.rest("PutMethodResponse", code) == ["statusCode": "200"])
        #expect(await harness.restError("PutMethodResponse", code)?.hasPrefix("ConflictException") == true)
        #expect(try await harness.rest("PutIntegrationResponse", code) == ["statusCode": "200"])
        let resource = try await harness.rest("GetResource", ["restApiId": api.id, "resourceId": api.root])
        #expect(resource["resourceMethods"] == ["GET": [:]])
        let whole = try await harness.rest("GetMethod", base)
        #expect(whole["methodIntegration"]?["integrationResponses"] == ["200": ["statusCode": "200"]])
        for (uri, text) in [
            ("not-an-arn", "Invalid ARN specified in the request"),
            ("arn:aws:apigateway:us-east-1:lambda:nothing", "AWS ARN for integration must contain path or action"),
            (
                "arn:aws:apigateway:us-east-1:sqs:path/x",
                "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations."
            ),
        ] {
            let error = await harness.restError(
                "PutIntegration",
                base.merging(
                    ["type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": .string(uri)],
                    ["type", "integrationHttpMethod", "uri"]))
            #expect(error == "BadRequestException: " + text)
        }
    }

    @Test func tellsHowATestOfAMethodWent() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(
            api, "GET", "/pets/{petId}",
            integration: ["type": "MOCK", "requestTemplates": ["application/json": "{\"statusCode\": 200}"]])
        let resource = try await harness.resource(api.id, api.root, "/pets/{petId}")
        try await harness.rest(
            "PutIntegrationResponse",
            [
                "restApiId": api.id, "resourceId": resource, "httpMethod": "GET", "statusCode": "200",
                "responseTemplates": ["application/json": "{}"],
            ])
        let answer = try await harness.rest(
            "TestInvokeMethod",
            [
                "restApiId": api.id, "resourceId": resource, "httpMethod": "GET",
                "pathWithQueryString": "/pets/123?a=b",
                "headers": ["h": "v"],
            ])
        #expect(
            answer["status"] == 200 && answer["body"] == "{}"
                && answer["headers"] == ["Content-Type": "application/json"])
        let lines = (answer["log"]?.string ?? "").split(separator: "\n", omittingEmptySubsequences: false).map(
            String.init)
        let texts = lines.dropFirst().compactMap { line in
            line.firstRange(of: " UTC ").map { line[$0.upperBound...].dropFirst(7) }
        }
        #expect(lines.first?.hasPrefix("Execution log for request ") == true && lines.last == "")
        #expect(
            texts.dropFirst().map(String.init) == [
                "HTTP Method: GET, Resource Path: /pets/123", "Method request path: {petId=123}",
                "Method request query string: {a=b}", "Method request headers: {h=v}",
                "Method request body before transformations: ", "Method response body after transformations: {}",
                "Method response headers: {Content-Type=application/json}", "Successfully completed execution",
                "Method completed with status: 200",
            ])
    }

    @Test func testsOfStreamsCollectThem() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(
            api, "GET", "/",
            integration: [
                "type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": Harness.functionURI,
                "responseTransferMode": "STREAM", "timeoutInMillis": 900_000,
            ])
        let head = "{\"statusCode\":201}" + String(repeating: "\u{0}", count: 8)
        let asked: Value = ["restApiId": api.id, "resourceId": api.root, "httpMethod": "GET"]
        harness.functions.answer { _ in .success(FakeFunctions.result(["pieces": [.string(head + "on"), "e,", "two"]]))
        }
        let short = try await harness.rest("TestInvokeMethod", asked)
        #expect(short["status"] == 201 && short["body"] == "one,two")
        let piece = String(repeating: "x", count: 400_000)
        harness.functions.answer { _ in
            .success(FakeFunctions.result(["pieces": .list([head, piece, piece, piece, piece].map { .string($0) })]))
        }
        let long = try await harness.rest("TestInvokeMethod", asked)
        #expect(long["status"] == 201 && long["body"]?.string?.utf8.count == RESTLimits.testedStream)
        harness.functions.answer { _ in .success(FakeFunctions.result(["pieces": ["no head"]])) }
        #expect(try await harness.rest("TestInvokeMethod", asked)["status"] == 502)
    }

    @Test(arguments: [
        (#"[{"url":"/a/b/"}]"#, "/a/b", "/b"), (#"[{"url":"https://h/a/b?x#y"}]"#, "/a/b", "/b"),
        (#"[{"url":"//h/a"}]"#, "/a", ""), (#"[{"url":"https://h"}]"#, "", ""), (#"[{"url":"h"}]"#, "", ""),
        ("[]", "", ""), ("null", "", ""), (#"[{"url":"https://h/{basePath}"}]"#, "", ""),
        (#"[{"url":"/x"},{"url":"/y","variables":{"basePath":{"default":"a/b/c"}}}]"#, "/a/b/c", "/b/c"),
    ])
    func basePaths(servers: String, prepended: String, split: String) throws {
        let path = BasePath.path(ofServers: try JSON.parse(servers.utf8))
        #expect(BasePath.prepend.prefix(of: path) == prepended)
        #expect(BasePath.split.prefix(of: path) == split)
        #expect(BasePath.ignore.prefix(of: path) == "")
    }

    static let swagger = #"""
        {"swagger": "2.0", "info": {"title": "pets", "version": "1"}, "basePath": "/v1",
         "x-amazon-apigateway-binary-media-types": ["image/png"],
         "x-amazon-apigateway-request-validators": {"all": {"validateRequestBody": true, "validateRequestParameters": true}},
         "x-amazon-apigateway-gateway-responses": {"UNAUTHORIZED": {"statusCode": 418}},
         "securityDefinitions": {
           "api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
           "auth": {"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "custom",
             "x-amazon-apigateway-authorizer": {"type": "token", "authorizerResultTtlInSeconds": 10,
               "authorizerUri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:auth/invocations"}}},
         "definitions": {"Pet": {"type": "object", "properties": {"tag": {"$ref": "#/definitions/Tag"}}}, "Tag": {"type": "string"}},
         "paths": {"/pets/{id}": {
           "post": {"consumes": ["application/json"], "x-amazon-apigateway-request-validator": "all",
             "parameters": [{"name": "id", "in": "path", "required": true, "type": "string"},
                            {"name": "Pet", "in": "body", "schema": {"$ref": "#/definitions/Pet"}}],
             "security": [{"auth": []}, {"api_key": []}],
             "responses": {"200": {"description": "ok", "headers": {"X": {"type": "string"}}}},
             "x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST",
               "passthroughBehavior": "when_no_match", "responses": {"default": {"statusCode": "200"}},
               "uri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"}},
           "options": {"responses": {"200": {"description": "ok"}},
             "x-amazon-apigateway-integration": {"type": "mock", "requestTemplates": {"application/json": "{\"statusCode\": 200}"},
               "responses": {"default": {"statusCode": "200", "responseParameters": {"method.response.header.X": "'a'"}}}}}}}}
        """#

    @Test(arguments: ["swagger", "oas30"], ["application/json", "application/yaml"])
    func importAndExportMakeTheSameAPI(kind: String, accepts: String) async throws {
        let harness = try Harness()
        let first = try await harness.rest("ImportRestApi", [:], body: Self.swagger)
        let one = (id: first["id"] ?? .null, root: first["rootResourceId"] ?? .null)
        try await harness.deploy(one)
        func export(_ id: Value) async throws -> Value {
            try await harness.rest(
                "GetExport",
                [
                    "restApiId": id, "stageName": "s", "exportType": .string(kind), "accepts": .string(accepts),
                    "parameters": ["extensions": "apigateway"],
                ])
        }
        let text = try await export(one.id)["body"]?.string ?? ""
        let second = try await harness.rest("ImportRestApi", [:], body: text)
        let two = (id: second["id"] ?? .null, root: second["rootResourceId"] ?? .null)
        try await harness.deploy(two)
        let again = try await export(two.id)["body"]?.string ?? ""
        #expect(again.replacing(two.id.string ?? "", with: one.id.string ?? "") == text)
        let resources =
            try await harness.rest("GetResources", ["restApiId": two.id, "embed": ["methods"]])["items"]?.list ?? []
        let post = resources.first { $0["path"] == "/pets/{id}" }?["resourceMethods"]?["POST"]
        #expect(post?["authorizationType"] == "CUSTOM" && post?["apiKeyRequired"] == true)
        #expect(post?["requestParameters"] == ["method.request.path.id": true])
        #expect(post?["requestModels"] == ["application/json": "Pet"])
        #expect(post?["methodIntegration"]?["type"] == "AWS_PROXY" && post?["requestValidatorId"] != nil)
        #expect(second["binaryMediaTypes"] == ["image/png"])
        let preflight = await harness.get(two, "OPTIONS", "/s/pets/1")
        #expect(preflight.status == 200 && preflight.headers.contains { $0.name == "X" && $0.value == "a" })
        let refused = await harness.get(two, "POST", "/s/pets/1")
        #expect(refused.status == 418)
    }

    @Test func putReplacesOrAdds() async throws {
        let harness = try Harness()
        let made = try await harness.rest("ImportRestApi", [:], body: Self.swagger)
        let id = made["id"] ?? .null
        let other = #"{"openapi": "3.0.1", "info": {"title": "new", "version": "2"}, "paths": {"/b": {"get": {}}}}"#
        func paths() async throws -> [String] {
            try await harness.rest("GetResources", ["restApiId": id])["items"]?.list?.compactMap { $0["path"]?.string }
                .sorted() ?? []
        }
        let merged = try await harness.rest("PutRestApi", ["restApiId": id, "mode": "merge"], body: other)
        #expect(merged["name"] == "pets" && merged["warnings"] != nil)
        #expect(try await paths() == ["/", "/b", "/pets", "/pets/{id}"])
        let replaced = try await harness.rest("PutRestApi", ["restApiId": id, "mode": "overwrite"], body: other)
        #expect(replaced["name"] == "new" && replaced["rootResourceId"] == made["rootResourceId"])
        #expect(try await paths() == ["/", "/b"])
        #expect(try await harness.rest("GetAuthorizers", ["restApiId": id])["items"] == [])
        for body in [
            "", "{", "{}", "[]", #"{"swagger":"2.0"}"#, #"{"openapi":"3.0.0","info":{"title":"x"},"paths":{"x":{}}}"#,
        ] {
            let error = await harness.restError("ImportRestApi", [:], body: body)
            #expect(error?.hasPrefix("BadRequestException: Invalid OpenAPI input: ") == true, "\(body): \(error ?? "")")
        }
    }

    /// An import takes what the operations take, and says where it does not.
    @Test(arguments: [
        #""timeoutInMillis":"5000""#, #""timeoutInMillis":300001"#, #""credentials":{}"#, #""cacheKeyParameters":"x""#,
        #""requestParameters":{"integration.request.header.a":1}"#, #""responses":{"(":{"statusCode":200}}"#,
    ])
    func importsAreHeldToTheRules(integration: String) async throws {
        let harness = try Harness()
        let made = try await harness.rest("ImportRestApi", [:], body: Self.swagger)
        let body =
            #"{"openapi":"3.0.1","info":{"title":"x"},"paths":{"/a":{"get":{"x-amazon-apigateway-integration":"#
            + #"{"type":"http_proxy","uri":"https://a","httpMethod":"GET",\#(integration)}}}}}"#
        let place = "Errors found during import:\n\tUnable to put method 'GET' on resource at path '/a': "
        #expect(await harness.restError("ImportRestApi", [:], body: body)?.contains(place) == true)
        let input: Value = ["restApiId": made["id"] ?? .null, "mode": "overwrite"]
        #expect(await harness.restError("PutRestApi", input, body: body)?.contains(place) == true)
        let left = try await harness.rest("GetResources", ["restApiId": made["id"] ?? .null])["items"]?.list?.count
        #expect(left == 3)
    }

    /// Documents cut and bent anywhere: refused or taken, never a crash.
    @Test(arguments: 1...6) func damagedDocuments(seed: UInt64) async throws {
        var random = Seeded(seed)
        let harness = try Harness()
        for _ in 0..<25 {
            var bytes = Array(Self.swagger.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0x20...0x7E, using: &random)
                case 1: bytes.remove(at: at)
                default: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: at)
                }
            }
            let error = await harness.restError("ImportRestApi", [:], body: String(decoding: bytes, as: UTF8.self))
            #expect(error == nil || error?.contains("Exception: ") == true)
        }
    }
}

@Suite struct JSONSchemaTests {
    @Test(
        arguments: [
            (#"{"type":"object","required":["a"]}"#, #"{"a":1}"#, true),
            (#"{"type":"object","required":["a"]}"#, "{}", false),
            (#"{"type":["string","null"]}"#, "null", true), (#"{"type":"integer"}"#, "1.0", true),
            (#"{"type":"integer"}"#, "1.5", false),
            (#"{"enum":[1,"a"]}"#, "1.0", true), (#"{"enum":[1,"a"]}"#, "2", false),
            (#"{"minimum":1,"exclusiveMinimum":true}"#, "1", false), (#"{"maximum":1}"#, "1", true),
            (#"{"multipleOf":0.1}"#, "0.3", true), (#"{"multipleOf":2}"#, "3", false),
            (#"{"pattern":"^a+$"}"#, #""aa""#, true), (#"{"pattern":"a"}"#, #""xay""#, true),
            (#"{"pattern":"^a"}"#, #""ba""#, false),
            (#"{"minLength":2}"#, #""ä""#, false), (#"{"maxLength":1}"#, #""ä""#, true),
            (#"{"items":{"type":"string"},"uniqueItems":true}"#, #"["a","a"]"#, false),
            (#"{"items":[{"type":"string"}],"additionalItems":false}"#, #"["a",1]"#, false),
            (#"{"additionalProperties":false,"properties":{"a":{}}}"#, #"{"a":1,"b":2}"#, false),
            (#"{"patternProperties":{"^x":{"type":"integer"}},"additionalProperties":false}"#, #"{"x1":1}"#, true),
            (#"{"patternProperties":{"^x":{"type":"integer"}}}"#, #"{"x1":"1"}"#, false),
            (#"{"dependencies":{"a":["b"]}}"#, #"{"a":1}"#, false), (#"{"not":{"type":"string"}}"#, "1", true),
            (#"{"oneOf":[{"type":"integer"},{"minimum":2}]}"#, "3", false),
            (#"{"anyOf":[{"type":"string"},{"minimum":2}]}"#, "3", true),
            (#"{"allOf":[{"minimum":1},{"maximum":2}]}"#, "3", false),
            (
                ##"{"definitions":{"N":{"type":"null"}},"properties":{"a":{"$ref":"#/definitions/N"}}}"##,
                ##"{"a":1}"##, false
            ),
            (#"{"$ref":"https://apigateway.amazonaws.com/restapis/x/models/Other"}"#, #""s""#, true),
            (##"{"$ref":"#/definitions/Nobody"}"##, "1", false), (##"{"$ref":"#"}"##, "1", false),
        ] as [(String, String, Bool)])
    func draftFour(_ schema: String, _ value: String, _ fits: Bool) throws {
        let schema = JSONSchema(try JSON.parse(schema), models: ["Other": ["type": "string"]])
        #expect(schema.accepts(try JSON.parse(value)) == fits)
    }

    /// Each refusal has its reason.
    @Test(
        arguments: [
            (#"{"required":["b","a"]}"#, "{}", #"object has missing required properties (["a","b"])"#),
            (
                #"{"type":["integer","null"]}"#, #""x""#,
                #"instance type (string) does not match any allowed primitive type (allowed: ["integer","null"])"#
            ),
            (#"{"enum":["a",1]}"#, "2", #"instance value (2) not found in enum (possible values: ["a",1])"#),
            (#"{"minimum":1}"#, "0", "numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
            (#"{"multipleOf":2}"#, "3", "remainder of division is not zero (3 / 2)"),
            (#"{"minLength":2}"#, #""x""#, #"string "x" is too short (length: 1, required minimum: 2)"#),
            (#"{"pattern":"^a"}"#, #""b""#, #"ECMA 262 regex "^a" does not match input string "b""#),
            (
                #"{"additionalProperties":false}"#, #"{"a":1}"#,
                #"object instance has properties which are not allowed by the schema: ["a"]"#
            ),
            (#"{"minItems":1}"#, "[]", "array is too short: must have at least 1 elements but instance has 0 elements"),
            (#"{"items":[{}],"additionalItems":false}"#, "[1,2]", "array only allows 1 item(s) but had 2"),
            (
                ##"{"definitions":{"n":{"maximum":1}},"properties":{"a":{"items":{"$ref":"#/definitions/n"}}}}"##,
                #"{"a":[1,2]}"#, "numeric instance is greater than the required maximum (maximum: 1, found: 2)"
            ),
            (
                #"{"oneOf":[{"type":"integer"},{"minimum":2}]}"#, "3",
                "instance failed to match exactly one schema (matched 2 out of 2)"
            ),
            (#"{"not":{"type":"string"}}"#, #""a""#, "instance matched a schema which it should not have"),
        ] as [(String, String, String)])
    func refusalsHaveReasons(_ schema: String, _ value: String, _ problem: String) throws {
        let (schema, value) = (JSONSchema(try JSON.parse(schema)), try JSON.parse(value))
        #expect(!schema.accepts(value))
        #expect(schema.problems(of: value) == [problem])
    }

    @Test func reasonsAreBounded() throws {
        let schema = JSONSchema(["items": ["type": "string"]])
        #expect(schema.problems(of: .list(Array(repeating: 1, count: 1_000))).count == RESTLimits.validationProblems)
        let long = JSONSchema(["maxLength": 1]).problems(of: .string(String(repeating: "x", count: 100_000)))
        #expect(long.allSatisfy { $0.count <= RESTLimits.validationProblem })
    }

    /// Every level asks twice as often as the one above: it ends, and the body is not valid.
    @Test func schemasThatExplodeAreGivenUp() throws {
        var definitions: Fields = [:]
        for level in 0..<40 {
            let next: Value = ["$ref": .string("#/definitions/d\(level + 1)")]
            definitions["d\(level)"] = ["anyOf": [["allOf": [next, next]], ["allOf": [next, next]]]]
        }
        definitions["d40"] = ["type": "null"]
        let schema = JSONSchema(["definitions": .map(definitions), "$ref": "#/definitions/d0"])
        #expect(!schema.accepts(1))
        #expect(schema.problems(of: 1).isEmpty)
    }
}
