import Glibc
public import Logging
import Platform

/// The embedded store: SQLite with a write-ahead log, one writer that commits many waiting closures together, and a few
/// snapshot readers. One process owns a data directory (`martlet.lock`).
///
/// - Durability: with `.full` each commit is synced before it is acknowledged. A torn write at the end of the WAL is
///   recognised by SQLite's frame checksums and was never acknowledged; pages torn while the WAL was being copied are in
///   the WAL still, and are copied again. After an unclean end (a WAL was left) damage is looked for, in bounded time.
/// - Disk full or failing: writes fail with `Failure(.diskFull)`, reads go on, and writes work again when the disk does.
public final class SQLiteDatabase: Database {
    /// The data directory; the database is `martlet.db` in it.
    public let directory: String
    private let writer: GroupCommit
    private let readers: WorkerPool<ReaderContext>

    /// Opens or creates the database of a data directory and brings its tables to the newest form.
    /// Throws `Failure`: `.unavailable` when another process has it, `.corrupt` for damage that was found,
    /// `.configuration` for migrations that do not fit, `.diskFull`, `.storage`.
    public static func open(
        directory: String, durability: Durability = .full, migrations: [Migrations],
        logger: Logger = Logger(label: "martlet.storage")
    ) throws -> SQLiteDatabase {
        try SQLiteDatabase(
            directory: directory, durability: durability, migrations: migrations, logger: logger, isTemporary: false)
    }

    /// A database in a new directory that is removed when it is closed: for tests.
    public static func temporary(migrations: [Migrations], durability: Durability = .relaxed) throws -> SQLiteDatabase {
        let root = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(root)/martlet-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Files.failure("make a directory in", root, errno) }
        return try SQLiteDatabase(
            directory: String(cString: made), durability: durability, migrations: migrations,
            logger: Logger(label: "martlet.storage"), isTemporary: true)
    }

    private init(
        directory: String, durability: Durability, migrations: [Migrations], logger: Logger, isTemporary: Bool
    ) throws {
        try Files.makeDirectories(directory)
        let lock = try DirectoryLock(directory: directory)
        let path = directory + "/martlet.db"
        let wasUnclean = (Files.status(path + "-wal")?.size ?? 0) > 0
        let isNew = Files.status(path) == nil
        if wasUnclean { try WALAudit.check(database: path, durability: durability, logger: logger) }
        let connection = try SQLiteConnection(path: path, isReader: false, durability: durability)
        if wasUnclean { try IntegrityCheck.run(on: connection, logger: logger) }
        try Migrator.run(migrations + [Blobs.migrations, DueQueue.migrations], on: connection)
        if isNew { try Files.syncDirectory(directory) }
        self.directory = directory
        writer = try GroupCommit(logger: logger, connection: connection) {
            lock.release()
            if isTemporary { Directory.removeTree(directory) }
        }
        let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        let bounds = StorageLimits.readers
        readers = WorkerPool(
            name: "martlet-reader", threads: min(max(processors, bounds.lowerBound), bounds.upperBound),
            jobs: StorageLimits.waitingReads
        ) { ReaderContext(path: path) }
    }

    // Does not wait: the last reference may go away on one of the store's own threads.
    deinit {
        readers.shutDown()
        writer.shutDown()
    }

    /// Finishes what waits, empties the WAL into the database and closes. Blocks: not to be called on an event loop, or
    /// from a closure or completion of the database. Later calls throw `Failure(.unavailable)`.
    public func close() {
        readers.close()
        writer.close()
    }

    @discardableResult
    public func write<T: Sendable>(
        _ body: @escaping @Sendable (any WriteTransaction) throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            writer.submit(WriteJob(body) { continuation.resume(with: $0) })
        }
    }

    public func write<T: Sendable>(
        _ body: @escaping @Sendable (any WriteTransaction) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        writer.submit(WriteJob(body, completion))
    }

    public func read<T: Sendable>(_ body: @escaping @Sendable (any ReadTransaction) throws -> T) async throws -> T {
        try await readers.run { context in try context.read(body) }
    }
}

/// A reader's thread: its connection is opened at the first read and stays. When opening fails, the next read tries anew.
final class ReaderContext {
    private let path: String
    private var connection: SQLiteConnection?

    init(path: String) { self.path = path }

    func read<T>(_ body: (any ReadTransaction) throws -> T) throws -> T {
        let connection = try self.connection ?? SQLiteConnection(path: path, isReader: true, durability: .full)
        self.connection = connection
        return try connection.use { session in
            // The snapshot begins with the first statement, so it has every commit acknowledged before the call.
            try session.run("BEGIN DEFERRED")
            defer { try? session.run("ROLLBACK") }
            let transaction = SQLiteTransaction(session, isReader: true)
            defer { transaction.end() }
            return try body(transaction)
        }
    }
}
