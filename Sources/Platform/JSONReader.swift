/// A pull reader over JSON bytes, for `JSON` and for decoders that read by schema, straight from the bytes.
///
/// Holds an unsafe pointer: only used inside `JSON.withReader`. Every access is checked against `count`.
package struct JSONReader {
    let base: UnsafePointer<UInt8>?
    let count: Int
    package internal(set) var position = 0
    private var depth = 0

    /// What comes next.
    package enum Token: Sendable { case object, array, string, number, boolean, null }

    /// The content of a string between its quotes.
    package struct Slice: Sendable {
        package let start: Int
        package let count: Int
        /// ASCII without escapes: the bytes are the content.
        package let isPlain: Bool
    }

    init(_ buffer: UnsafeBufferPointer<UInt8>) {
        base = buffer.baseAddress
        count = buffer.count
    }

    package var isAtEnd: Bool { position >= count }

    @inline(__always)
    func byte(_ index: Int) -> UInt8? {
        guard let base, index < count else { return nil }
        return base[index]
    }

    /// The bytes of a slice, for comparison with names.
    package func bytes(_ slice: Slice) -> UnsafeBufferPointer<UInt8> {
        guard let base else { return UnsafeBufferPointer(start: nil, count: 0) }
        return UnsafeBufferPointer(start: base + slice.start, count: slice.count)
    }

    // MARK: Errors

    package func error(_ reason: JSONError.Reason, at offset: Int? = nil) -> JSONError {
        let offset = min(offset ?? position, count)
        var line = 1
        var lineStart = 0
        if let base {
            for index in 0..<offset where base[index] == UInt8(ascii: "\n") {
                line += 1
                lineStart = index + 1
            }
        }
        return JSONError(reason, offset: offset, line: line, column: offset - lineStart + 1)
    }

    func unexpected(_ expecting: String) -> JSONError {
        guard let byte = byte(position) else { return error(.unexpectedEnd("")) }
        if byte < 0x80 { return error(.unexpectedCharacter(Unicode.Scalar(byte), expecting: expecting)) }
        var probe = self
        do throws(JSONError) {
            let start = position
            try probe.skipMultibyte()
            let text = String(
                decoding: bytes(Slice(start: start, count: probe.position - start, isPlain: false)), as: UTF8.self)
            return error(.unexpectedCharacter(text.unicodeScalars.first ?? " ", expecting: expecting))
        } catch {
            return self.error(.unexpectedCharacter(Unicode.Scalar(byte), expecting: expecting))
        }
    }

    private static let anyValue =
        "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"

    // MARK: Tokens

    @inline(__always)
    package mutating func skipBlanks() {
        guard let base else { return }
        while position < count {
            let byte = base[position]
            guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { return }
            position += 1
        }
    }

    /// Blanks, then the kind of the next value, which is not consumed. Throws when no value can start here.
    package mutating func peek() throws(JSONError) -> Token {
        skipBlanks()
        guard let byte = byte(position) else {
            throw error(depth == 0 ? .empty : .unexpectedEnd(" in a value"))
        }
        switch byte {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"):
            throw unrecognizedToken()
        default: throw unexpected(Self.anyValue)
        }
    }

    /// Jackson reads on while identifier characters come, and so reports bad UTF-8 behind them first.
    private func unrecognizedToken() -> JSONError {
        var probe = self
        let start = position
        while probe.position - start < 64, let byte = probe.byte(probe.position) {
            if byte >= 0x80 {
                do throws(JSONError) { try probe.skipMultibyte() } catch { return error }
                continue
            }
            let scalar = Unicode.Scalar(byte)
            guard scalar.properties.isAlphabetic || scalar == "_" || scalar == "$" || ("0"..."9").contains(scalar)
            else { break }
            probe.position += 1
        }
        let slice = Slice(start: start, count: probe.position - start, isPlain: false)
        return probe.error(.unrecognizedToken(String(decoding: bytes(slice), as: UTF8.self)))
    }

    /// After the document: only blanks.
    package mutating func expectEnd() throws(JSONError) {
        skipBlanks()
        if position < count { throw error(.trailing) }
    }

    private mutating func word(_ text: StaticString) throws(JSONError) {
        let length = text.utf8CodeUnitCount
        for index in 0..<length {
            guard byte(position + index) == text.utf8Start[index] else { throw unrecognizedToken() }
        }
        if let next = byte(position + length), next.isIdentifierPart { throw unrecognizedToken() }
        position += length
    }

    package mutating func readNull() throws(JSONError) { try word("null") }

    package mutating func readBoolean() throws(JSONError) -> Bool {
        if byte(position) == UInt8(ascii: "t") {
            try word("true")
            return true
        }
        try word("false")
        return false
    }

    // MARK: Containers

    private mutating func enter() throws(JSONError) {
        depth += 1
        if depth > JSON.depthLimit { throw error(.tooDeep) }
        position += 1
    }

    /// Consumes the `{` that `peek` found.
    package mutating func enterObject() throws(JSONError) { try enter() }

    /// Consumes the `[` that `peek` found.
    package mutating func enterArray() throws(JSONError) { try enter() }

    /// The next member's name, with its colon consumed; nil when the object ends, which is consumed.
    package mutating func nextName(first: inout Bool) throws(JSONError) -> Slice? {
        skipBlanks()
        guard var next = byte(position) else { throw error(.unexpectedEnd(": expected close marker for Object")) }
        if next == UInt8(ascii: "}") {
            position += 1
            depth -= 1
            return nil
        }
        if !first {
            guard next == UInt8(ascii: ",") else { throw unexpected("was expecting comma to separate Object entries") }
            position += 1
            skipBlanks()
            guard let after = byte(position) else { throw error(.unexpectedEnd(" in field name")) }
            next = after
        }
        first = false
        guard next == UInt8(ascii: "\"") else { throw unexpected("was expecting double-quote to start field name") }
        let name = try skipString()
        skipBlanks()
        guard let colon = byte(position) else { throw error(.unexpectedEnd(" within/between Object entries")) }
        guard colon == UInt8(ascii: ":") else {
            throw unexpected("was expecting a colon to separate field name and value")
        }
        position += 1
        return name
    }

    /// Whether another element follows (its comma consumed); false when the array ends, which is consumed.
    package mutating func nextElement(first: inout Bool) throws(JSONError) -> Bool {
        skipBlanks()
        guard let next = byte(position) else { throw error(.unexpectedEnd(": expected close marker for Array")) }
        if next == UInt8(ascii: "]") {
            position += 1
            depth -= 1
            return false
        }
        if !first {
            guard next == UInt8(ascii: ",") else { throw unexpected("was expecting comma to separate Array entries") }
            position += 1
        }
        first = false
        return true
    }

    // MARK: Strings

    /// Checks a string, whose opening quote is next, and moves behind it.
    package mutating func skipString() throws(JSONError) -> Slice {
        position += 1
        let start = position
        var isPlain = true
        guard let base else { throw error(.unexpectedEnd(" in VALUE_STRING")) }
        while true {
            skipPlainCharacters(base)
            guard position < count else { throw error(.unexpectedEnd(" in VALUE_STRING")) }
            let byte = base[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return Slice(start: start, count: position - 1 - start, isPlain: isPlain)
            case UInt8(ascii: "\\"):
                isPlain = false
                try skipEscape()
            case 0x80...:
                isPlain = false
                try skipMultibyte()
            default: throw error(.controlCharacter(byte))
            }
        }
    }

    /// Eight bytes at a time over ASCII that needs no attention.
    @inline(__always)
    private mutating func skipPlainCharacters(_ base: UnsafePointer<UInt8>) {
        let raw = UnsafeRawPointer(base)
        let ones: UInt64 = 0x0101_0101_0101_0101
        while position &+ 8 <= count {
            let chunk = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            let control = chunk &- (ones &* 0x20)
            let quote = (chunk ^ (ones &* 0x22)) &- ones
            let backslash = (chunk ^ (ones &* 0x5c)) &- ones
            let marks = (control | quote | backslash | chunk) & (ones &* 0x80)
            guard marks == 0 else {
                // Bytes below the first mark are plain; borrows only disturb bytes above it.
                position &+= marks.trailingZeroBitCount / 8
                break
            }
            position &+= 8
        }
        while position < count {
            let byte = base[position]
            guard byte >= 0x20, byte != 0x22, byte != 0x5c, byte < 0x80 else { return }
            position &+= 1
        }
    }

    private mutating func skipEscape() throws(JSONError) {
        guard let kind = byte(position + 1) else { throw error(.unexpectedEnd(" in character escape sequence")) }
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 2
        case UInt8(ascii: "u"):
            for index in 2..<6 {
                guard let digit = byte(position + index) else {
                    throw error(.unexpectedEnd(" in character escape sequence"))
                }
                guard digit.hexValue != nil else {
                    position += index
                    throw unexpected("expected a hex-digit for character escape sequence")
                }
            }
            position += 6
        default:
            throw error(.badEscape(Unicode.Scalar(kind)), at: position + 1)
        }
    }

    /// One multibyte character by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
    mutating func skipMultibyte() throws(JSONError) {
        guard let lead = byte(position) else { throw error(.unexpectedEnd("")) }
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xbf
        switch lead {
        case 0xc2...0xdf: length = 2
        case 0xe0: (length, second) = (3, 0xa0...0xbf)
        case 0xe1...0xec, 0xee...0xef: length = 3
        case 0xed: (length, second) = (3, 0x80...0x9f)
        case 0xf0: (length, second) = (4, 0x90...0xbf)
        case 0xf1...0xf3: length = 4
        case 0xf4: (length, second) = (4, 0x80...0x8f)
        default: throw error(.invalidUTF8Start(lead))
        }
        for index in 1..<length {
            guard let next = byte(position + index) else { throw error(.unexpectedEnd(" in VALUE_STRING")) }
            let allowed = index == 1 ? second : 0x80...0xbf
            guard allowed.contains(next) else { throw error(.invalidUTF8Middle(next), at: position + index) }
        }
        position += length
    }

    package mutating func readString() throws(JSONError) -> String { string(try skipString()) }

    /// The text of a slice that `skipString` or `nextName` has checked.
    package func string(_ slice: Slice) -> String {
        let raw = bytes(slice)
        if slice.isPlain || !raw.contains(UInt8(ascii: "\\")) { return String(decoding: raw, as: UTF8.self) }
        var output: [UInt8] = []
        output.reserveCapacity(raw.count)
        var index = 0
        while index < raw.count {
            if raw[index] == UInt8(ascii: "\\") {
                index = Self.unescape(raw, at: index, into: &output)
            } else {
                output.append(raw[index])
                index += 1
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// Appends what the checked escape at `index` stands for and answers the index behind it.
    private static func unescape(_ raw: UnsafeBufferPointer<UInt8>, at index: Int, into output: inout [UInt8]) -> Int {
        switch raw[index + 1] {
        case UInt8(ascii: "b"): output.append(0x08)
        case UInt8(ascii: "f"): output.append(0x0c)
        case UInt8(ascii: "n"): output.append(0x0a)
        case UInt8(ascii: "r"): output.append(0x0d)
        case UInt8(ascii: "t"): output.append(0x09)
        case UInt8(ascii: "u"):
            let unit = hex4(raw, index + 2)
            var next = index + 6
            var code = unit
            if (0xd800..<0xdc00).contains(unit), next + 6 <= raw.count, raw[next] == UInt8(ascii: "\\"),
                raw[next + 1] == UInt8(ascii: "u")
            {
                let low = hex4(raw, next + 2)
                if (0xdc00..<0xe000).contains(low) {
                    code = 0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00)
                    next += 6
                }
            }
            output.append(contentsOf: String(Unicode.Scalar(code) ?? "\u{fffd}").utf8)
            return next
        case let other: output.append(other)
        }
        return index + 2
    }

    private static func hex4(_ raw: UnsafeBufferPointer<UInt8>, _ index: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 << 4 | UInt32(raw[index + $1].hexValue ?? 0) }
    }
}

extension UInt8 {
    @inline(__always)
    package var hexValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    @inline(__always)
    var isDigit: Bool { self >= 0x30 && self <= 0x39 }

    var isIdentifierPart: Bool {
        isDigit || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) || self == UInt8(ascii: "_")
            || self >= 0x80
    }
}
