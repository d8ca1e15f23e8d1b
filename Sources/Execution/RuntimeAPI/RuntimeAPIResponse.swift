import Contracts
import NIOCore

/// Answers of the Runtime API, as bytes (`lambda-semantics` 3.1).
enum RuntimeAPIResponse {
    static let accepted = ByteBuffer(
        string:
            "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}")
    static let pong = ByteBuffer(
        string: "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\npong")
    static let goOn = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")
    static let notFound = error(404, "Not Found", "NotFound", "There is no such resource in the Runtime API")
    static let methodNotAllowed = error(405, "Method Not Allowed", "MethodNotAllowed", "Method not allowed")
    static let restoreNotAllowed = error(
        403, "Forbidden", "InvalidStateTransition",
        "State transition from Started to RestoreReady failed for runtime. Error: State transition is not allowed")
    static let extensionsMissing = error(
        501, "Not Implemented", "Extension.NotSupported", "The Extensions API is not implemented by Martlet yet")
    /// AWS's own answer where the API is switched off.
    static let telemetryMissing = json(
        202, "Accepted",
        "{\"errorType\":\"Telemetry.NotSupported\",\"errorMessage\":\"Telemetry API is not supported\"}")
    static let logsMissing = json(
        202, "Accepted", "{\"errorType\":\"Logs.NotSupported\",\"errorMessage\":\"Logs API is not supported\"}")

    static func reply(_ reply: RuntimeReply) -> ByteBuffer {
        switch reply {
        case .accepted: accepted
        case .invalidRequestID: error(400, "Bad Request", "InvalidRequestID", "Invalid request ID")
        case .invalidResponseMode:
            error(400, "Bad Request", "InvalidFunctionResponseMode", "Invalid function response mode")
        case .tooLarge:
            error(
                413, "Request Entity Too Large", "RequestEntityTooLarge",
                "Exceeded maximum allowed payload size (\(Limits.responseBytes) bytes).")
        case .streamTooLarge:
            error(
                413, "Request Entity Too Large", "RequestEntityTooLarge",
                "Exceeded maximum allowed payload size (\(Limits.streamedResponseBytes) bytes).")
        case .truncated:
            error(400, "Bad Request", "TruncatedHTTPRequest", "HTTP request detected as truncated")
        case .wrongOrder(let from, let to):
            error(
                403, "Forbidden", "InvalidStateTransition",
                "State transition from \(from) to \(to) failed for runtime. Error: State transition is not allowed")
        }
    }

    static func error(_ status: Int, _ reason: String, _ type: String, _ message: String) -> ByteBuffer {
        json(status, reason, "{\"errorMessage\":\(jsonQuoted(message)),\"errorType\":\(jsonQuoted(type))}")
    }

    private static func json(_ status: Int, _ reason: String, _ body: String) -> ByteBuffer {
        ByteBuffer(
            string: "HTTP/1.1 \(status) \(reason)\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    /// The head of an event, and a small payload behind it; a large one is left to be sent as it is. Headers are only those
    /// with a value.
    static func event(
        _ invocation: Invocation, deadlineMilliseconds: Int64, allocator: ByteBufferAllocator
    ) -> (head: ByteBuffer, payload: ByteBuffer?) {
        let length = invocation.payload.readableBytes
        let isJoined = length <= Limits.joinedPayloadBytes
        var head = allocator.buffer(capacity: 512 + (isJoined ? length : 0))
        head.writeStaticString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: ")
        writeValue(invocation.requestID, to: &head)
        head.writeStaticString("\r\nLambda-Runtime-Deadline-Ms: ")
        head.writeString(String(deadlineMilliseconds))
        head.writeStaticString("\r\nLambda-Runtime-Invoked-Function-Arn: ")
        writeValue(invocation.invokedFunctionARN, to: &head)
        if let traceID = invocation.traceID, !traceID.isEmpty {
            head.writeStaticString("\r\nLambda-Runtime-Trace-Id: ")
            writeValue(traceID, to: &head)
        }
        if let clientContext = invocation.clientContext, !clientContext.isEmpty {
            head.writeStaticString("\r\nLambda-Runtime-Client-Context: ")
            writeValue(clientContext, to: &head)
        }
        head.writeStaticString("\r\nContent-Length: ")
        head.writeString(String(length))
        head.writeStaticString("\r\n\r\n")
        guard isJoined else { return (head, invocation.payload) }
        head.writeImmutableBuffer(invocation.payload)
        return (head, nil)
    }

    /// What callers send must not end a header: control characters become spaces, which JSON does not mind.
    private static func writeValue(_ text: String, to head: inout ByteBuffer) {
        if text.utf8.allSatisfy({ $0 >= 0x20 }) {
            head.writeString(text)
        } else {
            head.writeBytes(text.utf8.map { $0 < 0x20 ? 0x20 : $0 })
        }
    }
}
