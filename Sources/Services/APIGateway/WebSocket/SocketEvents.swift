import NIOCore
import Platform

/// What happened on a connection, as functions and access logs see it.
struct SocketEvent: Sendable {
    enum Kind: Sendable {
        case connect
        case message(id: String, body: String)
        case disconnect(code: Int, reason: String)

        var name: String {
            switch self {
            case .connect: "CONNECT"
            case .message: "MESSAGE"
            case .disconnect: "DISCONNECT"
            }
        }
    }
    var kind: Kind
    var routeKey: String
    var requestID: String
    var at: Instant

    /// `{"message": "Forbidden", "connectionId":"…", "requestId":"…"}`, as API Gateway tells the client of itself.
    static func problem(_ message: String, connection: String, request: String) -> String {
        "{\"message\": \"\(message)\", \"connectionId\":\"\(connection)\", \"requestId\":\"\(request)\"}"
    }
}

/// The events of WebSocket APIs (reference 6.10; developer guide, "Integrate WebSocket APIs with AWS Lambda").
enum SocketEvents {
    /// Of a proxy integration. What a message does not have is left out.
    static func integration(_ event: SocketEvent, _ connection: SocketConnection, _ stage: SocketStage) -> ByteBuffer {
        var json = JSONWriter(capacity: 2_048)
        json.raw("{")
        switch event.kind {
        case .connect: writeRequest(connection.opening, &json)
        case .disconnect: writeFarewell(connection, &json)
        case .message: break
        }
        writeContext(event, connection, stage.name, &json)
        if case .message(_, let body) = event.kind {
            json.raw(#","body":"#)
            json.string(body)
        }
        if !stage.variables.isEmpty {
            json.raw(#","stageVariables":"#)
            json.stringMap(stage.variables)
        }
        json.raw(#","isBase64Encoded":false}"#)
        return ByteBuffer(bytes: json.bytes)
    }

    /// Of a REQUEST authorizer.
    static func authorizer(
        _ event: SocketEvent, _ connection: SocketConnection, _ stage: SocketStage, arn: String
    ) -> ByteBuffer {
        var json = JSONWriter(capacity: 2_048)
        json.raw(#"{"type":"REQUEST","methodArn":"#)
        json.string(arn)
        json.raw(",")
        writeRequest(connection.opening, &json)
        json.raw(#""stageVariables":"#)
        json.stringMap(stage.variables)
        json.raw(",")
        writeContext(event, connection, stage.name, &json)
        json.raw("}")
        return ByteBuffer(bytes: json.bytes)
    }

    /// Headers and query, with a comma behind them.
    private static func writeRequest(_ opening: SocketOpening, _ json: inout JSONWriter) {
        writeHeaders(opening.headers, &json)
        guard !opening.query.isEmpty else { return }
        json.raw(#""queryStringParameters":"#)
        json.stringMap(ProxyEvents.last(opening.query))
        json.raw(#","multiValueQueryStringParameters":"#)
        json.listMap(ProxyEvents.all(opening.query))
        json.raw(",")
    }

    private static func writeHeaders(_ headers: [(name: String, value: String)], _ json: inout JSONWriter) {
        json.raw(#""headers":"#)
        json.stringMap(ProxyEvents.last(headers).sorted { $0.name < $1.name })
        json.raw(#","multiValueHeaders":"#)
        json.listMap(ProxyEvents.all(headers).sorted { $0.name < $1.name })
        json.raw(",")
    }

    /// What events of the end have of the request that began it.
    private static func writeFarewell(_ connection: SocketConnection, _ json: inout JSONWriter) {
        writeHeaders(
            [
                ("Host", connection.host), ("x-api-key", ""), ("X-Forwarded-For", connection.forwardedFor),
                ("x-restapi", ""),
            ], &json)
    }

    private static func writeContext(
        _ event: SocketEvent, _ connection: SocketConnection, _ stage: String, _ json: inout JSONWriter
    ) {
        json.raw(#""requestContext":{"routeKey":"#)
        json.string(event.routeKey)
        writeAuthorizer(connection.identity, &json)
        switch event.kind {
        case .connect: break
        case .message(let id, _):
            json.raw(#","messageId":"#)
            json.string(id)
        case .disconnect(let code, let reason):
            json.raw(#","disconnectStatusCode":"#)
            json.int(Int64(code))
            json.raw(#","disconnectReason":"#)
            json.string(reason)
        }
        json.raw(#","eventType":"#)
        json.string(event.kind.name)
        json.raw(#","extendedRequestId":"#)
        json.string(event.requestID)
        json.raw(#","requestTime":"#)
        json.string(event.at.commonLogTime)
        json.raw(#","messageDirection":"IN","stage":"#)
        json.string(stage)
        json.raw(#","connectedAt":"#)
        json.int(connection.connectedAt.milliseconds)
        json.raw(#","requestTimeEpoch":"#)
        json.int(event.at.milliseconds)
        json.raw(#","identity":{"#)
        writeIdentity(connection, &json)
        json.raw(#"},"requestId":"#)
        json.string(event.requestID)
        json.raw(#","domainName":"#)
        json.string(connection.domainName)
        json.raw(#","connectionId":"#)
        json.string(connection.id)
        json.raw(#","apiId":"#)
        json.string(connection.apiID)
        json.raw("}")
    }

    private static func writeIdentity(_ connection: SocketConnection, _ json: inout JSONWriter) {
        if case .iam(let caller) = connection.identity {
            for (name, value) in [
                ("accessKey", caller.accessKey), ("accountId", caller.accountID), ("caller", caller.callerID),
                ("user", caller.callerID), ("userArn", caller.userARN),
            ] {
                json.string(name)
                json.raw(":")
                json.string(value)
                json.raw(",")
            }
        }
        if !connection.userAgent.isEmpty {
            json.raw(#""userAgent":"#)
            json.string(connection.userAgent)
            json.raw(",")
        }
        json.raw(#""sourceIp":"#)
        json.string(connection.sourceIP)
    }

    private static func writeAuthorizer(_ identity: CallerIdentity, _ json: inout JSONWriter) {
        guard case .lambda(let context, let principalID) = identity else { return }
        var fields = context ?? Fields()
        if let principalID { fields["principalId"] = .string(principalID) }
        json.raw(#","authorizer":"#)
        json.write(.map(fields))
    }

    /// WebSocket APIs show the headers of HTTP/1.1 with capitals.
    static func capitalized(_ name: String) -> String {
        if name == "x-amzn-trace-id" { return "X-Amzn-Trace-Id" }
        if name.hasPrefix("sec-websocket-") || name.hasPrefix("x-forwarded-") || name == "host" || name == "user-agent"
            || name == "origin"
        {
            return name.split(separator: "-").map { part in
                part == "websocket" ? "WebSocket" : part.prefix(1).uppercased() + part.dropFirst()
            }.joined(separator: "-")
        }
        return name
    }
}
