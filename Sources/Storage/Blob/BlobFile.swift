import Crypto
import Glibc
import Platform

/// Where the files are.
struct BlobLayout: Sendable {
    let directory: String
    private let objects: String
    private let temporary: String

    init(directory: String) {
        self.directory = directory
        objects = directory + "/objects"
        temporary = directory + "/tmp"
    }

    /// The first two hex digits of the names in each.
    static let folders = (0..<256).map { hexEncoded([UInt8($0)]) }

    func folder(of id: BlobID) -> String { objects + "/" + id.hex.prefix(2) }
    func path(of id: BlobID) -> String { folder(of: id) + "/" + id.hex }
    func temporaryPath() -> String { temporary + "/" + Identifier.hex(32) }

    /// Makes the directories and empties `tmp`. Folders are made when first written to.
    func prepare() throws {
        try Files.makeDirectories(objects)
        try Files.makeDirectories(temporary)
        try Files.forEachName(in: temporary) { unlink(temporary + "/" + $0) }
    }

    /// Makes the directories durable, with the folders that there are.
    func sync() throws {
        try Files.syncDirectory(objects)
        try Files.syncDirectory(directory)
    }

    /// Makes the folder durable when it is new.
    func makeFolder(of id: BlobID, isSynced: Bool) throws {
        let path = folder(of: id)
        if mkdir(path, 0o700) == 0 {
            if isSynced { try Files.syncDirectory(objects) }
        } else if errno != EEXIST {
            throw Files.failure("create the directory", path, errno)
        }
    }

    /// Writes the file, without any sync, unless it is there with these bytes: one that others refer to is never replaced by
    /// one that a power cut may leave empty.
    /// Answers whether it wrote.
    func restore(_ id: BlobID, _ bytes: [UInt8]) throws -> Bool {
        if BlobFile.holds(bytes, path: path(of: id)) { return false }
        try write(id, bytes)
        return true
    }

    /// Writes the file, without any sync, in place of one that is there.
    func write(_ id: BlobID, _ bytes: [UInt8]) throws {
        let target = path(of: id)
        let path = temporaryPath()
        let descriptor = try Files.open(path, O_WRONLY | O_CREAT | O_EXCL, stage: "create")
        do {
            defer { close(descriptor) }
            try bytes.withUnsafeBytes { try Files.writeAll($0, to: descriptor, at: 0, path: path) }
            guard rename(path, target) == 0 else { throw Files.failure("rename", path, errno) }
        } catch {
            unlink(path)
            throw error
        }
    }

    /// Blobs in a folder whose file is older than that.
    func blobs(in folder: String, before: Instant) throws -> [BlobID] {
        let path = objects + "/" + folder
        guard Files.status(path) != nil else { return [] }
        var old: [BlobID] = []
        try Files.forEachName(in: path) { name in
            guard let id = BlobID(hex: name), let status = Files.status(path + "/" + name) else { return }
            if status.modified < before { old.append(id) }
        }
        return old
    }
}

/// Reading of finished files.
enum BlobFile {
    static func read(_ id: BlobID, path: String, offset: Int64, length: Int) throws -> [UInt8] {
        let (descriptor, size) = try open(id, path)
        defer { close(descriptor) }
        let count = Int(min(Int64(length), max(size - offset, 0)))
        let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            filled = try Files.readFully(raw, from: descriptor, at: offset, path: path)
        }
        guard bytes.count == count else { throw damaged(id, "is shorter than its file system says") }
        if offset == 0, Int64(count) == size, BlobID(SHA256.hash(data: bytes)) != id {
            throw damaged(id, "does not have the bytes that were written")
        }
        return bytes
    }

    static func verify(_ id: BlobID, path: String) throws {
        let (descriptor, _) = try open(id, path)
        defer { close(descriptor) }
        var hash = SHA256()
        var offset: Int64 = 0
        let block = UnsafeMutableRawBufferPointer.allocate(
            byteCount: StorageLimits.blobVerifyBlockBytes, alignment: 4096)
        defer { block.deallocate() }
        while true {
            let count = try Files.readFully(block, from: descriptor, at: offset, path: path)
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: block[..<count]))
            offset += Int64(count)
            if count < block.count { break }
        }
        if BlobID(hash.finalize()) != id { throw damaged(id, "does not have the bytes that were written") }
    }

    /// Whether there is a file with exactly these bytes; false also for one that cannot be read.
    static func holds(_ bytes: [UInt8], path: String) -> Bool {
        guard let size = Files.status(path)?.size, size == Int64(bytes.count),
            let descriptor = try? Files.open(path, O_RDONLY)
        else { return false }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: max(bytes.count, 1), alignment: 16) { buffer in
            guard let count = try? Files.readFully(buffer, from: descriptor, at: 0, path: path) else { return false }
            return bytes.elementsEqual(buffer.prefix(count))
        }
    }

    private static func open(_ id: BlobID, _ path: String) throws -> (descriptor: CInt, size: Int64) {
        let descriptor = Files.retrying { Glibc.open(path, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else {
            throw errno == ENOENT ? damaged(id, "is missing") : Files.failure("open", path, errno)
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let code = errno
            close(descriptor)
            throw Files.failure("look at", path, code)
        }
        return (descriptor, Int64(status.st_size))
    }

    private static func damaged(_ id: BlobID, _ what: String) -> Failure {
        Failure(.corrupt, "The blob \(id) \(what). Restore it from a backup, or write the object anew.")
    }
}
