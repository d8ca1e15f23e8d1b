/// Base64 of RFC 4648, with padding.
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    /// Value of each byte, 255 for those outside the alphabet.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (index, byte) in alphabet.enumerated() { values[Int(byte)] = UInt8(index) }
        return values
    }()

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
        var end = text.endIndex
        while end > text.startIndex, text[end - 1] == UInt8(ascii: "="), text.endIndex - end < 2 { end -= 1 }
        let digits = text[text.startIndex..<end]
        guard digits.count % 4 != 1, text.endIndex - end == 0 || text.count % 4 == 0 else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(digits.count / 4 * 3 + 2)
        var word: UInt32 = 0
        var bits = 0
        for byte in digits {
            let value = values[Int(byte)]
            guard value != 255 else { return nil }
            word = word << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
            }
        }
        return out
    }
}
