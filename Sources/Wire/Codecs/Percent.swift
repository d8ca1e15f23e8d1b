import Platform

/// Percent-encoded text, as AWS's clients send it.
enum Percent {
    /// Decodes `%xx`; a stray `%` stands for itself. Bytes that are not UTF-8 become U+FFFD. With `plus`, `+` is a blank.
    static func decode(_ text: some StringProtocol, plus: Bool = false) -> String {
        let utf8 = text.utf8
        guard utf8.contains(where: { $0 == UInt8(ascii: "%") || (plus && $0 == UInt8(ascii: "+")) }) else {
            return String(text)
        }
        return String(decoding: PercentEncoding.decode(utf8, plus: plus), as: UTF8.self)
    }

    /// Whether what `text` decodes to is UTF-8.
    static func isUTF8(_ text: String) -> Bool {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return true }
        return String(validating: PercentEncoding.decode(text.utf8), as: UTF8.self) != nil
    }

    /// `a=1&b&c=%20` as decoded pairs; a name without `=` has the value nil. At most `CodecLimits.parameters` are read.
    static func pairs(_ text: some StringProtocol) -> [(name: String, value: String?)] {
        if text.isEmpty { return [] }
        var pairs: [(name: String, value: String?)] = []
        for part in Substring(text).utf8.split(separator: UInt8(ascii: "&"), maxSplits: CodecLimits.parameters) {
            let name = part.prefix { $0 != UInt8(ascii: "=") }
            let rest = part.dropFirst(name.count)
            let value = rest.isEmpty ? nil : decode(Substring(rest.dropFirst()), plus: true)
            pairs.append((decode(Substring(name), plus: true), value))
            if pairs.count == CodecLimits.parameters { break }
        }
        return pairs
    }
}
