import Platform

/// Writes the small structures that are kept in one column: variable-length numbers and length-prefixed bytes.
struct Packer {
    private(set) var bytes: [UInt8] = []

    mutating func int(_ value: Int64) {
        var rest = UInt64(bitPattern: value)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func data(_ value: [UInt8]) {
        int(Int64(value.count))
        bytes += value
    }

    mutating func text(_ value: String) { data(Array(value.utf8)) }

    mutating func optionalText(_ value: String?) {
        int(value == nil ? 0 : 1)
        if let value { text(value) }
    }
}

/// Reads what `Packer` wrote. The bytes come from disk: everything is checked. Throws `Failure(.corrupt)`.
struct Unpacker {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func int() throws -> Int64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.count, shift < 64 {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return Int64(bitPattern: value) }
            shift += 7
        }
        throw Unpacker.corrupt
    }

    /// A number of elements that follow; each takes at least a byte, so more than there are bytes is refused.
    mutating func count() throws -> Int {
        let value = try int()
        guard value >= 0, value <= Int64(bytes.count - position) else { throw Unpacker.corrupt }
        return Int(value)
    }

    mutating func data() throws -> [UInt8] {
        let length = try count()
        defer { position += length }
        return Array(bytes[position..<(position + length)])
    }

    mutating func text() throws -> String { String(decoding: try data(), as: UTF8.self) }
    mutating func optionalText() throws -> String? { try int() == 0 ? nil : try text() }

    private static var corrupt: Failure {
        Failure(.corrupt, "a packed column of S3's tables cannot be read; restore the data directory from a backup")
    }
}
