import Contracts
import Logging
import NIOCore
import Platform
import Policies
import Storage
import Wire

/// The data plane of WebSocket APIs: handshakes, messages, ends, and the `@connections` that functions send through.
struct SocketDoor: Sendable {
    let catalog: APICatalog
    let hub: SocketHub
    let integrations: SocketIntegrations
    let management: ConnectionsAPI
    let functions: IntegratedFunctions
    let logs: any LogSink
    let database: any Database
    let authorizer: any Authorizer
    let deadlines: Deadlines
    let time: any TimeSource
    /// What is behind the host's name in an address by which functions reach this server: `:4566`.
    let functionsPort: String
    let logger: Logger

    /// Throws what the model's text does, which never happens.
    init(
        catalog: APICatalog, hub: SocketHub, functions: IntegratedFunctions, http: any OutboundHTTP, logs: any LogSink,
        database: any Database, authorizer: any Authorizer, deadlines: Deadlines, time: any TimeSource,
        functionsPort: String, logger: Logger
    ) throws {
        self.catalog = catalog
        self.hub = hub
        self.functions = functions
        self.logs = logs
        self.database = database
        self.authorizer = authorizer
        self.deadlines = deadlines
        self.time = time
        self.functionsPort = functionsPort
        self.logger = logger
        integrations = SocketIntegrations(functions: functions, http: http, deadlines: deadlines)
        management = ConnectionsAPI(
            hub: hub, database: database, authorizer: authorizer, time: time,
            schema: try ServiceSchema(text: APIGatewayManagementSchema.text))
    }

    /// The WebSocket API that a request is for; nil when it is for none. At once when that is known.
    func find(_ request: DoorRequest, _ completion: @escaping @Sendable (SocketAPI?) -> Void) {
        guard let id = request.labels.first, ResourceID.isValid(id) else { return completion(nil) }
        switch catalog.cachedSocket(id) {
        case .api(let api): completion(api)
        case .other: completion(nil)
        case .unknown:
            Task {
                do {
                    completion(try await catalog.loadSocket(id))
                } catch {
                    logger.error("cannot load an API", metadata: ["api": "\(id)", "error": "\(error)"])
                    completion(nil)
                }
            }
        }
    }

    /// A request that is no handshake: `@connections`, or a mistake.
    func respond(to request: DoorRequest, of api: SocketAPI, _ completion: @escaping @Sendable (DoorResponse) -> Void) {
        if !api.isDisabled, let call = ConnectionsAPI.Call(request, api) {
            return management.respond(to: call, completion)
        }
        let requestID = RequestID.make()
        guard !api.isDisabled, Self.stage(of: request, api) != nil else {
            return completion(Self.refusal(403, "Forbidden", connection: ConnectionID.make(), request: requestID))
        }
        var answer = Self.refusal(426, "Upgrade Required", connection: ConnectionID.make(), request: requestID)
        if request.httpVersion != "HTTP/2.0" {
            answer.headers.append(("Upgrade", "websocket"))
            answer.headers.append(("Sec-WebSocket-Version", "13"))
        }
        completion(answer)
    }

    /// The stage is the whole path.
    private static func stage(of request: DoorRequest, _ api: SocketAPI) -> SocketStage? {
        var segments = ProxyRequest.segments(of: request.head.path)
        if segments.last == "" { segments.removeLast() }
        return segments.count == 1 ? api.stages[segments[0]] : nil
    }

    static func refusal(_ status: Int, _ message: String, connection: String, request: String) -> DoorResponse {
        let types = [
            400: "BadRequestException", 401: "UnauthorizedException", 403: "ForbiddenException",
            429: "LimitExceededException",
        ]
        return DoorResponse(
            status: status,
            headers: [
                ("Content-Type", "application/json"), ("x-amzn-RequestId", request),
                ("x-amzn-ErrorType", types[status] ?? "InternalServerErrorException"), ("x-amz-apigw-id", request),
            ],
            payload: .bytes(
                ByteBuffer(string: SocketEvent.problem(message, connection: connection, request: request))))
    }

    // MARK: $connect

    /// A handshake on its way.
    struct Opening: Sendable {
        var api: SocketAPI
        var stage: SocketStage
        var connection: SocketConnection
        var event: SocketEvent
        var request: DoorRequest
        var completion: @Sendable (WebSocketAnswer) -> Void
    }

    func connect(
        _ request: DoorRequest, to api: SocketAPI, _ completion: @escaping @Sendable (WebSocketAnswer) -> Void
    ) {
        let requestID = RequestID.make()
        let id = ConnectionID.make()
        guard !api.isDisabled, let stage = Self.stage(of: request, api) else {
            return completion(.refuse(Self.refusal(403, "Forbidden", connection: id, request: requestID)))
        }
        let now = request.context.now
        let connection = SocketConnection(
            id: id, api: api, stage: stage, request: request, domainName: domainName(request, api), now: now)
        let opening = Opening(
            api: api, stage: stage, connection: connection,
            event: SocketEvent(kind: .connect, routeKey: SocketStage.connect, requestID: requestID, at: now),
            request: request, completion: completion)
        guard ExecuteDoor.headerBytes(request) <= Limits.headers else {
            return refuse(opening, 431, "Request Header Fields Too Large")
        }
        guard let route = stage.routes[SocketStage.connect] else { return accept(opening, []) }
        guard stage.admits(route, now: now) else { return refuse(opening, 429, "Too Many Requests") }
        authorize(opening, route)
    }

    /// What functions reach the API by. On this machine that needs the port: it is none that a scheme stands for.
    private func domainName(_ request: DoorRequest, _ api: SocketAPI) -> String {
        DomainName.ofAWS(request.head.header("host"), api: api.id) ?? DomainName.local(api: api.id) + functionsPort
    }

    private func authorize(_ opening: Opening, _ route: SocketRoute) {
        switch route.authorization {
        case .none: ask(opening, route)
        case .broken: refuse(opening, 500, "Internal server error")
        case .iam:
            let caller = opening.request.context.principal
            guard opening.request.isSigned, opening.request.signatureFailure == nil,
                let account = caller.account, account == opening.api.scope.account,
                opening.request.isScoped(to: opening.api.scope.region)
            else { return refuse(opening, 403, "Forbidden") }
            let resource = opening.api.arn(opening.stage.name + "/" + SocketStage.connect)
            Task {
                let decision = try? await database.read { transaction in
                    try authorizer.decide(
                        for: opening.request.context, action: "execute-api:Invoke", resource: resource,
                        in: transaction)
                }
                guard let decision else { return refuse(opening, 500, "Internal server error") }
                guard decision == .allowed else { return refuse(opening, 403, "Forbidden") }
                opening.connection.identified(
                    .iam(IAMAuthorizer.caller(caller, account: account, opening.request)))
                ask(opening, route)
            }
        case .lambda(let authorizer): authorize(opening, route, authorizer)
        }
    }

    private func authorize(_ opening: Opening, _ route: SocketRoute, _ authorizer: LambdaAuthorizer) {
        for source in authorizer.identitySources where Self.select(source, opening) == nil {
            // Without all of them the function is not asked.
            return refuse(opening, 401, "Unauthorized")
        }
        let arn = opening.api.arn(opening.stage.name + "/" + SocketStage.connect)
        let event = SocketEvents.authorizer(opening.event, opening.connection, opening.stage, arn: arn)
        guard
            let asker = integrations.asker(
                opening.api, resource: "authorizers/\(authorizer.id)", credentials: authorizer.credentials)
        else { return refuse(opening, 500, "Internal server error") }
        let once = Once()
        let deadline = deadlines.add(after: Limits.authorizerTimeout) {
            if once.take() { refuse(opening, 500, "Internal server error") }
        }
        functions.call(
            function: authorizer.function, as: asker, payload: event, traceID: opening.connection.opening.traceID
        ) { result in
            guard once.take() else { return }
            deadlines.cancel(deadline)
            if case .success(let result) = result, result.raisesUnauthorized {
                return refuse(opening, 401, "Unauthorized")
            }
            guard case .success(let result) = result, result.functionError == nil,
                result.payload.readableBytes <= Limits.authorizerAnswer,
                let value = try? JSON.parse(result.payload.readableBytesView),
                let answer = AuthorizerAnswer(value, allowsSimple: false)
            else { return refuse(opening, 500, "Internal server error") }
            guard answer.allows(arn) else { return refuse(opening, 403, "Forbidden") }
            opening.connection.identified(.lambda(context: answer.context, principalID: answer.principalID))
            ask(opening, route)
        }
    }

    /// The value of an identity source; nil when there is none.
    private static func select(_ source: String, _ opening: Opening) -> String? {
        var value: String?
        if source.hasPrefix("route.request.header.") {
            value = opening.request.head.header(lowercased(String(source.dropFirst("route.request.header.".count))))
        } else if source.hasPrefix("route.request.querystring.") {
            let name = source.dropFirst("route.request.querystring.".count)
            value = opening.connection.opening.query.first { $0.name == name }?.value
        } else if source.hasPrefix("stageVariables.") {
            let name = source.dropFirst("stageVariables.".count)
            value = opening.stage.variables.first { $0.name == name }?.value
        } else if source.hasPrefix("context.") {
            value = SocketLog.value(
                String(source.dropFirst("context.".count)), opening.event, opening.connection, opening.api)
        }
        return value?.isEmpty == false ? value : nil
    }

    private func ask(_ opening: Opening, _ route: SocketRoute) {
        guard let integration = route.integration else { return accept(opening, []) }
        let call = SocketIntegrations.Call(
            api: opening.api, stage: opening.stage, connection: opening.connection, event: opening.event,
            traceID: opening.connection.opening.traceID)
        integrations.run(integration, call) { outcome in
            switch outcome {
            case .answered(let answer) where (200...299).contains(answer.status):
                accept(opening, answer.headers.filter { lowercased($0.name) == "sec-websocket-protocol" })
            case .answered(let answer):
                // The handshake's status is the function's.
                refuse(opening, answer.status, ConnectRefusal.message(answer.status))
            case .failed(let failure): refuse(opening, failure.handshakeStatus, failure.message, failure.detail)
            }
        }
    }

    private func refuse(_ opening: Opening, _ status: Int, _ message: String, _ detail: String? = nil) {
        _ = opening.connection.closed()
        log(
            SocketLog.Line(
                event: opening.event, connection: opening.connection, status: status, problem: message, detail: detail),
            opening.api, opening.stage)
        opening.completion(
            .refuse(
                Self.refusal(status, message, connection: opening.connection.id, request: opening.event.requestID)))
    }

    private func accept(_ opening: Opening, _ headers: [(name: String, value: String)]) {
        let (api, stage, connection) = (opening.api, opening.stage, opening.connection)
        log(SocketLog.Line(event: opening.event, connection: connection, status: 200), api, stage)
        let acceptance = WebSocketAcceptance(
            headers: headers,
            limits: WebSocketLimits(
                frame: Limits.socketFrame, message: Limits.socketMessage, unsent: Limits.socketUnsent),
            opened: { socket in
                connection.opened(socket, now: time.now())
                hub.add(connection)
                return SocketReceiver(door: self, connection: connection)
            },
            gone: {
                // $connect has been answered: what it did wants to be undone.
                _ = connection.closed()
                said(goodbye: WebSocketClose(code: 1006, reason: "Connection closed abnormally"), connection)
            })
        opening.completion(.accept(acceptance))
    }

    func log(_ line: SocketLog.Line, _ api: SocketAPI, _ stage: SocketStage) {
        guard let log = stage.accessLog else { return }
        let now = time.now()
        let day = CivilTime(now)
        logs.append(
            scope: log.scope, group: log.group,
            stream: "\(api.id)_\(stage.name)/\(day.year)/\(pad(day.month))/\(pad(day.day))",
            events: [LogEvent(timestamp: now, message: log.format.line { line.value($0, api) })])
    }
}

/// What the front door tells of one connection.
struct SocketReceiver: WebSocketReceiver {
    let door: SocketDoor
    let connection: SocketConnection

    func received(_ message: WebSocketMessage) -> Bool {
        guard case .text(let text) = message else {
            // Developer guide, "Binary media types for WebSocket APIs".
            connection.close(WebSocketClose(code: 1003, reason: "Binary frames are not supported"))
            return true
        }
        let goesOn = connection.messageArrived(now: door.time.now())
        door.took(String(buffer: text), connection)
        return goesOn
    }

    func heard() { connection.active(now: door.time.now()) }

    func closed(_ close: WebSocketClose) {
        door.hub.remove(connection)
        if connection.closed() { door.said(goodbye: close, connection) }
    }
}

/// `JKJaXmPLvHcESHA=`: as requests' ids, without letters that paths have to escape.
enum ConnectionID {
    static func make() -> String {
        String(RequestID.make().map { $0 == "/" ? "_" : $0 == "+" ? "-" : $0 })
    }

    /// Whether it can be one: others are not looked for.
    static func isValid(_ id: String) -> Bool {
        (4...128).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F, 0x3D: true
                default: false
                }
            }
    }
}

enum ConnectRefusal {
    static func message(_ status: Int) -> String {
        switch status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 429: "Too Many Requests"
        default: "Internal server error"
        }
    }
}
