/// A word or sign of an expression; `start` and `end` are offsets of its bytes.
struct Token: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        /// An attribute's or function's name.
        case name
        /// `#x`
        case nameKey
        /// `:x`
        case valueKey
        case integer
        case and, or, not, between, `in`, set, remove, add, delete
        case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
        case openParenthesis, closeParenthesis, openBracket, closeBracket, comma, dot, plus, minus
        /// A character that no expression has.
        case bad
        case end
    }

    var kind: Kind
    var start: Int
    var end: Int
}

/// Finds the tokens of an expression's UTF-8.
struct Lexer: Sendable {
    let bytes: [UInt8]

    func text(_ token: Token) -> String {
        token.kind == .end ? "<EOF>" : String(decoding: bytes[token.start..<token.end], as: UTF8.self)
    }

    /// The token that begins at `position` or behind the blanks there.
    func token(at position: Int) -> Token {
        bytes.withUnsafeBufferPointer { Self.token(in: $0, at: position) }
    }

    private static func token(in bytes: UnsafeBufferPointer<UInt8>, at position: Int) -> Token {
        var start = position
        while start < bytes.count, isBlank(bytes[start]) { start += 1 }
        guard start < bytes.count else { return Token(kind: .end, start: bytes.count, end: bytes.count) }
        let first = bytes[start]
        var end = start + 1
        func skip(while matches: (UInt8) -> Bool) { while end < bytes.count, matches(bytes[end]) { end += 1 } }
        func follows(_ byte: Unicode.Scalar) -> Bool {
            guard end < bytes.count, bytes[end] == UInt8(ascii: byte) else { return false }
            end += 1
            return true
        }
        let kind: Token.Kind
        switch first {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"):
            skip(while: isWord)
            kind = keyword(UnsafeBufferPointer(rebasing: bytes[start..<end]))
        case UInt8(ascii: "#"), UInt8(ascii: ":"):
            skip(while: isWord)
            kind = end == start + 1 ? .bad : first == UInt8(ascii: "#") ? .nameKey : .valueKey
        case UInt8(ascii: "0"): kind = .integer
        case UInt8(ascii: "1")...UInt8(ascii: "9"):
            skip { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
            kind = .integer
        case UInt8(ascii: "="): kind = .equal
        case UInt8(ascii: "<"): kind = follows(">") ? .notEqual : follows("=") ? .lessOrEqual : .less
        case UInt8(ascii: ">"): kind = follows("=") ? .greaterOrEqual : .greater
        case UInt8(ascii: "("): kind = .openParenthesis
        case UInt8(ascii: ")"): kind = .closeParenthesis
        case UInt8(ascii: "["): kind = .openBracket
        case UInt8(ascii: "]"): kind = .closeBracket
        case UInt8(ascii: ","): kind = .comma
        case UInt8(ascii: "."): kind = .dot
        case UInt8(ascii: "+"): kind = .plus
        case UInt8(ascii: "-"): kind = .minus
        default:
            // All bytes of one character.
            if first >= 0x80 { skip { $0 & 0xC0 == 0x80 } }
            kind = .bad
        }
        return Token(kind: kind, start: start, end: end)
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

    static func isWord(_ byte: UInt8) -> Bool {
        byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
            || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") || byte == UInt8(ascii: "_")
    }

    private static func keyword(_ word: UnsafeBufferPointer<UInt8>) -> Token.Kind {
        func equals(_ keyword: StaticString) -> Bool {
            guard keyword.utf8CodeUnitCount == word.count else { return false }
            for index in 0..<word.count where word[index] & 0xDF != keyword.utf8Start[index] { return false }
            return true
        }
        switch word.count {
        case 2: return equals("OR") ? .or : equals("IN") ? .in : .name
        case 3: return equals("AND") ? .and : equals("NOT") ? .not : equals("SET") ? .set : equals("ADD") ? .add : .name
        case 6: return equals("REMOVE") ? .remove : equals("DELETE") ? .delete : .name
        case 7: return equals("BETWEEN") ? .between : .name
        default: return .name
        }
    }
}
