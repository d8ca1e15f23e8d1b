import Wire

/// The CRC of a concatenation from the CRCs of its pieces, without their bytes: crc(A ‖ B) = crc(A)·x^(8·|B|) ⊕ crc(B)
/// in GF(2)[x] modulo the polynomial (the identity of zlib's crc32_combine; holds where start value and final inversion
/// are all ones, as in all of S3's CRCs).
struct CRCCombiner {
    private let polynomial: UInt64
    private let width: UInt64
    private var crc: UInt64 = 0
    private var power: (length: Int64, value: UInt64)?

    /// `algorithm` is one of the CRCs; others have no such identity and give zero.
    init(_ algorithm: ChecksumAlgorithm) {
        switch algorithm {
        case .crc32: (polynomial, width) = (0xEDB8_8320, 32)
        case .crc32c: (polynomial, width) = (0x82F6_3B78, 32)
        case .crc64nvme, .sha1, .sha256: (polynomial, width) = (0x9A6C_9329_AC4B_C9B5, 64)
        }
    }

    /// `crc` is big-endian, as in headers.
    mutating func append(crc bytes: [UInt8], length: Int64) {
        let next = bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        crc = multiply(crc, shift(byBytes: max(length, 0))) ^ next
    }

    var bytes: [UInt8] {
        (0..<Int(width / 8)).map { UInt8(truncatingIfNeeded: crc >> (width - 8 - UInt64($0) * 8)) }
    }

    /// x^(8·length); parts are mostly of one length, so the last is kept.
    private mutating func shift(byBytes length: Int64) -> UInt64 {
        if let power, power.length == length { return power.value }
        var result: UInt64 = 1 << (width - 1)
        var square: UInt64 = 1 << (width - 9)
        var rest = length
        while rest > 0 {
            if rest & 1 == 1 { result = multiply(result, square) }
            square = multiply(square, square)
            rest >>= 1
        }
        power = (length, result)
        return result
    }

    /// Product modulo the polynomial; bits are reflected, the highest bit is x^0.
    private func multiply(_ a: UInt64, _ b: UInt64) -> UInt64 {
        var (product, shifted, mask) = (UInt64(0), b, UInt64(1) << (width - 1))
        while mask != 0 {
            if a & mask != 0 { product ^= shifted }
            shifted = shifted & 1 == 1 ? shifted >> 1 ^ polynomial : shifted >> 1
            mask >>= 1
        }
        return product
    }
}
