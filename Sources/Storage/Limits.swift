/// Every bound of the store, with its unit and its reason.
enum StorageLimits {
    // MARK: Writer

    /// Writes that may wait for the writer; one more is refused with `Failure(.limit)`. At 30,000 writes a second
    /// (measured, blueprint section 3) a full queue is less than a second of work.
    static let waitingWrites = 16_384
    /// Closures that may share one commit.
    static let closuresPerCommit = 512
    /// A commit is not held up for more closures once its first ones have run for so long.
    static let commitGatherNanoseconds: UInt64 = 5_000_000
    /// Statements of the writer and afterwards of migrations may recurse (JSON in closures), so no tiny stacks; only
    /// touched pages count as memory.
    static let threadStackBytes = 2 << 20

    // MARK: Readers

    /// Threads, each with a snapshot connection, made when first needed: as many as processors, within these bounds.
    /// More only cost switches: with four readers on two processors a read took 45 microseconds of CPU instead of 17.
    static let readers = 2...4
    /// Reads that may wait for a reader.
    static let waitingReads = 16_384

    // MARK: SQLite

    /// Page caches in KiB. They fill only as pages are used; the kernel's page cache is behind them.
    static let writerCacheKiB = 4096
    static let readerCacheKiB = 1024
    /// WAL pages (of 4 KiB) after which an idle writer copies them into the database.
    static let checkpointIdlePages: Int32 = 1000
    /// WAL pages after which even a busy writer does.
    static let checkpointBusyPages: Int32 = 4000
    /// WAL pages after which it waits for readers, so that the WAL starts again from its beginning: 64 MiB.
    static let checkpointRestartPages: Int32 = 16_000
    /// How long such a checkpoint waits for readers, in milliseconds.
    static let checkpointRestartWaitMilliseconds: Int32 = 200
    /// The WAL file is cut down to this after a burst, in bytes.
    static let walKeepBytes = 16 << 20
    /// How long `quick_check` after an unclean shutdown may take. A check that was cut short found nothing so far.
    static let quickCheckNanoseconds: UInt64 = 500_000_000
    /// How much of the database file is looked at in that check at most; more is known to take longer than the bound.
    static let quickCheckStepsBetweenClockReads: Int32 = 10_000

    // MARK: Blobs

    static let blobThreads = 4
    static let waitingBlobJobs = 16_384
    /// Bytes that a writer gathers before it gives them to a thread: a hand-over costs about 10 microseconds.
    static let blobBatchBytes = 256 << 10
    /// Bytes that a writer holds in memory before `append` makes the caller wait.
    static let blobBufferedBytes = 1 << 20
    /// The kernel is told to start writing after so many bytes, so that the last fdatasync has little to do.
    static let blobWritebackBytes: Int64 = 8 << 20
    /// Most bytes that one `read` brings into memory.
    static let blobReadBytes = 64 << 20
    /// Block size of whole-file verification, in bytes.
    static let blobVerifyBlockBytes = 1 << 20
    /// Blobs up to this go to the disk with the transaction that refers to them: more bytes are cheaper written once, in
    /// their file, than twice.
    static let journalledBlobBytes = 32 << 10
    /// Such blobs in memory until their files are synced, all together: bytes, and how many. Over it they are synced at once.
    static let journalBytes = 16 << 20
    static let journalBlobs = 8192
    /// When rows could not be deleted, it is tried again after so many of the intervals between syncs.
    static let journalRetryIntervals = 10
    /// More are synced by one syncfs(2), which also waits for what other programs have written.
    static let blobsSyncedSingly = 64
    /// A finished blob that nothing refers to may be swept after this.
    static let unreferencedLifetime: Duration = .seconds(15 * 60)
    /// Rows that one clean-up transaction deletes.
    static let removalsPerTransaction = 256

    // MARK: DueQueue

    /// Payloads up to this are kept in the item's own row; larger ones apart, so that a claim does not rewrite them.
    static let inlinePayloadBytes = 1024
    /// Most items that one claim takes.
    static let itemsPerClaim = 1000
}
