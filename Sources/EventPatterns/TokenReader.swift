import Platform

/// Reads a pattern token by token, and knows at every token the place that Jackson, with which AWS reads patterns,
/// would report: behind the token; behind the quote that opens a string that nobody has asked for yet; and after a name
/// behind the first token of its value.
struct TokenReader {
    enum Token: Sendable, Equatable {
        case startObject, endObject, startArray, endArray, name, string, number, yes, no, null, end

        var isNumber: Bool { self == .number }
    }

    private var reader: JSONReader
    private let bytes: [UInt8]
    /// True: an object.
    private var containers: [Bool] = []
    private var first = true
    private var started = false
    private var valueFollows = false
    private var stringWaits = false
    /// Byte offset of the place to report.
    private var location = 0
    /// Of a name or number, and of a string that was asked for.
    private var text = ""
    private(set) var number: Value = .null
    private(set) var token = Token.end

    /// `reader` reads `bytes`.
    init(_ reader: JSONReader, bytes: [UInt8]) {
        self.reader = reader
        self.bytes = bytes
    }

    // MARK: Tokens

    /// The next token; `.end` behind the document.
    mutating func next() throws(PatternError) -> Token {
        do throws(JSONError) {
            token = try advance()
        } catch {
            throw failure(error)
        }
        return token
    }

    /// The text of the current token, as it is written where it is no string.
    mutating func currentText() throws(PatternError) -> String {
        switch token {
        case .startObject: return "{"
        case .endObject: return "}"
        case .startArray: return "["
        case .endArray: return "]"
        case .yes: return "true"
        case .no: return "false"
        case .null: return "null"
        case .end: return ""
        case .name, .number: return text
        case .string:
            do throws(JSONError) { try finishString() } catch { throw failure(error) }
            return text
        }
    }

    /// Skips the value of which `token` is the first.
    mutating func skipValue() throws(PatternError) {
        guard token == .startObject || token == .startArray else { return }
        let depth = containers.count
        while containers.count >= depth { _ = try next() }
    }

    private mutating func advance() throws(JSONError) -> Token {
        try finishString()
        if valueFollows {
            valueFollows = false
            return try value()
        }
        guard let isObject = containers.last else {
            if started {
                try reader.expectEnd()
                return .end
            }
            started = true
            return try value()
        }
        if isObject {
            guard let name = try reader.nextName(first: &first) else { return close(.endObject) }
            text = reader.string(name)
            valueFollows = true
            try lookAhead()
            return .name
        }
        guard try reader.nextElement(first: &first) else { return close(.endArray) }
        return try value()
    }

    private mutating func close(_ token: Token) -> Token {
        containers.removeLast()
        first = false
        location = reader.position
        return token
    }

    private mutating func value() throws(JSONError) -> Token {
        defer { if !stringWaits { location = reader.position } }
        switch try reader.peek() {
        case .object:
            try reader.enterObject()
            containers.append(true)
            first = true
            return .startObject
        case .array:
            try reader.enterArray()
            containers.append(false)
            first = true
            return .startArray
        case .string:
            stringWaits = true
            location = reader.position + 1
            return .string
        case .number:
            let start = reader.position
            number = try reader.readNumber()
            text = String(decoding: bytes[start..<reader.position], as: UTF8.self)
            return .number
        case .boolean: return try reader.readBoolean() ? .yes : .no
        case .null:
            try reader.readNull()
            return .null
        }
    }

    private mutating func finishString() throws(JSONError) {
        guard stringWaits else { return }
        stringWaits = false
        text = try reader.readString()
        location = reader.position
    }

    private mutating func lookAhead() throws(JSONError) {
        var probe = reader
        switch try probe.peek() {
        case .object, .array, .string: location = probe.position + 1
        case .number:
            try probe.skipNumber()
            location = probe.position
        case .boolean:
            _ = try probe.readBoolean()
            location = probe.position
        case .null:
            try probe.readNull()
            location = probe.position
        }
    }

    // MARK: Errors

    /// An error at the current place.
    func failure(_ reason: String) -> PatternError { located(reason, at: location) }

    private func failure(_ error: JSONError) -> PatternError { located(error.message, at: error.offset) }

    private func located(_ reason: String, at offset: Int) -> PatternError {
        let before = bytes[..<min(max(offset, 0), bytes.count)]
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return .located(
            reason, source: String(decoding: bytes, as: UTF8.self),
            line: 1 + before.count { $0 == UInt8(ascii: "\n") },
            column: 1 + String(decoding: before[lineStart...], as: UTF8.self).utf16.count)
    }
}
