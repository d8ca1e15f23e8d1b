import GRDBSQLite
import Platform

/// What a closure gets: reading and writing through one session. Used on the session's thread only, and of no use after
/// its closure has returned.
final class SQLiteTransaction: WriteTransaction {
    private var session: SQLiteSession?
    private let isReader: Bool
    /// Texts that are being stepped through, so that a query inside another one's `map` gets a statement of its own.
    private var running: Set<String> = []
    private(set) var afterCommits: [@Sendable () -> Void] = []
    private(set) var savepointCount = 0
    /// The error after which SQLite gave the whole transaction up; nothing more may run in it.
    private(set) var lost: Failure?

    init(_ session: SQLiteSession, isReader: Bool) {
        self.session = session
        self.isReader = isReader
    }

    static let lostWithoutCause = Failure(.bug, "A closure ended the transaction that it shares with others.")

    /// The closure has returned: later use throws.
    func end() { session = nil }

    func query<T>(_ sql: String, _ parameters: [SQLValue], _ map: (any Row) throws -> T) throws -> [T] {
        var rows: [T] = []
        try step(sql, parameters) { rows.append(try map($0)) }
        return rows
    }

    /// Stops after the first row: no others are computed.
    func first<T>(_ sql: String, _ parameters: [SQLValue], _ map: (any Row) throws -> T) throws -> T? {
        var row: T?
        try step(sql, parameters, limit: 1) { row = try map($0) }
        return row
    }

    @discardableResult
    func execute(_ sql: String, _ parameters: [SQLValue]) throws -> Int {
        if isReader { throw Failure(.bug, "A read transaction cannot change anything: \(sql)") }
        try step(sql, parameters) { _ in }
        return session.map { Int(sqlite3_changes64($0.handle)) } ?? 0
    }

    var lastInsertedRowID: Int64 { session.map { sqlite3_last_insert_rowid($0.handle) } ?? 0 }

    func afterCommit(_ body: @escaping @Sendable () -> Void) { afterCommits.append(body) }

    func savepoint<T>(_ body: () throws -> T) throws -> T {
        if isReader { throw Failure(.bug, "A read transaction has no savepoints.") }
        guard let session else { throw Failure(.bug, "A transaction was used after its closure returned: savepoint") }
        if let lost { throw lost }
        guard session.isInTransaction else { throw Self.lostWithoutCause }
        savepointCount += 1
        let callbacks = afterCommits.count
        // Nested ones may share the name: SQLite takes the innermost.
        try session.run("SAVEPOINT part")
        let result = Result { try body() }
        if let lost { throw lost }
        guard session.isInTransaction else { throw Self.lostWithoutCause }
        if case .failure = result { afterCommits.removeSubrange(callbacks...) }
        do {
            if case .failure = result { try session.run("ROLLBACK TO part") }
            try session.run("RELEASE part")
        } catch {
            // What is to be kept and what is not can no longer be told apart.
            lost = error as? Failure ?? Self.lostWithoutCause
            throw error
        }
        return try result.get()
    }

    private func step(
        _ sql: String, _ parameters: [SQLValue], limit: Int = .max, _ body: (SQLiteRow) throws -> Void
    ) throws {
        guard let session else { throw Failure(.bug, "A transaction was used after its closure returned: \(sql)") }
        if let lost { throw lost }
        // Without a transaction each statement would commit by itself.
        guard session.isInTransaction else { throw Self.lostWithoutCause }
        let isNested = !running.insert(sql).inserted
        let statement = try isNested ? session.newStatement(sql) : session.cachedStatement(sql)
        defer {
            if isNested {
                sqlite3_finalize(statement)
            } else {
                sqlite3_reset(statement)
                sqlite3_clear_bindings(statement)
                running.remove(sql)
            }
        }
        try SQLiteBinding.bind(parameters, to: statement, sql: sql, handle: session.handle)
        var count = 0
        while count < limit {
            let code = sqlite3_step(statement)
            if code == SQLITE_DONE { return }
            guard code == SQLITE_ROW else {
                let failure = SQLiteFailure.last(session.handle, code, doing: sql)
                if !session.isInTransaction { lost = failure }
                throw failure
            }
            try body(SQLiteRow(statement: statement))
            count += 1
        }
    }
}

enum SQLiteBinding {
    /// SQLite copies what is bound so (SQLITE_TRANSIENT, which C spells as a pointer of minus one).
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    static func bind(_ values: [SQLValue], to statement: OpaquePointer, sql: String, handle: OpaquePointer) throws {
        guard Int(sqlite3_bind_parameter_count(statement)) == values.count else {
            throw Failure(
                .bug, "\(values.count) parameters for \(sqlite3_bind_parameter_count(statement)) places: \(sql)")
        }
        var index: CInt = 0
        for value in values {
            index += 1
            let code: CInt
            switch value {
            case .null: code = sqlite3_bind_null(statement, index)
            case .int(let number): code = sqlite3_bind_int64(statement, index, number)
            case .double(let number): code = sqlite3_bind_double(statement, index, number)
            case .text(""): code = sqlite3_bind_text(statement, index, "", 0, transient)
            case .text(var text):
                code = text.withUTF8 { bytes in
                    bytes.withMemoryRebound(to: CChar.self) { characters in
                        sqlite3_bind_text64(
                            statement, index, characters.baseAddress, UInt64(characters.count), transient,
                            UInt8(SQLITE_UTF8))
                    }
                }
            case .blob(let bytes):
                // An empty array has no address, and a null address would bind NULL.
                code =
                    bytes.isEmpty
                    ? sqlite3_bind_zeroblob(statement, index, 0)
                    : bytes.withUnsafeBytes { bytes in
                        sqlite3_bind_blob64(statement, index, bytes.baseAddress, UInt64(bytes.count), transient)
                    }
            }
            guard code == SQLITE_OK else { throw SQLiteFailure.last(handle, code, doing: "bind \(sql)") }
        }
    }
}

/// The row that a statement stands on. Positions out of range read as NULL, as SQLite does it.
struct SQLiteRow: Row {
    let statement: OpaquePointer

    private func type(_ column: Int) -> CInt {
        CInt(exactly: column).map { sqlite3_column_type(statement, $0) } ?? SQLITE_NULL
    }

    func int(_ column: Int) -> Int64 {
        type(column) == SQLITE_INTEGER ? sqlite3_column_int64(statement, CInt(column)) : 0
    }

    func double(_ column: Int) -> Double {
        let type = type(column)
        return type == SQLITE_FLOAT || type == SQLITE_INTEGER ? sqlite3_column_double(statement, CInt(column)) : 0
    }

    func text(_ column: Int) -> String {
        guard type(column) == SQLITE_TEXT, let start = sqlite3_column_text(statement, CInt(column)) else { return "" }
        let count = Int(sqlite3_column_bytes(statement, CInt(column)))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    func blob(_ column: Int) -> [UInt8] {
        guard type(column) == SQLITE_BLOB, let start = sqlite3_column_blob(statement, CInt(column)) else { return [] }
        let count = Int(sqlite3_column_bytes(statement, CInt(column)))
        return Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    func isNull(_ column: Int) -> Bool { type(column) == SQLITE_NULL }
}
