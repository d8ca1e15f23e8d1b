import Wire

/// What is wrong with a filter pattern, in AWS's words where they are recorded.
enum PatternError {
    static let malformed = LogsError.invalid("Invalid filter pattern")
    static let openBrace = LogsError.invalid("If a filter pattern starts with '{' it must end with '}'")
    static let openBracket = LogsError.invalid("If a filter pattern starts with '[' it must end with ']'")
    static let tooManyRegexes = LogsError.invalid(
        "Invalid filter pattern: more than \(Limits.regexesPerPattern) regular expressions")
    static let tooManyWildcards = LogsError.invalid("Invalid filter pattern: too many wildcard selectors")

    static func characters(_ bytes: some Collection<UInt8>) -> AWSError {
        // As AWS's answers are ASCII: what is not comes as a question mark.
        let text = String(decoding: bytes.map { $0 < 128 && $0 >= 32 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
        return LogsError.invalid("Invalid character(s) in term '\(text)'")
    }
}
