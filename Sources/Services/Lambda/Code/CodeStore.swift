import Crypto
import Dispatch
import Glibc
import Logging
import Platform
import Storage
import Synchronization

/// Unpacked code and layers: directories named by content, made from blobs, mounted read-only into cells. A cache: what
/// is lost here is unpacked again.
///
/// A directory exists complete or not at all: it is made under `tmp`, then renamed. That holds when the process is
/// killed. When the machine goes down, files that were never synced may be torn: so the store remembers the boot it was
/// filled in, and starts empty in another one, instead of syncing thousands of small files with every deployment.
///
/// Users `pin` names while they are about to refer to them, so that a sweep between looking and committing takes nothing
/// away.
final class CodeStore: Sendable {
    /// One directory: a function's code, or a list of layers merged in order.
    struct Package: Sendable, Hashable {
        /// The directory's name: the hash of its content.
        var name: String
        /// Paths of the zips to unpack, in order; later files win.
        var archives: [String]
    }

    private struct State {
        var pins: [String: Int] = [:]
        /// When (by `clock`) a name was last unpinned.
        var touched: [String: UInt64] = [:]
        var clock: UInt64 = 0
        /// Which queue is next, modulo their number.
        var turn = 0
    }

    private let root: String
    private let state = Mutex(State())
    /// Unpacking is bound by the disk: two at a time, so that a large package does not hold up the small ones.
    private let queues = [
        DispatchQueue(label: "martlet.lambda.code.0"), DispatchQueue(label: "martlet.lambda.code.1"),
    ]
    private let logger: Logger

    /// Opens the store below `directory`, removing what a crash left half-made.
    init(directory: String, logger: Logger) throws {
        root = directory
        self.logger = logger
        for path in [directory, directory + "/code", directory + "/tmp"] {
            guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
                throw Failure(.storage, "cannot create \(path): \(String(cString: strerror(errno)))")
            }
            // Cells' users must be able to pass through.
            _ = chmod(path, 0o755)
        }
        for name in Directory.names(in: directory + "/tmp") { Directory.removeTree(directory + "/tmp/" + name) }
        let boot = CodeStore.bootID()
        if boot == nil || boot != CodeStore.text(of: directory + "/boot") {
            for name in Directory.names(in: directory + "/code") { Directory.removeTree(directory + "/code/" + name) }
            if let boot { try CodeStore.write(boot, to: directory + "/boot") }
        }
    }

    /// The kernel's name of this boot; nil where it has none.
    private static func bootID() -> String? { text(of: "/proc/sys/kernel/random/boot_id") }

    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return String(validating: bytes.prefix(count), as: UTF8.self)
    }

    private static func write(_ text: String, to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw Failure(.storage, "cannot create \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw Failure(.storage, "cannot write \(path): \(String(cString: strerror(errno)))")
        }
    }

    func path(_ name: String) -> String { root + "/code/" + name }

    /// Keeps these directories from being swept until `unpin`.
    func pin(_ names: [String]) {
        state.withLock { state in for name in names { state.pins[name, default: 0] += 1 } }
    }

    func unpin(_ names: [String]) {
        state.withLock { state in
            for name in names {
                state.clock += 1
                state.touched[name] = state.clock
                if let count = state.pins[name], count > 1 {
                    state.pins[name] = count - 1
                } else {
                    state.pins[name] = nil
                }
            }
        }
    }

    /// Makes the directory if it is not there. Pin it before. Throws `AWSError` for a bad zip, `Failure` for the disk.
    func prepare(_ package: Package) async throws {
        let destination = path(package.name)
        if access(destination, F_OK) == 0 { return }
        let staging = "\(root)/tmp/\(Identifier.hex(24))"
        try await blocking {
            try CodeStore.unpack(package.archives, into: staging, then: destination)
        }
    }

    /// What the zip's directory says. Throws `AWSError` when it is no zip or too much.
    func scan(archive: String) async throws -> ZipDirectory {
        try await blocking { try ZipDirectory.scan(path: archive) }
    }

    /// Reads a zip through without unpacking it. Throws `AWSError` when it is bad.
    func check(archive: String) async throws {
        try await blocking {
            var unpacker = ZipUnpacker(checkingWithBudget: Limits.unzippedBytes)
            try unpacker.unpack(archive)
        }
    }

    /// To be taken before the database is asked what is used.
    func sweepMark() -> UInt64 { state.withLock { $0.clock } }

    /// Names of all directories there are.
    func directories() -> Set<String> { Set(Directory.names(in: root + "/code")) }

    /// Removes directories, but for those that are pinned or were pinned after `mark`: whoever pinned them may have come
    /// to use them since the database was asked.
    func sweep(_ names: Set<String>, mark: UInt64) async throws {
        try await blocking { [self] in
            for name in names {
                let trash = "\(root)/tmp/\(Identifier.hex(24))"
                let moved = state.withLock { state in
                    guard state.pins[name] == nil, (state.touched[name] ?? 0) <= mark else { return false }
                    state.touched[name] = nil
                    return rename(path(name), trash) == 0
                }
                if moved { Directory.removeTree(trash) }
            }
        }
    }

    /// The name of a merged directory of layers, by the hashes of their zips in order.
    static func layersName(_ hashes: [String]) -> String? {
        if hashes.isEmpty { return nil }
        return "layers-" + hexEncoded(SHA256.hash(data: Array(hashes.joined(separator: ",").utf8)))
    }

    private static func unpack(_ archives: [String], into staging: String, then destination: String) throws {
        guard mkdir(staging, 0o755) == 0, chmod(staging, 0o755) == 0 else {
            throw Failure(.storage, "cannot create \(staging): \(String(cString: strerror(errno)))")
        }
        do {
            var unpacker = try ZipUnpacker(directory: staging, budget: Limits.unzippedBytes)
            for archive in archives { try unpacker.unpack(archive) }
        } catch {
            Directory.removeTree(staging)
            throw error
        }
        if rename(staging, destination) == 0 { return }
        let reason = errno
        Directory.removeTree(staging)
        // Somebody else was faster with the same content.
        if access(destination, F_OK) != 0 {
            throw Failure(.storage, "cannot rename to \(destination): \(String(cString: strerror(reason)))")
        }
    }

    private func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        let turn = state.withLock { state in
            state.turn = (state.turn + 1) % 1_000
            return state.turn
        }
        return try await withCheckedThrowingContinuation { continuation in
            queues[turn % queues.count].async { continuation.resume(with: Result { try body() }) }
        }
    }
}
