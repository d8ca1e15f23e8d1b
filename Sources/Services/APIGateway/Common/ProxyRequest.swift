import Contracts
import NIOCore
import Platform
import Wire

/// A user's request as API Gateway hands it on: decoded once, with what API Gateway adds.
struct ProxyRequest: Sendable {
    var method: String
    /// Decoded, with the stage when it was in the path. HTTP APIs give functions the decoded path in both formats.
    var path: String
    /// What a parameter mapping makes of the path, for functions.
    var mappedPath: String?
    /// As sent.
    var rawPath: String
    /// The decoded segments behind the stage; empty for the root.
    var segments: [String]
    var rawQuery: String
    var query: [(name: String, value: String)]
    /// Names in lower case, in the order sent, repeated ones apart; hop-by-hop headers are gone, forwarding headers added.
    var headers: [(name: String, value: String)]
    var body: ByteBuffer
    /// Whether functions get the body as text; else in base64.
    var isBodyText: Bool
    var domainName: String
    var domainPrefix: String
    var sourceIP: String
    var userAgent: String
    var requestID: String
    var traceID: String
    var receivedAt: Instant
    /// Of the request as it came to the front door.
    var context: OperationContext
    var principal: Principal { context.principal }

    /// `HTTP/1.1`, `HTTP/2.0`.
    var httpVersion: String
    /// `Forwarded` as it came (RFC 7239), and how many of this server's own requests it tells of: a chain that does not
    /// end here would not end at all.
    var forwarded: String?
    var hops: Int

    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// All values of a header, joined by commas.
    func joinedHeader(_ name: String) -> String? {
        let values = headers.filter { $0.name == name }
        return values.isEmpty ? nil : values.map(\.value).joined(separator: ",")
    }

    func joinedQuery(_ name: String) -> String? {
        let values = query.filter { $0.name == name }
        return values.isEmpty ? nil : values.map(\.value).joined(separator: ",")
    }

    /// Each `name=value` of the Cookie headers.
    var cookies: [String] {
        headers.filter { $0.name == "cookie" }.flatMap { field in
            field.value.split(separator: ";").map { Self.trimmed($0) }.filter { !$0.isEmpty }
        }
    }

    /// HTTP APIs have no binary media types: what is text is fixed, and forms, other JSON types and bodies without a type are
    /// not (no document of AWS says so; observed on AWS and recorded in ministack's pull request 766).
    static func isText(contentType: String?) -> Bool {
        guard let contentType else { return false }
        let type = lowercased(trimmed(contentType.prefix { $0 != ";" }))
        return type.hasPrefix("text/")
            || ["application/json", "application/xml", "application/javascript"].contains(type)
    }

    private static func isText(_ body: ByteBuffer, contentType: String?) -> Bool {
        guard body.readableBytes > 0, isText(contentType: contentType) else { return false }
        return body.readableBytesView.withContiguousStorageIfAvailable { isUTF8($0) } ?? false
    }

    static func trimmed(_ text: some StringProtocol) -> String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        var rest = Substring(text)
        while let first = rest.first, isBlank(first) { rest.removeFirst() }
        while let last = rest.last, isBlank(last) { rest.removeLast() }
        return String(rest)
    }
}

extension ProxyRequest {
    /// Headers that end at this hop (RFC 9110, 7.6.1), and what marks requests of this server.
    static let hopByHop: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect",
        OutboundMark.header,
    ]

    /// What the client's Connection header names ends at this hop as well: backends do not get it. What API Gateway says of the
    /// client is not among it.
    static func endingHere(_ head: RequestHead?) -> Set<String> {
        var names: Set<String> = []
        for field in head?.headers ?? [] where field.name == "connection" {
            for name in field.value.split(separator: ",") { names.insert(lowercased(trimmed(name))) }
        }
        return names.subtracting(["x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"])
    }

    /// `stage` is the segment of the path that named the stage, if one did.
    init(_ request: DoorRequest, requestID: String, stage: String?) {
        let context = request.context
        method = request.head.method
        rawPath = request.head.path.isEmpty ? "/" : request.head.path
        path = Self.decoded(rawPath)
        var segments = Self.segments(of: rawPath)
        if stage != nil, !segments.isEmpty { segments.removeFirst() }
        // A stage's root may be asked for without a slash behind it.
        if segments == [""] { segments = [] }
        self.segments = segments
        rawQuery = request.head.query
        query = Self.query(of: rawQuery)
        body = request.body
        isBodyText = Self.isText(request.body, contentType: request.head.header("content-type"))
        self.requestID = requestID
        receivedAt = context.now
        self.context = context
        sourceIP = context.sourceIP
        httpVersion = request.httpVersion
        let port = Self.port(of: context.endpoint, isSecure: request.isSecure)

        var headers: [(name: String, value: String)] = []
        headers.reserveCapacity(request.head.headers.count + 5)
        var (agent, host, length, trace): (String, String, Bool, String?) = ("", "", false, nil)
        var forwardedFor: String?
        forwarded = nil
        for field in request.head.headers where !Self.hopByHop.contains(field.name) {
            switch field.name {
            case "x-forwarded-for": forwardedFor = forwardedFor.map { $0 + ", " + field.value } ?? field.value
            case "x-forwarded-port", "x-forwarded-proto": break
            case "forwarded":
                forwarded = forwarded.map { $0 + ", " + field.value } ?? field.value
                headers.append(field)
            case "x-amzn-trace-id": trace = field.value
            case "content-length":
                if !length { headers.append(field) }
                length = true
            default:
                if field.name == "user-agent" { agent = field.value }
                if field.name == "host" { host = field.value }
                headers.append(field)
            }
        }
        let chain = forwarded ?? ""
        let isOwn = request.head.header(OutboundMark.header) != nil
        hops = isOwn ? chain.utf8.split(separator: UInt8(ascii: ",")).count : 0
        userAgent = agent
        traceID = TraceHeader.honoured(trace, now: context.now)
        if !length { headers.append(("content-length", String(body.readableBytes))) }
        headers.append(("x-amzn-trace-id", traceID))
        headers.append(("x-forwarded-for", forwardedFor.map { $0 + ", " + context.sourceIP } ?? context.sourceIP))
        headers.append(("x-forwarded-port", port))
        headers.append(("x-forwarded-proto", request.isSecure ? "https" : "http"))
        self.headers = headers

        let id = request.labels.first ?? ""
        domainName = DomainName.ofAWS(host, api: id) ?? DomainName.local(api: id)
        domainPrefix = id
    }

    static func decoded(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        return String(decoding: PercentEncoding.decode(text.utf8), as: UTF8.self)
    }

    /// The decoded segments of a path: `/` has one empty segment; an encoded slash stays in its segment.
    static func segments(of path: String) -> [String] {
        path.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map {
            decoded(String(Substring($0)))
        }
    }

    static func query(of raw: String) -> [(name: String, value: String)] {
        guard !raw.isEmpty else { return [] }
        return raw.utf8.split(separator: UInt8(ascii: "&")).map { part in
            let pieces = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            return (form(pieces[0]), pieces.count > 1 ? form(pieces[1]) : "")
        }
    }

    private static func form(_ bytes: Substring.UTF8View) -> String { text(PercentEncoding.decode(bytes, plus: true)) }
    private static func form(_ bytes: some Collection<UInt8>) -> String {
        text(PercentEncoding.decode(bytes, plus: true))
    }
    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// The port of `http://host:port`, as text.
    static func port(of endpoint: String, isSecure: Bool) -> String {
        if let colon = endpoint.lastIndex(of: ":") {
            let port = endpoint[endpoint.index(after: colon)...]
            if UInt16(port) != nil { return String(port) }
        }
        return isSecure ? "443" : "80"
    }
}

/// The name of an API's host in events. Functions call it back, with their credentials, so that it must not be the client's word:
/// of what clients say only AWS's own name of the API is taken.
enum DomainName {
    static func ofAWS(_ host: String?, api: String) -> String? {
        let name = lowercased(String((host ?? "").prefix { $0 != ":" }))
        return name.hasPrefix(api + ".execute-api.") && name.hasSuffix(".amazonaws.com") ? name : nil
    }

    /// The name on this machine (RFC 6761, 6.3).
    static func local(api: String) -> String { api + ".execute-api.localhost" }
}

/// Whether the bytes are valid UTF-8.
func isUTF8(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    if bytes.allSatisfy({ $0 < 0x80 }) { return true }
    var decoder = UTF8()
    var iterator = bytes.makeIterator()
    while true {
        switch decoder.decode(&iterator) {
        case .scalarValue: continue
        case .emptyInput: return true
        case .error: return false
        }
    }
}

/// Lower case of ASCII letters.
func lowercased(_ text: String) -> String {
    guard text.utf8.contains(where: { (0x41...0x5A).contains($0) }) else { return text }
    return String(decoding: text.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
}
