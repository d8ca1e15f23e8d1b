internal import Glibc

/// Why a cell, or a process in it, could not be made.
public struct SandboxError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The step that failed, as `bind /usr at /usr` or `create namespaces`.
    public var stage: String
    /// The system's error number; 0 when the failure is not the system's.
    public var errno: Int32
    /// What went wrong and, where there is one, the remedy.
    public var message: String

    public init(stage: String, errno: Int32 = 0, message: String) {
        self.stage = stage
        self.errno = errno
        self.message = message
    }

    public var description: String {
        let cause = errno == 0 ? "" : " (\(String(cString: strerror(errno))))"
        return message.isEmpty ? "\(stage)\(cause)" : "\(stage): \(message)\(cause)"
    }
}
