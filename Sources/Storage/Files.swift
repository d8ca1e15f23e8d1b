import Glibc
import Platform

/// The text of an errno value.
func errorText(_ code: CInt) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    return buffer.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress, strerror_r(code, base, buffer.count) == 0 else { return "error \(code)" }
        return String(cString: base)
    }
}

/// Plain POSIX file calls, each failing with the stage, the path and the cause.
enum Files {
    /// A failed call as a `Failure`: what a full, read-only or failing disk says becomes `.diskFull`.
    static func failure(_ stage: String, _ path: String, _ code: CInt) -> Failure {
        let diskCodes: [CInt] = [ENOSPC, EDQUOT, EIO, EROFS, EFBIG]
        return Failure(
            diskCodes.contains(code) ? .diskFull : .storage, "Cannot \(stage) \(path): \(errorText(code)).")
    }

    /// Repeats a call that a signal interrupted.
    static func retrying<R: BinaryInteger>(_ call: () -> R) -> R {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }

    static func open(_ path: String, _ flags: CInt, mode: mode_t = 0o600, stage: String = "open") throws -> CInt {
        let descriptor = retrying { Glibc.open(path, flags | O_CLOEXEC, mode) }
        guard descriptor >= 0 else { throw failure(stage, path, errno) }
        return descriptor
    }

    /// Creates the directory and its parents where missing.
    static func makeDirectories(_ path: String) throws {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw failure("create the directory", path, errno)
        }
        try makeDirectories(String(path[..<slash]))
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw failure("create the directory", path, errno) }
    }

    /// Makes the directory's entries durable.
    static func syncDirectory(_ path: String) throws {
        let descriptor = try open(path, O_RDONLY | O_DIRECTORY, stage: "open the directory")
        defer { close(descriptor) }
        if retrying({ fsync(descriptor) }) != 0 { throw failure("sync the directory", path, errno) }
    }

    /// Brings the file to the disk, if it is there.
    static func syncFile(_ path: String) throws {
        let descriptor = retrying { Glibc.open(path, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else {
            if errno == ENOENT { return }
            throw failure("open", path, errno)
        }
        defer { close(descriptor) }
        if retrying({ fdatasync(descriptor) }) != 0 { throw failure("sync", path, errno) }
    }

    /// syncfs(2), which the module of the C library does not show.
    private static let syncfs: (@convention(c) (CInt) -> CInt)? = dlsym(nil, "syncfs").map {
        unsafeBitCast($0, to: (@convention(c) (CInt) -> CInt).self)
    }

    /// Before Linux 5.8 it says nothing of bytes that could not be written.
    static let syncfsTellsFailures: Bool = {
        var name = utsname()
        guard syncfs != nil, uname(&name) == 0 else { return false }
        return withUnsafeBytes(of: name.release) { bytes in
            syncfsTellsFailures(kernel: String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
        }
    }()

    /// Of a kernel's release (uname -r), for instance `6.1.0-18-amd64`.
    static func syncfsTellsFailures(kernel release: String) -> Bool {
        let numbers = release.split(separator: ".", maxSplits: 2).prefix(2).map { part in
            Int(part.prefix { ("0"..."9").contains($0) }) ?? 0
        }
        guard numbers.count == 2 else { return false }
        return (numbers[0], numbers[1]) >= (5, 8)
    }

    static func openDirectory(_ path: String) throws -> CInt {
        try open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, stage: "open the directory")
    }

    /// Brings everything that was written in the open directory's file system to the disk.
    static func syncFileSystem(of descriptor: CInt, path: String) throws {
        guard let syncfs else { throw failure("sync the file system of", path, ENOSYS) }
        if retrying({ syncfs(descriptor) }) != 0 { throw failure("sync the file system of", path, errno) }
    }

    /// Writes all bytes at the offset.
    static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: Int64, path: String) throws {
        var rest = bytes
        var offset = offset
        while let base = rest.baseAddress, !rest.isEmpty {
            let count = retrying { pwrite(descriptor, base, rest.count, off_t(offset)) }
            guard count > 0 else { throw failure("write to", path, count == 0 ? ENOSPC : errno) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            offset += Int64(count)
        }
    }

    /// Fills the buffer from the offset; fewer bytes only at the end of the file.
    static func readFully(
        _ buffer: UnsafeMutableRawBufferPointer, from descriptor: CInt, at offset: Int64, path: String
    ) throws -> Int {
        var done = 0
        while done < buffer.count, let base = buffer.baseAddress {
            let count = retrying {
                pread(descriptor, base + done, buffer.count - done, off_t(offset + Int64(done)))
            }
            if count < 0 { throw failure("read", path, errno) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Size in bytes and modification time; nil when there is no such file.
    static func status(_ path: String) -> (size: Int64, modified: Instant)? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        let modified = Instant(milliseconds: Int64(status.st_mtim.tv_sec) &* 1000)
        return (Int64(status.st_size), modified)
    }

    /// The names in a directory, handed over one by one. Throws `Failure` when it cannot be read, and what `body` throws.
    static func forEachName(in path: String, _ body: (String) throws -> Void) throws {
        let error = try Directory.forEachName(in: path, body)
        if error != 0 { throw failure("list", path, error) }
    }
}
