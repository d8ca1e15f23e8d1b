import Contracts
import Logging
import NIOCore
import Platform
import Wire

/// Messages of open connections, and their ends.
extension SocketDoor {
    /// One message, whose place among those under way is given back when it is done.
    func took(_ text: String, _ connection: SocketConnection) {
        withStage(of: connection) { api, stage in
            guard let api, let stage else {
                // The API or the stage was deleted under its connections.
                connection.messageDone()
                return connection.close(SocketHub.goingAway)
            }
            route(text, connection, api, stage)
        }
    }

    /// The stage as it is deployed now.
    private func withStage(
        of connection: SocketConnection, _ body: @escaping @Sendable (SocketAPI?, SocketStage?) -> Void
    ) {
        if case .api(let api) = catalog.cachedSocket(connection.apiID) {
            return body(api, api.stages[connection.stageName])
        }
        Task {
            do {
                let api = try await catalog.loadSocket(connection.apiID)
                body(api, api?.stages[connection.stageName])
            } catch {
                logger.error("cannot load an API", metadata: ["api": "\(connection.apiID)", "error": "\(error)"])
                body(nil, nil)
            }
        }
    }

    private func route(_ text: String, _ connection: SocketConnection, _ api: SocketAPI, _ stage: SocketStage) {
        let now = time.now()
        var event = SocketEvent(
            kind: .message(id: RequestID.make(), body: text), routeKey: SocketStage.fallback,
            requestID: RequestID.make(), at: now)
        guard let route = stage.route(of: try? JSON.parse(text)) else {
            return failed(event, connection, api, stage, status: 403, "Forbidden")
        }
        event.routeKey = route.key
        guard stage.admits(route, now: now) else {
            return failed(event, connection, api, stage, status: 429, "Too Many Requests")
        }
        guard let integration = route.integration else {
            return failed(event, connection, api, stage, status: 500, "Internal server error")
        }
        let call = SocketIntegrations.Call(
            api: api, stage: stage, connection: connection, event: event, traceID: TraceHeader.generate(now: now))
        let asked = event
        integrations.run(integration, call) { outcome in
            switch outcome {
            case .answered(let answer):
                log(
                    SocketLog.Line(event: asked, connection: connection, status: 200, integration: answer.status), api,
                    stage)
                guard route.responds, let message = answer.message else { return connection.messageDone() }
                guard message.bytes.readableBytes <= Limits.socketMessage else {
                    return failed(asked, connection, api, stage, status: 413, "Message too long")
                }
                connection.send(message, now: time.now()) { _ in connection.messageDone() }
            case .failed(let failure):
                failed(asked, connection, api, stage, status: 500, failure.message, failure.detail)
            }
        }
    }

    /// Tells the client.
    private func failed(
        _ event: SocketEvent, _ connection: SocketConnection, _ api: SocketAPI, _ stage: SocketStage, status: Int,
        _ message: String, _ detail: String? = nil
    ) {
        log(
            SocketLog.Line(event: event, connection: connection, status: status, problem: message, detail: detail), api,
            stage)
        let text = SocketEvent.problem(message, connection: connection.id, request: event.requestID)
        connection.send(.text(ByteBuffer(string: text)), now: time.now()) { _ in connection.messageDone() }
    }

    /// `$disconnect`: tried once, whatever comes of it.
    func said(goodbye close: WebSocketClose, _ connection: SocketConnection) {
        withStage(of: connection) { api, stage in
            guard let api, let stage else { return }
            let now = time.now()
            let reason =
                close.reason.isEmpty && close.code == 1005
                ? "Client-side close frame status not set" : close.reason
            let event = SocketEvent(
                kind: .disconnect(code: close.code, reason: reason), routeKey: SocketStage.disconnect,
                requestID: RequestID.make(), at: now)
            guard let integration = stage.routes[SocketStage.disconnect]?.integration else {
                return log(SocketLog.Line(event: event, connection: connection, status: 200), api, stage)
            }
            let call = SocketIntegrations.Call(
                api: api, stage: stage, connection: connection, event: event, traceID: TraceHeader.generate(now: now))
            integrations.run(integration, call) { outcome in
                var line = SocketLog.Line(event: event, connection: connection, status: 200)
                switch outcome {
                case .answered(let answer): line.integration = answer.status
                case .failed(let failure):
                    (line.status, line.problem, line.detail) = (500, failure.message, failure.detail)
                }
                log(line, api, stage)
            }
        }
    }
}

/// The variables of WebSocket APIs' access logs (developer guide, "WebSocket API mapping template reference").
enum SocketLog {
    struct Line: Sendable {
        var event: SocketEvent
        var connection: SocketConnection
        var status: Int
        /// Of the integration's answer.
        var integration: Int?
        var problem: String?
        var detail: String?

        func value(_ name: String, _ api: SocketAPI) -> String? {
            switch name {
            case "status": String(status)
            case "integrationStatus", "integration.status", "integration.integrationStatus":
                integration.map(String.init)
            case "error.message": problem
            case "error.messageString": problem.map { "\"\($0)\"" }
            case "integrationErrorMessage", "integration.error": detail
            default: SocketLog.value(name, event, connection, api)
            }
        }
    }

    static func value(_ name: String, _ event: SocketEvent, _ connection: SocketConnection, _ api: SocketAPI)
        -> String?
    {
        switch name {
        case "accountId": return api.scope.account
        case "apiId": return api.id
        case "connectedAt": return String(connection.connectedAt.milliseconds)
        case "connectionId": return connection.id
        case "domainName": return connection.domainName
        case "eventType": return event.kind.name
        case "extendedRequestId", "requestId": return event.requestID
        case "identity.sourceIp": return connection.sourceIP
        case "identity.userAgent": return connection.userAgent.isEmpty ? nil : connection.userAgent
        case "requestTime": return event.at.commonLogTime
        case "requestTimeEpoch": return String(event.at.milliseconds)
        case "routeKey": return event.routeKey
        case "stage": return connection.stageName
        case "messageId":
            if case .message(let id, _) = event.kind { return id }
            return nil
        case "disconnectStatusCode":
            if case .disconnect(let code, _) = event.kind { return String(code) }
            return nil
        default:
            if name.hasPrefix("identity."), case .iam(let caller) = connection.identity {
                switch name {
                case "identity.accountId": return caller.accountID
                case "identity.caller", "identity.user": return caller.callerID
                case "identity.userArn": return caller.userARN
                default: return nil
                }
            }
            guard name.hasPrefix("authorizer.") else { return nil }
            return connection.identity.property(name.dropFirst("authorizer.".count))
        }
    }
}
