import Glibc
import Logging
import Platform

/// Looks at a write-ahead log that an unclean end has left, before SQLite reads it.
///
/// SQLite uses the log up to the first frame whose checksum does not hold, and says nothing. That is right for a torn
/// tail: the commit that was being written was never acknowledged. But damage further up would take acknowledged commits
/// with it. The two differ: after a synced commit comes the next transaction, so a commit frame behind the first bad
/// frame with further frames of the same log behind it was acknowledged.
enum WALAudit {
    enum Finding: Equatable {
        case whole(frames: Int)
        /// The last, unacknowledged write was cut off.
        case tornTail(validFrames: Int)
        /// Acknowledged commits lie behind a damaged frame.
        case damaged(frame: Int, framesBehind: Int)
        /// Not a log that SQLite would read.
        case unreadable
    }

    private static let headerBytes = 32
    private static let frameHeaderBytes = 24

    static func check(database path: String, durability: Durability, logger: Logger) throws {
        // Without a sync for each commit the kernel may have written later frames first: nothing can be told then.
        guard durability == .full else { return }
        switch try examine(path + "-wal") {
        case .whole(let frames):
            logger.info("The last run did not end cleanly; its write-ahead log is whole (\(frames) pages).")
        case .tornTail(let frames):
            logger.notice(
                "The last run was cut off while it wrote; what it had acknowledged is whole (\(frames) pages).")
        case .unreadable:
            logger.notice("The last run left a write-ahead log without a readable beginning; SQLite ignores it.")
        case .damaged(let frame, let behind):
            let copy = path + "-wal.damaged"
            try copyFile(path + "-wal", to: copy)
            logger.error(
                """
                The write-ahead log is damaged at page \(frame): \(behind) pages behind it cannot be used, and \
                acknowledged changes may be lost. The log was kept as \(copy). Check this disk.
                """)
        }
    }

    static func examine(_ path: String) throws -> Finding {
        let descriptor = try Files.open(path, O_RDONLY)
        defer { close(descriptor) }
        var header = [UInt8](repeating: 0, count: headerBytes)
        let count = try header.withUnsafeMutableBytes { try Files.readFully($0, from: descriptor, at: 0, path: path) }
        guard count == headerBytes, var chain = Chain(header: header) else { return .unreadable }
        let frameBytes = frameHeaderBytes + chain.pageSize
        var frame = [UInt8](repeating: 0, count: frameBytes)
        var index = 0
        var bad: Int?
        var isWritten = false
        var hasCommitBehind = false
        var framesBehind = 0
        while true {
            let offset = Int64(headerBytes) + Int64(index) * Int64(frameBytes)
            let count = try frame.withUnsafeMutableBytes {
                try Files.readFully($0, from: descriptor, at: offset, path: path)
            }
            guard count == frameBytes else {
                if count > 0, bad == nil { return .tornTail(validFrames: index) }
                break
            }
            if bad == nil, !chain.accepts(frame) { bad = index }
            if let bad, chain.isOfThisLog(frame) {
                isWritten = true
                if hasCommitBehind { framesBehind = index - bad }
                if chain.isCommit(frame) { hasCommitBehind = true }
            }
            index += 1
        }
        // Frames with other salts are what an earlier round of the log has left behind its end.
        guard let bad, isWritten else { return .whole(frames: bad ?? index) }
        return framesBehind > 0 ? .damaged(frame: bad, framesBehind: framesBehind) : .tornTail(validFrames: bad)
    }

    private static func copyFile(_ source: String, to target: String) throws {
        let input = try Files.open(source, O_RDONLY)
        defer { close(input) }
        let output = try Files.open(target, O_WRONLY | O_CREAT | O_TRUNC)
        defer { close(output) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var offset: Int64 = 0
        while true {
            let count = try buffer.withUnsafeMutableBytes {
                try Files.readFully($0, from: input, at: offset, path: source)
            }
            if count == 0 { return }
            try buffer.withUnsafeBytes {
                try Files.writeAll(
                    UnsafeRawBufferPointer(rebasing: $0[..<count]), to: output, at: offset, path: target)
            }
            offset += Int64(count)
        }
    }

    /// The running checksum of a log (SQLite's file format, section 4.2): each frame's continues the one before.
    private struct Chain {
        let pageSize: Int
        private let isBigEndian: Bool
        private let salts: (UInt32, UInt32)
        private var sum: (UInt32, UInt32) = (0, 0)

        init?(header: [UInt8]) {
            let magic = Chain.number(header, 0)
            guard magic & ~1 == 0x377F_0682, Chain.number(header, 4) == 3_007_000 else { return nil }
            isBigEndian = magic & 1 == 1
            let size = Int(Chain.number(header, 8))
            guard (512...65_536).contains(size), size & (size - 1) == 0 else { return nil }
            pageSize = size
            salts = (Chain.number(header, 16), Chain.number(header, 20))
            add(header[0..<24])
            guard sum == (Chain.number(header, 24), Chain.number(header, 28)) else { return nil }
        }

        func isOfThisLog(_ frame: [UInt8]) -> Bool {
            (Chain.number(frame, 8), Chain.number(frame, 12)) == salts
        }

        func isCommit(_ frame: [UInt8]) -> Bool { Chain.number(frame, 4) != 0 }

        mutating func accepts(_ frame: [UInt8]) -> Bool {
            guard isOfThisLog(frame), Chain.number(frame, 0) != 0 else { return false }
            let before = sum
            add(frame[0..<8])
            add(frame[24...])
            if sum == (Chain.number(frame, 16), Chain.number(frame, 20)) { return true }
            sum = before
            return false
        }

        private mutating func add(_ bytes: ArraySlice<UInt8>) {
            bytes.withUnsafeBytes { bytes in
                var (a, b) = sum
                for offset in stride(from: 0, to: bytes.count - 7, by: 8) {
                    let first = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                    let second = bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
                    a = a &+ (isBigEndian ? first.bigEndian : first.littleEndian) &+ b
                    b = b &+ (isBigEndian ? second.bigEndian : second.littleEndian) &+ a
                }
                sum = (a, b)
            }
        }

        private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
            bytes.withUnsafeBytes { UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
        }
    }
}
