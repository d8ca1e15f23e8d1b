import CArchive
import Platform

/// Compression by libarchive, which the house has for packages.
enum Gzip {
    /// One gzip member without name and time. Throws `Failure(.limit)` when there is no memory.
    static func compress(_ bytes: [UInt8]) throws -> [UInt8] {
        // deflate grows what it cannot shrink by 5 bytes in 16 KiB; the rest is for the head and the sums.
        let room = bytes.count + bytes.count / 1_000 + 1_024
        var isWritten = false
        let result = [UInt8](unsafeUninitializedCapacity: room) { output, count in
            count = write(bytes, into: output) ?? 0
            isWritten = count > 0
        }
        guard isWritten else { throw Failure(.limit, "libarchive cannot compress") }
        return result
    }

    private static func write(_ bytes: [UInt8], into output: UnsafeMutableBufferPointer<UInt8>) -> Int? {
        guard let archive = archive_write_new(), let entry = archive_entry_new() else { return nil }
        // The archive keeps this pointer until it is closed.
        let used = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        used.initialize(to: 0)
        defer {
            archive_entry_free(entry)
            archive_write_free(archive)
            used.deallocate()
        }
        archive_entry_set_pathname(entry, "data")
        // A regular file; libarchive's name for it is a macro that Swift does not see.
        archive_entry_set_filetype(entry, 0o100_000)
        archive_entry_set_size(entry, Int64(bytes.count))
        guard archive_write_add_filter_gzip(archive) == ARCHIVE_OK,
            archive_write_set_format_raw(archive) == ARCHIVE_OK,
            archive_write_set_options(archive, "gzip:!timestamp,gzip:compression-level=3") == ARCHIVE_OK,
            archive_write_set_bytes_per_block(archive, 0) == ARCHIVE_OK,
            archive_write_set_bytes_in_last_block(archive, 1) == ARCHIVE_OK,
            archive_write_open_memory(archive, output.baseAddress, output.count, used) == ARCHIVE_OK,
            archive_write_header(archive, entry) == ARCHIVE_OK,
            bytes.withUnsafeBytes({ archive_write_data(archive, $0.baseAddress, $0.count) }) == bytes.count,
            archive_write_close(archive) == ARCHIVE_OK
        else { return nil }
        return used.pointee
    }
}
