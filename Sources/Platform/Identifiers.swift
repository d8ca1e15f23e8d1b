import Glibc
import Synchronization

/// Random identifiers in the forms that AWS uses.
public enum Identifier {
    private static let hexDigits = Array("0123456789abcdef".utf8)

    /// A version 4 UUID in lower case: request ids, revision ids.
    public static func uuid() -> String {
        var generator = KernelRandom()
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
    public static func hex(_ length: Int) -> String { text(length, bits: 4, alphabet: hexDigits) }

    /// `length` characters of A-Z and 2-7, as access key ids and role ids are made.
    public static func base32(_ length: Int) -> String { text(length, bits: 5, alphabet: base32Digits) }

    private static let base32Digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)

    /// Takes as many characters from each random word as it has bits for.
    private static func text(_ length: Int, bits: Int, alphabet: [UInt8]) -> String {
        var generator = KernelRandom()
        return String(unsafeUninitializedCapacity: length) { out in
            var word: UInt64 = 0
            var left = 0
            for index in 0..<length {
                if left < bits {
                    word = generator.next()
                    left = 64
                }
                out[index] = alphabet[Int(word & (1 << UInt64(bits) - 1))]
                word >>= UInt64(bits)
                left -= bits
            }
            return length
        }
    }
}

/// The kernel's randomness, taken in pages: a system call for each word would be a noticeable part of a warm invoke.
/// The server never forks, so no page is ever used twice.
struct KernelRandom: RandomNumberGenerator {
    private static let page = Mutex<[UInt64]>([])
    private static let wordsPerPage = 512

    mutating func next() -> UInt64 {
        Self.page.withLock { page in
            if page.isEmpty {
                page = [UInt64](unsafeUninitializedCapacity: Self.wordsPerPage) { buffer, count in
                    guard let base = buffer.baseAddress else { return }
                    arc4random_buf(base, Self.wordsPerPage * MemoryLayout<UInt64>.size)
                    count = Self.wordsPerPage
                }
            }
            return page.removeLast()
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
