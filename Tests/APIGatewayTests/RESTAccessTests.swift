import Contracts
import NIOCore
import Platform
import Testing
import Wire

@testable import APIGateway

@Suite struct RESTAccessTests {
    private static let authorizerURI: Value =
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:auth/invocations"

    private func policy(_ effect: String, _ resource: String, _ more: Value = [:]) -> Value {
        let answer: Value = [
            "principalId": "me",
            "policyDocument": [
                "Version": "2012-10-17",
                "Statement": [
                    ["Action": "execute-api:Invoke", "Effect": .string(effect), "Resource": .string(resource)]
                ],
            ],
        ]
        return answer.merging(more, more.fields?.names ?? [])
    }

    private func api(_ harness: Harness, type: String = "TOKEN", _ more: Value = [:]) async throws -> (
        id: Value, root: Value
    ) {
        let api = try await harness.restAPI()
        let input: Value = [
            "restApiId": api.id, "name": "a", "type": .string(type), "authorizerUri": Self.authorizerURI,
        ]
        let id = try await harness.rest("CreateAuthorizer", input.merging(more, more.fields?.names ?? []))["id"]
        try await harness.method(
            api, "GET", "/a", ["authorizationType": "CUSTOM", "authorizerId": id ?? .null])
        try await harness.deploy(api)
        return api
    }

    @Test func tokensAreJudgedAndAnswersAreKept() async throws {
        let harness = try Harness()
        let api = try await api(harness)
        let (allow, deny) = (
            policy("Allow", "*", ["context": ["n": 1, "b": true, "s": "x"]]), policy("Deny", "*")
        )
        harness.functions.answer { call in
            guard call.function.hasSuffix(":auth") else {
                return .success(FakeFunctions.result(["statusCode": 200, "body": "in"]))
            }
            switch call.event["authorizationToken"]?.string {
            case "allow": return .success(FakeFunctions.result(allow))
            case "deny": return .success(FakeFunctions.result(deny))
            case "none":
                return .success(
                    FakeFunctions.result([
                        "principalId": "x", "policyDocument": ["Version": "2012-10-17", "Statement": []],
                    ]))
            case "raise": return .success(FakeFunctions.result(["errorMessage": "Unauthorized"], error: "Unhandled"))
            case "fail": return .success(FakeFunctions.result(["errorMessage": "no"], error: "Unhandled"))
            default: return .success(FakeFunctions.result(policyOf(allow, context: ["deep": ["x": 1]])))
            }
        }
        func get(_ token: String?) async -> RESTGot {
            await harness.get(api, "GET", "/s/a", headers: token.map { [(name: "authorization", value: $0)] } ?? [])
        }
        #expect(await get(nil).body == #"{"message":"Unauthorized"}"#)
        let first = await get("allow")
        #expect(first.status == 200 && first.body == "in")
        let event = harness.functions.calls[1].event
        #expect(
            event["requestContext"]?["authorizer"] == [
                "n": "1", "b": "true", "s": "x", "principalId": "me", "integrationLatency": 0,
            ])
        #expect(
            harness.functions.calls[0].event == [
                "type": "TOKEN",
                "methodArn": .string("arn:aws:execute-api:us-east-1:000000000000:\(api.id.string ?? "")/s/GET/a"),
                "authorizationToken": "allow",
            ])
        _ = await get("allow")
        #expect(harness.functions.calls.count == 3, "the authorizer is asked once")
        harness.time.advance(by: .seconds(301))
        _ = await get("allow")
        #expect(harness.functions.calls.count == 5)
        let denied = await get("deny")
        #expect(
            denied.status == 403
                && denied.body == #"{"Message":"User is not authorized to access this resource with an explicit deny"}"#
        )
        #expect(await get("none").body == #"{"Message":"User is not authorized to access this resource"}"#)
        #expect(await get("raise").status == 401)
        let failed = await get("fail")
        #expect(failed.status == 500 && failed.body == #"{"message":null}"#)
        #expect(await get("deep").status == 500)
    }

    /// A request that has found the API before an edit keeps no answer of the authorizer that it found.
    @Test func anAnswerOfAnAuthorizerThatIsNoMoreIsNotKept() async throws {
        let harness = try Harness()
        let api = try await api(harness)
        let allow = policy("Allow", "*")
        harness.functions.answer { call in
            .success(
                FakeFunctions.result(call.function.hasSuffix(":auth") ? allow : ["statusCode": 200, "body": "in"]))
        }
        let headers = [(name: "authorization", value: "allow")]
        let (door, id) = (harness.service.rest, api.id.string ?? "")
        func asked() -> Int { harness.functions.calls.count { $0.function.hasSuffix(":auth") } }
        for isEdited in [false, true] {
            // The API is in the catalog, and nothing that an authorizer said.
            _ = await harness.get(api, "GET", "/s/a", headers: headers)
            harness.time.advance(by: .seconds(301))
            let generation = door.answers.generation
            let found = try #require(door.catalog.cached(id))
            if isEdited { try await harness.deploy(api) }
            let before = asked()
            let request = harness.request(id, "GET", "/s/a", headers: headers)
            let status = await withCheckedContinuation { continuation in
                door.serve(found, request, generation: generation) { continuation.resume(returning: $0.status) }
            }
            #expect(status == 200 && asked() == before + 1)
            _ = await harness.get(api, "GET", "/s/a", headers: headers)
            #expect(asked() == before + (isEdited ? 2 : 1))
        }
    }

    private func policyOf(_ answer: Value, context: Value) -> Value {
        var answer = answer
        answer["context"] = context
        return answer
    }

    @Test func requestAuthorizersNeedAllTheirSources() async throws {
        let harness = try Harness()
        let api = try await api(
            harness, type: "REQUEST",
            [
                "identitySource": "method.request.header.x, method.request.querystring.y",
                "authorizerResultTtlInSeconds": 0,
            ])
        let allow = policy("Allow", "arn:aws:execute-api:*:*:*/s/GET/a")
        harness.functions.answer { call in
            .success(FakeFunctions.result(call.function.hasSuffix(":auth") ? allow : ["statusCode": 200]))
        }
        #expect(await harness.get(api, "GET", "/s/a", headers: [("x", "1")]).status == 401)
        #expect(harness.functions.calls.isEmpty)
        for _ in 0..<2 {
            #expect(await harness.get(api, "GET", "/s/a", query: "y=2", headers: [("x", "1")]).status == 200)
        }
        #expect(harness.functions.calls.count == 4)
        let event = harness.functions.calls[0].event
        #expect(event["type"] == "REQUEST" && event["pathParameters"] == [:] && event["body"] == nil)
        #expect(event["queryStringParameters"] == ["y": "2"] && event["requestContext"]?["stage"] == "s")
    }

    @Test func keysOpenStagesOfTheirPlans() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(api, "GET", "/a", ["apiKeyRequired": true])
        try await harness.deploy(api)
        harness.answers("in")
        let value = "0123456789012345678901234567890123456789"
        let key = try await harness.rest("CreateApiKey", ["name": "k", "enabled": true, "value": .string(value)])["id"]
        func get() async -> RESTGot { await harness.get(api, "GET", "/s/a", headers: [("x-api-key", value)]) }
        #expect(await get().body == #"{"message":"Forbidden"}"#)
        let plan = try await harness.rest(
            "CreateUsagePlan",
            [
                "name": "p", "apiStages": [["apiId": api.id, "stage": "s"]],
                "throttle": ["rateLimit": 1.0, "burstLimit": 2],
            ])
        let ids: Value = ["usagePlanId": plan["id"] ?? .null, "keyId": key ?? .null]
        try await harness.rest("CreateUsagePlanKey", ids.merging(["keyType": "API_KEY"], ["keyType"]))
        #expect(await get().status == 200)
        let identity = harness.functions.calls.last?.event["requestContext"]?["identity"]
        #expect(identity?["apiKey"] == .string(value) && identity?["apiKeyId"] == key)
        #expect(await get().status == 200)
        let throttled = await get()
        #expect(throttled.status == 429 && throttled.body == #"{"message":"Too Many Requests"}"#)
        #expect(await harness.get(api, "GET", "/s/a").status == 403)
        let off: Value = ["op": "replace", "path": "/enabled", "value": "false"]
        try await harness.rest("UpdateApiKey", ["apiKey": key ?? .null, "patchOperations": [off]])
        #expect(await get().status == 403)
        #expect(
            await harness.restError("CreateUsagePlan", ["name": "q", "quota": ["limit": 1, "period": "DAY"]])
                == "NotImplementedException: A usage plan's quota is not implemented by Martlet yet.")
        // Values are shown to who asks for them.
        #expect(try await harness.rest("GetApiKeys", [:])["items"]?.list?.first?["value"] == nil)
        #expect(
            try await harness.rest("GetApiKeys", ["includeValues": true])["items"]?.list?.first?["value"]
                == .string(value))
    }

    @Test func signedRequestsAndPolicies() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(api, "GET", "/a", ["authorizationType": "AWS_IAM"])
        try await harness.method(api, "GET", "/open")
        try await harness.deploy(api)
        harness.answers("in")
        let unsigned = await harness.get(api, "GET", "/s/a")
        #expect(unsigned.status == 403 && unsigned.body == #"{"message":"Missing Authentication Token"}"#)
        #expect(await harness.get(api, "GET", "/s/a", isSigned: true).status == 200)
        let identity = harness.functions.calls.last?.event["requestContext"]?["identity"]
        #expect(identity?["userArn"] == "arn:aws:iam::000000000000:root")
        let policy =
            #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/s/GET/else"}]}"#
        let patch: Value = ["op": "replace", "path": "/policy", "value": .string(policy)]
        let updated = try await harness.rest("UpdateRestApi", ["restApiId": api.id, "patchOperations": [patch]])
        #expect(updated["policy"]?.string?.hasPrefix("{\\\"Version\\\"") == true && updated["tags"] == [:])
        #expect(await harness.get(api, "GET", "/s/open").status == 200, "not before it is deployed")
        try await harness.deploy(api)
        let refused = await harness.get(api, "GET", "/s/open")
        let arn = "arn:aws:execute-api:us-east-1:********0000:\(api.id.string ?? "")/s/GET/open"
        #expect(
            refused.status == 403
                && refused.body
                    == #"{"Message":"User: anonymous is not authorized to perform: execute-api:Invoke on resource: \#(arn)"}"#
        )
        #expect(await harness.get(api, "GET", "/s/a", isSigned: true).status == 200, "identity policies may allow, too")
    }

    @Test func signaturesAreForTheRegionOfTheAPI() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        try await harness.method(api, "GET", "/a", ["authorizationType": "AWS_IAM"])
        try await harness.deploy(api)
        harness.answers("in")
        func status(_ region: String, checked: Bool) async -> (Int, String) {
            var request = harness.request(api.id.string ?? "", "GET", "/s/a", isSigned: true)
            request.context.scope = AccountRegion(account: Harness.account, region: region)
            request.context.isTransportTrusted = !checked
            let asked = request
            let answer = await withCheckedContinuation { continuation in
                harness.service.respond(to: asked) { continuation.resume(returning: $0) }
            }
            guard case .bytes(let body) = answer.payload else { return (answer.status, "") }
            return (answer.status, String(buffer: body))
        }
        let text = #"{"message":"Credential should be scoped to a valid region, not 'eu-west-1'. "}"#
        #expect(await status("eu-west-1", checked: true) == (403, text))
        #expect(await status("us-east-1", checked: true) == (200, "in"))
        #expect(await status("eu-west-1", checked: false) == (200, "in"))
    }

    @Test func validatorsCheckParametersAndBodies() async throws {
        let harness = try Harness()
        let api = try await harness.restAPI()
        let schema = #"{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}"#
        try await harness.rest(
            "CreateModel",
            ["restApiId": api.id, "name": "M", "contentType": "application/json", "schema": .string(schema)])
        let validator = try await harness.rest(
            "CreateRequestValidator",
            ["restApiId": api.id, "name": "v", "validateRequestBody": true, "validateRequestParameters": true])["id"]
        try await harness.method(
            api, "POST", "/a",
            [
                "requestValidatorId": validator ?? .null, "requestModels": ["application/json": "M"],
                "requestParameters": ["method.request.querystring.q": true, "method.request.header.h": false],
            ])
        try await harness.deploy(api)
        harness.answers("in")
        let missing = await harness.get(api, "POST", "/s/a", body: #"{"a":1}"#)
        #expect(missing.status == 400 && missing.body == #"{"message":"Missing required request parameters: [q]"}"#)
        for query in ["q=", "q", "q=%20%09", "q=&q=+"] {
            let blank = await harness.get(api, "POST", "/s/a", query: query, body: #"{"a":1}"#)
            #expect(blank.status == 400 && blank.body == missing.body, "\(query)")
        }
        #expect(await harness.get(api, "POST", "/s/a", query: "q=&q=1", body: #"{"a":1}"#).status == 200)
        let bad = await harness.get(api, "POST", "/s/a", query: "q=1", body: #"{"a":"1"}"#)
        #expect(bad.status == 400 && bad.body == #"{"message":"Invalid request body"}"#)
        #expect(await harness.get(api, "POST", "/s/a", query: "q=1", body: #"{"a":1}"#).status == 200)
        #expect(
            await harness.get(api, "POST", "/s/a", query: "q=1", body: "x", headers: [("content-type", "text/plain")])
                .status == 200)
        #expect(
            await harness.restError("DeleteModel", ["restApiId": api.id, "modelName": "M"])
                == "ConflictException: Cannot delete model 'M', is referenced in method request: /a/POST")
    }
}
