import Contracts
import NIOCore
import Platform
import Wire

/// The event that a function gets from its URL: API Gateway's payload format 2.0, absent members omitted
/// (lambda-semantics 6.9, 6.11).
enum URLEvent {
    /// `traceID` is what the function gets as its trace header.
    static func payload(_ request: DoorRequest, _ url: FunctionURL, traceID: String) -> ByteBuffer {
        let head = request.head
        var event: Fields = [
            "version": "2.0", "routeKey": "$default", "rawPath": .string(head.path),
            "rawQueryString": .string(head.query),
        ]
        let (headers, cookies) = headersAndCookies(request, traceID: traceID)
        if !cookies.isEmpty { event.append("cookies", .list(cookies.map { .string($0) })) }
        event.append("headers", .map(headers))
        let parameters = queryParameters(head.query)
        if !parameters.isEmpty { event.append("queryStringParameters", .map(parameters)) }
        event.append("requestContext", requestContext(request, url))
        let body = body(request)
        if let text = body?.text { event.append("body", .string(text)) }
        event.append("isBase64Encoded", .bool(body?.isBase64 ?? false))
        return ByteBuffer(bytes: JSON.encode(.map(event)))
    }

    private static func requestContext(_ request: DoorRequest, _ url: FunctionURL) -> Value {
        let context = request.context
        var fields: Fields = [
            "accountId": .string(url.authType == .iam ? context.principal.account ?? "anonymous" : "anonymous"),
            "apiId": .string(url.id),
        ]
        if url.authType == .iam {
            let account = context.principal.account ?? ""
            fields.append(
                "authorizer",
                [
                    "iam": [
                        "accessKey": request.accessKeyID.map { .string($0) } ?? .null, "accountId": .string(account),
                        "callerId": .string(account), "cognitoIdentity": .null, "principalOrgId": .null,
                        "userArn": .string(context.principal.arn), "userId": .string(account),
                    ]
                ])
        }
        fields.append("domainName", .string(url.domainName))
        fields.append("domainPrefix", .string(url.id))
        fields.append(
            "http",
            [
                "method": .string(request.head.method), "path": .string(request.head.path),
                "protocol": .string(request.httpVersion), "sourceIp": .string(context.sourceIP),
                "userAgent": .string(request.head.header("user-agent") ?? ""),
            ])
        fields.append("requestId", .string(context.requestID))
        fields.append("routeKey", "$default")
        fields.append("stage", "$default")
        fields.append("time", .string(commonLogTime(context.now)))
        fields.append("timeEpoch", .int(context.now.milliseconds))
        return .map(fields)
    }

    /// `12/Mar/2020:19:03:58 +0000`.
    static func commonLogTime(_ now: Instant) -> String {
        // `Thu, 12 Mar 2020 19:03:58 GMT`
        let parts = now.httpDate.split(separator: " ")
        guard parts.count == 6 else { return "" }
        return "\(parts[1])/\(parts[2])/\(parts[3]):\(parts[4]) +0000"
    }

    /// Names in lower case; values of one name joined with commas; cookies taken out and separated.
    private static func headersAndCookies(
        _ request: DoorRequest, traceID: String
    ) -> (headers: Fields, cookies: [String]) {
        var headers = Fields()
        headers.reserveCapacity(request.head.headers.count + 4)
        var cookies: [String] = []
        func add(_ name: String, _ value: String) {
            if let present = headers[name]?.string {
                headers[name] = .string(present + "," + value)
            } else {
                headers.append(name, .string(value))
            }
        }
        var forwardedFor = ""
        for (name, value) in request.head.headers {
            switch name {
            case "cookie":
                cookies += value.split(separator: ";").map { String($0.drop { $0 == " " }) }.filter { !$0.isEmpty }
            case "x-forwarded-for": forwardedFor += value + ", "
            // Ours to say.
            case "x-amzn-trace-id", "x-forwarded-proto", "x-forwarded-port", "connection", "transfer-encoding": break
            default: add(name, value)
            }
        }
        headers.append("x-amzn-trace-id", .string(traceID))
        headers.append("x-forwarded-for", .string(forwardedFor + request.context.sourceIP))
        headers.append("x-forwarded-port", .string(port(of: request)))
        headers.append("x-forwarded-proto", request.isSecure ? "https" : "http")
        return (headers, cookies)
    }

    private static func port(of request: DoorRequest) -> String {
        let endpoint = request.context.endpoint
        if let colon = endpoint.lastIndex(of: ":") {
            let port = endpoint[endpoint.index(after: colon)...]
            if !port.isEmpty, port.utf8.allSatisfy({ (0x30...0x39).contains($0) }) { return String(port) }
        }
        return request.isSecure ? "443" : "80"
    }

    /// Decoded; the values of a name that comes more than once joined with commas.
    static func queryParameters(_ query: String) -> Fields {
        var fields = Fields()
        // A map, because a hostile query has thousands of names.
        var places: [String: Int] = [:]
        var pairs: [(name: String, value: String)] = []
        for pair in query.split(separator: "&") {
            let equals = pair.firstIndex(of: "=")
            let name = decoded(pair[..<(equals ?? pair.endIndex)])
            let value = equals.map { decoded(pair[pair.index(after: $0)...]) } ?? ""
            if let place = places[name] {
                pairs[place].value += "," + value
            } else {
                places[name] = pairs.count
                pairs.append((name, value))
            }
        }
        for (name, value) in pairs { fields.append(name, .string(value)) }
        return fields
    }

    private static func decoded(_ text: Substring) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else {
            return String(text)
        }
        return String(decoding: PercentEncoding.decode(text.utf8, plus: true), as: UTF8.self)
    }

    /// Text where the content type says so and the bytes are UTF-8, else base64. Nil without a body.
    private static func body(_ request: DoorRequest) -> (text: String, isBase64: Bool)? {
        guard request.body.readableBytes > 0 else { return nil }
        let bytes = request.body.readableBytesView
        let isEncoded = request.head.header("content-encoding").map { $0 != "identity" } ?? false
        if !isEncoded, isText(request.head.header("content-type")), let text = String(validating: bytes, as: UTF8.self)
        {
            return (text, false)
        }
        return (Base64.encode(Array(bytes)), true)
    }

    /// Forms are not among them: they come as base64, as HTTP APIs have them.
    static func isText(_ contentType: String?) -> Bool {
        guard let contentType else { return true }
        let type = contentType.prefix { $0 != ";" && $0 != " " }.lowercased()
        return type.hasPrefix("text/") || type.hasSuffix("+json") || type.hasSuffix("+xml")
            || ["application/json", "application/javascript", "application/xml"].contains(type)
    }
}
