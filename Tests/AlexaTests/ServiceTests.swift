import Contracts
import Crypto
import CryptoExtras
import FoundationEssentials
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Alexa

/// A function that answers as a test says.
final class FakeFunction: TokenFunctionCaller {
    struct Call: Sendable {
        var arn: String
        var principal: Principal
        var token: String
        var body: Value
    }
    private struct State {
        var calls: [Call] = []
        var refusal: AWSError?
        var answer: @Sendable (Value) -> Value? = { _ in
            ["version": "1.0", "response": ["shouldEndSession": false]]
        }
    }
    private let state = Mutex(State())
    var calls: [Call] { state.withLock { $0.calls } }
    func refuse(_ error: AWSError?) { state.withLock { $0.refusal = error } }
    /// Nil: never answers.
    func answer(_ body: @escaping @Sendable (Value) -> Value?) { state.withLock { $0.answer = body } }

    func call(
        function arn: String, as principal: Principal, eventSourceToken: String, payload: ByteBuffer,
        completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        let body = (try? JSON.parse(payload.readableBytesView)) ?? .null
        let (refusal, answer) = state.withLock { state in
            state.calls.append(Call(arn: arn, principal: principal, token: eventSourceToken, body: body))
            return (state.refusal, state.answer)
        }
        if let refusal { return completion(.failure(refusal)) }
        guard let value = answer(body) else { return }
        completion(
            .success(
                InvocationResult(
                    payload: ByteBuffer(bytes: JSON.encode(value)), functionError: nil, executedVersion: "1",
                    logTail: nil)))
    }

    func check(
        function arn: String, as principal: Principal, eventSourceToken: String,
        completion: @escaping @Sendable (Result<Void, any Error>) -> Void
    ) {
        completion(state.withLock { $0.refusal }.map { .failure($0) } ?? .success(()))
    }
}

final class FakeWeb: OutboundHTTP {
    private let state = Mutex<[OutboundRequest]>([])
    var requests: [OutboundRequest] { state.withLock { $0 } }
    func send(_ request: OutboundRequest, bodyLimit: Int) async throws -> OutboundResponse {
        state.withLock { $0.append(request) }
        if request.url.hasSuffix("/slow") { throw Failure(.unavailable, "No whole answer within 8.0 seconds.") }
        if request.url.hasSuffix("/down") { throw Failure(.unavailable, "No answer from there.") }
        let status = request.url.hasSuffix("/broken") ? 500 : 200
        let body = #"{"version":"1.0","response":{"shouldEndSession":false}}"#
        return OutboundResponse(status: status, headers: [], body: Array(body.utf8))
    }
}

struct FakeCredentials: CredentialIssuer {
    func issue(
        roleARN: String, sessionName: String, account: String, tags: [SessionTag], lifetime: Duration, now: Instant
    ) -> SessionCredentials {
        SessionCredentials(accessKeyID: "", secretAccessKey: Secret(""), sessionToken: Secret(""), expiration: now)
    }
    func lookup(accessKeyID: String, sessionToken: String?, now: Instant) -> KnownCredentials? {
        accessKeyID == "AKIAROOT"
            ? KnownCredentials(secret: Secret("root-secret"), principal: .account("000000000000")) : nil
    }
}

/// The service over a real store, asked as the front door does.
final class Harness: Sendable {
    static let arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    let database: SQLiteDatabase
    let function = FakeFunction()
    let web = FakeWeb()
    let time = ManualTime(now: MatcherTests.now)
    let service: AlexaService
    private let token = Mutex("")

    init(_ database: SQLiteDatabase? = nil, authentication: Bool = false) throws {
        self.database = try database ?? SQLiteDatabase.temporary(migrations: [AlexaService.migrations])
        service = AlexaService(
            database: self.database, functions: function, http: web, credentials: FakeCredentials(),
            isAuthenticationOn: authentication, serverKey: [UInt8](repeating: 7, count: 32), time: time,
            logger: Logger(label: "test"))
    }

    func raw(
        _ method: String, _ path: String, query: String = "", _ body: [UInt8] = [], host: String = "api",
        headers: [(name: String, value: String)] = [], change: (inout DoorRequest) -> Void = { _ in }
    ) async -> (status: Int, body: Value, headers: [(name: String, value: String)], text: String) {
        let loop = NIOAsyncTestingEventLoop()
        let context = OperationContext(
            requestID: "REQUEST", service: "alexa", operation: "",
            scope: AccountRegion(account: "000000000000", region: "us-east-1"), principal: .anonymous, now: time.now(),
            endpoint: "http://localhost:4566", sourceIP: "127.0.0.1", headers: headers, uri: path, eventLoop: loop,
            closed: loop.makeSucceededVoidFuture())
        var request = DoorRequest(
            context: context, head: RequestHead(method: method, path: path, query: query, headers: headers),
            labels: [host, "alexa", "us-east-1"], body: ByteBuffer(bytes: body))
        change(&request)
        let response = await withCheckedContinuation { continuation in
            service.respond(to: request) { continuation.resume(returning: $0) }
        }
        var bytes = ByteBuffer()
        if case .bytes(let given) = response.payload { bytes = given }
        return (
            response.status, (try? JSON.parse(bytes.readableBytesView)) ?? .null, response.headers,
            String(buffer: bytes)
        )
    }

    func tokenAnswer(_ form: String) async -> (status: Int, body: Value) {
        let answer = await raw("POST", "/auth/O2/token", Array(form.utf8), host: "lwa")
        return (answer.status, answer.body)
    }

    func call(
        _ method: String, _ path: String, query: String = "", _ body: Value? = nil, ifMatch: String? = nil
    ) async -> (status: Int, body: Value, headers: [(name: String, value: String)], text: String) {
        if token.withLock({ $0.isEmpty }) {
            let answer = await tokenAnswer("grant_type=refresh_token&client_id=a&client_secret=b&refresh_token=c")
            token.withLock { $0 = answer.body["access_token"]?.string ?? "" }
        }
        var headers = [(name: "authorization", value: "Bearer " + token.withLock { $0 })]
        if let ifMatch { headers.append((name: "if-match", value: ifMatch)) }
        return await raw(method, path, query: query, body.map { JSON.encode($0) } ?? [], headers: headers)
    }

    static func manifest(_ uri: String? = arn, api: String = "custom") -> Value {
        var endpoint = Fields()
        if let uri { endpoint["endpoint"] = ["uri": .string(uri)] }
        return ["manifest": ["apis": .map([api: .map(endpoint)])], "vendorId": .string(SkillOperations.vendorID)]
    }

    static let model: Value = [
        "interactionModel": [
            "languageModel": [
                "invocationName": "test skill", "intents": [["name": "Hello", "samples": ["hello"]]],
            ]
        ]
    ]

    func skill(_ uri: String? = arn) async throws -> String {
        let created = await call("POST", "/v1/skills", Self.manifest(uri))
        #expect(created.status == 202)
        let id = try #require(created.body["skillId"]?.string)
        let stage = "/v1/skills/\(id)/stages/development"
        #expect(await call("PUT", stage + "/interactionModel/locales/en-US", Self.model).status == 202)
        #expect(await call("PUT", stage + "/enablement").status == 204)
        return id
    }

    func begin(_ skill: String, _ text: String) async -> (status: Int, id: String) {
        let answer = await call(
            "POST", "/v1/skills/\(skill)/simulations",
            ["input": ["content": .string(text)], "device": ["locale": "en-US"]])
        return (answer.status, answer.body["id"]?.string ?? "")
    }

    /// The result of a simulation, when it is there.
    func result(_ skill: String, _ id: String) async -> Value {
        for _ in 0..<100_000 {
            let answer = await call("GET", "/v1/skills/\(skill)/simulations/\(id)")
            if answer.body["status"]?.string != "IN_PROGRESS" { return answer.body }
            await Task.yield()
        }
        return .null
    }

    func say(_ skill: String, _ text: String) async -> Value { await result(skill, await begin(skill, text).id) }
}

@Suite struct ServiceTests {
    @Test func tokensAreThisServers() async throws {
        let harness = try Harness()
        #expect(await harness.raw("GET", "/v1/vendors").status == 401)
        #expect(await harness.call("GET", "/v1/vendors").body["vendors"]?.list?.count == 1)
        for form in [
            "", "grant_type=refresh_token", "grant_type=refresh_token&client_id=a&client_secret=b",
            "grant_type=client_credentials&client_id=a&client_secret=b&scope=x", "grant_type=%ff&&&=",
        ] { #expect(await harness.tokenAnswer(form).status == 400) }
        harness.time.advance(by: .seconds(3_601))
        #expect(await harness.call("GET", "/v1/vendors").status == 401)
        // Another process with the same key knows it; with another key not.
        let key = [UInt8](repeating: 1, count: 32)
        let token = AccessTokens(serverKey: key).issue(now: MatcherTests.now)
        #expect(AccessTokens(serverKey: key).isValid(token, now: MatcherTests.now))
        #expect(!AccessTokens(serverKey: key + [0]).isValid(token, now: MatcherTests.now))
        #expect(!AccessTokens(serverKey: key).isValid(token, now: MatcherTests.now + .seconds(3_600)))
        // No other text than this one is a token.
        let bytes = Array(token.utf8)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(
                !AccessTokens(serverKey: key).isValid(String(decoding: changed, as: UTF8.self), now: MatcherTests.now))
            #expect(!AccessTokens(serverKey: key).isValid(String(token.dropLast(index + 1)), now: MatcherTests.now))
        }
    }

    @Test func withAuthenticationTheClientIsAnAccessKey() async throws {
        let harness = try Harness(authentication: true)
        let form = "grant_type=refresh_token&refresh_token=r&client_id="
        #expect(await harness.tokenAnswer(form + "AKIAROOT&client_secret=root-secret").status == 200)
        #expect(await harness.tokenAnswer(form + "AKIAROOT&client_secret=root-secre").status == 401)
        #expect(await harness.tokenAnswer(form + "AKIAROOT&client_secret=root-secret2").status == 401)
        #expect(await harness.tokenAnswer(form + "nobody&client_secret=root-secret").status == 401)
    }

    /// A function could otherwise have the server call where it cannot reach itself.
    @Test func functionsAndTheServerItselfAreRefused() async throws {
        let harness = try Harness()
        let cell = CellIdentity(
            scope: AccountRegion(account: "000000000000", region: "us-east-1"),
            principal: .roleSession(
                roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "s", account: "000000000000"))
        let form = Array("grant_type=refresh_token&client_id=a&client_secret=b&refresh_token=c".utf8)
        #expect(await harness.raw("POST", "/auth/o2/token", form, host: "lwa") { $0.cell = cell }.status == 403)
        let marked = [(name: OutboundMark.header, value: "x")]
        #expect(await harness.raw("POST", "/auth/o2/token", form, host: "lwa", headers: marked).status == 403)
        // A role's signature is not the account's.
        let callers: [(Principal, Int)] = [(cell.principal, 401), (.anonymous, 401), (.account("000000000000"), 200)]
        let signature = [(name: "authorization", value: "AWS4-HMAC-SHA256 Credential=KEY")]
        for (principal, status) in callers {
            // In the query any web page could send it.
            for (headers, expected) in [(signature, status), ([], 401)] {
                let answer = await harness.raw("GET", "/v1/vendors", headers: headers) {
                    $0.accessKeyID = "KEY"
                    $0.context.principal = principal
                }
                #expect(answer.status == expected)
            }
        }
    }

    @Test func skillsLiveAndDie() async throws {
        let harness = try Harness()
        let id = try await harness.skill()
        let stage = "/v1/skills/\(id)/stages/development"
        let manifest = await harness.call("GET", stage + "/manifest")
        let tag = try #require(manifest.headers.first { $0.name == "ETag" }?.value)
        #expect(await harness.call("PUT", stage + "/manifest", Harness.manifest(), ifMatch: "other").status == 412)
        #expect(await harness.call("PUT", stage + "/manifest", Harness.manifest(), ifMatch: tag).status == 202)
        #expect(await harness.call("PUT", stage + "/manifest", Harness.manifest(), ifMatch: tag).status == 412)
        // What Alexa does not take leaves the manifest before.
        harness.function.refuse(AWSError("AccessDeniedException", status: 403, "no"))
        #expect(await harness.call("PUT", stage + "/manifest", Harness.manifest(Harness.arn + "2")).status == 202)
        let status = await harness.call("GET", "/v1/skills/\(id)/status").body
        #expect(status["manifest"]?["lastUpdateRequest"]?["status"]?.string == "FAILED")
        #expect(status["interactionModel"]?["en-US"]?["lastUpdateRequest"]?["status"]?.string == "SUCCEEDED")
        let kept = await harness.call("GET", stage + "/manifest").body
        #expect(kept["manifest"]?["apis"]?["custom"]?["endpoint"]?["uri"]?.string == Harness.arn)
        #expect(await harness.call("DELETE", stage + "/enablement").status == 204)
        #expect(await harness.call("GET", stage + "/enablement").status == 404)
        #expect(await harness.begin(id, "open test skill").status == 403)
        #expect(await harness.call("DELETE", "/v1/skills/\(id)").status == 204)
        for path in [stage + "/manifest", "/v1/skills/\(id)/status", stage + "/interactionModel/locales/en-US"] {
            #expect(await harness.call("GET", path).status == 404)
        }
        let rows = try await harness.database.read { transaction in
            try ["alexa_skill", "alexa_model", "alexa_build", "alexa_session"].map { table in
                try transaction.first("SELECT COUNT(*) FROM \(table)") { $0.int(0) } ?? 0
            }
        }
        #expect(rows == [0, 0, 0, 0])
    }

    @Test func listsAreInPages() async throws {
        let harness = try Harness()
        var made: [String] = []
        for _ in 0..<7 {
            made.append(await harness.call("POST", "/v1/skills", Harness.manifest(nil)).body["skillId"]?.string ?? "")
        }
        var found: [String] = []
        var token: String?
        repeat {
            let query =
                "vendorId=\(SkillOperations.vendorID)&maxResults=3"
                + (token.map { "&nextToken=" + $0.replacing("=", with: "%3D") } ?? "")
            let page = await harness.call("GET", "/v1/skills", query: query).body
            found += page["skills"]?.list?.compactMap { $0["skillId"]?.string } ?? []
            token = page["nextToken"]?.string
            #expect(page["isTruncated"]?.bool == (token != nil))
        } while token != nil && found.count < 20
        #expect(found.sorted() == made.sorted())
        for query in [
            "", "vendorId=X", "vendorId=MARTLETVENDOR0&maxResults=0", "vendorId=MARTLETVENDOR0&nextToken=%00",
        ] {
            #expect([400, 403].contains(await harness.call("GET", "/v1/skills", query: query).status))
        }
    }

    @Test func theFunctionIsCalledAsAlexa() async throws {
        let harness = try Harness()
        let id = try await harness.skill()
        #expect(await harness.say(id, "open test skill")["status"]?.string == "SUCCESSFUL")
        let call = try #require(harness.function.calls.first)
        #expect(call.token == id && call.arn == Harness.arn)
        #expect(call.principal == .service(name: "alexa-appkit.amazon.com", sourceARN: "", sourceAccount: ""))
    }

    @Test func eightSeconds() async throws {
        let harness = try Harness()
        let id = try await harness.skill()
        harness.function.answer { _ in nil }
        let begun = await harness.begin(id, "open test skill")
        #expect(begun.status == 200)
        // The same session is busy.
        #expect(await harness.begin(id, "open test skill").status == 409)
        while harness.time.nextDue() == nil { await Task.yield() }
        harness.time.advance(by: .milliseconds(7_999))
        let waiting = await harness.call("GET", "/v1/skills/\(id)/simulations/\(begun.id)")
        #expect(waiting.body["status"]?.string == "IN_PROGRESS")
        harness.time.advance(by: .milliseconds(1))
        let result = await harness.result(id, begun.id)
        #expect(result["result"]?["error"]?["code"]?.string == "ENDPOINT_TIMEOUT")
        // The skill hears of it, and its session is gone.
        while harness.function.calls.count < 2 { await Task.yield() }
        #expect(harness.function.calls[1].body["request"]?["error"]?["type"]?.string == "ENDPOINT_TIMEOUT")
    }

    @Test func aRestartEndsWhatRan() async throws {
        let database = try SQLiteDatabase.temporary(migrations: [AlexaService.migrations])
        let harness = try Harness(database)
        let id = try await harness.skill()
        #expect(await harness.say(id, "open test skill")["status"]?.string == "SUCCESSFUL")
        harness.function.answer { _ in nil }
        let begun = await harness.begin(id, "hello")
        let next = try Harness(database)
        let result = await next.result(id, begun.id)
        #expect(result["status"]?.string == "FAILED" && result["result"]?["error"]?["code"]?.string == "INTERRUPTED")
        // The session is as it was before the turn.
        #expect(await next.say(id, "hello")["status"]?.string == "SUCCESSFUL")
        #expect(next.function.calls.first?.body["session"]?["new"]?.bool == false)
        // Nobody goes on with it for half an hour.
        next.time.advance(by: .seconds(1_801))
        #expect(await next.say(id, "hello")["status"]?.string == "FAILED")
    }

    @Test func whatIsKeptIsBounded() async throws {
        let database = try SQLiteDatabase.temporary(migrations: [AlexaService.migrations])
        let now = MatcherTests.now
        let counts = try await database.write { transaction in
            for number in 0..<(Limits.sessions + 20) {
                let at = now + .milliseconds(number)
                try SessionTable.set(Session.fresh(), "s", "d\(number)", now: at, in: transaction)
                try SimulationTable.add(
                    SimulationRecord(
                        id: "\(number)", skill: "s", created: at, process: "p", status: "x", result: .null),
                    in: transaction)
            }
            return try ["alexa_session", "alexa_simulation"].map { table in
                try transaction.first("SELECT COUNT(*) FROM \(table)") { $0.int(0) } ?? 0
            }
        }
        #expect(counts == [Int64(Limits.sessions), Int64(Limits.simulations)])
    }

    @Test func webServicesGetSignedRequests() async throws {
        let harness = try Harness()
        let id = try await harness.skill("https://skill.example/ok")
        #expect(await harness.say(id, "open test skill")["status"]?.string == "SUCCESSFUL")
        let request = try #require(harness.web.requests.first)
        let headers = Dictionary(uniqueKeysWithValues: request.headers.map { ($0.name, $0.value) })
        let url = try #require(headers["SignatureCertChainUrl"])
        #expect(url.hasPrefix("https://s3.amazonaws.com/echo.api/martlet-"))
        let chain = await harness.raw("GET", String(url.dropFirst("https://s3.amazonaws.com".count)))
        #expect(chain.status == 200 && chain.text.components("-----BEGIN CERTIFICATE-----") == 2)
        // The key is kept: another process signs under the same certificate.
        let signer = try await SignerKeeper(database: harness.database, time: harness.time).signer()
        #expect(signer.chainURL == url && signer.chain == chain.text)
        let key = try _RSA.Signing.PrivateKey(derRepresentation: signer.encoded).publicKey
        for (name, digest) in [("Signature-256", Array(SHA256.hash(data: request.body)))] {
            let bytes = try #require(Base64.decode(headers[name] ?? ""))
            let signature = _RSA.Signing.RSASignature(rawRepresentation: bytes)
            #expect(!digest.isEmpty)
            #expect(key.isValidSignature(signature, for: SHA256.hash(data: request.body), padding: .insecurePKCS1v1_5))
            #expect(
                !key.isValidSignature(
                    signature, for: SHA256.hash(data: request.body + [1]), padding: .insecurePKCS1v1_5))
        }
        for (path, code) in [
            ("slow", "ENDPOINT_TIMEOUT"), ("down", "SKILL_ENDPOINT_UNREACHABLE"), ("broken", "SKILL_ENDPOINT_ERROR"),
        ] {
            let other = try await harness.skill("https://skill.example/\(path)")
            #expect(await harness.say(other, "open test skill")["result"]?["error"]?["code"]?.string == code)
        }
    }

    @Test func manifestsThatAreRefused() async throws {
        let harness = try Harness()
        var deep: Value = [:]
        for _ in 0..<100 { deep = ["x": deep] }
        let vendor = Value.string(SkillOperations.vendorID)
        let bad: [Value] = [
            [:], ["vendorId": vendor], ["vendorId": vendor, "manifest": 7],
            ["vendorId": vendor, "manifest": ["apis": []]],
            ["vendorId": vendor, "manifest": deep], Harness.manifest("ftp://x"), Harness.manifest("arn:aws:s3:::b"),
            Harness.manifest("http://a b/"), Harness.manifest("https://x.example/", api: "smartHome"),
            ["vendorId": vendor, "manifest": ["publishingInformation": ["locales": ["english": [:]]]]],
            ["vendorId": vendor, "manifest": ["x": .string(String(repeating: "x", count: Limits.manifestBytes))]],
        ]
        for body in bad {
            #expect(
                await harness.call("POST", "/v1/skills", body).status == 400, "\(JSON.encodeString(body).prefix(200))")
        }
        #expect(
            await harness.call("POST", "/v1/skills", ["vendorId": vendor, "manifest": [:], "hosting": [:]]).status
                == 501)
        for path in [
            "/", "/v1", "/v3/skills", "/v1/skills/x/rollbacks", "/v1/skills/x/stages/live/manifest", "/%ff/%00",
        ] {
            #expect([404, 501].contains(await harness.call("GET", path).status), "\(path)")
        }
    }

    @Test func smartHome() {
        let directive: Value = [
            "directive": [
                "header": [
                    "namespace": "Alexa.PowerController", "name": "TurnOn", "payloadVersion": "3", "messageId": "m",
                    "correlationToken": "t",
                ], "payload": [:],
            ]
        ]
        #expect(SmartHome.problem(directive: directive) == nil)
        func answer(_ namespace: String, _ name: String, token: String = "t", version: String = "3") -> [UInt8] {
            JSON.encode([
                "event": [
                    "header": [
                        "namespace": .string(namespace), "name": .string(name), "payloadVersion": .string(version),
                        "messageId": "n", "correlationToken": .string(token),
                    ], "payload": [:],
                ]
            ])
        }
        #expect(throws: Never.self) { try SmartHome.read(answer("Alexa", "Response"), for: directive) }
        #expect(throws: Never.self) { try SmartHome.read(answer("Alexa", "ErrorResponse"), for: directive) }
        for bad in [
            answer("Alexa", "StateReport"), answer("Alexa", "Response", token: "u"),
            answer("Alexa", "Response", version: "2"),
            Array("{}".utf8), Array("".utf8), answer("Alexa.Discovery", "Discover.Response"),
        ] { #expect(throws: SkillFailure.self) { try SmartHome.read(bad, for: directive) } }
    }
}

extension String {
    /// How often a text is in it.
    fileprivate func components(_ text: String) -> Int { ranges(of: text).count }
}
