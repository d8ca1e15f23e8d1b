import NIOCore
import Platform

/// What a function wants to have answered, by payload format 2.0 (lambda developer guide, "Function URLs: response payload
/// format"; recordings of AWS, 2025-11).
struct URLResponse: Sendable {
    typealias Headers = [(name: String, value: String)]

    var status: Int
    var headers: Headers
    var body: [UInt8]

    /// Reads a function's result. Nil when it cannot be answered: 502.
    init?(result: ByteBuffer) {
        let bytes = result.readableBytesView
        guard let value = try? JSON.parse(bytes) else {
            // A function that streams, called through a URL that collects: head, eight zero bytes, body.
            var prelude = HTTPPrelude()
            if case .complete(let head, let rest) = prelude.feed(result) {
                self = head
                body = Array(rest.readableBytesView)
            } else {
                self.init(status: 200, headers: [(name: "Content-Type", value: "application/json")], body: Array(bytes))
            }
            return
        }
        if let fields = value.fields, fields["statusCode"] != nil {
            self.init(head: fields)
            guard setBody(fields) else { return nil }
            return
        }
        // Whatever else: JSON without blanks, a string as it is.
        var body = value.string.map { Array($0.utf8) } ?? JSON.encode(value)
        if case .null = value { body = Array("null".utf8) }
        self.init(status: 200, headers: [(name: "Content-Type", value: "application/json")], body: body)
    }

    private init(status: Int, headers: Headers, body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Status, headers and cookies: of a result, or of the prelude of a stream. Nil when they cannot be sent.
    init?(head fields: Fields, defaultType: String = "application/json") {
        guard let status = URLResponse.status(fields["statusCode"]) else { return nil }
        var headers: Headers = []
        var hasType = false
        if let given = fields["headers"], given != .null {
            guard let given = given.fields else { return nil }
            for entry in given.entries {
                guard let value = URLResponse.text(entry.value) else { continue }
                let name = entry.name.lowercased()
                if name == "content-type" { hasType = true }
                guard let sent = URLResponse.name(entry.name, lower: name) else { continue }
                headers.append((name: sent, value: value))
            }
        }
        if !hasType { headers.append((name: "Content-Type", value: defaultType)) }
        for cookie in fields["cookies"]?.list ?? [] {
            if let cookie = cookie.string { headers.append((name: "Set-Cookie", value: cookie)) }
        }
        self.init(status: status, headers: headers, body: [])
    }

    private mutating func setBody(_ fields: Fields) -> Bool {
        switch fields["body"] {
        case nil, .null: break
        case .string(let text):
            if fields["isBase64Encoded"]?.bool == true {
                guard let bytes = Base64.decode(text) else { return false }
                body = bytes
            } else {
                body = Array(text.utf8)
            }
        case .some(let value): body = JSON.encode(value)
        }
        return true
    }

    private static func status(_ value: Value?) -> Int? {
        let number: Int? =
            switch value {
            case nil, .null: 200
            case .int(let number): Int(exactly: number)
            case .double(let number): Int(exactly: number)
            case .string(let text): Int(text)
            default: nil
            }
        guard let number, (200...599).contains(number) else { return nil }
        return number
    }

    private static func text(_ value: Value) -> String? {
        switch value {
        case .string(let text): text
        case .int(let number): String(number)
        case .double, .bool: JSON.encodeString(value)
        default: nil
        }
    }

    /// Headers that belong to the connection or to the service: AWS sends them under another name, or not at all.
    private static func name(_ name: String, lower: String) -> String? {
        switch lower {
        case "connection", "content-length", "date", "keep-alive", "proxy-authenticate", "server", "trailer",
            "transfer-encoding", "upgrade", "www-authenticate":
            "x-amzn-Remapped-\(lower)"
        case "x-amzn-requestid", "x-amzn-trace-id", "x-amzn-errortype": nil
        default: name
        }
    }
}

/// Finds the head in front of a streamed HTTP response: JSON, then eight zero bytes, then the body. A value: fed with pieces,
/// answers when it is complete.
struct HTTPPrelude: Sendable {
    static let contentType = "application/vnd.awslambda.http-integration-response"
    private static let delimiterBytes = 8

    enum Progress: Sendable {
        case incomplete
        /// The head, and what of the body has come with it.
        case complete(URLResponse, rest: ByteBuffer)
        /// No head can come of it.
        case malformed
    }

    private var held = ByteBuffer()
    private var searched = 0

    mutating func feed(_ piece: ByteBuffer) -> Progress {
        held.writeImmutableBuffer(piece)
        let end: Int? = held.withUnsafeReadableBytes { bytes in
            var zeros = 0
            var index = max(0, searched - Self.delimiterBytes)
            while index < bytes.count {
                zeros = bytes[index] == 0 ? zeros + 1 : 0
                index += 1
                if zeros == Self.delimiterBytes { return index }
            }
            return nil
        }
        searched = held.readableBytes
        guard let end else { return held.readableBytes > Limits.preludeBytes ? .malformed : .incomplete }
        guard end <= Limits.preludeBytes, let json = held.readSlice(length: end - Self.delimiterBytes),
            let value = try? JSON.parse(json.readableBytesView), let fields = value.fields,
            let head = URLResponse(head: fields, defaultType: "application/octet-stream")
        else { return .malformed }
        held.moveReaderIndex(forwardBy: Self.delimiterBytes)
        return .complete(head, rest: held)
    }
}
