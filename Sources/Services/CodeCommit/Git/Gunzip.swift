import CArchive
import Platform

/// Unpacks a gzip-encoded body. git compresses what it asks for in a fetch.
enum Gunzip {
    enum Refusal: Error, Equatable {
        case malformed
        case tooLarge
    }

    /// At most `limit` bytes come out.
    static func unpack(_ bytes: [UInt8], limit: Int) throws(Refusal) -> [UInt8] {
        guard bytes.starts(with: [0x1F, 0x8B]), let archive = archive_read_new() else { throw .malformed }
        defer { archive_read_free(archive) }
        var out: [UInt8] = []
        var isTooLarge = false
        let isWhole = bytes.withUnsafeBytes { input -> Bool in
            guard archive_read_support_filter_gzip(archive) == ARCHIVE_OK,
                archive_read_support_format_raw(archive) == ARCHIVE_OK,
                archive_read_open_memory(archive, input.baseAddress, input.count) == ARCHIVE_OK
            else { return false }
            var entry: OpaquePointer?
            let first = archive_read_next_header(archive, &entry)
            // Nothing inside is no entry.
            if first == ARCHIVE_EOF { return true }
            guard first == ARCHIVE_OK else { return false }
            var piece = [UInt8](repeating: 0, count: 64 << 10)
            while true {
                let count = piece.withUnsafeMutableBytes { archive_read_data(archive, $0.baseAddress, $0.count) }
                if count == 0 { return true }
                guard count > 0 else { return false }
                guard out.count + count <= limit else {
                    isTooLarge = true
                    return false
                }
                out += piece[..<count]
            }
        }
        if isTooLarge { throw .tooLarge }
        guard isWhole else { throw .malformed }
        return out
    }
}
