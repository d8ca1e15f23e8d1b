import Crypto
import Glibc
public import NIOCore
import Platform
import Synchronization

/// Writes one blob. Not for concurrent use.
///
/// Pieces are gathered to 256 KiB before a thread of the blob pool hashes and writes them, while the next ones arrive; up
/// to 1 MiB is kept in memory before `append` waits. A small blob is hashed, written and synced in one go by `finish`.
public final class BlobWriter: Sendable {
    private let blobs: Blobs
    private let machine = Mutex(BlobWriterMachine())
    /// Touched only by the one job that runs at a time, and by `deinit`.
    private let file: Mutex<StagingFile>

    init(blobs: Blobs) {
        self.blobs = blobs
        file = Mutex(StagingFile(path: blobs.layout.temporaryPath()))
    }

    deinit { file.withLock { $0.discard() } }

    /// Appends; file work happens off the event loops. Throws `Failure(.diskFull)` and the like, also for what an earlier
    /// append could not write.
    public func append(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        switch machine.withLock({ $0.append(bytes) }) {
        case .proceed: return
        case .fail(let error): throw error
        case .write(let pieces): try start(pieces)
        case .wait:
            try await withCheckedThrowingContinuation { continuation in
                if let result = machine.withLock({ $0.wait(continuation) }) { continuation.resume(with: result) }
            }
        }
    }

    /// Gives the file its name; it is on disk then, or, when small, with the transaction that retains it. After it, `retain` within a few minutes, or a sweep
    /// removes the unreferenced file. Throws `Failure`; then the blob is discarded.
    public func finish() async throws -> (id: BlobID, size: Int64) {
        if machine.withLock({ $0.isWriting }) {
            // What is being written first; its outcome is kept by the machine.
            try? await withCheckedThrowingContinuation { continuation in
                if let result = machine.withLock({ $0.waitForIdle(continuation) }) { continuation.resume(with: result) }
            }
        }
        switch machine.withLock({ $0.finish() }) {
        case .fail(let error):
            discard()
            throw error
        case .write(let pieces):
            do {
                return try await blobs.pool.run { [self] in
                    try file.withLock { file in
                        if file.isUntouched, blobs.journal.admits(pieces.reduce(0) { $0 + $1.readableBytes }) {
                            return try file.finish(blobs, journalling: pieces)
                        }
                        try file.write(pieces, isSynced: blobs.isSynced)
                        return try file.finish(blobs)
                    }
                }
            } catch {
                discard()
                throw error
            }
        }
    }

    /// Gives up; the file goes when the job that is writing to it, if any, is done.
    public func discard() {
        let waiter = machine.withLock { $0.discard() }
        waiter?.resume(throwing: Failure(.unavailable, "The blob was discarded."))
        try? blobs.pool.submit { [self] _ in file.withLock { $0.discard() } }
    }

    private func start(_ pieces: [ByteBuffer]) throws {
        do {
            try blobs.pool.submit { [self] _ in write(pieces) }
        } catch {
            _ = machine.withLock { $0.written(.failure(error)) }
            throw error
        }
    }

    private func write(_ pieces: [ByteBuffer]) {
        var pieces = pieces
        while true {
            let result = Result { try file.withLock { try $0.write(pieces, isSynced: blobs.isSynced) } }
            let next = machine.withLock { $0.written(result) }
            next.waiter?.resume(with: next.answer)
            guard let more = next.pieces else { return }
            pieces = more
        }
    }
}

/// When gathered pieces go to a thread, and when the caller must wait.
struct BlobWriterMachine {
    private enum State {
        case open
        case failed(any Error)
        /// `finish` or `discard` was called.
        case ended
    }
    private var state = State.open
    private var pending: [ByteBuffer] = []
    private var pendingBytes = 0
    private(set) var isWriting = false
    private var waiter: CheckedContinuation<Void, any Error>?
    private var waitsForIdle = false

    enum AppendAction {
        case proceed
        /// Starts a job with these; it reports through `written`.
        case write([ByteBuffer])
        /// Too much is pending: `wait` before the next append.
        case wait
        case fail(any Error)
    }

    mutating func append(_ bytes: ByteBuffer) -> AppendAction {
        switch state {
        case .failed(let error): return .fail(error)
        case .ended: return .fail(Failure(.bug, "The blob's writer has been finished or discarded."))
        case .open: break
        }
        pending.append(bytes)
        pendingBytes += bytes.readableBytes
        if !isWriting, pendingBytes >= StorageLimits.blobBatchBytes {
            isWriting = true
            return .write(take())
        }
        return isWriting && pendingBytes >= StorageLimits.blobBufferedBytes ? .wait : .proceed
    }

    /// Leaves the continuation here until there is room; a result means that it need not wait.
    mutating func wait(_ continuation: CheckedContinuation<Void, any Error>) -> Result<Void, any Error>? {
        if case .failed(let error) = state { return .failure(error) }
        guard isWriting, pendingBytes >= StorageLimits.blobBufferedBytes else { return .success(()) }
        waiter = continuation
        waitsForIdle = false
        return nil
    }

    mutating func waitForIdle(_ continuation: CheckedContinuation<Void, any Error>) -> Result<Void, any Error>? {
        guard isWriting else { return .success(()) }
        waiter = continuation
        waitsForIdle = true
        return nil
    }

    /// A job has written its pieces: who can go on, with which answer, and what to write next.
    mutating func written(_ result: Result<Void, any Error>) -> (
        waiter: CheckedContinuation<Void, any Error>?, answer: Result<Void, any Error>, pieces: [ByteBuffer]?
    ) {
        if case .failure(let error) = result, case .open = state { state = .failed(error) }
        var next: [ByteBuffer]?
        if case .open = state, pendingBytes >= StorageLimits.blobBatchBytes {
            next = take()
        } else {
            isWriting = false
        }
        guard !(waitsForIdle && isWriting) else { return (nil, result, next) }
        defer { waiter = nil }
        return (waiter, result, next)
    }

    enum FinishAction {
        case write([ByteBuffer])
        case fail(any Error)
    }

    mutating func finish() -> FinishAction {
        switch state {
        case .failed(let error): return .fail(error)
        case .ended: return .fail(Failure(.bug, "The blob's writer has been finished or discarded."))
        case .open:
            state = .ended
            return .write(take())
        }
    }

    mutating func discard() -> CheckedContinuation<Void, any Error>? {
        state = .ended
        _ = take()
        defer { waiter = nil }
        return waiter
    }

    private mutating func take() -> [ByteBuffer] {
        defer {
            pending = []
            pendingBytes = 0
        }
        return pending
    }
}

/// The file of a blob that is being written; made with the first bytes.
struct StagingFile: Sendable {
    let path: String
    private var descriptor: CInt = -1
    private var size: Int64 = 0
    /// Up to here the kernel was told to start writing.
    private var flushed: Int64 = 0
    private var hash = SHA256()
    private var isDone = false

    init(path: String) { self.path = path }

    mutating func write(_ pieces: [ByteBuffer], isSynced: Bool) throws {
        guard !isDone else { throw Failure(.unavailable, "The blob was discarded.") }
        if descriptor < 0 { descriptor = try Files.open(path, O_WRONLY | O_CREAT | O_EXCL, stage: "create") }
        for piece in pieces {
            try piece.withUnsafeReadableBytes { bytes in
                try Files.writeAll(bytes, to: descriptor, at: size, path: path)
                hash.update(bufferPointer: bytes)
                size += Int64(bytes.count)
            }
        }
        if isSynced, size - flushed >= StorageLimits.blobWritebackBytes {
            // Starts writing dirty pages (and drops only clean ones). A hint: what fails shows in fdatasync.
            _ = posix_fadvise(descriptor, off_t(flushed), off_t(size - flushed), POSIX_FADV_DONTNEED)
            flushed = size
        }
    }

    /// Nothing is written.
    var isUntouched: Bool { descriptor < 0 && !isDone }

    /// A small blob, whose bytes go with the transaction that retains it, and whose file goes to the disk later.
    mutating func finish(_ blobs: Blobs, journalling pieces: [ByteBuffer]) throws -> (id: BlobID, size: Int64) {
        let bytes = pieces.flatMap(\.readableBytesView)
        let id = BlobID(SHA256.hash(data: bytes))
        try blobs.syncDirectories()
        try blobs.layout.makeFolder(of: id, isSynced: true)
        blobs.willFinish(id, now: monotonicNanoseconds())
        let isNew = try blobs.layout.restore(id, bytes)
        blobs.journal.add(id, bytes, isNew: isNew)
        isDone = true
        return (id, Int64(bytes.count))
    }

    mutating func finish(_ blobs: Blobs) throws -> (id: BlobID, size: Int64) {
        if isSynced(blobs), Files.retrying({ fdatasync(descriptor) }) != 0 { throw Files.failure("sync", path, errno) }
        let id = BlobID(hash.finalize())
        let target = blobs.layout.path(of: id)
        try blobs.syncDirectories()
        try blobs.layout.makeFolder(of: id, isSynced: blobs.isSynced)
        blobs.willFinish(id, now: monotonicNanoseconds())
        guard rename(path, target) == 0 else { throw Files.failure("rename", path, errno) }
        close(descriptor)
        descriptor = -1
        isDone = true
        if isSynced(blobs) { try Files.syncDirectory(blobs.layout.folder(of: id)) }
        return (id, size)
    }

    private func isSynced(_ blobs: Blobs) -> Bool { blobs.isSynced }

    mutating func discard() {
        guard !isDone else { return }
        isDone = true
        if descriptor >= 0 {
            close(descriptor)
            unlink(path)
        }
        descriptor = -1
    }
}
