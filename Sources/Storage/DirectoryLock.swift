import Glibc
import Platform
import Synchronization

/// Keeps a second server away from the same data directory: an flock on `martlet.lock`, which the kernel drops when the
/// process ends, however it ends. The file holds the owner's process id, for the error message.
final class DirectoryLock: Sendable {
    private let descriptor: CInt
    private let isReleased = Atomic(false)

    /// How often it is asked for again: a second in all. A server that was killed while it started a process has the lock until
    /// that process is what it is to be (between fork and execve descriptors are shared).
    static let attempts = 200
    private static let pauseMicroseconds: UInt32 = 5_000

    /// Throws `Failure(.unavailable)` that names the process which holds it.
    init(directory: String, pause: () -> Void = { usleep(DirectoryLock.pauseMicroseconds) }) throws {
        let path = directory + "/martlet.lock"
        let descriptor = try Files.open(path, O_RDWR | O_CREAT)
        var code: CInt = 0
        for attempt in 0..<Self.attempts {
            if attempt > 0 { pause() }
            code = Files.retrying({ flock(descriptor, LOCK_EX | LOCK_NB) }) == 0 ? 0 : errno
            if code != EWOULDBLOCK { break }
        }
        guard code == 0 else {
            var bytes = [UInt8](repeating: 0, count: 32)
            let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
            close(descriptor)
            guard code == EWOULDBLOCK else { throw Files.failure("lock", path, code) }
            let digits = bytes.prefix(max(count, 0)).prefix { (48...57).contains($0) }
            let owner = digits.isEmpty ? "another process" : "process \(String(decoding: digits, as: UTF8.self))"
            throw Failure(
                .unavailable,
                "The data directory \(directory) is in use by \(owner). Stop that server, or give this one another "
                    + "directory with --data-dir.")
        }
        self.descriptor = descriptor
        // Only information for the message above: failing to write it must not keep the server from starting.
        if ftruncate(descriptor, 0) == 0 {
            let text = Array("\(getpid())\n".utf8)
            _ = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        }
    }

    /// Lets another process have the directory. Once.
    func release() {
        if isReleased.exchange(true, ordering: .relaxed) == false { close(descriptor) }
    }

    deinit { release() }
}
