import GRDBSQLite
import Logging
import Platform

/// `PRAGMA quick_check` after an unclean end, within a time limit: it finds pages that are not what their neighbours say
/// (torn, swapped, overwritten). A changed byte inside a value it cannot find: SQLite has no page checksums; blobs are
/// verified by their hash instead.
enum IntegrityCheck {
    /// Throws `Failure(.corrupt)` with SQLite's finding.
    static func run(
        on connection: SQLiteConnection, logger: Logger,
        limit: UInt64 = StorageLimits.quickCheckNanoseconds
    ) throws {
        let finding: String? = try connection.use { session in
            let deadline = Deadline(monotonicNanoseconds() + limit)
            let pointer = Unmanaged.passUnretained(deadline).toOpaque()
            sqlite3_progress_handler(
                session.handle, StorageLimits.quickCheckStepsBetweenClockReads,
                { pointer in
                    guard let pointer else { return 0 }
                    let deadline = Unmanaged<Deadline>.fromOpaque(pointer).takeUnretainedValue()
                    return monotonicNanoseconds() > deadline.nanoseconds ? 1 : 0
                }, pointer)
            defer { sqlite3_progress_handler(session.handle, 0, nil, nil) }
            return try withExtendedLifetime(deadline) {
                let statement = try session.newStatement("PRAGMA quick_check(1)")
                defer { sqlite3_finalize(statement) }
                let code = sqlite3_step(statement)
                if code == SQLITE_INTERRUPT {
                    logger.notice("The check after an unclean shutdown ran out of its time and found nothing so far.")
                    return nil
                }
                guard code == SQLITE_ROW else { throw SQLiteFailure.last(session.handle, code, doing: "quick_check") }
                let text = SQLiteRow(statement: statement).text(0)
                return text == "ok" ? nil : text
            }
        }
        if let finding {
            throw Failure(
                .corrupt,
                "The database is damaged: \(finding). Restore martlet.db and martlet.db-wal from a backup, or salvage "
                    + "with sqlite3's .recover.")
        }
    }

    private final class Deadline {
        let nanoseconds: UInt64
        init(_ nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
    }
}
