import Dispatch
import Glibc
import Logging
import Platform
import Synchronization

/// Small blobs whose bytes are in the database until their files are on disk: the transaction that refers to such a blob
/// brings its bytes along, so that one sync of the disk keeps both, in place of three (file, directory, log). Once a second all
/// such files are synced, and the rows go. After a power cut the rows are what `recover` makes the files from.
///
/// A file is there, and whole, before anything refers to it, as with large blobs; only its way to the disk is later.
final class BlobJournal: Sendable {
    private struct Entry {
        var bytes: [UInt8]
        /// Of the writer that came last.
        var stamp: UInt64
        /// A committed row has the bytes: others who refer to the blob need not bring them again.
        var isRecorded = false
    }

    private struct State {
        /// Written as files since the last sync of them all.
        var entries: [BlobID: Entry] = [:]
        var bytes = 0
        var stamp: UInt64 = 0
        /// The last row that is committed.
        var committed: Int64 = 0
        var isPlanned = false
        /// A sync has failed. The kernel may call the next one a success although the bytes are lost, so that no row goes any
        /// more: the next start writes the files anew.
        var isBroken = false

        /// True when a flush is to be planned.
        mutating func plan() -> Bool {
            guard !isPlanned, !isBroken else { return false }
            isPlanned = true
            return true
        }

        /// True when more has come meanwhile.
        mutating func flushed(stamp: UInt64, row: Int64) -> Bool {
            entries = entries.filter { $0.value.stamp > stamp }
            bytes = entries.values.reduce(0) { $0 + $1.bytes.count }
            isPlanned = false
            guard !entries.isEmpty || committed > row else { return false }
            return plan()
        }
    }

    private let state = Mutex(State())
    private let folder = Mutex<CInt>(-1)
    private let layout: BlobLayout
    private let database: any Database
    private let pool: WorkerPool<Void>
    private let isUsed: Bool
    private let interval: Duration
    private let logger: Logger

    /// Numbers are never given twice, also when no row is left: what a sync deletes goes by them.
    static let table = """
        CREATE TABLE blobs_journal (
            seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, bytes BLOB NOT NULL
        );
        """

    /// `isUsed`: false when nothing is synced anyway; then it only recovers. `interval`: between two syncs.
    init(
        layout: BlobLayout, database: any Database, pool: WorkerPool<Void>, isUsed: Bool, interval: Duration,
        logger: Logger
    ) {
        self.isUsed = isUsed
        self.interval = interval
        self.layout = layout
        self.database = database
        self.pool = pool
        self.logger = logger
    }

    deinit {
        let folder = folder.withLock { $0 }
        if folder >= 0 { close(folder) }
    }

    /// Whether a blob of so many bytes may be journalled; else it is synced at once.
    func admits(_ count: Int) -> Bool {
        guard isUsed, count <= StorageLimits.journalledBlobBytes else { return false }
        return state.withLock { state in
            !state.isBroken && state.bytes + count <= StorageLimits.journalBytes
                && state.entries.count < StorageLimits.journalBlobs
        }
    }

    /// A file was written, or found, with these bytes; it may not be on disk.
    func add(_ id: BlobID, _ bytes: [UInt8], isNew: Bool = true) {
        let mustPlan = state.withLock { state in
            // The same bytes again and again make one row: it stays until that very file is synced.
            if !isNew, state.entries[id] != nil { return false }
            state.stamp += 1
            if state.entries.updateValue(Entry(bytes: bytes, stamp: state.stamp), forKey: id) == nil {
                state.bytes += bytes.count
            }
            return state.plan()
        }
        if mustPlan { flushSoon() }
    }

    /// Puts the bytes into the transaction that refers to them, unless the file is on disk already.
    func record(_ id: BlobID, in transaction: any WriteTransaction) throws {
        guard let entry = state.withLock({ $0.entries[id] }), !entry.isRecorded else { return }
        try transaction.execute(
            "INSERT INTO blobs_journal (id, bytes) VALUES (?, ?)", [.text(id.hex), .blob(entry.bytes)])
        let row = transaction.lastInsertedRowID
        transaction.afterCommit { [weak self] in self?.committed(row, id, entry.stamp) }
    }

    private func committed(_ row: Int64, _ id: BlobID?, _ stamp: UInt64) {
        let mustPlan = state.withLock { state in
            if let id, state.entries[id]?.stamp == stamp { state.entries[id]?.isRecorded = true }
            state.committed = max(state.committed, row)
            return state.plan()
        }
        if mustPlan { flushSoon() }
    }

    /// The rows that are there: bytes of files that may not be on disk. Those still referred to are written anew, whatever the
    /// files look like now.
    func recover(_ write: @escaping @Sendable (BlobID, [UInt8]) throws -> Void) async throws {
        let rows = try await database.read { transaction in
            try transaction.query(
                """
                SELECT j.seq, j.id, j.bytes FROM blobs_journal j
                WHERE EXISTS (SELECT 1 FROM blobs_blobs b WHERE b.id = j.id)
                """, []
            ) { (row: $0.int(0), id: $0.text(1), bytes: $0.blob(2)) }
        }
        guard let last = rows.map(\.row).max() else { return }
        try await pool.run { [self] _ in
            for row in rows {
                guard let id = BlobID(hex: row.id) else { continue }
                do {
                    try write(id, row.bytes)
                    add(id, row.bytes)
                } catch let error as Failure
                    where error.code == .diskFull && BlobFile.holds(row.bytes, path: layout.path(of: id))
                {
                    // It can be read, and its row must stay.
                    state.withLock { $0.isBroken = true }
                }
            }
        }
        committed(last, nil, 0)
    }

    // MARK: Syncing

    private func flushSoon(after interval: Duration? = nil) {
        let wait = DispatchTimeInterval.nanoseconds(Int((interval ?? self.interval).clampedNanoseconds))
        DispatchQueue.global().asyncAfter(deadline: .now() + wait) { [weak self] in
            guard let self else { return }
            do {
                try pool.submit { [weak self] _ in self?.flush() }
            } catch {
                failed(error)
            }
        }
    }

    /// On a thread of the pool.
    func flush() {
        // Files of these were written before: the sync has them.
        let seen = state.withLock { $0.isBroken ? nil : ($0.stamp, $0.committed, Array($0.entries.keys)) }
        guard let (stamp, row, ids) = seen else { return }
        do {
            try sync(ids)
        } catch {
            logger.error("Small blobs could not be synced; their bytes stay in the database: \(error)")
            return state.withLock { $0.isBroken = true }
        }
        database.write { transaction in
            try transaction.execute("DELETE FROM blobs_journal WHERE seq <= ?", [.int(row)])
        } completion: { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let error): failed(error)
            case .success: if state.withLock({ $0.flushed(stamp: stamp, row: row) }) { flushSoon() }
            }
        }
    }

    /// Few are synced each for itself: what else is on its way to the disk, of whatever program, need not hurry for them.
    private func sync(_ ids: [BlobID]) throws {
        guard ids.count <= StorageLimits.blobsSyncedSingly || !Files.syncfsTellsFailures else {
            // Errors are told once to each descriptor: this one is only ours, and stays.
            return try folder.withLock { folder in
                if folder < 0 { folder = try Files.openDirectory(layout.directory) }
                try Files.syncFileSystem(of: folder, path: layout.directory)
            }
        }
        for id in ids { try Files.syncFile(layout.path(of: id)) }
        for folder in Set(ids.map(layout.folder(of:))) { try Files.syncDirectory(folder) }
    }

    /// `isPlanned` stays: this is the plan.
    private func failed(_ error: any Error) {
        // The server stops.
        if (error as? Failure)?.code == .unavailable { return }
        logger.warning("Small blobs stay in the database for now: \(error)")
        flushSoon(after: interval * StorageLimits.journalRetryIntervals)
    }
}
