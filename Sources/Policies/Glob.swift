/// IAM's wildcards: `*` any run of characters, `?` any one.
public enum Glob {
    /// One point of return suffices for `*`: no worse than the product of the lengths.
    public static func matches(pattern: String, text: String) -> Bool {
        matches(tokens(pattern)[...], Array(text.utf8)[...])
    }

    /// As `ArnLike`: the six parts of an ARN are matched each for itself, so that `*` does not cross a colon before the
    /// resource.
    public static func matchesARN(pattern: String, text: String) -> Bool {
        matchesARN(tokens(pattern), Array(text.utf8))
    }

    /// A byte, or one of the wildcards.
    typealias Token = Int16
    static let any: Token = -1
    static let one: Token = -2

    static func tokens(_ pattern: String) -> [Token] {
        pattern.utf8.map { $0 == UInt8(ascii: "*") ? any : $0 == UInt8(ascii: "?") ? one : Token($0) }
    }

    static func literal(_ text: String) -> [Token] { text.utf8.map { Token($0) } }

    static func matches(_ pattern: ArraySlice<Token>, _ text: ArraySlice<UInt8>) -> Bool {
        var (p, t) = (pattern.startIndex, text.startIndex)
        var star: (pattern: Int, text: Int)?
        while t < text.endIndex {
            if p < pattern.endIndex, pattern[p] == any {
                star = (p, t)
                p += 1
            } else if p < pattern.endIndex, pattern[p] == one {
                p += 1
                t += 1
                // A character may have several bytes.
                while t < text.endIndex, text[t] & 0xc0 == 0x80 { t += 1 }
            } else if p < pattern.endIndex, pattern[p] == Token(text[t]) {
                p += 1
                t += 1
            } else if let (starPattern, starText) = star {
                star = (starPattern, starText + 1)
                p = starPattern + 1
                t = starText + 1
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == any }
    }

    static func matchesARN(_ pattern: [Token], _ text: [UInt8]) -> Bool {
        if pattern == [any] { return true }
        let patterns = pattern.split(
            separator: Token(UInt8(ascii: ":")), maxSplits: 5, omittingEmptySubsequences: false)
        let texts = text.split(separator: UInt8(ascii: ":"), maxSplits: 5, omittingEmptySubsequences: false)
        guard patterns.count == texts.count else { return false }
        return zip(patterns, texts).allSatisfy { matches($0, $1) }
    }
}

/// A text of a policy that may have wildcards and policy variables (`${aws:PrincipalAccount}`).
struct PolicyText: Sendable {
    private enum Part: Sendable {
        case tokens([Glob.Token])
        /// A condition key, in lower case, and what stands for it when the request has none.
        case variable(String, fallback: String?)
    }

    private let parts: [Part]
    /// `*` and `?` are themselves (operators of equality).
    private let isLiteral: Bool

    /// The condition keys that stand in it, in lower case.
    var variables: [String] {
        parts.compactMap { if case .variable(let key, _) = $0 { key } else { nil } }
    }

    /// Documents before version 2012-10-17 have no variables.
    init(_ text: String, hasVariables: Bool, isLiteral: Bool = false) {
        self.isLiteral = isLiteral
        func tokens(_ text: some StringProtocol) -> [Glob.Token] {
            isLiteral ? Glob.literal(String(text)) : Glob.tokens(String(text))
        }
        var parts: [Part] = []
        var rest = text[...]
        while hasVariables, let start = rest.firstRange(of: "${") {
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else { break }
            parts.append(.tokens(tokens(rest[..<start.lowerBound])))
            parts.append(Self.variable(rest[start.upperBound..<end]))
            rest = rest[rest.index(after: end)...]
        }
        parts.append(.tokens(tokens(rest)))
        self.parts = parts
    }

    /// `${*}`, `${?}` and `${$}` are the characters themselves; `${key, 'text'}` has a fallback.
    private static func variable(_ text: Substring) -> Part {
        if text == "*" || text == "?" || text == "$" { return .tokens(Glob.literal(String(text))) }
        let pieces = text.split(separator: ",", maxSplits: 1)
        let key = (pieces.first ?? "").filter { $0 != " " }.lowercased()
        guard pieces.count == 2 else { return .variable(key, fallback: nil) }
        let quoted = pieces[1].drop { $0 == " " }
        return .variable(key, fallback: quoted.count >= 2 ? String(quoted.dropFirst().prefix { $0 != "'" }) : nil)
    }

    /// With the request's values for variables; nil when the request has none, or several, for one of them.
    func resolved(_ context: [String: [String]]) -> [Glob.Token]? {
        if parts.count == 1, case .tokens(let tokens) = parts[0] { return tokens }
        var all: [Glob.Token] = []
        for part in parts {
            switch part {
            case .tokens(let tokens): all += tokens
            case .variable(let key, let fallback):
                let values = context[key] ?? []
                guard let value = values.count == 1 ? values[0] : values.isEmpty ? fallback : nil else { return nil }
                all += Glob.literal(value)
            }
        }
        return all
    }

    func matches(_ text: String, _ context: [String: [String]]) -> Bool {
        guard let tokens = resolved(context) else { return false }
        return Glob.matches(tokens[...], Array(text.utf8)[...])
    }

    /// The text with its variables filled in, for operators that read it.
    func text(_ context: [String: [String]]) -> String? {
        guard let tokens = resolved(context) else { return nil }
        let bytes: [UInt8] = tokens.map { token in
            switch token {
            case Glob.any: UInt8(ascii: "*")
            case Glob.one: UInt8(ascii: "?")
            default: UInt8(truncatingIfNeeded: token)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
