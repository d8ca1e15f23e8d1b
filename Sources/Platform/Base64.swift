/// Base64 of RFC 4648, with padding.
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    public static func encode(_ bytes: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4) { out in
            var position = 0
            var index = 0
            alphabet.withUnsafeBufferPointer { alphabet in
                while index + 2 < bytes.count {
                    let word = UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2])
                    out[position] = alphabet[Int(word >> 18)]
                    out[position + 1] = alphabet[Int(word >> 12 & 63)]
                    out[position + 2] = alphabet[Int(word >> 6 & 63)]
                    out[position + 3] = alphabet[Int(word & 63)]
                    position += 4
                    index += 3
                }
                let rest = bytes.count - index
                guard rest > 0 else { return }
                let word = UInt32(bytes[index]) << 16 | (rest == 2 ? UInt32(bytes[index + 1]) << 8 : 0)
                out[position] = alphabet[Int(word >> 18)]
                out[position + 1] = alphabet[Int(word >> 12 & 63)]
                out[position + 2] = rest == 2 ? alphabet[Int(word >> 6 & 63)] : UInt8(ascii: "=")
                out[position + 3] = UInt8(ascii: "=")
                position += 4
            }
            return position
        }
    }

    /// The bytes, or nil when the text is not base64. Padding may be missing; white space is not allowed.
    public static func decode(_ text: String) -> [UInt8]? { decode(Array(text.utf8)[...]) }

    public static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        text.withUnsafeBufferPointer { decode($0) }
    }

    /// The bytes of base64 text in place (a function's package of 50 MB comes this way), or nil when it is malformed.
    package static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        var end = text.count
        if end % 4 == 0 {
            for _ in 0..<2 where end > 0 && text[end - 1] == UInt8(ascii: "=") { end -= 1 }
        }
        guard end % 4 != 1 else { return nil }
        var isValid = true
        let count = end / 4 * 3 + (end % 4 == 0 ? 0 : end % 4 - 1)
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { output, written in
            values.withUnsafeBufferPointer { values in
                var bad: UInt8 = 0
                var index = 0
                while index + 4 <= end {
                    let a = values[Int(text[index])]
                    let b = values[Int(text[index + 1])]
                    let c = values[Int(text[index + 2])]
                    let d = values[Int(text[index + 3])]
                    bad |= a | b | c | d
                    output[written] = a << 2 | b >> 4
                    output[written + 1] = b << 4 | c >> 2
                    output[written + 2] = c << 6 | d
                    written += 3
                    index += 4
                }
                if index < end {
                    let a = values[Int(text[index])]
                    let b = values[Int(text[index + 1])]
                    bad |= a | b
                    output[written] = a << 2 | b >> 4
                    written += 1
                    if index + 2 < end {
                        let c = values[Int(text[index + 2])]
                        bad |= c
                        output[written] = b << 4 | c >> 2
                        written += 1
                    }
                }
                isValid = bad & 0x80 == 0
            }
        }
        return isValid ? bytes : nil
    }

    /// The value of each character; 0x80 for those outside the alphabet.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 0x80, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        for (value, character) in alphabet.utf8.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()
}
