/// CRCs eight bytes at a time ("slicing by 8", Kounavis and Berry, 2005): eight tables, of which table k gives the
/// remainder of a byte followed by k zero bytes.
struct CRCTable<Word: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
    /// 8 × 256 words, made once and never freed; a pointer, because bounds checks would halve the speed.
    private nonisolated(unsafe) let table: UnsafePointer<Word>

    /// - Parameter polynomial: bit-reflected.
    init(polynomial: Word) {
        let table = UnsafeMutablePointer<Word>.allocate(capacity: 8 * 256)
        for byte in 0..<256 {
            var value = Word(truncatingIfNeeded: byte)
            for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ polynomial : value >> 1 }
            table[byte] = value
        }
        for slice in 1..<8 {
            for byte in 0..<256 {
                let before = table[(slice - 1) * 256 + byte]
                table[slice * 256 + byte] = (before >> 8) ^ table[Int(truncatingIfNeeded: before & 0xFF)]
            }
        }
        self.table = UnsafePointer(table)
    }

    /// Continues a running value; begin with all ones and invert at the end.
    @inline(__always)
    func update(_ start: Word, _ bytes: UnsafeRawBufferPointer) -> Word {
        guard let base = bytes.baseAddress else { return start }
        var value = start
        var offset = 0
        while offset &+ 8 <= bytes.count {
            let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            // The running value covers the first bytes: four of them with 32 bits, all eight with 64.
            let mixed = word ^ UInt64(truncatingIfNeeded: value)
            value =
                table[7 &* 256 &+ Int(truncatingIfNeeded: mixed & 0xFF)]
                ^ table[6 &* 256 &+ Int(truncatingIfNeeded: (mixed &>> 8) & 0xFF)]
                ^ table[5 &* 256 &+ Int(truncatingIfNeeded: (mixed &>> 16) & 0xFF)]
                ^ table[4 &* 256 &+ Int(truncatingIfNeeded: (mixed &>> 24) & 0xFF)]
            value ^=
                table[3 &* 256 &+ Int(truncatingIfNeeded: (mixed &>> 32) & 0xFF)]
                ^ table[2 &* 256 &+ Int(truncatingIfNeeded: (mixed &>> 40) & 0xFF)]
                ^ table[256 &+ Int(truncatingIfNeeded: (mixed &>> 48) & 0xFF)]
                ^ table[Int(truncatingIfNeeded: mixed &>> 56)]
            offset &+= 8
        }
        while offset < bytes.count {
            let index = Int(truncatingIfNeeded: value & 0xFF) ^ Int(base.load(fromByteOffset: offset, as: UInt8.self))
            value = (value &>> 8) ^ table[index]
            offset &+= 1
        }
        return value
    }
}

enum CRCTables {
    /// IEEE 802.3.
    static let crc32 = CRCTable<UInt32>(polynomial: 0xEDB8_8320)
    /// Castagnoli (RFC 3720).
    static let crc32c = CRCTable<UInt32>(polynomial: 0x82F6_3B78)
    /// NVM Express, as S3 names it CRC64NVME.
    static let crc64nvme = CRCTable<UInt64>(polynomial: 0x9A6C_9329_AC4B_C9B5)
}
