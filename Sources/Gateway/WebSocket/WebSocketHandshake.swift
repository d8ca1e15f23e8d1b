import Platform
import Wire

/// The opening handshake of a WebSocket (RFC 6455, 4.2).
struct WebSocketHandshake: Sendable, Equatable {
    /// `Sec-WebSocket-Accept`.
    let accept: String

    /// Appended to the client's key (RFC 6455, 1.3).
    private static let salt = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// Nil when the request asks for no WebSocket, or in a way that cannot be served.
    init?(_ request: HTTPRequest) {
        guard !request.isHTTP2, request.isHTTP11, request.head.method == "GET", !request.hasBody,
            Self.has("websocket", in: request, "upgrade"), Self.has("upgrade", in: request, "connection"),
            request.head.header("sec-websocket-version") == "13"
        else { return nil }
        let keys = request.head.headers.filter { $0.name == "sec-websocket-key" }
        guard keys.count == 1, keys[0].value.utf8.count == 24, Base64.decode(keys[0].value)?.count == 16 else {
            return nil
        }
        accept = Self.accept(key: keys[0].value)
    }

    static func accept(key: String) -> String {
        var sum = Checksum(.sha1)
        Array((key + salt).utf8).withUnsafeBytes { sum.update($0) }
        return Base64.encode(sum.finalize())
    }

    /// Whether a header that is a list of tokens has one, whatever the case of its letters.
    private static func has(_ token: String, in request: HTTPRequest, _ header: String) -> Bool {
        request.head.headers.contains { field in
            field.name == header
                && field.value.utf8.split(separator: UInt8(ascii: ",")).contains { part in
                    let text = part.drop { $0 == 0x20 || $0 == 0x09 }
                    let end = text.lastIndex { $0 != 0x20 && $0 != 0x09 }
                    return end.map { lowercasedASCII(String(Substring(text[...$0]))) == token } ?? false
                }
        }
    }
}
