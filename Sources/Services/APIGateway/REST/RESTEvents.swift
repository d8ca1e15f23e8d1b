import NIOCore
import Platform

/// The events of REST APIs (reference 6.8; the order of keys is AWS's): what is absent is null.
enum RESTEvents {
    /// Of an AWS_PROXY integration.
    static func proxy(_ call: RESTCall) -> ByteBuffer {
        let request = call.request
        var json = JSONWriter(capacity: 2_048 + request.body.readableBytes)
        json.raw("{")
        writeRequest(call, isForAuthorizer: false, &json)
        json.raw(#","requestContext":"#)
        writeContext(call, &json)
        json.raw(#","body":"#)
        let isEmpty = request.body.readableBytes == 0
        if isEmpty {
            json.raw("null")
        } else if request.isBodyText {
            json.string(String(buffer: request.body))
        } else {
            json.base64(Array(request.body.readableBytesView))
        }
        json.raw(#","isBase64Encoded":"#)
        json.bool(!isEmpty && !request.isBodyText)
        json.raw("}")
        return ByteBuffer(bytes: json.bytes)
    }

    /// Of a TOKEN authorizer.
    static func token(_ call: RESTCall, _ token: String) -> ByteBuffer {
        var json = JSONWriter(capacity: 512)
        json.raw(#"{"type":"TOKEN","methodArn":"#)
        json.string(call.methodARN)
        json.raw(#","authorizationToken":"#)
        json.string(token)
        json.raw("}")
        return ByteBuffer(bytes: json.bytes)
    }

    /// Of a REQUEST authorizer: no body, and empty maps where there is nothing.
    static func request(_ call: RESTCall) -> ByteBuffer {
        var json = JSONWriter(capacity: 2_048)
        json.raw(#"{"type":"REQUEST","methodArn":"#)
        json.string(call.methodARN)
        json.raw(",")
        writeRequest(call, isForAuthorizer: true, &json)
        json.raw(#","requestContext":"#)
        writeContext(call, &json)
        json.raw("}")
        return ByteBuffer(bytes: json.bytes)
    }

    private static func writeRequest(_ call: RESTCall, isForAuthorizer: Bool, _ json: inout JSONWriter) {
        let (request, event) = (call.request, call.record.event)
        json.raw(#""resource":"#)
        json.string(event.resource)
        json.raw(#","path":"#)
        json.string(call.path)
        json.raw(#","httpMethod":"#)
        json.string(request.method)
        let headers = request.headers.filter { $0.name != "content-length" }.map {
            (name: canonical($0.name), value: $0.value)
        }
        json.raw(#","headers":"#)
        map(ProxyEvents.last(headers), isForAuthorizer, &json)
        json.raw(#","multiValueHeaders":"#)
        map(ProxyEvents.all(headers), isForAuthorizer, &json)
        json.raw(#","queryStringParameters":"#)
        map(ProxyEvents.last(request.query), isForAuthorizer, &json)
        json.raw(#","multiValueQueryStringParameters":"#)
        map(ProxyEvents.all(request.query), isForAuthorizer, &json)
        json.raw(#","pathParameters":"#)
        map(event.pathParameters, isForAuthorizer, &json)
        json.raw(#","stageVariables":"#)
        map(event.stageVariables, isForAuthorizer, &json)
    }

    private static func map(_ pairs: [(name: String, value: String)], _ isEmptyMap: Bool, _ json: inout JSONWriter) {
        if pairs.isEmpty, !isEmptyMap { json.raw("null") } else { json.stringMap(pairs) }
    }

    private static func map(_ pairs: [(name: String, values: [String])], _ isEmptyMap: Bool, _ json: inout JSONWriter) {
        if pairs.isEmpty, !isEmptyMap { json.raw("null") } else { json.listMap(pairs) }
    }

    private static func writeContext(_ call: RESTCall, _ json: inout JSONWriter) {
        let (request, event) = (call.request, call.record.event)
        json.raw(#"{"resourceId":"#)
        json.string(call.method?.resourceID ?? "")
        if case .lambda(let context, let principalID) = event.identity {
            json.raw(#","authorizer":{"#)
            for entry in context?.entries ?? [] where !entry.value.isNull && entry.name != "principalId" {
                json.string(entry.name)
                json.raw(":")
                json.string(CallerIdentity.text(entry.value))
                json.raw(",")
            }
            json.raw(#""principalId":"#)
            json.stringOrNull(principalID)
            json.raw(#","integrationLatency":"#)
            json.int(Int64(call.authorizerLatency ?? 0))
            json.raw("}")
        }
        json.raw(#","resourcePath":"#)
        json.string(event.resource)
        if let name = call.method?.operationName {
            json.raw(#","operationName":"#)
            json.string(name)
        }
        json.raw(#","httpMethod":"#)
        json.string(request.method)
        json.raw(#","extendedRequestId":"#)
        json.string(call.extendedID)
        json.raw(#","requestTime":"#)
        json.string(request.receivedAt.commonLogTime)
        json.raw(#","path":"#)
        json.string(call.transcript == nil ? "/" + event.stage + call.path : call.path)
        json.raw(#","accountId":"#)
        json.string(event.accountID)
        json.raw(#","protocol":"#)
        json.string(request.httpVersion)
        json.raw(#","stage":"#)
        json.string(event.stage)
        json.raw(#","domainPrefix":"#)
        json.string(request.domainPrefix)
        json.raw(#","requestTimeEpoch":"#)
        json.int(request.receivedAt.milliseconds)
        json.raw(#","requestId":"#)
        json.string(request.requestID)
        json.raw(#","identity":"#)
        writeIdentity(call, &json)
        json.raw(#","domainName":"#)
        json.string(request.domainName)
        json.raw(#","deploymentId":"#)
        json.string(call.stage.deploymentID)
        json.raw(#","apiId":"#)
        json.string(event.apiID)
        json.raw("}")
    }

    private static func writeIdentity(_ call: RESTCall, _ json: inout JSONWriter) {
        var caller: CallerIdentity.IAMCaller?
        if case .iam(let known) = call.record.event.identity { caller = known }
        json.raw(#"{"cognitoIdentityPoolId":null,"accountId":"#)
        json.stringOrNull(caller?.accountID)
        json.raw(#","cognitoIdentityId":null,"caller":"#)
        json.stringOrNull(caller?.callerID)
        json.raw(#","sourceIp":"#)
        json.string(call.request.sourceIP)
        json.raw(#","principalOrgId":null,"accessKey":"#)
        json.stringOrNull(caller?.accessKey)
        json.raw(#","cognitoAuthenticationType":null,"cognitoAuthenticationProvider":null,"userArn":"#)
        json.stringOrNull(caller?.userARN)
        json.raw(#","userAgent":"#)
        json.string(call.request.userAgent)
        json.raw(#","user":"#)
        json.stringOrNull(caller?.callerID)
        if let key = call.key {
            json.raw(#","apiKey":"#)
            json.string(key)
            json.raw(#","apiKeyId":"#)
            json.stringOrNull(call.keyID)
        }
        json.raw("}")
    }

    private static let known = Dictionary(
        [
            "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control",
            "Content-Type", "Cookie", "Date", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "Origin",
            "Pragma",
            "Range", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Upgrade-Insecure-Requests",
            "User-Agent", "Via", "X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto",
            "X-Requested-With",
        ].map { (lowercased($0), $0) }, uniquingKeysWith: { first, _ in first })

    /// REST APIs hand names on as clients write them, which this server does not keep: what browsers and HTTP libraries send
    /// has capitals as they write it, everything else comes in lower case.
    static func canonical(_ name: String) -> String { known[name] ?? name }
}
