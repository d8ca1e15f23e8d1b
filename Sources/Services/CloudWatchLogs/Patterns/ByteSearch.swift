import Glibc

/// A run of bytes that is looked for in texts: by Knuth, Morris and Pratt's rule, so in linear time whatever the text, and
/// by `memchr` where nothing has begun.
struct Needle: Sendable, Equatable {
    let bytes: [UInt8]
    /// How much of the needle stands before each place again: where it goes on after a mismatch there.
    private let borders: [Int]

    init(_ bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        var borders = [Int](repeating: 0, count: bytes.count)
        var border = 0
        for index in bytes.indices.dropFirst() {
            while border > 0, bytes[index] != bytes[border] { border = borders[border - 1] }
            if bytes[index] == bytes[border] { border += 1 }
            borders[index] = border
        }
        self.bytes = bytes
        self.borders = borders
    }

    func isIn(_ text: UnsafeBufferPointer<UInt8>) -> Bool { find(in: text, from: 0) != nil }

    /// Where it begins, at `start` or later.
    func find(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        guard start <= text.count else { return nil }
        guard let first = bytes.first else { return start }
        guard let base = text.baseAddress else { return nil }
        var (index, matched) = (start, 0)
        while index < text.count {
            if matched == 0 {
                guard let found = memchr(base + index, Int32(first), text.count - index) else { return nil }
                index = UnsafeRawPointer(found) - UnsafeRawPointer(base)
            }
            while matched > 0, text[index] != bytes[matched] { matched = borders[matched - 1] }
            if text[index] == bytes[matched] { matched += 1 }
            index += 1
            if matched == bytes.count { return index - matched }
        }
        return nil
    }
}

/// A text with `*` for any run of bytes.
struct Glob: Sendable, Equatable {
    /// What stands between the stars: one piece without a star.
    private let pieces: [Needle]

    init(_ text: some Collection<UInt8>) {
        pieces = text.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map { Needle($0) }
    }

    func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let first = pieces.first, let last = pieces.last else { return text.isEmpty }
        guard text.starts(with: first.bytes) else { return false }
        if pieces.count == 1 { return text.count == first.bytes.count }
        let end = text.count - last.bytes.count
        guard end >= first.bytes.count, text[end...].elementsEqual(last.bytes) else { return false }
        // The leftmost place for each piece leaves the most room for those behind it.
        var place = first.bytes.count
        for piece in pieces.dropFirst().dropLast() {
            guard let found = piece.find(in: text, from: place), found + piece.bytes.count <= end else { return false }
            place = found + piece.bytes.count
        }
        return true
    }

    func matches(_ text: String) -> Bool { text.withBytes { matches($0) } }
}

extension String {
    /// The text's UTF-8 in place.
    func withBytes<T>(_ body: (UnsafeBufferPointer<UInt8>) -> T) -> T {
        if let result = utf8.withContiguousStorageIfAvailable(body) { return result }
        return Array(utf8).withUnsafeBufferPointer(body)
    }
}

/// What patterns are made of.
extension UInt8 {
    var isLetterOrDigit: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
    var isWord: Bool { isLetterOrDigit || self == UInt8(ascii: "_") }
    var isBlank: Bool { self == 32 || (9...13).contains(self) }
}
