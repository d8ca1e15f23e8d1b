import GRDB
import GRDBSQLite
import Glibc
import Platform

/// One connection to the database file, confined to one thread. The only file that names GRDB: its `DatabaseQueue` opens
/// and guards the connection and caches statements; binding and stepping use SQLite's own calls, because GRDB's values
/// would copy each blob twice.
final class SQLiteConnection {
    private let queue: DatabaseQueue
    private let walPages = UnsafeMutablePointer<Int32>.allocate(capacity: 1)

    /// - Parameter isReader: opens read-only; the file must exist.
    init(path: String, isReader: Bool, durability: Durability) throws {
        walPages.initialize(to: 0)
        var configuration = Configuration()
        configuration.readonly = isReader
        configuration.label = isReader ? "martlet.reader" : "martlet.writer"
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(1)
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
            try use { session in try session.configure(isReader: isReader, durability: durability) }
            if !isReader {
                let counter = walPages
                queue.inDatabase { database in
                    _ = sqlite3_wal_hook(
                        database.sqliteConnection,
                        { counter, _, _, pages in
                            counter?.assumingMemoryBound(to: Int32.self).pointee = pages
                            return SQLITE_OK
                        }, counter)
                }
            }
        } catch {
            throw SQLiteFailure.translate(error, doing: "open \(path)")
        }
    }

    deinit {
        try? queue.close()
        walPages.deallocate()
    }

    /// Pages in the WAL after the last commit of this connection.
    var pagesInWAL: Int32 { walPages.pointee }

    /// Enters the connection. GRDB's watchdog traps when another thread does so at the same time.
    func use<T>(_ body: (SQLiteSession) throws -> T) throws -> T {
        try queue.inDatabase { database in
            guard let handle = database.sqliteConnection else {
                throw Failure(.unavailable, "The database is closed.")
            }
            return try body(SQLiteSession(database: database, handle: handle))
        }
    }

    func close() throws {
        do { try queue.close() } catch { throw SQLiteFailure.translate(error, doing: "close the database") }
    }
}

/// A connection while it is being used.
struct SQLiteSession {
    private let database: GRDB.Database
    let handle: OpaquePointer

    fileprivate init(database: GRDB.Database, handle: OpaquePointer) {
        self.database = database
        self.handle = handle
    }

    fileprivate func configure(isReader: Bool, durability: Durability) throws {
        try script("PRAGMA temp_store = MEMORY")
        try script("PRAGMA cell_size_check = ON")
        try script("PRAGMA trusted_schema = OFF")
        if isReader {
            try script("PRAGMA cache_size = -\(StorageLimits.readerCacheKiB)")
            return
        }
        try script("PRAGMA cache_size = -\(StorageLimits.writerCacheKiB)")
        try script("PRAGMA journal_mode = WAL")
        // NORMAL syncs at checkpoints only: it outlives a killed process, not a power cut.
        try script("PRAGMA synchronous = \(durability == .full ? "FULL" : "NORMAL")")
        try script("PRAGMA wal_autocheckpoint = 0")
        try script("PRAGMA journal_size_limit = \(StorageLimits.walKeepBytes)")
    }

    /// Runs SQL of several statements without parameters: our own texts only.
    func script(_ sql: String) throws {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw SQLiteFailure.last(handle, code, doing: sql) }
    }

    /// Runs one of the few statements that begin and end transactions; it stays prepared.
    func run(_ sql: String) throws {
        let statement = try cachedStatement(sql)
        let code = sqlite3_step(statement)
        defer { sqlite3_reset(statement) }
        guard code == SQLITE_DONE else { throw SQLiteFailure.last(handle, code, doing: sql) }
    }

    /// A cached statement, ready to be bound.
    func cachedStatement(_ sql: String) throws -> OpaquePointer {
        do {
            return try database.cachedStatement(sql: sql).sqliteStatement
        } catch {
            throw SQLiteFailure.translate(error, doing: sql)
        }
    }

    /// A statement of its own: for a text that is being stepped through further up the stack. The caller finalizes it.
    func newStatement(_ sql: String) throws -> OpaquePointer {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v2(handle, sql, -1, &statement, nil)
        guard code == SQLITE_OK, let statement else { throw SQLiteFailure.last(handle, code, doing: sql) }
        return statement
    }

    /// Whether a transaction is open. SQLite ends one by itself after some errors (full disk, I/O, memory).
    var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    enum Checkpoint {
        case passive, restart, truncate
    }

    /// Copies WAL pages into the database; false when readers kept it from copying all.
    func checkpoint(_ mode: Checkpoint) throws -> Bool {
        let flag =
            switch mode {
            case .passive: SQLITE_CHECKPOINT_PASSIVE
            case .restart: SQLITE_CHECKPOINT_RESTART
            case .truncate: SQLITE_CHECKPOINT_TRUNCATE
            }
        if mode == .restart { sqlite3_busy_timeout(handle, StorageLimits.checkpointRestartWaitMilliseconds) }
        defer { if mode == .restart { sqlite3_busy_timeout(handle, 1000) } }
        var (pages, copied): (CInt, CInt) = (0, 0)
        let code = sqlite3_wal_checkpoint_v2(handle, nil, flag, &pages, &copied)
        if code & 0xFF == SQLITE_BUSY { return false }
        guard code == SQLITE_OK else { throw SQLiteFailure.last(handle, code, doing: "checkpoint") }
        return pages == copied
    }
}

/// How SQLite's result codes become ours.
enum SQLiteFailure {
    static func code(_ extended: CInt) -> Failure.Code {
        switch extended & 0xFF {
        case SQLITE_FULL, SQLITE_READONLY: return .diskFull
        case SQLITE_CORRUPT, SQLITE_NOTADB: return .corrupt
        case SQLITE_IOERR:
            // Reading failed: nothing says that the disk takes no writes. IOERR_READ, SHORT_READ; CORRUPTFS.
            let reading: [CInt] = [1, 2].map { SQLITE_IOERR | ($0 << 8) }
            if extended == SQLITE_IOERR | (33 << 8) { return .corrupt }
            return reading.contains(extended) ? .storage : .diskFull
        default: return .storage
        }
    }

    /// The connection's last error. The text of the statement is ours and holds no data.
    static func last(_ handle: OpaquePointer, _ code: CInt, doing what: String) -> Failure {
        let extended = sqlite3_extended_errcode(handle)
        let text = sqlite3_errmsg(handle).map { String(cString: $0) } ?? "error \(code)"
        return Failure(self.code(extended == SQLITE_OK ? code : extended), "SQLite \(extended), \(text), at: \(what)")
    }

    static func translate(_ error: any Error, doing what: String) -> any Error {
        guard let error = error as? DatabaseError else { return error }
        let extended = error.extendedResultCode.rawValue
        return Failure(
            code(extended), "SQLite \(extended), \(error.message ?? "no text"), at: \(what)")
    }
}
