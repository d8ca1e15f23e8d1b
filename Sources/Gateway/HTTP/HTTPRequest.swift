import NIOHTTP1
import Wire

/// A request head as the front door works with it: names in lower case, framing already understood.
struct HTTPRequest: Sendable {
    /// Path and query split; as sent, not decoded.
    var head: RequestHead
    /// The request target as sent.
    var uri: String
    var host: String?
    /// Whether the client understands chunked bodies and kept connections: HTTP/1.1 (and not 1.0).
    var isHTTP11: Bool
    /// As events of doors show it: `HTTP/1.1`.
    var version: String { isHTTP2 ? "HTTP/2.0" : isHTTP11 ? "HTTP/1.1" : "HTTP/1.0" }
    /// A stream of an HTTP/2 connection.
    var isHTTP2 = false
    /// Nil without the header.
    var contentLength: Int64?
    var isChunked: Bool
    var keepAlive: Bool
    var expectsContinue: Bool

    var hasBody: Bool { isChunked || (contentLength ?? 0) > 0 }
    /// The body's length when it is known, also when there is none.
    var announcedLength: Int64? { isChunked ? nil : contentLength ?? 0 }
    var isHead: Bool { head.method == "HEAD" }

    /// Why a well-formed HTTP head is refused all the same.
    enum Refusal: Error, Equatable {
        case badTarget, repeatedHost, badLength, tooLarge, unknownExpectation, unknownEncoding
    }

    /// Reads NIO's head once. Throws for what RFC 9112 tells servers to refuse.
    init(_ part: HTTPRequestHead, limits: GatewayLimits) throws(Refusal) {
        var target = Substring(part.uri)
        var bytes = target.utf8.count
        if !target.utf8.starts(with: "/".utf8) { target = try HTTPRequest.pathOfAbsolute(target) }
        let path: String
        let query: String
        if let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) {
            path = String(target[..<mark])
            query = String(target[target.utf8.index(after: mark)...])
        } else {
            path = target.utf8.count == part.uri.utf8.count ? part.uri : String(target)
            query = ""
        }
        var headers: [(name: String, value: String)] = []
        headers.reserveCapacity(part.headers.count)
        host = nil
        contentLength = nil
        isChunked = false
        expectsContinue = false
        var upgrades = false
        var cookies: Int?
        for (rawName, value) in part.headers {
            let name = lowercasedASCII(rawName)
            bytes += name.utf8.count + value.utf8.count
            switch name {
            case "host":
                guard host == nil else { throw .repeatedHost }
                host = value
            case "content-length":
                guard let length = Int64(value), length >= 0, contentLength == nil || contentLength == length else {
                    throw .badLength
                }
                contentLength = length
            case "transfer-encoding":
                guard lowercasedASCII(value) == "chunked", !isChunked else { throw .unknownEncoding }
                isChunked = true
            case "expect":
                guard lowercasedASCII(value) == "100-continue" else { throw .unknownExpectation }
                expectsContinue = true
            case "upgrade":
                upgrades = true
            case "cookie" where part.version.major == 2:
                // Clients may split the field; applications know one (RFC 9113, 8.2.3).
                if let cookies {
                    headers[cookies].value += "; " + value
                    continue
                }
                cookies = headers.count
            default: break
            }
            headers.append((name: name, value: value))
        }
        guard bytes <= limits.headerBytes else { throw .tooLarge }
        if isChunked, contentLength != nil { throw .badLength }
        uri = part.uri
        isHTTP2 = part.version.major == 2
        isHTTP11 = part.version == .http1_1 || isHTTP2
        head = RequestHead(method: part.method.rawValue, path: path, query: query, headers: headers)
        // NIO's decoder stops behind a request that asks for an upgrade: the connection ends with its answer, or becomes a WebSocket.
        keepAlive = !isHTTP2 && part.isKeepAlive && !upgrades
        if !isHTTP11 { expectsContinue = false }
    }

    /// `http://host/path?query` → `/path?query` (RFC 9112 3.2.2); `*` and authorities are refused.
    private static func pathOfAbsolute(_ target: Substring) throws(Refusal) -> Substring {
        let lower = target.prefix(8).lowercased()
        guard lower.hasPrefix("http://") || lower.hasPrefix("https://") else { throw .badTarget }
        let rest = target.dropFirst(lower.hasPrefix("https") ? 8 : 7)
        guard let slash = rest.firstIndex(of: "/") else {
            guard !rest.contains("?") else { throw .badTarget }
            return "/"
        }
        return rest[slash...]
    }
}

/// Lower case of ASCII letters only; the same string when there is nothing to do.
func lowercasedASCII(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 >= 0x41 && $0 <= 0x5A }) else { return text }
    var copy = text
    return copy.withUTF8 { bytes in
        String(unsafeUninitializedCapacity: bytes.count) { out in
            for index in bytes.indices {
                let byte = bytes[index]
                out[index] = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
            }
            return bytes.count
        }
    }
}
