import NIOCore

/// A request to the Runtime API: the few fields that it looks at.
struct RuntimeRequest: Sendable, Equatable {
    enum Method: Sendable, Equatable { case get, post, put, other }
    var method: Method
    var target: String
    var contentType: String?
    var errorType: String?
    var responseMode: String?
    var wantsContinue = false
    var closesConnection = false
    var body = ByteBuffer()
    /// The body was longer than a response may be, and was dropped.
    var isTooLarge = false
    /// Trailers of a streamed response that failed on its way.
    var trailingErrorType: String?
    var trailingErrorBody: String?

    /// Whether the body is a response that comes while it is made.
    var isStreaming: Bool { responseMode.map { $0.lowercased() == "streaming" } ?? false }
}

/// Reads HTTP/1.1 requests of a runtime, byte by byte as they come. Own code instead of NIOHTTP1, because it needs a
/// tenth of the work (no header list, no parts) on the hot path, and headers of up to a MiB. What it reads is
/// hostile: anything unclear is an error, which closes the connection.
struct RequestParser: Sendable {
    enum Failure: Error, Equatable { case malformed, tooLarge }

    enum Event: Sendable, Equatable {
        /// The head is complete and the client waits for leave to send the body.
        case wantsContinue
        /// The head of a response that streams is complete; `passesBody` may be set now.
        case streamHead(RuntimeRequest)
        /// A piece of a body that is passed on.
        case piece(ByteBuffer)
        case request(RuntimeRequest)
    }

    private enum State: Sendable {
        case head
        case fixed(remaining: Int)
        case chunkLine
        case chunk(remaining: Int)
        case chunkEnd
        case trailers(bytes: Int)
    }

    private var state = State.head
    private var buffer = ByteBuffer()
    /// How far `buffer` was searched for the end of the line or head in vain.
    private var searched = 0
    private var request = RuntimeRequest(method: .other, target: "")
    /// Whether the body of the current request is given out piece by piece, and not collected.
    var passesBody = false
    private var streamHeadIsDue = false

    /// Bytes that this parser holds, for the environment's budget.
    var heldBytes: Int { buffer.readableBytes + request.body.storageCapacity }
    /// What the bytes that have not become anything yet take with what was read before them.
    var bufferCapacity: Int { buffer.storageCapacity }
    /// Whether a part of a request has come that is not complete.
    var isInsideRequest: Bool { if case .head = state { buffer.readableBytes > 0 } else { true } }

    mutating func append(_ bytes: consuming ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
            searched = 0
        } else {
            // What was read goes first: a buffer that only grows would keep everything a connection ever sent. `searched`
            // counts from the reader's place and stays right.
            buffer.discardReadBytes()
            buffer.writeBuffer(&bytes)
        }
    }

    /// The next event; nil when more bytes are needed. Throws `Failure`, after which the parser is of no use.
    mutating func next() throws -> Event? {
        while true {
            switch state {
            case .head:
                guard let length = try completeHead() else { return nil }
                try parseHead(length)
                passesBody = false
                if request.isStreaming {
                    streamHeadIsDue = request.wantsContinue
                    return request.wantsContinue ? .wantsContinue : .streamHead(request)
                }
                if request.wantsContinue { return .wantsContinue }
            case _ where streamHeadIsDue:
                streamHeadIsDue = false
                return .streamHead(request)
            case .fixed(let remaining):
                if passesBody, remaining > 0 {
                    guard let piece = takePiece(remaining) else { return nil }
                    state = .fixed(remaining: remaining - piece.readableBytes)
                    return .piece(piece)
                }
                let taken = takeBody(remaining)
                if taken < remaining {
                    state = .fixed(remaining: remaining - taken)
                    return nil
                }
                return complete()
            case .chunkLine:
                guard let line = try takeLine(limit: Limits.chunkLineBytes) else { return nil }
                let size = try Self.chunkSize(line)
                state = size == 0 ? .trailers(bytes: 0) : .chunk(remaining: size)
            case .chunk(let remaining):
                if passesBody {
                    guard let piece = takePiece(remaining) else { return nil }
                    let left = remaining - piece.readableBytes
                    state = left == 0 ? .chunkEnd : .chunk(remaining: left)
                    return .piece(piece)
                }
                let taken = takeBody(remaining)
                if taken < remaining {
                    state = .chunk(remaining: remaining - taken)
                    return nil
                }
                state = .chunkEnd
            case .chunkEnd:
                guard let line = try takeLine(limit: 0) else { return nil }
                guard line.readableBytes == 0 else { throw Failure.malformed }
                state = .chunkLine
            case .trailers(let bytes):
                guard let line = try takeLine(limit: Limits.headBytes) else { return nil }
                if line.readableBytes == 0 { return complete() }
                guard bytes + line.readableBytes <= Limits.headBytes else { throw Failure.tooLarge }
                state = .trailers(bytes: bytes + line.readableBytes)
                try line.withUnsafeReadableBytes { try parseTrailer($0) }
            }
        }
    }

    private mutating func complete() -> Event {
        defer {
            request = RuntimeRequest(method: .other, target: "")
            state = .head
        }
        return .request(request)
    }

    // MARK: Body

    /// Up to `wanted` bytes of what is there; nil when nothing is.
    private mutating func takePiece(_ wanted: Int) -> ByteBuffer? {
        guard buffer.readableBytes > 0 else { return nil }
        searched = 0
        return buffer.readSlice(length: min(wanted, buffer.readableBytes))
    }

    /// Moves up to `wanted` bytes into the body, or drops them when it is too large already; answers how many.
    private mutating func takeBody(_ wanted: Int) -> Int {
        let count = min(wanted, buffer.readableBytes)
        if !request.isTooLarge, request.body.readableBytes + count > Limits.responseBytes {
            request.isTooLarge = true
            request.body = ByteBuffer()
        }
        if request.isTooLarge {
            buffer.moveReaderIndex(forwardBy: count)
        } else if request.body.readableBytes == 0, count == wanted {
            request.body = buffer.readSlice(length: count) ?? ByteBuffer()
        } else if var slice = buffer.readSlice(length: count) {
            request.body.writeBuffer(&slice)
        }
        searched = 0
        return count
    }

    /// A line without its CRLF; nil until it is complete.
    private mutating func takeLine(limit: Int) throws -> ByteBuffer? {
        let found: Int? = buffer.withUnsafeReadableBytes { bytes in
            var index = searched
            while index < bytes.count {
                if bytes[index] == UInt8(ascii: "\n") { return index }
                index += 1
            }
            return nil
        }
        guard let end = found else {
            searched = buffer.readableBytes
            guard searched <= limit + 1 else { throw Failure.tooLarge }
            return nil
        }
        guard end >= 1, end - 1 <= limit, let line = buffer.readSlice(length: end - 1),
            let terminator = buffer.readBytes(length: 2), terminator[0] == UInt8(ascii: "\r")
        else { throw Failure.malformed }
        searched = 0
        return line
    }

    private static func chunkSize(_ line: ByteBuffer) throws -> Int {
        var value = 0
        var digits = 0
        for byte in line.readableBytesView {
            let digit: Int
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = Int(byte) - 48
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = Int(byte) - 87
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = Int(byte) - 55
            case UInt8(ascii: ";"), UInt8(ascii: " "), UInt8(ascii: "\t"):
                guard digits > 0 else { throw Failure.malformed }
                return value
            default: throw Failure.malformed
            }
            digits += 1
            guard digits <= 15 else { throw Failure.malformed }
            value = value << 4 | digit
        }
        guard digits > 0 else { throw Failure.malformed }
        return value
    }

    // MARK: Head

    /// The length of the head with its empty line, when it is complete.
    private mutating func completeHead() throws -> Int? {
        // Empty lines before a request line are to be ignored (RFC 9112, 2.2).
        while buffer.readableBytes >= 2, buffer.getInteger(at: buffer.readerIndex, as: UInt16.self) == 0x0D0A {
            buffer.moveReaderIndex(forwardBy: 2)
            searched = 0
        }
        let end: Int? = buffer.withUnsafeReadableBytes { bytes in
            var index = max(searched, 3)
            while index < bytes.count {
                if bytes[index] == 10, bytes[index - 1] == 13, bytes[index - 2] == 10, bytes[index - 3] == 13 {
                    return index + 1
                }
                index += 1
            }
            return nil
        }
        guard (end ?? buffer.readableBytes) <= Limits.headBytes else { throw Failure.tooLarge }
        guard let end else {
            searched = buffer.readableBytes
            return nil
        }
        searched = 0
        return end
    }

    private struct Framing {
        var contentLength: Int?
        var isChunked = false
    }

    private mutating func parseHead(_ length: Int) throws {
        guard let head = buffer.readSlice(length: length) else { throw Failure.malformed }
        var framing = Framing()
        try head.withUnsafeReadableBytes { bytes in
            var start = 0
            var isFirst = true
            while start < bytes.count {
                var end = start
                while end < bytes.count, bytes[end] != 10 { end += 1 }
                guard end < bytes.count, end > start, bytes[end - 1] == 13 else { throw Failure.malformed }
                let line = UnsafeRawBufferPointer(rebasing: bytes[start..<(end - 1)])
                start = end + 1
                if isFirst {
                    try parseRequestLine(line)
                    isFirst = false
                } else if line.count > 0 {
                    try parseHeader(line, &framing)
                }
            }
        }
        if framing.isChunked {
            guard framing.contentLength == nil else { throw Failure.malformed }
            state = .chunkLine
        } else {
            let length = framing.contentLength ?? 0
            // One allocation for a body that comes in pieces; the kernel gives memory only for what arrives.
            if length > buffer.readableBytes, length <= Limits.responseBytes { request.body.reserveCapacity(length) }
            state = .fixed(remaining: length)
        }
        if case .fixed(0) = state { request.wantsContinue = false }
    }

    private mutating func parseRequestLine(_ line: UnsafeRawBufferPointer) throws {
        guard let first = line.firstIndex(of: UInt8(ascii: " ")),
            let last = line.lastIndex(of: UInt8(ascii: " ")), first < last
        else { throw Failure.malformed }
        let target = line[(first + 1)..<last]
        guard target.count > 0, target.count <= Limits.targetBytes, target.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Failure.malformed
        }
        let version = line[(last + 1)...]
        if version.elementsEqual("HTTP/1.0".utf8) {
            request.closesConnection = true
        } else if !version.elementsEqual("HTTP/1.1".utf8) {
            throw Failure.malformed
        }
        let method = line[..<first]
        request.method =
            method.elementsEqual("GET".utf8)
            ? .get : method.elementsEqual("POST".utf8) ? .post : method.elementsEqual("PUT".utf8) ? .put : .other
        request.target = String(decoding: target, as: UTF8.self)
    }

    private mutating func parseHeader(_ line: UnsafeRawBufferPointer, _ framing: inout Framing) throws {
        let (name, value) = try Self.field(line)
        switch name.count {
        case 6 where Self.equal(name, "expect"):
            request.wantsContinue = Self.equal(value, "100-continue")
        case 10 where Self.equal(name, "connection"):
            let text = Self.text(value).lowercased()
            if text.contains("close") {
                request.closesConnection = true
            } else if text.contains("keep-alive") {
                request.closesConnection = false
            }
        case 12 where Self.equal(name, "content-type"):
            request.contentType = Self.text(value)
        case 14 where Self.equal(name, "content-length"):
            guard value.count > 0, value.count <= 15, value.allSatisfy({ (48...57).contains($0) }) else {
                throw Failure.malformed
            }
            let length = value.reduce(0) { $0 * 10 + Int($1) - 48 }
            guard framing.contentLength == nil || framing.contentLength == length else { throw Failure.malformed }
            framing.contentLength = length
        case 17 where Self.equal(name, "transfer-encoding"):
            guard Self.equal(value, "chunked"), !framing.isChunked else { throw Failure.malformed }
            framing.isChunked = true
        case 34 where Self.equal(name, "lambda-runtime-function-error-type"):
            request.errorType = Self.text(value)
        case 37 where Self.equal(name, "lambda-runtime-function-response-mode"):
            request.responseMode = Self.text(value)
        default: break
        }
    }

    private mutating func parseTrailer(_ line: UnsafeRawBufferPointer) throws {
        let (name, value) = try Self.field(line)
        if Self.equal(name, "lambda-runtime-function-error-type") {
            request.trailingErrorType = Self.text(value)
        } else if Self.equal(name, "lambda-runtime-function-error-body") {
            request.trailingErrorBody = Self.text(value)
        }
    }

    private typealias Bytes = Slice<UnsafeRawBufferPointer>

    private static func field(_ line: UnsafeRawBufferPointer) throws -> (name: Bytes, value: Bytes) {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0,
            line[..<colon].allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw Failure.malformed }
        var start = colon + 1
        var end = line.count
        while start < end, line[start] == 0x20 || line[start] == 0x09 { start += 1 }
        while end > start, line[end - 1] == 0x20 || line[end - 1] == 0x09 { end -= 1 }
        guard !line[start..<end].contains(where: { $0 == 0 || $0 == 13 }) else { throw Failure.malformed }
        return (line[..<colon], line[start..<end])
    }

    private static func text(_ bytes: Bytes) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Compares without regard to ASCII case; `lower` is in lower case.
    private static func equal(_ bytes: Bytes, _ lower: StaticString) -> Bool {
        guard bytes.count == lower.utf8CodeUnitCount else { return false }
        return lower.withUTF8Buffer { expected in
            zip(bytes, expected).allSatisfy { byte, letter in
                byte == letter || ((65...90).contains(byte) && byte + 32 == letter)
            }
        }
    }
}
