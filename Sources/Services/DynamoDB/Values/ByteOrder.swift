import Glibc

/// DynamoDB compares text by its UTF-8 bytes; Swift's own operators compare what it means (é as one scalar and as two).
enum ByteOrder {
    static func equal(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count && compare(left, right) == 0
    }

    /// Below, at or above zero, as memcmp.
    static func compare(_ left: String, _ right: String) -> Int {
        let result = left.utf8.withContiguousStorageIfAvailable { left in
            right.utf8.withContiguousStorageIfAvailable { right in
                compare(UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
            }
        }
        if let result = result ?? nil { return result }
        return compare(Array(left.utf8), Array(right.utf8))
    }

    static func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
        left.withUnsafeBytes { left in right.withUnsafeBytes { right in compare(left, right) } }
    }

    private static func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        let count = min(left.count, right.count)
        if count > 0, let first = left.baseAddress, let second = right.baseAddress {
            let result = memcmp(first, second, count)
            if result != 0 { return Int(result) }
        }
        return left.count - right.count
    }

    static func less(_ left: String, _ right: String) -> Bool { compare(left, right) < 0 }
    static func less(_ left: [UInt8], _ right: [UInt8]) -> Bool { compare(left, right) < 0 }
}

extension ByteOrder {
    /// Whether the part is somewhere in the bytes, in linear time: both may have 400 KB.
    static func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        guard let first = part.first else { return true }
        guard part.count <= bytes.count else { return false }
        // Small enough for every place to be tried.
        if bytes.count * part.count <= 1 << 14 {
            return (0...bytes.count - part.count).contains { start in
                bytes[start] == first && bytes[start..<start + part.count].elementsEqual(part)
            }
        }
        // Knuth, Morris and Pratt: for every beginning of the part, how much of it is also its end.
        var borders = [Int32](repeating: 0, count: part.count)
        var length = 0
        for index in part.indices.dropFirst() {
            while length > 0, part[index] != part[length] { length = Int(borders[length - 1]) }
            if part[index] == part[length] { length += 1 }
            borders[index] = Int32(length)
        }
        length = 0
        for byte in bytes {
            while length > 0, byte != part[length] { length = Int(borders[length - 1]) }
            if byte == part[length] { length += 1 }
            if length == part.count { return true }
        }
        return false
    }
}
