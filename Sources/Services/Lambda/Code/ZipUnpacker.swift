import CArchive
import Glibc
import Platform
import Wire

/// Unpacks zips into directories, by libarchive, streaming from the file. Nothing outside the directory is ever touched:
/// every component of a path is opened without following links.
///
/// Blocks; for the code store's own threads.
struct ZipUnpacker: ~Copyable {
    /// Where entries go; -1 to check the archive only.
    private let root: CInt
    private var remaining: Int64
    private var parent: (path: [[UInt8]], descriptor: CInt)?
    /// Hashes of the directories' paths so far, and the last path whose directories were counted.
    private var directories: Set<Int> = []
    private var counted: ArraySlice<[UInt8]> = []

    /// Opens the directory to unpack into. `budget` is how many bytes may be written in all.
    init(directory: String, budget: Int64) throws {
        root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard root >= 0 else { throw ZipUnpacker.failure("open \(directory)") }
        remaining = budget
    }

    /// Reads archives through, checking all, writing nothing.
    init(checkingWithBudget budget: Int64) {
        root = -1
        remaining = budget
    }

    deinit {
        if let parent { close(parent.descriptor) }
        if root >= 0 { close(root) }
    }

    /// Unpacks one zip; entries replace files of the same name. Throws `AWSError` for what is wrong with the zip,
    /// `Failure` for what is wrong with the disk.
    mutating func unpack(_ path: String) throws {
        // File names are bytes; libarchive converts those marked as UTF-8 to the thread's locale.
        let locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nil)
        let previous = locale.map { uselocale($0) } ?? nil
        defer {
            if let locale {
                uselocale(previous)
                freelocale(locale)
            }
        }
        guard let archive = archive_read_new() else { throw Failure(.limit, "no memory for libarchive") }
        defer { archive_read_free(archive) }
        guard archive_read_support_format_zip_seekable(archive) == ARCHIVE_OK,
            archive_read_open_filename(archive, path, 1 << 16) == ARCHIVE_OK
        else { throw AWSError.badZip }
        var entry: OpaquePointer?
        while true {
            let answer = archive_read_next_header(archive, &entry)
            if answer == ARCHIVE_EOF { return }
            guard answer == ARCHIVE_OK || answer == ARCHIVE_WARN, let entry else { throw AWSError.badZip }
            try unpack(entry, of: archive)
        }
    }

    private mutating func unpack(_ entry: OpaquePointer, of archive: OpaquePointer) throws {
        guard archive_entry_is_encrypted(entry) == 0, archive_entry_hardlink(entry) == nil,
            let name = archive_entry_pathname(entry), let path = ZipPath(bytes(of: name))
        else { throw AWSError.badZip }
        if path.components.isEmpty { return }
        let mode = archive_entry_mode(entry)
        try count(mode & S_IFMT == S_IFDIR ? path.components[...] : path.components.dropLast())
        switch mode & S_IFMT {
        case S_IFDIR:
            try directory(path.components[...])
        case S_IFLNK:
            guard let link = archive_entry_symlink(entry) else { throw AWSError.badZip }
            let target = bytes(of: link)
            guard path.mayLink(to: target) else { throw AWSError.badZip }
            try symbolicLink(path, to: target)
        case S_IFREG, 0:
            // Readable by every cell's user; runnable if it was.
            try file(path, mode: mode & 0o111 != 0 ? 0o755 : 0o644, of: archive)
        default:
            throw AWSError.badZip
        }
    }

    /// Counts the directories that a path needs, whether they are made or only checked. Throws when they are too many.
    private mutating func count(_ path: ArraySlice<[UInt8]>) throws {
        // Entries come sorted as a rule: most have the directory of the one before.
        if path.isEmpty || counted.elementsEqual(path) { return }
        var hasher = Hasher()
        for component in path {
            hasher.combine(component)
            let soFar = hasher
            directories.insert(soFar.finalize())
        }
        counted = path
        guard directories.count <= Limits.zipDirectories else { throw AWSError.badZip }
    }

    private func bytes(of text: UnsafePointer<CChar>) -> [UInt8] {
        (0..<strlen(text)).map { UInt8(bitPattern: text[$0]) }
    }

    /// Makes the directory and those above it.
    private mutating func directory(_ components: ArraySlice<[UInt8]>) throws {
        if root >= 0 { _ = try openDirectory(components) }
    }

    /// The descriptor of a directory below the root, made where it is missing; the last one is kept, because entries
    /// come sorted.
    private mutating func openDirectory(_ components: ArraySlice<[UInt8]>) throws -> CInt {
        if components.isEmpty { return root }
        if let parent, parent.path.elementsEqual(components) { return parent.descriptor }
        var current = root
        for component in components {
            let name = component + [0]
            let next: CInt = try name.withUnsafeBytes { raw in
                guard let text = raw.baseAddress?.assumingMemoryBound(to: CChar.self) else { return -1 }
                if mkdirat(current, text, 0o755) == 0 {
                    // Past the process's umask: every cell's user must be able to enter.
                    _ = fchmodat(current, text, 0o755, 0)
                } else if errno != EEXIST {
                    throw ZipUnpacker.failure("mkdir")
                }
                return openat(current, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            }
            let reason = errno
            if current != root { close(current) }
            if next < 0 {
                // A file or link where the zip now wants a directory.
                if reason == ENOTDIR || reason == ELOOP { throw AWSError.badZip }
                throw ZipUnpacker.failure("open directory", reason)
            }
            current = next
        }
        if let parent { close(parent.descriptor) }
        parent = (Array(components), current)
        return current
    }

    private mutating func symbolicLink(_ path: ZipPath, to target: [UInt8]) throws {
        guard root >= 0, let last = path.components.last else { return }
        let directory = try openDirectory(path.components.dropLast())
        let name = last + [0]
        try withCStrings(target + [0], name) { target, name in
            if symlinkat(target, directory, name) == 0 { return }
            guard errno == EEXIST, unlinkat(directory, name, 0) == 0, symlinkat(target, directory, name) == 0 else {
                throw errno == EISDIR || errno == EPERM ? AWSError.badZip : ZipUnpacker.failure("symlink")
            }
        }
    }

    private mutating func file(_ path: ZipPath, mode: mode_t, of archive: OpaquePointer) throws {
        guard root >= 0, let last = path.components.last else {
            try data(of: archive) { _ in }
            return
        }
        let directory = try openDirectory(path.components.dropLast())
        let name = last + [0]
        let descriptor: CInt = try name.withUnsafeBytes { raw in
            guard let text = raw.baseAddress?.assumingMemoryBound(to: CChar.self) else { return -1 }
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
            let first = openat(directory, text, flags, mode)
            if first >= 0 || errno != EEXIST { return first }
            // Named twice, or in an earlier layer: the later one wins.
            guard unlinkat(directory, text, 0) == 0 else { throw AWSError.badZip }
            return openat(directory, text, flags, mode)
        }
        guard descriptor >= 0 else { throw ZipUnpacker.failure("create file") }
        defer { close(descriptor) }
        try data(of: archive) { bytes in
            var written = 0
            while written < bytes.count {
                let count = write(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
                if count < 0 {
                    if errno == EINTR { continue }
                    throw ZipUnpacker.failure("write")
                }
                written += count
            }
        }
        guard fchmod(descriptor, mode) == 0 else { throw ZipUnpacker.failure("chmod") }
    }

    /// Hands over the entry's data, counting what really comes, whatever the header claimed.
    private mutating func data(
        of archive: OpaquePointer, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var expected: Int64 = 0
        while true {
            var block: UnsafeRawPointer?
            var size = 0
            var offset: la_int64_t = 0
            let answer = archive_read_data_block(archive, &block, &size, &offset)
            if answer == ARCHIVE_EOF { return }
            guard answer == ARCHIVE_OK, Int64(offset) == expected else { throw AWSError.badZip }
            remaining -= Int64(size)
            if remaining <= 0 { throw AWSError.unzippedTooLarge }
            expected += Int64(size)
            try body(UnsafeRawBufferPointer(start: block, count: size))
        }
    }

    private func withCStrings(
        _ first: [UInt8], _ second: [UInt8], _ body: (UnsafePointer<CChar>, UnsafePointer<CChar>) throws -> Void
    ) throws {
        try first.withUnsafeBytes { a in
            try second.withUnsafeBytes { b in
                guard let a = a.baseAddress?.assumingMemoryBound(to: CChar.self),
                    let b = b.baseAddress?.assumingMemoryBound(to: CChar.self)
                else { return }
                try body(a, b)
            }
        }
    }

    private static func failure(_ step: String, _ reason: CInt = errno) -> Failure {
        let full = reason == ENOSPC || reason == EDQUOT || reason == EROFS
        return Failure(
            full ? .diskFull : .storage, "unpacking a code package, \(step): \(String(cString: strerror(reason)))")
    }
}
