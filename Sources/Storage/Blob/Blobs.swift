import Crypto
import Dispatch
import Glibc
public import Logging
import NIOCore
public import Platform
import Synchronization

/// Content address: the lower-case hex SHA-256 of the bytes.
public struct BlobID: Sendable, Hashable, CustomStringConvertible {
    public let hex: String
    /// Nil unless 64 lower-case hex digits.
    public init?(hex: String) {
        guard hex.utf8.count == 64, hex.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else {
            return nil
        }
        self.hex = hex
    }
    init(_ digest: SHA256.Digest) { hex = hexEncoded(digest) }
    public var description: String { hex }
}

/// Files named by their content, written once, whole and durable before anything refers to them, counted by references in the
/// database, removed when none is left.
///
/// Small ones are synced a moment later than they are referred to; until then the database has their bytes (`BlobJournal`).
///
/// Layout: `objects/ab/abcd…` (whole) and `tmp/…` (being written, or on its way out; emptied at start).
public final class Blobs: Sendable {
    let layout: BlobLayout
    let pool: WorkerPool<Void>
    let isSynced: Bool
    let journal: BlobJournal
    private let database: any Database
    private let removalDelay: Duration
    private let logger: Logger
    private let ledger: Mutex<BlobLedger>
    private let hasSyncedDirectories = Mutex(false)

    /// Opens (and creates) the store in a directory; removes what a crash left half-written.
    /// - Parameter removalDelay: between the last reference's end and the file's: a reader that has just found the
    ///   reference in its snapshot still gets to `hold`.
    /// - Parameter syncInterval: between two syncs of the files of small blobs, whose bytes the database has until then.
    /// Throws `Failure`.
    public init(
        directory: String, database: any Database, durability: Durability = .full,
        removalDelay: Duration = .seconds(2), syncInterval: Duration = .seconds(1),
        logger: Logger = Logger(label: "martlet.blobs")
    ) throws {
        layout = BlobLayout(directory: directory)
        self.database = database
        self.removalDelay = removalDelay
        ledger = Mutex(BlobLedger(removalDelay: UInt64(max(removalDelay, .zero).clampedNanoseconds)))
        self.logger = logger
        isSynced = durability == .full
        pool = WorkerPool(
            name: "martlet-blob", threads: StorageLimits.blobThreads, jobs: StorageLimits.waitingBlobJobs
        ) {}
        journal = BlobJournal(
            layout: layout, database: database, pool: pool, isUsed: isSynced, interval: syncInterval,
            logger: logger)
        try layout.prepare()
    }

    /// Before the first blob that this process writes, not at its start, which should not wait for a disk: whoever made the
    /// directories may have been killed before they were on it.
    func syncDirectories() throws {
        guard isSynced else { return }
        try hasSyncedDirectories.withLock { hasSynced in
            guard !hasSynced else { return }
            try layout.sync()
            hasSynced = true
        }
    }

    // Does not wait: the last reference may go away on a thread of the pool.
    deinit { pool.shutDown() }

    /// Lets queued work finish and waits for it. Later calls throw `Failure(.unavailable)`.
    public func close() { pool.close() }

    /// `refs` is 0 only between the release of the last reference and the file's removal.
    public static var migrations: Migrations {
        Migrations(
            service: "blobs",
            steps: [
                """
                CREATE TABLE blobs_blobs (
                    id TEXT NOT NULL PRIMARY KEY, size INTEGER NOT NULL, refs INTEGER NOT NULL
                ) WITHOUT ROWID;
                CREATE INDEX blobs_blobs_unreferenced ON blobs_blobs (id) WHERE refs = 0;
                """, BlobJournal.table,
            ])
    }

    /// Starts writing; nothing is visible until `finish`, and `discard` (or losing the writer) removes it.
    public func stage() throws -> BlobWriter { BlobWriter(blobs: self) }

    /// Makes the blob's reference count one more, in the transaction that stores the reference. The blob must be staged
    /// (finished) or referenced already; otherwise `Failure(.bug)`.
    public func retain(_ id: BlobID, size: Int64, in transaction: any WriteTransaction) throws {
        let changed = try transaction.execute("UPDATE blobs_blobs SET refs = refs + 1 WHERE id = ?", [.text(id.hex)])
        if changed == 0 {
            guard ledger.withLock({ $0.isStaged(id) }) else {
                throw Failure(.bug, "The blob \(id) is neither staged nor referenced.")
            }
            try transaction.execute(
                "INSERT INTO blobs_blobs (id, size, refs) VALUES (?, ?, 1)", [.text(id.hex), .int(size)])
        }
        try journal.record(id, in: transaction)
        transaction.afterCommit { [self] in ledger.withLock { $0.retained(id) } }
    }

    /// Makes anew what a power cut may have taken of small blobs. To be called before the first read. Throws `Failure`.
    public func recover() async throws {
        try await journal.recover { [layout] id, bytes in
            try layout.makeFolder(of: id, isSynced: true)
            try layout.write(id, bytes)
        }
    }

    /// One reference less; the file goes after commit, when the last is gone and no reader has it open.
    public func release(_ id: BlobID, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE blobs_blobs SET refs = refs - 1 WHERE id = ? AND refs > 0", [.text(id.hex)])
        let refs = try transaction.first("SELECT refs FROM blobs_blobs WHERE id = ?", [.text(id.hex)]) { $0.int(0) }
        guard refs == 0 else { return }
        transaction.afterCommit { [self] in
            if ledger.withLock({ $0.becameUnreferenced(id, now: monotonicNanoseconds()) }) { removeUnreferencedSoon() }
        }
    }

    /// Takes back a finished blob that is not going to be retained, e.g. because the transaction that was to do so failed.
    /// Without this call the sweep removes it later.
    public func abandon(_ id: BlobID) {
        let mayStart = ledger.withLock { ledger in
            ledger.abandoned(id)
            return ledger.becameUnreferenced(id, now: monotonicNanoseconds())
        }
        if mayStart { removeUnreferencedSoon() }
    }

    /// Takes part in a finished blob as if its bytes had just been written here: until `retain` or `abandon` it stays,
    /// whatever becomes of the references that it has now. False when it is gone.
    public func share(_ id: BlobID) -> Bool {
        ledger.withLock { $0.staged(id, now: monotonicNanoseconds()) }
        if access(layout.path(of: id), F_OK) == 0 { return true }
        ledger.withLock { $0.abandoned(id) }
        return false
    }

    /// The file's path, to be sent or mapped; `hold` keeps it from removal until `release` of the answer. Take it inside
    /// the transaction, or right after, that found the reference. Its bytes are not verified: see `verify`.
    public func hold(_ id: BlobID) -> BlobHold {
        ledger.withLock { $0.hold(id) }
        let once = OnceFlag()
        return BlobHold(path: layout.path(of: id)) { [self] in
            guard once.set() else { return }
            if ledger.withLock({ $0.released(id, now: monotonicNanoseconds()) }) { removeUnreferencedSoon() }
        }
    }

    /// Reads a part into memory (at most 64 MiB), in a thread of the blob pool; fewer bytes only at the blob's end. Bytes
    /// read whole are verified. Throws `Failure(.corrupt)` when they are not what was written, or the file is gone.
    public func read(_ id: BlobID, offset: Int64, length: Int) async throws -> [UInt8] {
        guard offset >= 0, length >= 0, length <= StorageLimits.blobReadBytes else {
            throw Failure(.limit, "A read of \(length) bytes at \(offset) is out of bounds.")
        }
        let path = layout.path(of: id)
        return try await pool.run { try BlobFile.read(id, path: path, offset: offset, length: length) }
    }

    /// Compares the whole file with its name. Throws `Failure(.corrupt)`.
    public func verify(_ id: BlobID) async throws {
        let path = layout.path(of: id)
        try await pool.run { try BlobFile.verify(id, path: path) }
    }

    /// Writes bytes that are in memory.
    public func store(_ bytes: [UInt8]) async throws -> (id: BlobID, size: Int64) {
        let writer = try stage()
        // Piece by piece, so that a package of 50 MB is not in memory twice.
        for start in stride(from: 0, to: bytes.count, by: StorageLimits.blobBatchBytes) {
            let end = min(start + StorageLimits.blobBatchBytes, bytes.count)
            try await writer.append(ByteBuffer(bytes: bytes[start..<end]))
        }
        return try await writer.finish()
    }

    // MARK: Removal

    /// Called before the file gets its name.
    func willFinish(_ id: BlobID, now: UInt64) { ledger.withLock { $0.staged(id, now: now) } }

    private func removeUnreferencedSoon() {
        guard removalDelay > .zero else { return removeUnreferenced() }
        let delay = DispatchTimeInterval.nanoseconds(Int(removalDelay.clampedNanoseconds))
        DispatchQueue.global().asyncAfter(deadline: .now() + delay) { [weak self] in self?.removeUnreferenced() }
    }

    /// Deletes rows without references, then their files. Database first: a crash in between leaves a file that the
    /// sweep finds, never a row without its file.
    private func removeUnreferenced() {
        let (ids, again) = ledger.withLock {
            $0.takeUnreferenced(limit: StorageLimits.removalsPerTransaction, now: monotonicNanoseconds())
        }
        if again { removeUnreferencedSoon() }
        guard !ids.isEmpty else { return }
        database.write { transaction in
            try ids.filter { id in
                let refs = try transaction.first("SELECT refs FROM blobs_blobs WHERE id = ?", [.text(id.hex)]) {
                    $0.int(0)
                }
                guard let refs else { return true }
                guard refs == 0 else { return false }
                try transaction.execute("DELETE FROM blobs_blobs WHERE id = ? AND refs = 0", [.text(id.hex)])
                return true
            }
        } completion: { [self] result in
            switch result {
            case .failure(let error):
                // The rows stay at 0 and are found by the next sweep.
                removalFailed(ids)
                logger.warning("Unreferenced blobs could not be removed: \(error)")
            case .success(let gone):
                ledger.withLock { $0.keep(Set(ids).subtracting(gone)) }
                do {
                    try pool.submit { [self] _ in
                        gone.forEach(removeFile)
                        if ledger.withLock({ $0.removalEnded() }) { removeUnreferenced() }
                    }
                } catch {
                    removalFailed(gone)
                    logger.warning("Files of unreferenced blobs are left to the sweep: \(error)")
                }
            }
        }
    }

    private func removalFailed(_ ids: [BlobID]) {
        let more = ledger.withLock { ledger in
            ledger.keep(ids)
            return ledger.removalEnded()
        }
        if more { removeUnreferencedSoon() }
    }

    /// Takes the name away under the ledger's lock, so that a writer of the same bytes comes either before (the file
    /// stays) or after (its rename brings a new file). Freeing the blocks of a large file happens outside.
    private func removeFile(_ id: BlobID) {
        let target = layout.temporaryPath()
        let isRenamed = ledger.withLock { ledger in
            ledger.mayRemove(id) && rename(layout.path(of: id), target) == 0
        }
        if isRenamed { unlink(target) }
    }

    /// Removes files that nothing refers to and that are older than a writer may need (15 minutes), and what a crash left
    /// of removals. Walks all files: to be called after an unclean start and once a day. Answers how many went.
    public func sweep(now: Instant) async throws -> Int {
        let forgotten = try await database.read { transaction in
            try transaction.query("SELECT id FROM blobs_blobs WHERE refs = 0", []) { $0.text(0) }
        }
        for id in forgotten.compactMap(BlobID.init(hex:)) {
            if ledger.withLock({ $0.becameUnreferenced(id, now: monotonicNanoseconds()) }) { removeUnreferencedSoon() }
        }
        ledger.withLock { $0.forgetStaged(before: monotonicNanoseconds()) }
        var removed = 0
        for folder in BlobLayout.folders {
            let old = try await pool.run { [layout] in
                try layout.blobs(in: folder, before: now - StorageLimits.unreferencedLifetime)
            }
            guard !old.isEmpty else { continue }
            ledger.withLock { $0.retire(old) }
            defer { ledger.withLock { $0.keep(old) } }
            let unknown = try await database.read { transaction in
                try old.filter { id in
                    try transaction.first("SELECT 1 FROM blobs_blobs WHERE id = ?", [.text(id.hex)]) { _ in true }
                        == nil
                }
            }
            // Staged blobs are refused by `mayRemove`; the database was asked after the file was seen to be old.
            try await pool.run { [self] in unknown.forEach(removeFile) }
            removed += unknown.count
        }
        return removed
    }
}

/// A file that cannot go until `release` is called (once; later calls do nothing).
public struct BlobHold: Sendable {
    public let path: String
    public let release: @Sendable () -> Void
}

private final class OnceFlag: Sendable {
    private let flag = Atomic(false)
    /// True the first time.
    func set() -> Bool { !flag.exchange(true, ordering: .relaxed) }
}
