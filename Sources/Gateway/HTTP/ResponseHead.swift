import Contracts
import NIOCore
import NIOHTTP1

/// An answer as the connection writes it. `connection`, `transfer-encoding`, `date` are the connection's own and dropped
/// from `headers`; `content-length` counts only where no body says it (HEAD, 304).
struct HTTPAnswer: Sendable {
    var status: Int
    var headers: [(name: String, value: String)]
    var body: Body
    /// What to say instead when `body` cannot be started (a file is gone): nothing has been sent by then.
    var onFailure: (@Sendable (any Error) -> HTTPAnswer)?

    enum Body: Sendable {
        case none
        case bytes(ByteBuffer)
        case files([FilePart], release: @Sendable () -> Void)
        case stream(length: Int64?, @Sendable (ConnectionBodyWriter) async throws -> Void)

        /// Nil when it is not known in advance.
        var length: Int64? {
            switch self {
            case .none: 0
            case .bytes(let bytes): Int64(bytes.readableBytes)
            case .files(let spans, _): spans.reduce(0) { $0 &+ max($1.length, 0) }
            case .stream(let length, _): length
            }
        }

        func release() { if case .files(_, let release) = self { release() } }
    }

    init(
        status: Int, headers: [(name: String, value: String)], body: Body,
        onFailure: (@Sendable (any Error) -> HTTPAnswer)? = nil
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.onFailure = onFailure
    }

    init(status: Int, contentType: String, text: String) {
        self.init(
            status: status, headers: [(name: "Content-Type", value: contentType)],
            body: .bytes(ByteBuffer(string: text)))
    }
}

/// How the end of an answer's body is told to the client.
enum BodyFraming: Equatable {
    /// 1xx, 204, 304 and answers to HEAD: no body; the length is written when known.
    case none(length: Int64?)
    case length(Int64)
    case chunked
    /// HTTP/1.0 without a known length.
    case untilClose

    init(answer: HTTPAnswer, isHead: Bool, isHTTP11: Bool) {
        let bodyless = isHead || answer.status == 304
        if answer.status == 204 || (100..<200).contains(answer.status) {
            self = .none(length: nil)
        } else if bodyless {
            // A HEAD answer says the length that a GET would have; the service knows it.
            let announced = answer.headers.first { lowercasedASCII($0.name) == "content-length" }.flatMap {
                Int64($0.value)
            }
            if case .none = answer.body {
                self = .none(length: announced ?? (answer.status == 304 ? nil : 0))
            } else {
                self = .none(length: announced ?? answer.body.length)
            }
        } else if let length = answer.body.length {
            self = .length(length)
        } else {
            self = isHTTP11 ? .chunked : .untilClose
        }
    }
}

/// Writes status line and headers. Own code rather than NIO's encoder, so that head and small bodies leave in one buffer.
enum ResponseHead {
    static func write(
        _ answer: HTTPAnswer, framing: BodyFraming, keepAlive: Bool, isHTTP11: Bool, date: String,
        into out: inout ByteBuffer
    ) {
        out.writeStaticString("HTTP/1.1 ")
        writeStatus(answer.status, into: &out)
        for header in answer.headers {
            writeHeader(header.name, header.value, into: &out)
        }
        out.writeStaticString("Date: ")
        out.writeString(date)
        switch framing {
        case .none(nil), .untilClose: out.writeStaticString("\r\n")
        case .none(let length?), .length(let length):
            out.writeStaticString("\r\nContent-Length: ")
            out.writeString(String(length))
            out.writeStaticString("\r\n")
        case .chunked: out.writeStaticString("\r\nTransfer-Encoding: chunked\r\n")
        }
        if !keepAlive {
            out.writeStaticString("Connection: close\r\n\r\n")
        } else if !isHTTP11 {
            out.writeStaticString("Connection: keep-alive\r\n\r\n")
        } else {
            out.writeStaticString("\r\n")
        }
    }

    /// A 101: what follows it is not HTTP.
    static func writeSwitch(_ answer: HTTPAnswer, date: String, into out: inout ByteBuffer) {
        out.writeStaticString("HTTP/1.1 101 Switching Protocols\r\n")
        for header in answer.headers { writeHeader(header.name, header.value, into: &out) }
        out.writeStaticString("Date: ")
        out.writeString(date)
        out.writeStaticString("\r\nConnection: upgrade\r\n\r\n")
    }

    /// The same, as HTTP/2 has them: the library puts names in lower case and drops what is of a connection.
    static func fields(_ answer: HTTPAnswer, framing: BodyFraming, date: String) -> HTTPHeaders {
        var fields = HTTPHeaders()
        fields.reserveCapacity(answer.headers.count + 2)
        for (name, value) in answer.headers where isToken(name) && !isOwn(name) {
            fields.add(name: name, value: sanitized(value))
        }
        fields.add(name: "date", value: date)
        switch framing {
        case .none(let length?), .length(let length): fields.add(name: "content-length", value: String(length))
        case .none(nil), .untilClose, .chunked: break
        }
        return fields
    }

    private static func sanitized(_ value: String) -> String {
        guard value.utf8.contains(where: { $0 == 13 || $0 == 10 || $0 == 0 }) else { return value }
        return String(
            decoding: value.utf8.map { $0 == 13 || $0 == 10 || $0 == 0 ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
    }

    private static func writeStatus(_ status: Int, into out: inout ByteBuffer) {
        if status == 200 {
            _ = out.writeStaticString("200 OK\r\n")
            return
        }
        let code = (100...999).contains(status) ? status : 500
        out.writeString("\(code) \(reason(code))\r\n")
    }

    /// Values can hold what clients stored (S3 metadata): a line break in one must not become a header of its own.
    private static func writeHeader(_ name: String, _ value: String, into out: inout ByteBuffer) {
        guard isToken(name), !isOwn(name) else { return }
        out.writeString(name)
        out.writeStaticString(": ")
        if value.utf8.contains(where: { $0 == 13 || $0 == 10 || $0 == 0 }) {
            out.writeBytes(value.utf8.map { $0 == 13 || $0 == 10 || $0 == 0 ? UInt8(ascii: " ") : $0 })
        } else {
            out.writeString(value)
        }
        out.writeStaticString("\r\n")
    }

    private static func isOwn(_ name: String) -> Bool {
        switch name.utf8.count {
        case 4: lowercasedASCII(name) == "date"
        case 10: ["connection", "keep-alive"].contains(lowercasedASCII(name))
        case 14: lowercasedASCII(name) == "content-length"
        case 17: lowercasedASCII(name) == "transfer-encoding"
        default: false
        }
    }

    /// RFC 9110 5.6.2.
    private static func isToken(_ name: String) -> Bool {
        !name.utf8.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F, 0x2E: true
                case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x5E, 0x60, 0x7C, 0x7E: true
                default: false
                }
            }
    }

    private static let reasons: [Int: String] = [
        100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
        301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified", 307: "Temporary Redirect",
        308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
        405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict", 411: "Length Required",
        412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type",
        416: "Range Not Satisfiable", 417: "Expectation Failed", 422: "Unprocessable Content",
        426: "Upgrade Required",
        429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
        501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
    ]

    static func reason(_ status: Int) -> String { reasons[status] ?? "Status" }
}
