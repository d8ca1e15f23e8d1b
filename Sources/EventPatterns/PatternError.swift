/// Why a pattern or filter policy is not valid, in AWS's words.
public struct PatternError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The text that AWS shows. For an event pattern: what follows `Event pattern is not valid. Reason: `. For a filter
    /// policy: what follows `Invalid parameter: ` or `Invalid parameter: Attributes Reason: `.
    public var message: String

    public init(message: String) { self.message = message }

    public var description: String { message }

    /// A text with the place in the pattern, as Jackson writes it.
    static func located(_ reason: String, source: String, line: Int, column: Int) -> PatternError {
        let shown = source.utf16.count
        var snippet = source
        var rest = ""
        if shown > Limits.shownSource {
            snippet = String(decoding: Array(source.utf16.prefix(Limits.shownSource)), as: UTF16.self)
            rest = "[truncated \(shown - Limits.shownSource) chars]"
        }
        return PatternError(
            message: "\(reason)\n at [Source: (String)\"\(snippet)\"\(rest); line: \(line), column: \(column)]")
    }
}
