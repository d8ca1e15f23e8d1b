import Contracts
import NIOCore
import Platform
import Synchronization
import Testing
import Wire

@testable import APIGateway

/// A socket that keeps what it is told.
private final class FakeSocket: WebSocket {
    struct State {
        var sent: [String] = []
        var closed: WebSocketClose?
        var resumed = 0
        var receiver: (any WebSocketReceiver)?
        var failure: WebSocketFailure?
    }
    private let state = Mutex(State())

    var sent: [String] { state.withLock { $0.sent } }
    var closed: WebSocketClose? { state.withLock { $0.closed } }
    var resumed: Int { state.withLock { $0.resumed } }
    func refuse(_ failure: WebSocketFailure?) { state.withLock { $0.failure = failure } }

    func open(_ acceptance: WebSocketAcceptance) {
        let receiver = acceptance.opened(self)
        state.withLock { $0.receiver = receiver }
    }
    @discardableResult
    func says(_ text: String) -> Bool {
        let receiver = state.withLock { $0.receiver }
        return receiver?.received(.text(ByteBuffer(string: text))) ?? false
    }
    func heard() { state.withLock { $0.receiver }?.heard() }
    func saysBinary() { _ = state.withLock { $0.receiver }?.received(.binary(ByteBuffer())) }

    func send(
        _ message: WebSocketMessage, _ completion: @escaping @Sendable (Result<Void, WebSocketFailure>) -> Void
    ) {
        let failure = state.withLock { state in
            if state.failure == nil { state.sent.append(String(buffer: message.bytes)) }
            return state.failure
        }
        completion(failure.map { .failure($0) } ?? .success(()))
    }
    func ping() {}
    func resume() { state.withLock { $0.resumed += 1 } }
    func close(_ close: WebSocketClose) {
        let receiver = state.withLock { state in
            state.closed = state.closed ?? close
            defer { state.receiver = nil }
            return state.receiver
        }
        receiver?.closed(close)
    }
}

extension Harness {
    /// A WebSocket API with one function behind the routes.
    fileprivate func socketAPI(
        _ keys: [String], responds: [String] = [], stage: Value = [:]
    ) async throws -> String {
        let input: Value = [
            "Name": "s", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action",
        ]
        let api = try await call("CreateApi", input)["ApiId"]?.string ?? ""
        let integration =
            try await call(
                "CreateIntegration",
                [
                    "ApiId": .string(api), "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": "arn:aws:lambda:us-east-1:000000000000:function:f",
                ])["IntegrationId"]?.string ?? ""
        for key in keys {
            let route = try await call(
                "CreateRoute",
                ["ApiId": .string(api), "RouteKey": .string(key), "Target": .string("integrations/\(integration)")])
            if responds.contains(key) {
                try await call(
                    "CreateRouteResponse",
                    ["ApiId": .string(api), "RouteId": route["RouteId"] ?? "", "RouteResponseKey": "$default"])
            }
        }
        let document: Value = ["ApiId": .string(api), "StageName": "prod", "AutoDeploy": true]
        try await call("CreateStage", document.merging(stage, stage.fields?.names ?? []))
        return api
    }

    fileprivate func request(
        _ api: String, _ method: String, _ path: String, body: ByteBuffer = ByteBuffer(),
        headers: [(name: String, value: String)] = []
    ) -> DoorRequest {
        DoorRequest(
            context: context(""),
            head: RequestHead(
                method: method, path: path, query: "",
                headers: [("host", "\(api).execute-api.localhost:4566"), ("user-agent", "probe")] + headers),
            labels: [api, "execute-api", "us-east-1"], body: body)
    }

    fileprivate func connect(_ api: String, headers: [(name: String, value: String)] = []) async -> WebSocketAnswer {
        let request = request(api, "GET", "/prod", headers: headers)
        return await withCheckedContinuation { continuation in
            service.upgrade(request) { continuation.resume(returning: $0) }
        }
    }

    /// An open connection.
    fileprivate func open(_ api: String) async throws -> FakeSocket {
        let socket = FakeSocket()
        guard case .accept(let acceptance) = await connect(api) else { throw Failure(.bug, "refused") }
        socket.open(acceptance)
        return socket
    }

    fileprivate func manage(_ api: String, _ method: String, _ id: String, body: String = "") async -> (Int, String) {
        var request = request(api, method, "/prod/@connections/\(id)", body: ByteBuffer(string: body))
        request.context.principal = .account(Self.account)
        request.accessKeyID = Self.account
        let response = await withCheckedContinuation { continuation in
            service.respond(to: request) { continuation.resume(returning: $0) }
        }
        var text = ""
        if case .bytes(let bytes) = response.payload { text = String(buffer: bytes) }
        return (response.status, response.headers.first { $0.name.lowercased() == "x-amzn-errortype" }?.value ?? text)
    }

    fileprivate func kinds() -> [String] {
        functions.calls.map { $0.event["requestContext"]?["eventType"]?.string ?? "" }
    }
}

@Suite struct SocketTests {
    private static let fine = FakeFunctions.result(["statusCode": 200, "body": "said"])

    private func harness() throws -> Harness {
        let harness = try Harness()
        harness.functions.answer { _ in .success(Self.fine) }
        return harness
    }

    @Test func silenceAndAgeEndConnections() async throws {
        let harness = try harness()
        let api = try await harness.socketAPI(["$connect", "$disconnect", "$default"])
        let silent = try await harness.open(api)
        let alive = try await harness.open(api)
        // The last 9 minutes before two hours are silent, and not long enough to end it.
        for _ in 0..<13 {
            harness.time.advance(by: .seconds(540))
            alive.heard()
        }
        #expect(silent.closed == WebSocketClose(code: 1001, reason: "Going away"))
        #expect(alive.closed == nil)
        harness.time.advance(by: .seconds(7_200 - 13 * 540 - 1))
        #expect(alive.closed == nil)
        alive.heard()
        harness.time.advance(by: .seconds(1))
        #expect(alive.closed?.code == 1001)
        #expect(harness.kinds() == ["CONNECT", "CONNECT", "DISCONNECT", "DISCONNECT"])
        let end = harness.functions.calls[2].event["requestContext"]
        #expect(end?["disconnectStatusCode"]?.int == 1001 && end?["disconnectReason"]?.string == "Going away")
    }

    @Test func deletedStagesAndAPIsCloseTheirConnections() async throws {
        let harness = try harness()
        let (one, other) = (try await harness.socketAPI(["$default"]), try await harness.socketAPI(["$default"]))
        try await harness.call("CreateStage", ["ApiId": .string(one), "StageName": "empty", "AutoDeploy": true])
        let (first, second) = (try await harness.open(one), try await harness.open(other))
        try await harness.call("DeleteStage", ["ApiId": .string(one), "StageName": "empty"])
        #expect(first.closed == nil)
        try await harness.call("DeleteStage", ["ApiId": .string(one), "StageName": "prod"])
        #expect(first.closed == WebSocketClose(code: 1001, reason: "Going away") && second.closed == nil)
        try await harness.call("DeleteApi", ["ApiId": .string(other)])
        #expect(second.closed?.code == 1001)
    }

    @Test func onlyAnswersOfRoutesWithAResponseAreSent() async throws {
        let harness = try harness()
        let api = try await harness.socketAPI(["$default", "two"], responds: ["two"])
        let socket = try await harness.open(api)
        socket.says("x")
        socket.says(#"{"action":"two"}"#)
        #expect(socket.sent == ["said"])
        harness.functions.answer { _ in .success(FakeFunctions.result(["errorMessage": "x"], error: "Unhandled")) }
        socket.says("x")
        #expect(socket.sent.last?.hasPrefix(#"{"message": "Internal server error", "connectionId":""#) == true)
        socket.saysBinary()
        #expect(socket.closed?.code == 1003)
    }

    @Test func tooManyMessagesWaitInTheSocket() async throws {
        let harness = try harness()
        let api = try await harness.socketAPI(["$default"])
        let socket = try await harness.open(api)
        harness.functions.answer { _ in nil }
        var taken = 1
        while socket.says("x") { taken += 1 }
        #expect(taken == Limits.socketMessagesInFlight && socket.resumed == 0)
        // Given up after 29 s, each makes room, and the socket goes on once.
        harness.time.advance(by: .seconds(29))
        #expect(socket.sent.count == taken && socket.sent.allSatisfy { $0.contains("Endpoint request timed out") })
        #expect(socket.resumed == 1)
    }

    @Test func aClientThatDidNotWaitIsSaidGoodbyeTo() async throws {
        let harness = try harness()
        let api = try await harness.socketAPI(["$connect", "$disconnect"])
        guard case .accept(let acceptance) = await harness.connect(api) else {
            Issue.record("refused")
            return
        }
        acceptance.gone()
        #expect(harness.kinds() == ["CONNECT", "DISCONNECT"])
        #expect(harness.functions.calls[1].event["requestContext"]?["disconnectStatusCode"]?.int == 1006)
    }

    @Test func aRefusedConnectionHasNoEnd() async throws {
        let harness = try harness()
        let api = try await harness.socketAPI(["$connect", "$disconnect"])
        harness.functions.answer { _ in .success(FakeFunctions.result(["statusCode": 401])) }
        guard case .refuse(let response) = await harness.connect(api) else {
            Issue.record("accepted")
            return
        }
        #expect(response.status == 401 && harness.kinds() == ["CONNECT"])
    }

    @Test(arguments: [("Unauthorized", 401), ("unauthorized", 500), ("Unauthorized: token", 500)])
    func authorizersRefuseByFailing(text: String, status: Int) async throws {
        let harness = try harness()
        let api = try await harness.socketAPI(["$connect", "$disconnect"])
        let authorizer = try await harness.call(
            "CreateAuthorizer",
            [
                "ApiId": .string(api), "Name": "z", "AuthorizerType": "REQUEST",
                "AuthorizerUri": "arn:aws:lambda:us-east-1:000000000000:function:auth",
            ])["AuthorizerId"]
        let routes = try await harness.call("GetRoutes", ["ApiId": .string(api)])["Items"]?.list
        let connect = routes?.first { $0["RouteKey"] == "$connect" }
        try await harness.call(
            "UpdateRoute",
            [
                "ApiId": .string(api), "RouteId": connect?["RouteId"] ?? .null, "AuthorizationType": "CUSTOM",
                "AuthorizerId": authorizer ?? .null,
            ])
        harness.functions.answer { _ in
            let failure: Value = ["errorMessage": .string(text), "errorType": "Exception"]
            return .success(FakeFunctions.result(failure, error: "Unhandled"))
        }
        guard case .refuse(let response) = await harness.connect(api) else {
            Issue.record("accepted")
            return
        }
        #expect(response.status == status)
        #expect(harness.functions.calls.map(\.function).allSatisfy { $0.hasSuffix(":auth") })
        guard case .bytes(let body) = response.payload else { return }
        let message = status == 401 ? "Unauthorized" : "Internal server error"
        #expect(try JSON.parse(body.readableBytesView)["message"]?.string == message)
    }

    /// Which connection and which API it is, a backend hears from API Gateway and from nobody else.
    @Test func aClientDoesNotSayWhichConnectionItIs() async throws {
        let harness = try harness()
        let made = try await harness.call(
            "CreateApi", ["Name": "s", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"])
        let api = made["ApiId"]?.string ?? ""
        let url = "https://backend.example/connect"
        let integration = try await harness.call(
            "CreateIntegration",
            [
                "ApiId": .string(api), "IntegrationType": "HTTP_PROXY", "IntegrationMethod": "POST",
                "IntegrationUri": .string(url),
            ])["IntegrationId"]?.string
        try await harness.call(
            "CreateRoute",
            ["ApiId": .string(api), "RouteKey": "$connect", "Target": .string("integrations/\(integration ?? "")")])
        try await harness.call("CreateStage", ["ApiId": .string(api), "StageName": "prod", "AutoDeploy": true])
        harness.http.answer(url, [:])
        let answer = await harness.connect(
            api,
            headers: [
                ("ConnectionId", "victim"), ("X-Amzn-Apigateway-Api-Id", "other"), ("Content-Type", "text/plain"),
                ("x-own", "1"),
            ])
        guard case .accept = answer else { throw Failure(.bug, "refused") }
        let sent = try #require(harness.http.requests.last).headers
        func values(_ name: String) -> [String] { sent.filter { lowercased($0.name) == name }.map(\.value) }
        #expect(values("connectionid").count == 1 && values("connectionid") != ["victim"])
        #expect(values("x-amzn-apigateway-api-id") == [api] && values("content-type") == ["application/json"])
        #expect(values("x-own") == ["1"])
    }

    @Test func postsToFullAndGoneConnections() async throws {
        let harness = try harness()
        let api = try await harness.socketAPI(["$connect"])
        let socket = try await harness.open(api)
        let id = harness.functions.calls[0].event["requestContext"]?["connectionId"]?.string ?? ""
        #expect(await harness.manage(api, "POST", id, body: "hello") == (200, ""))
        #expect(socket.sent == ["hello"])
        socket.refuse(.full)
        #expect(await harness.manage(api, "POST", id, body: "hello") == (429, "LimitExceededException"))
        socket.refuse(.closed)
        #expect(await harness.manage(api, "POST", id, body: "hello") == (410, "GoneException"))
        #expect(await harness.manage(api, "DELETE", id).0 == 204)
        #expect(socket.closed?.code == 1000)
        #expect(await harness.manage(api, "GET", id) == (410, "GoneException"))
        #expect(await harness.manage(api, "GET", "%21") == (400, "BadRequestException"))
        #expect(await harness.manage(api, "PUT", id).0 != 200)
    }

    @Test func selectionExpressionsAreRead() throws {
        func key(_ expression: String, _ body: String) -> String? {
            SelectionExpression(expression)?.evaluate(try? JSON.parse(body))
        }
        #expect(key("$request.body.action", #"{"action":"a"}"#) == "a")
        #expect(key("${request.body.a.b}", #"{"a":{"b":7}}"#) == "7")
        #expect(key("${request.body.a}/${request.body.b}", #"{"a":"x","b":true}"#) == "x/true")
        #expect(key("$request.body[1].k", #"[0,{"k":"v"}]"#) == "v")
        #expect(key("x-$request.body.a", #"{"a":"1"}"#) == "x-1")
        #expect(key(#"\$default"#, "{}") == "$default")
        for body in ["[]", "{}", "1", #"{"action":{}}"#, #"{"action":null}"#, "no"] {
            #expect(key("$request.body.action", body) == nil)
        }
        for wrong in ["", "$", "$request", "$request.header.x", "${request.body.a", "$request.body[x]", "$context.a"] {
            #expect(SelectionExpression(wrong) == nil, "\(wrong)")
        }
    }

    /// Whatever happens in whatever order, a connection ends once, and is silent no longer than it may be.
    @Test func livesOfConnections() {
        for seed in 0..<500 as Range<UInt64> {
            var random = Seeded(seed)
            var now = Instant(milliseconds: 1_000_000)
            let start = now
            var machine = SocketMachine(now: now)
            machine.opened(now: now)
            var (inFlight, isPaused, last) = (0, false, now)
            for _ in 0..<200 {
                now = now + .seconds(Int.random(in: 0...200, using: &random))
                switch Int.random(in: 0..<4, using: &random) {
                case 0 where !isPaused:
                    inFlight += 1
                    last = now
                    isPaused = !machine.messageArrived(now: now)
                    #expect(isPaused == (inFlight >= Limits.socketMessagesInFlight))
                case 1 where inFlight > 0:
                    inFlight -= 1
                    if machine.messageDone() {
                        #expect(isPaused)
                        isPaused = false
                    }
                case 2:
                    machine.active(now: now)
                    last = now
                default: break
                }
                let isOver = now - last >= .seconds(600) || now - start >= .seconds(7_200)
                #expect((machine.check(now: now) == .close) == isOver)
                if isOver { break }
            }
            let ends = [machine.closed(), machine.closed()]
            #expect(ends == [true, false])
            #expect(machine.check(now: now) == .over)
        }
    }
}
