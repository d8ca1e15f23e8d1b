import Crypto

/// Where partition keys lie: numbers from 0 to 2^128 - 1, the MD5 of the key's UTF-8.
enum HashKey {
    static func of(_ partitionKey: String) -> UInt128 {
        var key = partitionKey
        return key.withUTF8 { bytes in
            Insecure.MD5.hash(data: UnsafeRawBufferPointer(bytes)).reduce(0) { $0 << 8 | UInt128($1) }
        }
    }

    /// An explicit hash key, in decimal; nil when it is none, or too large.
    static func parse(_ text: String) -> UInt128? {
        guard (1...39).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return UInt128(text)
    }

    static func bytes(_ key: UInt128) -> [UInt8] {
        (0..<16).map { UInt8(truncatingIfNeeded: key >> UInt128(8 * (15 - $0))) }
    }

    static func stored(_ bytes: [UInt8]) -> UInt128 { bytes.prefix(16).reduce(0) { $0 << 8 | UInt128($1) } }

    /// `count` ranges of one size that cover everything, the last a little larger where it does not divide.
    static func uniform(_ count: Int) -> [ClosedRange<UInt128>] {
        guard count > 1 else { return [0...UInt128.max] }
        let parts = UInt128(count)
        let size = (UInt128.max - (parts - 1)) / parts + 1
        return (0..<count).map { index in
            let start = UInt128(index) * size
            return start...(index == count - 1 ? UInt128.max : start + size - 1)
        }
    }
}
