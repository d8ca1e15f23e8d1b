import Contracts
import Platform

/// Which of a function's own lines are kept when its log format is JSON (Lambda developer guide, "Log-level filtering").
/// A line that is a JSON object counts as what its `level` says, whoever has written it; without a valid level, or without a
/// timestamp by RFC 3339, it counts as INFO. Lines that are no JSON object have no level and are always kept: they are often
/// the only trace of what went wrong (an interpreter's own words, a crash).
struct ApplicationLogFilter: Sendable {
    private enum Level: Int, Comparable {
        case trace, debug, info, warn, error, fatal

        /// The names that `ApplicationLogLevel` takes, and those of Python's logging.
        init?(_ name: String) {
            switch name.uppercased() {
            case "TRACE": self = .trace
            case "DEBUG": self = .debug
            case "INFO": self = .info
            case "WARN", "WARNING": self = .warn
            case "ERROR": self = .error
            case "FATAL", "CRITICAL": self = .fatal
            default: return nil
            }
        }

        static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
    }

    /// What managed runtimes and common loggers call the time of a line.
    private static let timestampNames = ["timestamp", "time", "@timestamp", "Timestamp", "ts"]

    private let lowest: Level

    /// Nil when every line is kept: text, or JSON with level TRACE.
    init?(_ settings: FunctionVersion.LoggingSettings) {
        guard settings.format == .json else { return nil }
        let level = Level(settings.applicationLevel) ?? .info
        guard level > .trace else { return nil }
        lowest = level
    }

    func keeps(_ line: [UInt8]) -> Bool {
        guard line.first(where: { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }) == UInt8(ascii: "{"),
            let value = try? JSON.parse(line), value.fields != nil
        else { return true }
        return level(of: value) >= lowest
    }

    private func level(of line: Value) -> Level {
        guard let level = line["level"]?.string.flatMap(Level.init), level != .info else { return .info }
        let stamp = Self.timestampNames.lazy.compactMap { line[$0]?.string }.first
        guard let stamp, Instant(iso8601: stamp) != nil else { return .info }
        return level
    }
}
