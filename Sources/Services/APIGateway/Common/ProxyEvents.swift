import NIOCore
import Platform

/// What an event says besides the request.
struct EventContext: Sendable {
    var accountID: String
    var apiID: String
    var stage: String
    var routeKey: String
    /// The path of the route, without the method: `/pets/{id}`, `$default`.
    var resource: String
    var pathParameters: [(name: String, value: String)]
    var stageVariables: [(name: String, value: String)]
    var identity: CallerIdentity
}

/// The events of Lambda proxy integrations and authorizers (reference 6.8 and 6.9), written straight to JSON.
enum ProxyEvents {
    /// Payload format 2.0: what is absent is left out.
    static func version2(_ request: ProxyRequest, _ context: EventContext) -> ByteBuffer {
        var json = JSONWriter(capacity: 1_536 + request.body.readableBytes)
        json.raw(#"{"version":"2.0","routeKey":"#)
        json.string(context.routeKey)
        writeRequest2(request, &json)
        json.raw(#","requestContext":{"#)
        writeContext2(request, context, &json)
        writeIdentity2(context.identity, &json)
        json.raw("}")
        if request.body.readableBytes > 0 {
            json.raw(#","body":"#)
            writeBody(request, &json)
        }
        if !context.pathParameters.isEmpty {
            json.raw(#","pathParameters":"#)
            json.stringMap(context.pathParameters)
        }
        json.raw(#","isBase64Encoded":"#)
        json.bool(request.body.readableBytes > 0 && !request.isBodyText)
        if !context.stageVariables.isEmpty {
            json.raw(#","stageVariables":"#)
            json.stringMap(context.stageVariables)
        }
        json.raw("}")
        return ByteBuffer(bytes: json.bytes)
    }

    /// The request of a Lambda authorizer in format 2.0: no body.
    static func authorizer2(
        _ request: ProxyRequest, _ context: EventContext, arn: String, identitySource: [String]
    ) -> ByteBuffer {
        var json = JSONWriter(capacity: 1_536)
        json.raw(#"{"version":"2.0","type":"REQUEST","routeArn":"#)
        json.string(arn)
        json.raw(#","identitySource":"#)
        json.strings(identitySource)
        json.raw(#","routeKey":"#)
        json.string(context.routeKey)
        writeRequest2(request, &json)
        json.raw(#","requestContext":{"#)
        writeContext2(request, context, &json)
        json.raw("}")
        if !context.pathParameters.isEmpty {
            json.raw(#","pathParameters":"#)
            json.stringMap(context.pathParameters)
        }
        if !context.stageVariables.isEmpty {
            json.raw(#","stageVariables":"#)
            json.stringMap(context.stageVariables)
        }
        json.raw("}")
        return ByteBuffer(bytes: json.bytes)
    }

    /// Payload format 1.0, as REST APIs send it with a version in front: what is absent is null.
    static func version1(_ request: ProxyRequest, _ context: EventContext) -> ByteBuffer {
        var json = JSONWriter(capacity: 2_048 + request.body.readableBytes)
        json.raw(#"{"version":"1.0""#)
        writeRequest1(request, context, &json)
        json.raw(#","body":"#)
        if request.body.readableBytes > 0 { writeBody(request, &json) } else { json.raw("null") }
        json.raw(#","isBase64Encoded":"#)
        json.bool(request.body.readableBytes > 0 && !request.isBodyText)
        json.raw("}")
        return ByteBuffer(bytes: json.bytes)
    }

    /// The request of a Lambda authorizer in format 1.0.
    static func authorizer1(
        _ request: ProxyRequest, _ context: EventContext, arn: String, identitySource: [String]
    ) -> ByteBuffer {
        let identity = identitySource.joined(separator: ",")
        var json = JSONWriter(capacity: 2_048)
        json.raw(#"{"version":"1.0","type":"REQUEST","methodArn":"#)
        json.string(arn)
        json.raw(#","identitySource":"#)
        json.string(identity)
        json.raw(#","authorizationToken":"#)
        json.string(identity)
        writeRequest1(request, context, &json)
        json.raw("}")
        return ByteBuffer(bytes: json.bytes)
    }

    // MARK: Format 2.0

    private static func writeRequest2(_ request: ProxyRequest, _ json: inout JSONWriter) {
        json.raw(#","rawPath":"#)
        json.string(request.mappedPath ?? request.path)
        json.raw(#","rawQueryString":"#)
        json.string(request.rawQuery)
        let cookies = request.cookies
        if !cookies.isEmpty {
            json.raw(#","cookies":"#)
            json.strings(cookies)
        }
        json.raw(#","headers":"#)
        json.stringMap(joined(request.headers.filter { $0.name != "cookie" }).sorted { $0.name < $1.name })
        if !request.query.isEmpty {
            json.raw(#","queryStringParameters":"#)
            json.stringMap(joined(request.query))
        }
    }

    private static func writeContext2(_ request: ProxyRequest, _ context: EventContext, _ json: inout JSONWriter) {
        json.raw(#""accountId":"#)
        json.string(context.accountID)
        json.raw(#","apiId":"#)
        json.string(context.apiID)
        json.raw(#","domainName":"#)
        json.string(request.domainName)
        json.raw(#","domainPrefix":"#)
        json.string(request.domainPrefix)
        json.raw(#","http":{"method":"#)
        json.string(request.method)
        json.raw(#","path":"#)
        json.string(request.path)
        json.raw(#","protocol":"#)
        json.string(request.httpVersion)
        json.raw(#","sourceIp":"#)
        json.string(request.sourceIP)
        json.raw(#","userAgent":"#)
        json.string(request.userAgent)
        json.raw(#"},"requestId":"#)
        json.string(request.requestID)
        json.raw(#","routeKey":"#)
        json.string(context.routeKey)
        json.raw(#","stage":"#)
        json.string(context.stage)
        json.raw(#","time":"#)
        json.string(request.receivedAt.commonLogTime)
        json.raw(#","timeEpoch":"#)
        json.int(request.receivedAt.milliseconds)
    }

    private static func writeIdentity2(_ identity: CallerIdentity, _ json: inout JSONWriter) {
        switch identity {
        case .none: break
        case .jwt(let claims, let scopes):
            json.raw(#","authorizer":{"jwt":{"claims":"#)
            json.stringMap(claims)
            json.raw(#","scopes":"#)
            if let scopes { json.strings(scopes) } else { json.raw("null") }
            json.raw("}}")
        case .lambda(let context, _):
            json.raw(#","authorizer":{"lambda":"#)
            json.write(context.map { .map($0) } ?? .null)
            json.raw("}")
        case .iam(let caller):
            json.raw(#","authorizer":{"iam":{"accessKey":"#)
            json.string(caller.accessKey)
            json.raw(#","accountId":"#)
            json.string(caller.accountID)
            json.raw(#","callerId":"#)
            json.string(caller.callerID)
            json.raw(#","cognitoIdentity":null,"principalOrgId":null,"userArn":"#)
            json.string(caller.userARN)
            json.raw(#","userId":"#)
            json.string(caller.callerID)
            json.raw("}}")
        }
    }

    // MARK: Format 1.0

    private static func writeRequest1(_ request: ProxyRequest, _ context: EventContext, _ json: inout JSONWriter) {
        json.raw(#","resource":"#)
        json.string(context.resource)
        json.raw(#","path":"#)
        json.string(request.mappedPath ?? request.path)
        json.raw(#","httpMethod":"#)
        json.string(request.method)
        let headers = request.headers.map { (name: capitalized($0.name), value: $0.value) }
        json.raw(#","headers":"#)
        json.stringMap(last(headers).sorted { $0.name < $1.name })
        json.raw(#","multiValueHeaders":"#)
        json.listMap(all(headers).sorted { $0.name < $1.name })
        json.raw(#","queryStringParameters":"#)
        json.stringMapOrNull(last(request.query))
        json.raw(#","multiValueQueryStringParameters":"#)
        if request.query.isEmpty { json.raw("null") } else { json.listMap(all(request.query)) }
        json.raw(#","requestContext":{"#)
        writeContext1(request, context, &json)
        json.raw(#"},"pathParameters":"#)
        json.stringMapOrNull(context.pathParameters)
        json.raw(#","stageVariables":"#)
        json.stringMapOrNull(context.stageVariables)
    }

    private static func writeContext1(_ request: ProxyRequest, _ context: EventContext, _ json: inout JSONWriter) {
        json.raw(#""accountId":"#)
        json.string(context.accountID)
        json.raw(#","apiId":"#)
        json.string(context.apiID)
        writeIdentity1(context.identity, &json)
        json.raw(#","domainName":"#)
        json.string(request.domainName)
        json.raw(#","domainPrefix":"#)
        json.string(request.domainPrefix)
        json.raw(#","extendedRequestId":"#)
        json.string(request.requestID)
        json.raw(#","httpMethod":"#)
        json.string(request.method)
        var caller: CallerIdentity.IAMCaller?
        if case .iam(let known) = context.identity { caller = known }
        json.raw(#","identity":{"accessKey":"#)
        json.stringOrNull(caller?.accessKey)
        json.raw(#","accountId":"#)
        json.stringOrNull(caller?.accountID)
        json.raw(#","caller":"#)
        json.stringOrNull(caller?.callerID)
        json.raw(#","cognitoAmr":null,"cognitoAuthenticationProvider":null,"cognitoAuthenticationType":null,"#)
        json.raw(#""cognitoIdentityId":null,"cognitoIdentityPoolId":null,"principalOrgId":null,"sourceIp":"#)
        json.string(request.sourceIP)
        json.raw(#","user":"#)
        json.stringOrNull(caller?.callerID)
        json.raw(#","userAgent":"#)
        json.string(request.userAgent)
        json.raw(#","userArn":"#)
        json.stringOrNull(caller?.userARN)
        json.raw(#"},"path":"#)
        json.string(request.path)
        json.raw(#","protocol":"#)
        json.string(request.httpVersion)
        json.raw(#","requestId":"#)
        json.string(request.requestID)
        json.raw(#","requestTime":"#)
        json.string(request.receivedAt.commonLogTime)
        json.raw(#","requestTimeEpoch":"#)
        json.int(request.receivedAt.milliseconds)
        json.raw(#","resourceId":"#)
        json.string(context.routeKey)
        json.raw(#","resourcePath":"#)
        json.string(context.resource)
        json.raw(#","stage":"#)
        json.string(context.stage)
    }

    private static func writeIdentity1(_ identity: CallerIdentity, _ json: inout JSONWriter) {
        switch identity {
        case .none, .iam: break
        case .jwt(let claims, let scopes):
            json.raw(#","authorizer":{"claims":"#)
            json.stringMap(claims)
            json.raw(#","scopes":"#)
            if let scopes { json.strings(scopes) } else { json.raw("null") }
            json.raw("}")
        case .lambda(let context, let principalID):
            var fields = context ?? Fields()
            if let principalID { fields["principalId"] = .string(principalID) }
            json.raw(#","authorizer":"#)
            json.write(.map(fields))
        }
    }

    /// What API Gateway itself reads or adds has capitals in format 1.0; the rest comes as clients of HTTP/2 send it.
    private static func capitalized(_ name: String) -> String {
        switch name {
        case "content-length": "Content-Length"
        case "content-type": "Content-Type"
        case "host": "Host"
        case "user-agent": "User-Agent"
        case "x-amzn-trace-id": "X-Amzn-Trace-Id"
        case "x-forwarded-for": "X-Forwarded-For"
        case "x-forwarded-port": "X-Forwarded-Port"
        case "x-forwarded-proto": "X-Forwarded-Proto"
        default: name
        }
    }

    // MARK: Repeated names

    private static func writeBody(_ request: ProxyRequest, _ json: inout JSONWriter) {
        if request.isBodyText {
            json.string(String(buffer: request.body))
        } else {
            json.base64(Array(request.body.readableBytesView))
        }
    }

    /// Repeated names with their values joined by commas.
    static func joined(_ pairs: [(name: String, value: String)]) -> [(name: String, value: String)] {
        all(pairs).map { ($0.name, $0.values.count == 1 ? $0.values[0] : $0.values.joined(separator: ",")) }
    }

    /// Of repeated names the last value.
    static func last(_ pairs: [(name: String, value: String)]) -> [(name: String, value: String)] {
        all(pairs).map { ($0.name, $0.values.last ?? "") }
    }

    /// Names in the order in which they came first.
    static func all(_ pairs: [(name: String, value: String)]) -> [(name: String, values: [String])] {
        var places: [String: Int] = [:]
        var answer: [(name: String, values: [String])] = []
        answer.reserveCapacity(pairs.count)
        for (name, value) in pairs {
            if let place = places[name] {
                answer[place].values.append(value)
            } else {
                places[name] = answer.count
                answer.append((name, [value]))
            }
        }
        return answer
    }
}

extension JSONWriter {
    mutating func stringMap(_ pairs: [(name: String, value: String)]) {
        raw("{")
        for (index, pair) in pairs.enumerated() {
            if index > 0 { raw(",") }
            string(pair.name)
            raw(":")
            string(pair.value)
        }
        raw("}")
    }

    mutating func stringMapOrNull(_ pairs: [(name: String, value: String)]) {
        if pairs.isEmpty { raw("null") } else { stringMap(pairs) }
    }

    mutating func listMap(_ pairs: [(name: String, values: [String])]) {
        raw("{")
        for (index, pair) in pairs.enumerated() {
            if index > 0 { raw(",") }
            string(pair.name)
            raw(":")
            strings(pair.values)
        }
        raw("}")
    }

    mutating func strings(_ values: [String]) {
        raw("[")
        for (index, value) in values.enumerated() {
            if index > 0 { raw(",") }
            string(value)
        }
        raw("]")
    }

    mutating func stringOrNull(_ text: String?) {
        if let text { string(text) } else { raw("null") }
    }
}

extension Instant {
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// `04/Mar/2020:19:15:17 +0000`, as the Common Log Format writes it.
    var commonLogTime: String {
        let time = CivilTime(self)
        return "\(pad(time.day))/\(Self.months[time.month - 1])/\(pad(Int(time.year), 4)):"
            + "\(pad(time.hour)):\(pad(time.minute)):\(pad(time.second)) +0000"
    }
}
