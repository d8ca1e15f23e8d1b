import Contracts
import NIOCore
import Platform

/// What a client gets.
struct ProxyAnswer: Sendable {
    var status: Int
    /// Names as they are to be sent; several of one name stand apart.
    var headers: [(name: String, value: String)]
    var body: ByteBuffer
    /// Of a backend's answer to HEAD: there is no body, and how long it would be is the backend's word.
    var withheld: Withheld?
    /// Why API Gateway itself answered, for access logs: the type of a gateway response and its message.
    var problem: Problem?

    struct Withheld: Sendable {
        var length: Int64?
    }

    struct Problem: Sendable, Hashable {
        var type: String
        var message: String
        /// Of the integration or the authorizer.
        var detail: String?
        /// What is wrong with a request's body.
        var validation: String?
    }

    init(status: Int, headers: [(name: String, value: String)], body: ByteBuffer, problem: Problem? = nil) {
        self.status = status
        self.headers = headers
        self.body = body
        self.problem = problem
    }

    /// The body as the front door sends it.
    var payload: ResponsePayload { withheld.map { .stream(length: $0.length) { _ in } } ?? .bytes(body) }

    /// The length that a backend says its body has; nil when it says none that can be.
    static func length(_ headers: [(name: String, value: String)]) -> Int64? {
        let text = headers.first { lowercased($0.name) == "content-length" }?.value
        return text.flatMap { Int64($0) }.flatMap { $0 < 0 ? nil : $0 }
    }

    /// `{"message":"…"}`, as HTTP APIs answer of themselves.
    static func error(_ status: Int, _ message: String, type: String, detail: String? = nil) -> ProxyAnswer {
        ProxyAnswer(
            status: status, headers: [("content-type", "application/json")],
            body: ByteBuffer(string: "{\"message\":\"\(message)\"}"),
            problem: Problem(type: type, message: message, detail: detail))
    }

    static var notFound: ProxyAnswer { error(404, "Not Found", type: "RESOURCE_NOT_FOUND") }
    static var unauthorized: ProxyAnswer { error(401, "Unauthorized", type: "UNAUTHORIZED") }
    static var forbidden: ProxyAnswer { error(403, "Forbidden", type: "ACCESS_DENIED") }
    static var tooManyRequests: ProxyAnswer { error(429, "Too Many Requests", type: "THROTTLED") }
    static var tooLarge: ProxyAnswer { error(413, "Request Entity Too Large", type: "REQUEST_TOO_LARGE") }
    static func internalError(_ detail: String) -> ProxyAnswer {
        error(500, "Internal Server Error", type: "INTEGRATION_FAILURE", detail: detail)
    }
    static func unavailable(_ detail: String) -> ProxyAnswer {
        error(503, "Service Unavailable", type: "INTEGRATION_FAILURE", detail: detail)
    }

    /// What a function answered, in the words of its payload format. What cannot be understood is a failure of the
    /// integration, never a crash and never a header out of place.
    static func interpret(_ payload: ByteBuffer, version: PayloadVersion) -> ProxyAnswer {
        guard let value = try? JSON.parse(payload.readableBytesView) else {
            return malformed("The response is not JSON.")
        }
        guard let fields = value.fields, let status = fields["statusCode"], !status.isNull else {
            guard version == .v2 else { return malformed("The response has no statusCode.") }
            // "If your function returns valid JSON and doesn't return a statusCode" (developer guide).
            return ProxyAnswer(
                status: 200, headers: [("content-type", "application/json")],
                body: ByteBuffer(bytes: JSON.encode(value)))
        }
        guard let code = status.int ?? status.string.flatMap({ Int64($0) }), (200...599).contains(code) else {
            return malformed("The statusCode is no HTTP status.")
        }
        var headers: [(name: String, value: String)] = []
        guard collect(fields, version, into: &headers) else { return malformed("The headers cannot be sent.") }
        guard let body = body(of: fields) else { return malformed("The body is not a string, or not base64.") }
        guard body.readableBytes <= Limits.payload else { return malformed("The body is too large.") }
        if code != 204, code != 304, !headers.contains(where: { lowercased($0.name) == "content-type" }) {
            headers.append(("content-type", "text/plain;charset=UTF-8"))
        }
        return ProxyAnswer(status: Int(code), headers: headers, body: body)
    }

    private static func malformed(_ why: String) -> ProxyAnswer { internalError(why) }

    private static func body(of fields: Fields) -> ByteBuffer? {
        guard let value = fields["body"], !value.isNull else { return ByteBuffer() }
        guard let text = value.string else { return nil }
        guard fields["isBase64Encoded"]?.bool == true else { return ByteBuffer(string: text) }
        return Base64.decode(text).map { ByteBuffer(bytes: $0) }
    }

    private static func collect(
        _ fields: Fields, _ version: PayloadVersion, into headers: inout [(name: String, value: String)]
    ) -> Bool {
        var multiple: Set<String> = []
        if version == .v1, let lists = fields["multiValueHeaders"], !lists.isNull {
            guard let lists = lists.fields else { return false }
            for entry in lists.entries {
                guard let values = entry.value.list else { return false }
                multiple.insert(lowercased(entry.name))
                for value in values where !append(entry.name, value, to: &headers) { return false }
            }
        }
        if let single = fields["headers"], !single.isNull {
            guard let single = single.fields else { return false }
            // A header in both maps is sent once for each different value (developer guide on format 1.0).
            for entry in single.entries {
                let isRepeated =
                    multiple.contains(lowercased(entry.name))
                    && headers.contains {
                        lowercased($0.name) == lowercased(entry.name) && $0.value == entry.value.string
                    }
                if isRepeated { continue }
                guard append(entry.name, entry.value, to: &headers) else { return false }
            }
        }
        if version == .v2, let cookies = fields["cookies"], !cookies.isNull {
            guard let cookies = cookies.list else { return false }
            for cookie in cookies where !append("set-cookie", cookie, to: &headers) { return false }
        }
        return headers.count <= Limits.responseHeaders
    }

    private static func append(
        _ name: String, _ value: Value, to headers: inout [(name: String, value: String)]
    ) -> Bool {
        let text: String
        switch value {
        case .string(let known): text = known
        case .int, .double, .bool: text = JSON.encodeString(value)
        case .null: return true
        default: return false
        }
        guard isHeader(name, text) else { return false }
        if !isOwn(lowercased(name)) { headers.append((lowercased(name), text)) }
        return true
    }

    /// Headers that the server itself must say, or that end at this hop.
    static func isOwn(_ name: String) -> Bool { name == "content-length" || ProxyRequest.hopByHop.contains(name) }

    /// A token and a value without control characters (RFC 9110, 5.1 and 5.5): nothing that could end a header early.
    static func isHeader(_ name: String, _ value: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy(isTokenByte)
            && value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

/// The format of a proxy integration's or authorizer's events and answers.
enum PayloadVersion: String, Sendable {
    case v1 = "1.0"
    case v2 = "2.0"
}
