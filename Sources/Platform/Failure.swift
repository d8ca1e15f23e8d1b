/// An internal failure: something that Martlet itself could not do. Logged once with its request id and answered as the
/// service's internal error; never shown to a client in detail.
public struct Failure: Error, CustomStringConvertible {
    /// A closed set that can grow: tests and callers compare codes, never messages.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        public let description: String
        private init(_ description: String) { self.description = description }
        public static let storage = Code("storage")
        /// The disk refused a write (full, read-only, failing). Reads may go on.
        public static let diskFull = Code("diskFull")
        /// Bytes on disk are not what was written.
        public static let corrupt = Code("corrupt")
        public static let sandbox = Code("sandbox")
        public static let unavailable = Code("unavailable")
        public static let limit = Code("limit")
        public static let configuration = Code("configuration")
        public static let bug = Code("bug")
    }

    public var code: Code
    /// What went wrong and how to remedy it.
    public var message: String
    public var cause: (any Error)?
    public var file: String
    public var line: Int

    public init(
        _ code: Code, _ message: String, cause: (any Error)? = nil, file: String = #fileID, line: Int = #line
    ) {
        self.code = code
        self.message = message
        self.cause = cause
        self.file = file
        self.line = line
    }

    public var description: String {
        "\(code): \(message) [\(file):\(line)]" + (cause.map { "; caused by \($0)" } ?? "")
    }
}
