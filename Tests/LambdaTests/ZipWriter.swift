import Platform

/// Writes zips without compression, also wrong ones, entry by entry.
struct ZipWriter {
    struct Entry {
        var name: [UInt8]
        var data: [UInt8]
        /// Unix mode, with its type bits.
        var mode: UInt32 = 0o100644
        var flags: UInt16 = 0x800
        /// What the headers say, if not the truth.
        var claimedSize: UInt32?
    }

    var entries: [Entry] = []

    init(_ files: [(String, String)] = []) {
        for (name, text) in files { add(name, text) }
    }

    mutating func add(_ name: String, _ text: String = "", mode: UInt32 = 0o100644) {
        entries.append(Entry(name: Array(name.utf8), data: Array(text.utf8), mode: mode))
    }

    func bytes() -> [UInt8] {
        var out: [UInt8] = []
        var directory: [UInt8] = []
        for entry in entries {
            let offset = UInt32(out.count)
            let size = entry.claimedSize ?? UInt32(entry.data.count)
            let common =
                little16(20) + little16(entry.flags) + little16(0) + little16(0) + little16(0x5A21)
                + little32(crc32(entry.data)) + little32(entry.claimedSize == nil ? size : UInt32(entry.data.count))
                + little32(size) + little16(UInt16(entry.name.count)) + little16(0)
            out += [0x50, 0x4B, 3, 4] + common + entry.name + entry.data
            directory += [0x50, 0x4B, 1, 2] + little16(3 << 8 | 20) + common
            directory += little16(0) + little16(0) + little16(0) + little32(entry.mode << 16) + little32(offset)
            directory += entry.name
        }
        let start = UInt32(out.count)
        let count = UInt16(entries.count)
        return out + directory + [0x50, 0x4B, 5, 6] + little16(0) + little16(0) + little16(count) + little16(count)
            + little32(UInt32(directory.count)) + little32(start) + little16(0)
    }

    private func little16(_ value: UInt16) -> [UInt8] { [UInt8(value & 255), UInt8(value >> 8)] }

    private func little32(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    private func crc32(_ data: [UInt8]) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in data {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return ~crc
    }
}
