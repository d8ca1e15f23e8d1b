import NIOCore
import Platform

/// The template of an access log: text with `$context.…` variables, read once.
struct AccessLogFormat: Sendable {
    private enum Part: Sendable {
        case text(String)
        case variable(String)
    }

    private let parts: [Part]

    init(_ template: String) {
        var parts: [Part] = []
        var rest = template[...]
        while let start = rest.firstRange(of: "$context.") {
            parts.append(.text(String(rest[..<start.lowerBound])))
            rest = rest[start.upperBound...]
            var name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || "._-:".contains($0)) }
            // A sentence may end with a variable.
            while let last = name.last, ".-:".contains(last) { name.removeLast() }
            parts.append(.variable(String(name)))
            rest = rest[name.endIndex...]
        }
        parts.append(.text(String(rest)))
        self.parts = parts
    }

    /// The line; a variable without a value is `-`. `lookUp` knows values by their names behind `$context.`.
    func line(_ lookUp: (String) -> String?) -> String {
        var line = ""
        for part in parts {
            switch part {
            case .text(let text): line += text
            case .variable(let name): line += lookUp(name).map(Self.plain) ?? "-"
            }
        }
        return line.utf8.count <= Limits.logLine ? line : String(line.prefix(Limits.logLine / 4))
    }

    /// What a client sent cannot start a new line, nor end the string of a JSON template.
    private static func plain(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x22 || $0 == 0x5C || $0 == 0x7F }) else { return text }
        return String(JSON.encodeString(.string(text)).dropFirst().dropLast())
    }
}

/// Everything about a finished request that access logs and parameter mapping may name.
struct RequestRecord: Sendable {
    var request: ProxyRequest
    var event: EventContext
    var integration = IntegrationRecord()
    var authorizerError: String?

    struct IntegrationRecord: Sendable {
        var status: Int?
        /// Milliseconds; of one that streams, to the end of the stream.
        var latency: Int?
        /// Milliseconds, of one that streams.
        var timeToAllHeaders: Int?
        var timeToFirstContent: Int?
        /// Bytes that were streamed; nil when the answer has its body.
        var streamed: Int?
        var error: String?
        var requestID: String?
    }

    /// The value of `$context.NAME` before there is an answer; nil when there is none.
    func value(_ name: String) -> String? {
        switch name {
        case "accountId": event.accountID
        case "apiId": event.apiID
        case "domainName": request.domainName
        case "domainPrefix": request.domainPrefix
        case "extendedRequestId", "requestId": request.requestID
        case "httpMethod": request.method
        case "identity.sourceIp": request.sourceIP
        case "identity.userAgent": request.userAgent
        case "identity.accountId": caller?.accountID
        case "identity.caller", "identity.user": caller?.callerID
        case "identity.userArn": caller?.userARN
        case "path": request.path
        case "protocol": request.httpVersion
        case "requestTime": request.receivedAt.commonLogTime
        case "requestTimeEpoch": String(request.receivedAt.milliseconds)
        case "routeKey": event.routeKey.isEmpty ? nil : event.routeKey
        case "stage": event.stage
        case "authorizer.error": authorizerError
        default: named(name)
        }
    }

    private func named(_ name: String) -> String? {
        if name.hasPrefix("authorizer.") { return event.identity.property(name.dropFirst("authorizer.".count)) }
        return nil
    }

    private var caller: CallerIdentity.IAMCaller? {
        if case .iam(let caller) = event.identity { caller } else { nil }
    }

    /// The value of a variable once the answer is known.
    func value(_ name: String, answer: ProxyAnswer, now: Instant) -> String? {
        let length = integration.streamed ?? answer.body.readableBytes
        return switch name {
        case "status": String(answer.status)
        case "responseLength": String(length)
        case "dataProcessed": String(request.body.readableBytes + length)
        case "responseLatency": String(Int64((now - request.receivedAt).fractionalMilliseconds))
        case "error.message": answer.problem?.message
        case "error.messageString": answer.problem.map { "\"\($0.message)\"" }
        case "error.responseType": answer.problem?.type
        case "error.validationErrorString": answer.problem?.validation
        case "integrationErrorMessage", "integration.error": integration.error
        case "integrationLatency", "integration.latency": integration.latency.map(String.init)
        case "integrationStatus", "integration.integrationStatus": integration.status.map(String.init)
        case "integration.status": integration.status.map(String.init)
        case "integration.timeToAllHeaders": integration.timeToAllHeaders.map(String.init)
        case "integration.timeToFirstContent": integration.timeToFirstContent.map(String.init)
        case "integration.requestId", "awsEndpointRequestId": integration.requestID
        default: value(name)
        }
    }
}
