import NIOCore

/// A failure of a function as its caller sees it, when it is not the runtime that reports it: an exit, a timeout, a
/// response that is too large. (`lambda-semantics` 2.3.)
struct FunctionFailure: Sendable, Hashable {
    /// What stands after "RequestId: … Error: ".
    var message: String
    var errorType: String
    /// The type in REPORT lines and platform events, when it says more.
    var reportedType: String
    /// Whether the message begins with the request's id.
    private var namesRequest = true

    init(_ errorType: String, _ message: String, reportedType: String? = nil) {
        self.errorType = errorType
        self.message = message
        self.reportedType = reportedType ?? errorType
    }

    /// The runtime process ended on its own.
    static func exited(_ end: ProcessEnd) -> FunctionFailure {
        switch end {
        case .outOfMemory:
            FunctionFailure(
                "Runtime.ExitError", "Runtime exited with error: signal: killed", reportedType: "Runtime.OutOfMemory")
        case .exited(0):
            FunctionFailure("Runtime.ExitError", "Runtime exited without providing a reason")
        case .exited(let status):
            FunctionFailure("Runtime.ExitError", "Runtime exited with error: exit status \(status)")
        case .signaled(let number):
            FunctionFailure("Runtime.ExitError", "Runtime exited with error: signal: \(signalName(number))")
        }
    }

    static func timedOut(seconds: Int) -> FunctionFailure {
        FunctionFailure("Sandbox.Timedout", "Task timed out after \(seconds).00 seconds")
    }

    static var noBootstrap: FunctionFailure {
        FunctionFailure(
            "Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]")
    }

    static var responseTooLarge: FunctionFailure {
        var failure = FunctionFailure(
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (\(Limits.responseBytes) bytes).")
        failure.namesRequest = false
        return failure
    }

    static var streamTooLarge: FunctionFailure {
        var failure = FunctionFailure(
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (\(Limits.streamedResponseBytes) bytes).")
        failure.namesRequest = false
        return failure
    }

    /// The runtime's connection ended inside a streamed response.
    static var truncatedResponse: FunctionFailure {
        FunctionFailure("Runtime.TruncatedResponse", "Response was truncated")
    }

    static var invalidResponseMode: FunctionFailure {
        FunctionFailure("Runtime.InvalidResponseModeHeader", "Invalid function response mode")
    }

    /// The payload that the caller gets.
    func payload(requestID: String) -> ByteBuffer {
        if namesRequest {
            let text = "RequestId: \(requestID) Error: \(message)"
            return ByteBuffer(string: "{\"errorType\":\(jsonQuoted(errorType)),\"errorMessage\":\(jsonQuoted(text))}")
        }
        return ByteBuffer(string: "{\"errorMessage\":\(jsonQuoted(message)),\"errorType\":\(jsonQuoted(errorType))}")
    }
}

/// How a runtime process ended.
enum ProcessEnd: Sendable, Hashable {
    case exited(Int32)
    case signaled(Int32)
    /// The kernel killed something in the cell for want of memory, or the processes had more than the function may.
    case outOfMemory
}

/// Linux signal numbers as Go's `os` package words them, which is what Lambda shows.
private func signalName(_ number: Int32) -> String {
    switch number {
    case 1: "hangup"
    case 2: "interrupt"
    case 3: "quit"
    case 4: "illegal instruction"
    case 5: "trace/breakpoint trap"
    case 6: "aborted"
    case 7: "bus error"
    case 8: "floating point exception"
    case 9: "killed"
    case 10: "user defined signal 1"
    case 11: "segmentation fault"
    case 12: "user defined signal 2"
    case 13: "broken pipe"
    case 14: "alarm clock"
    case 15: "terminated"
    default: "signal \(number)"
    }
}

/// What REPORT and platform events say of the error type that a runtime names: kept when it has AWS's form, else made
/// unknown (`lambda-semantics` 2.3).
func reportedErrorType(_ header: String?) -> String {
    guard let header, !header.isEmpty else { return "Runtime.Unknown" }
    for prefix in ["Runtime.", "Function."] where header.hasPrefix(prefix) {
        let rest = header.utf8.dropFirst(prefix.utf8.count)
        let letters = rest.allSatisfy { (65...90).contains($0) || (97...122).contains($0) }
        if letters, rest.count > 1, let first = rest.first, (65...90).contains(first) { return header }
    }
    return header.hasPrefix("Function.") ? "Function.Unknown" : "Runtime.Unknown"
}

/// A JSON string literal, quotes included.
func jsonQuoted(_ text: String) -> String {
    var bytes: [UInt8] = [UInt8(ascii: "\"")]
    bytes.reserveCapacity(text.utf8.count + 2)
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(byte)
        case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
        case UInt8(ascii: "\r"): bytes.append(contentsOf: "\\r".utf8)
        case UInt8(ascii: "\t"): bytes.append(contentsOf: "\\t".utf8)
        case 0..<0x20:
            let digits = Array("0123456789abcdef".utf8)
            bytes.append(contentsOf: "\\u00".utf8)
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        default: bytes.append(byte)
        }
    }
    bytes.append(UInt8(ascii: "\""))
    return String(decoding: bytes, as: UTF8.self)
}
