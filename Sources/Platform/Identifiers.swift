/// Random identifiers in the forms that AWS uses.
public enum Identifier {
    private static let hexDigits = Array("0123456789abcdef".utf8)

    /// A version 4 UUID in lower case: request ids, revision ids.
    public static func uuid() -> String {
        var generator = SystemRandomNumberGenerator()
        return uuid(using: &generator)
    }

    public static func uuid(using generator: inout some RandomNumberGenerator) -> String {
        let high = (generator.next() & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000
        let low = (generator.next() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
        return String(unsafeUninitializedCapacity: 36) { out in
            var position = 0
            for index in 0..<32 {
                if index == 8 || index == 12 || index == 16 || index == 20 {
                    out[position] = UInt8(ascii: "-")
                    position += 1
                }
                let word = index < 16 ? high : low
                out[position] = hexDigits[Int((word >> UInt64(60 - (index % 16) * 4)) & 0xF)]
                position += 1
            }
            return position
        }
    }

    /// `length` lower-case hexadecimal digits.
    public static func hex(_ length: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        return String(unsafeUninitializedCapacity: length) { out in
            for index in 0..<length { out[index] = hexDigits[Int(generator.next(upperBound: UInt64(16)))] }
            return length
        }
    }

    /// `length` characters of A-Z and 2-7, as access key ids and role ids are made.
    public static func base32(_ length: Int) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
        var generator = SystemRandomNumberGenerator()
        return String(unsafeUninitializedCapacity: length) { out in
            for index in 0..<length { out[index] = alphabet[Int(generator.next(upperBound: UInt64(32)))] }
            return length
        }
    }
}

/// Lower-case hexadecimal text of bytes.
public func hexEncoded(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
