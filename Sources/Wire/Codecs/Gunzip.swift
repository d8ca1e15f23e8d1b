/// Reads gzip (RFC 1952): what clients compress their requests with. The answer's size is bounded, whatever the bytes say; nothing
/// in them can make it fail in another way than by throwing.
public enum Gunzip {
    public enum Failure: Error, Equatable {
        /// Cut short, or not what its own sums say.
        case malformed
        /// Inflated it would be larger than the limit.
        case tooLarge
    }

    /// What the bytes were before they were compressed; at most `limit` bytes.
    public static func inflate(_ bytes: [UInt8], limit: Int) throws(Failure) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(min(bytes.count * 4, limit))
        var position = 0
        // Several members one after the other are one text.
        repeat {
            let start = try header(bytes, position)
            let begin = out.count
            var inflater = Inflater(bytes, from: start, limit: limit)
            try inflater.run(into: &out)
            position = inflater.position
            guard position + 8 <= bytes.count else { throw .malformed }
            var checksum = Checksum(.crc32)
            out[begin...].withUnsafeBytes { checksum.update($0) }
            // The sum is written with its lowest byte first.
            guard checksum.finalize().reversed() == Array(bytes[position..<(position + 4)]),
                UInt32(truncatingIfNeeded: out.count - begin) == number(bytes, position + 4)
            else { throw .malformed }
            position += 8
        } while position < bytes.count
        return out
    }

    private static func number(_ bytes: [UInt8], _ at: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
    }

    /// Where the deflated data begin.
    private static func header(_ bytes: [UInt8], _ start: Int) throws(Failure) -> Int {
        guard bytes.count - start >= 18, bytes[start] == 0x1f, bytes[start + 1] == 0x8b, bytes[start + 2] == 8,
            bytes[start + 3] & 0xe0 == 0
        else { throw .malformed }
        let flags = bytes[start + 3]
        var position = start + 10
        if flags & 4 != 0 {
            guard position + 2 <= bytes.count else { throw .malformed }
            position += 2 + Int(bytes[position]) + Int(bytes[position + 1]) << 8
        }
        // A name and a comment, each ended by a zero.
        for flag: UInt8 in [8, 16] where flags & flag != 0 {
            while position < bytes.count, bytes[position] != 0 { position += 1 }
            position += 1
        }
        if flags & 2 != 0 { position += 2 }
        guard position < bytes.count else { throw .malformed }
        return position
    }
}

/// Deflate (RFC 1951).
private struct Inflater {
    private let bytes: [UInt8]
    private let limit: Int
    /// The next byte to be read.
    private(set) var position: Int
    private var bits: UInt32 = 0
    private var held = 0

    init(_ bytes: [UInt8], from position: Int, limit: Int) {
        self.bytes = bytes
        self.position = position
        self.limit = limit
    }

    mutating func run(into out: inout [UInt8]) throws(Gunzip.Failure) {
        var isLast = false
        let begin = out.count
        while !isLast {
            isLast = try take(1) == 1
            switch try take(2) {
            case 0: try stored(into: &out)
            case 1: try coded(Self.fixedLengths, Self.fixedDistances, begin, into: &out)
            case 2:
                let (lengths, distances) = try codes()
                try coded(lengths, distances, begin, into: &out)
            default: throw .malformed
            }
        }
        // Whole bytes that were taken in advance go back.
        position -= held / 8
    }

    private mutating func take(_ count: Int) throws(Gunzip.Failure) -> Int {
        while held < count {
            guard position < bytes.count else { throw .malformed }
            bits |= UInt32(bytes[position]) << UInt32(held)
            position += 1
            held += 8
        }
        let value = bits & (1 << UInt32(count) - 1)
        bits >>= UInt32(count)
        held -= count
        return Int(value)
    }

    private mutating func stored(into out: inout [UInt8]) throws(Gunzip.Failure) {
        position -= held / 8
        (bits, held) = (0, 0)
        guard position + 4 <= bytes.count else { throw .malformed }
        let length = Int(bytes[position]) | Int(bytes[position + 1]) << 8
        let check = Int(bytes[position + 2]) | Int(bytes[position + 3]) << 8
        position += 4
        guard length == ~check & 0xffff, position + length <= bytes.count else { throw .malformed }
        guard out.count + length <= limit else { throw .tooLarge }
        out += bytes[position..<(position + length)]
        position += length
    }

    /// A Huffman code by how many symbols there are of each length, and the symbols in order.
    private struct Code {
        var counts = [Int](repeating: 0, count: 16)
        var symbols: [Int] = []

        /// nil when the lengths are no code.
        init?(_ lengths: some Collection<UInt8>) {
            for length in lengths { counts[Int(length)] += 1 }
            counts[0] = 0
            var left = 1
            for length in 1...15 {
                left = left << 1 - counts[length]
                if left < 0 { return nil }
            }
            var starts = [Int](repeating: 0, count: 16)
            for length in 1..<15 { starts[length + 1] = starts[length] + counts[length] }
            symbols = [Int](repeating: 0, count: counts.reduce(0, +))
            for (symbol, length) in lengths.enumerated() where length != 0 {
                symbols[starts[Int(length)]] = symbol
                starts[Int(length)] += 1
            }
        }
    }

    private mutating func symbol(_ code: Code) throws(Gunzip.Failure) -> Int {
        var (value, first, index) = (0, 0, 0)
        for length in 1...15 {
            value |= try take(1)
            let count = code.counts[length]
            if value - count < first { return code.symbols[index + value - first] }
            index += count
            first = (first + count) << 1
            value <<= 1
        }
        throw .malformed
    }

    private static let fixedLengths: Code? = Code(
        (0..<288).map { UInt8($0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8) })
    private static let fixedDistances: Code? = Code([UInt8](repeating: 5, count: 30))
    private static let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    private static let lengthBases = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    private static let lengthBits = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    private static let distanceBases = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1_025, 1_537, 2_049, 3_073,
        4_097,
        6_145, 8_193, 12_289, 16_385, 24_577,
    ]
    private static let distanceBits = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]

    /// The codes that a block brings with it.
    private mutating func codes() throws(Gunzip.Failure) -> (Code?, Code?) {
        let lengthCount = try take(5) + 257
        let distanceCount = try take(5) + 1
        let codeCount = try take(4) + 4
        guard lengthCount <= 286, distanceCount <= 30 else { throw .malformed }
        var codeLengths = [UInt8](repeating: 0, count: 19)
        for index in 0..<codeCount { codeLengths[Self.order[index]] = UInt8(try take(3)) }
        guard let code = Code(codeLengths) else { throw .malformed }
        var lengths: [UInt8] = []
        while lengths.count < lengthCount + distanceCount {
            let found = try symbol(code)
            var (value, times): (UInt8, Int) = (0, 1)
            switch found {
            case 0...15: value = UInt8(found)
            case 16:
                guard let last = lengths.last else { throw .malformed }
                (value, times) = (last, 3 + (try take(2)))
            case 17: times = 3 + (try take(3))
            default: times = 11 + (try take(7))
            }
            lengths += [UInt8](repeating: value, count: times)
        }
        guard lengths.count == lengthCount + distanceCount, lengths[256] != 0 else { throw .malformed }
        return (Code(lengths[..<lengthCount]), Code(lengths[lengthCount...]))
    }

    private mutating func coded(
        _ lengths: Code?, _ distances: Code?, _ begin: Int, into out: inout [UInt8]
    ) throws(Gunzip.Failure) {
        guard let lengths, let distances else { throw .malformed }
        while true {
            let found = try symbol(lengths)
            if found == 256 { return }
            if found < 256 {
                guard out.count < limit else { throw .tooLarge }
                out.append(UInt8(found))
                continue
            }
            guard found - 257 < Self.lengthBases.count else { throw .malformed }
            let length = Self.lengthBases[found - 257] + (try take(Self.lengthBits[found - 257]))
            let far = try symbol(distances)
            guard far < Self.distanceBases.count else { throw .malformed }
            let distance = Self.distanceBases[far] + (try take(Self.distanceBits[far]))
            guard distance <= out.count - begin else { throw .malformed }
            guard out.count + length <= limit else { throw .tooLarge }
            // Byte by byte: what is copied may be what is being written.
            for _ in 0..<length { out.append(out[out.count - distance]) }
        }
    }
}
