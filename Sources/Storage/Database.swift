/// A value bound to or read from a statement.
public enum SQLValue: Sendable, Hashable {
    case null
    case int(Int64)
    case double(Double)
    case text(String)
    case blob([UInt8])
}

extension SQLValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByNilLiteral {
    public init(stringLiteral value: String) { self = .text(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(nilLiteral: ()) { self = .null }
    public static func optional(_ text: String?) -> SQLValue { text.map { .text($0) } ?? .null }
    public static func optional(_ number: Int64?) -> SQLValue { number.map { .int($0) } ?? .null }
    public static func bool(_ value: Bool) -> SQLValue { .int(value ? 1 : 0) }
}

/// One row of an answer. Columns are asked by position, from 0. A column of another type than asked answers the
/// type's empty value (0, "", []): the schema is ours, so a mismatch is a bug that tests see, never a crash.
public protocol Row {
    func int(_ column: Int) -> Int64
    func double(_ column: Int) -> Double
    func text(_ column: Int) -> String
    func blob(_ column: Int) -> [UInt8]
    func isNull(_ column: Int) -> Bool
}

extension Row {
    public func optionalText(_ column: Int) -> String? { isNull(column) ? nil : text(column) }
    public func optionalInt(_ column: Int) -> Int64? { isNull(column) ? nil : int(column) }
    public func optionalBlob(_ column: Int) -> [UInt8]? { isNull(column) ? nil : blob(column) }
    public func bool(_ column: Int) -> Bool { int(column) != 0 }
}

/// A consistent snapshot of the database. Valid only inside the closure that received it.
///
/// SQL is the common subset of SQLite and PostgreSQL; parameters are `?`. Statements are cached by their text, so
/// never build one from data: bind it.
public protocol ReadTransaction {
    /// Runs a query and maps each row, in order. Throws `Failure` (.storage, .corrupt) and what `map` throws.
    func query<T>(_ sql: String, _ parameters: [SQLValue], _ map: (any Row) throws -> T) throws -> [T]

    /// The first row, or nil; further rows are not computed.
    func first<T>(_ sql: String, _ parameters: [SQLValue], _ map: (any Row) throws -> T) throws -> T?
}

extension ReadTransaction {
    /// The first row of a query without parameters, or nil.
    public func first<T>(_ sql: String, _ map: (any Row) throws -> T) throws -> T? { try first(sql, [], map) }
}

/// A transaction that may change things. All changes of the closure commit together, on disk, or not at all: a thrown
/// error rolls back this closure's changes alone, even where many closures share one commit.
public protocol WriteTransaction: ReadTransaction {
    /// Runs one statement; answers how many rows it changed. Throws `Failure` (.storage, .diskFull, .corrupt).
    @discardableResult
    func execute(_ sql: String, _ parameters: [SQLValue]) throws -> Int

    /// The row id of the last insert of this transaction.
    var lastInsertedRowID: Int64 { get }

    /// Runs `body` once the commit is on disk; never when it rolls back (then it is let go of without having run). For
    /// wake-ups and cache updates: must not block.
    func afterCommit(_ body: @escaping @Sendable () -> Void)

    /// Runs `body` so that, when it throws, its changes and its `afterCommit`s are undone, and the rest of the transaction
    /// goes on. May be nested. Throws what `body` throws, and `Failure` when the transaction as a whole is lost.
    func savepoint<T>(_ body: () throws -> T) throws -> T

    /// How many savepoints this transaction has begun: for callers that bound how much they do in one.
    var savepointCount: Int { get }
}

/// The store. One transaction spans every service's tables, which is how a state change and the events it causes
/// commit together.
public protocol Database: Sendable {
    /// Runs `body` in a transaction; returns after its commit is on disk. `body` runs on the store's writer thread, may
    /// share a commit with others (group commit), and must not block or call the database again.
    /// Throws what `body` throws, and `Failure(.diskFull)` / `.storage` when the commit fails: then nothing was kept.
    @discardableResult
    func write<T: Sendable>(_ body: @escaping @Sendable (any WriteTransaction) throws -> T) async throws -> T

    /// As `write`, answering through a callback (on an unspecified thread), for paths without tasks.
    func write<T: Sendable>(
        _ body: @escaping @Sendable (any WriteTransaction) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void)

    /// Runs `body` on a snapshot that sees every commit acknowledged before the call. Works while the disk is full.
    func read<T: Sendable>(_ body: @escaping @Sendable (any ReadTransaction) throws -> T) async throws -> T
}

/// What "acknowledged" means.
public enum Durability: String, Sendable, CaseIterable {
    /// On disk: outlives a killed process and a power cut.
    case full
    /// Given to the kernel: outlives a killed process; a power cut may take the last seconds, never the consistency.
    case relaxed
}

/// The numbered migrations of one service: append-only, each applied once, in order, in one transaction.
public struct Migrations: Sendable {
    /// The owner, e.g. "sqs"; its tables start with this and an underscore.
    public var service: String
    /// SQL scripts; the first is number 1. Never edit one that has landed.
    public var steps: [String]
    public init(service: String, steps: [String]) {
        self.service = service
        self.steps = steps
    }
}
