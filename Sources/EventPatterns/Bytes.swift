// Comparisons of UTF-8, without regard to what Unicode holds to be equal.

enum Bytes {
    static func equal(_ text: UnsafeBufferPointer<UInt8>, _ other: [UInt8]) -> Bool {
        text.count == other.count && hasPrefix(text, other)
    }

    static func hasPrefix(_ text: UnsafeBufferPointer<UInt8>, _ prefix: [UInt8]) -> Bool {
        guard text.count >= prefix.count else { return false }
        for index in prefix.indices where text[index] != prefix[index] { return false }
        return true
    }

    static func hasSuffix(_ text: UnsafeBufferPointer<UInt8>, _ suffix: [UInt8]) -> Bool {
        guard text.count >= suffix.count else { return false }
        let start = text.count - suffix.count
        for index in suffix.indices where text[start + index] != suffix[index] { return false }
        return true
    }

    /// Where `part` stands first, wholly between `from` and `to`.
    static func firstIndex(of part: [UInt8], in text: UnsafeBufferPointer<UInt8>, from: Int, to: Int) -> Int? {
        guard let head = part.first else { return from }
        var start = from
        while start + part.count <= to {
            if text[start] == head {
                var index = 1
                while index < part.count, text[start + index] == part[index] { index += 1 }
                if index == part.count { return start }
            }
            start += 1
        }
        return nil
    }

    /// An ASCII letter in lower case, other bytes as they are.
    @inline(__always)
    static func lowered(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }
}

/// A name or exact value of a pattern.
struct ExactText: Sendable, Hashable {
    let text: String
    let count: Int
    private let isASCII: Bool

    init(_ text: String) {
        var text = text
        text.makeContiguousUTF8()
        self.text = text
        count = text.utf8.count
        isASCII = text.utf8.allSatisfy { $0 < 0x80 }
    }

    /// Byte for byte. Swift's own comparison, which is quick, holds some other characters to equal ASCII ones (the
    /// Kelvin sign to equal K), but those are longer.
    @inline(__always)
    func equals(_ other: String) -> Bool {
        guard other.utf8.count == count else { return false }
        if isASCII { return other == text }
        return other.utf8.elementsEqual(text.utf8)
    }
}

/// A text that is compared without regard to case.
struct FoldedText: Sendable, Hashable {
    private let bytes: [UInt8]
    private let isASCII: Bool

    init(_ text: String) {
        isASCII = text.utf8.allSatisfy { $0 < 0x80 }
        bytes = isASCII ? text.utf8.map(Bytes.lowered) : Array(text.lowercased().utf8)
    }

    func equals(_ text: String) -> Bool {
        if isASCII {
            return text.utf8.count == bytes.count && text.utf8.elementsEqual(bytes) { Bytes.lowered($0) == $1 }
        }
        return text.lowercased().utf8.elementsEqual(bytes)
    }

    func isPrefix(of text: String) -> Bool {
        if isASCII {
            return text.utf8.count >= bytes.count && zip(text.utf8, bytes).allSatisfy { Bytes.lowered($0) == $1 }
        }
        return text.lowercased().utf8.starts(with: bytes)
    }

    func isSuffix(of text: String) -> Bool {
        let theirs = isASCII ? text.utf8.suffix(bytes.count).map(Bytes.lowered) : Array(text.lowercased().utf8)
        return theirs.count >= bytes.count && theirs.suffix(bytes.count).elementsEqual(bytes)
    }
}
