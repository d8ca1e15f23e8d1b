import Glibc
import Platform
import Wire

/// What a zip's central directory says, read before libarchive sees the file: it keeps the whole directory in memory,
/// so hostile ones must be turned away first.
struct ZipDirectory: Sendable {
    var entries: Int
    /// Sum of the uncompressed sizes that the entries claim. libarchive holds the data to them.
    var unpackedBytes: Int64

    private static let endSignature: [UInt8] = [0x50, 0x4B, 0x05, 0x06]
    private static let entrySignature: [UInt8] = [0x50, 0x4B, 0x01, 0x02]
    private static let endBytes = 22
    private static let entryBytes = 46
    /// An end record with the longest comment.
    private static let longestEnd = 22 + 65_535

    /// Walks the directory of the zip at `path`. Throws `AWSError` (not a zip, empty, too many entries, too large).
    static func scan(path: String) throws -> ZipDirectory {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Failure(.storage, "cannot open \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Failure(.storage, "cannot stat \(path)") }
        return try scan(size: Int(status.st_size)) { offset, count in
            try read(descriptor, offset: offset, count: count)
        }
    }

    /// The walk itself; `read` answers at most `count` bytes at `offset`.
    static func scan(size: Int, read: (_ offset: Int, _ count: Int) throws -> [UInt8]) throws -> ZipDirectory {
        if size == 0 { throw AWSError.emptyZip }
        guard size >= endBytes else { throw AWSError.badZip }
        let tailLength = min(size, longestEnd)
        let tail = try read(size - tailLength, tailLength)
        guard tail.count == tailLength, let end = lastEnd(in: tail) else { throw AWSError.badZip }
        let endOffset = size - tailLength + end
        let count = number(tail, end + 10, 2)
        let directoryBytes = number(tail, end + 12, 4)
        let claimedOffset = number(tail, end + 16, 4)
        // Zip64 has these all set; it is for more entries or bytes than we take.
        guard count < 0xFFFF, directoryBytes < 0xFFFF_FFFF, claimedOffset < 0xFFFF_FFFF, directoryBytes <= endOffset
        else { throw AWSError.badZip }
        // Bytes before the archive (a self-extractor) shift everything, as libarchive allows.
        let start = max(claimedOffset, endOffset - directoryBytes)
        guard start <= endOffset else { throw AWSError.badZip }
        return try walk(from: start, to: endOffset, read: read)
    }

    private static func walk(
        from start: Int, to end: Int, read: (_ offset: Int, _ count: Int) throws -> [UInt8]
    ) throws -> ZipDirectory {
        let windowBytes = 1 << 16
        var result = ZipDirectory(entries: 0, unpackedBytes: 0)
        var window: [UInt8] = []
        var windowStart = start
        var position = start
        while end - position >= entryBytes {
            if position + entryBytes > windowStart + window.count {
                windowStart = position
                window = try read(position, min(windowBytes, end - position))
                guard window.count >= entryBytes else { throw AWSError.badZip }
            }
            let at = position - windowStart
            guard Array(window[at..<at + 4]) == entrySignature else { break }
            result.entries += 1
            if result.entries > Limits.zipEntries { throw AWSError.badZip }
            result.unpackedBytes += Int64(number(window, at + 24, 4))
            position +=
                entryBytes + number(window, at + 28, 2) + number(window, at + 30, 2) + number(window, at + 32, 2)
        }
        if result.entries == 0 { throw AWSError.emptyZip }
        if result.unpackedBytes >= Limits.unzippedBytes { throw AWSError.unzippedTooLarge }
        return result
    }

    /// Where the last end record begins whose comment fits.
    private static func lastEnd(in tail: [UInt8]) -> Int? {
        var position = tail.count - endBytes
        while position >= 0 {
            if tail[position] == 0x50, Array(tail[position..<position + 4]) == endSignature,
                position + endBytes + number(tail, position + 20, 2) <= tail.count
            {
                return position
            }
            position -= 1
        }
        return nil
    }

    /// A little-endian number; 0 where the bytes end.
    private static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> Int {
        guard offset >= 0, offset + count <= bytes.count else { return 0 }
        return (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
    }

    private static func read(_ descriptor: CInt, offset: Int, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                pread(descriptor, buffer.baseAddress.map { $0 + filled }, count - filled, off_t(offset + filled))
            }
            if got < 0 {
                if errno == EINTR { continue }
                throw Failure(.storage, "cannot read a code package: \(String(cString: strerror(errno)))")
            }
            if got == 0 { break }
            filled += got
        }
        return Array(bytes.prefix(filled))
    }
}
