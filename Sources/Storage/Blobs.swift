public import NIOCore
import Platform

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
    public var description: String { hex }
}

/// Files named by their content, written once, fsynced before anything refers to them, counted by references in the
/// database, removed when none is left.
public final class Blobs: Sendable {
    /// Opens (and creates) the store in a directory; removes what a crash left half-written.
    public init(directory: String, database: any Database) throws { throw Failure(.bug, "not written yet") }

    public static var migrations: Migrations { Migrations(service: "blobs", steps: []) }

    /// Starts writing; nothing is visible until `finish`, and `discard` (or losing the writer) removes it.
    public func stage() throws -> BlobWriter { throw Failure(.bug, "not written yet") }

    /// Makes the blob's reference count one more, in the transaction that stores the reference. The blob must be staged
    /// (finished) or referenced already.
    public func retain(_ id: BlobID, size: Int64, in transaction: any WriteTransaction) throws {}

    /// One reference less; the file goes after commit, when the last is gone and no reader has it open.
    public func release(_ id: BlobID, in transaction: any WriteTransaction) throws {}

    /// The file's path, to be sent or mapped; `hold` keeps it from removal until `release` of the answer.
    public func hold(_ id: BlobID) -> BlobHold { BlobHold(path: "", release: {}) }

    /// Reads a part into memory, in a thread of the blob pool.
    public func read(_ id: BlobID, offset: Int64, length: Int) async throws -> [UInt8] { [] }

    /// Writes bytes that are in memory.
    public func store(_ bytes: [UInt8]) async throws -> (id: BlobID, size: Int64) {
        throw Failure(.bug, "not written yet")
    }
}

public struct BlobHold: Sendable {
    public let path: String
    public let release: @Sendable () -> Void
}

/// Writes one blob. Not for concurrent use.
public final class BlobWriter: Sendable {
    init() {}
    /// Appends; file work happens off the event loops. Throws `Failure(.diskFull)`.
    public func append(_ bytes: ByteBuffer) async throws {}
    /// Fsyncs file and directory, and gives the file its name. After it, `retain` within a few minutes, or a sweep
    /// removes the unreferenced file.
    public func finish() async throws -> (id: BlobID, size: Int64) { throw Failure(.bug, "not written yet") }
    public func discard() {}
}
