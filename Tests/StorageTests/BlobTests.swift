import Crypto
import Glibc
import NIOCore
import Platform
import Synchronization
import Testing

@testable import Storage

@Suite struct BlobTests {
    let scratch: Scratch
    let database: SQLiteDatabase

    init() throws {
        scratch = try Scratch()
        database = try SQLiteDatabase.temporary(migrations: [])
    }

    private func open() throws -> Blobs {
        try Blobs(directory: scratch.path, database: database, removalDelay: .zero, syncInterval: .seconds(3600))
    }

    private func file(_ id: BlobID) -> String { BlobLayout(directory: scratch.path).path(of: id) }

    private func exists(_ id: BlobID) -> Bool { Files.status(file(id)) != nil }

    private func temporaryFiles() throws -> Int {
        var count = 0
        try Files.forEachName(in: scratch.path + "/tmp") { _ in count += 1 }
        return count
    }

    private func bytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// Releases and waits until the removal has happened.
    private func release(_ id: BlobID, of blobs: Blobs) async throws {
        try await database.write { try blobs.release(id, in: $0) }
        try await settle(blobs)
    }

    /// The removal's own write was queued by the one before; its files go in a job that `close` would wait for.
    private func settle(_ blobs: Blobs) async throws {
        try await database.write { _ in }
        try await withThrowingTaskGroup(of: Void.self) { group in
            // As many jobs as threads, twice: all before them have been taken.
            for _ in 0..<8 {
                group.addTask { () async throws -> Void in try await blobs.pool.run { _ in _ = usleep(2000) } }
            }
            try await group.waitForAll()
        }
    }

    @Test(arguments: [0, 1, 1000, 256 << 10, (256 << 10) + 1, 3_000_000]) func storesAndReads(_ size: Int) async throws
    {
        let blobs = try open()
        let content = bytes(size)
        let (id, stored) = try await blobs.store(content)
        #expect(stored == Int64(size) && id.hex == hexEncoded(SHA256.hash(data: content)))
        try await database.write { try blobs.retain(id, size: stored, in: $0) }
        #expect(try await blobs.read(id, offset: 0, length: size + 10) == content)
        try await blobs.verify(id)
        #expect(
            try await blobs.read(id, offset: Int64(size / 2), length: 10) == Array(content[(size / 2)...].prefix(10)))
        #expect(try await blobs.read(id, offset: Int64(size) + 5, length: 10) == [])
        #expect(try temporaryFiles() == 0)
        await #expect(throws: Failure.self) { try await blobs.read(id, offset: -1, length: 1) }
        await #expect(throws: Failure.self) { try await blobs.read(id, offset: 0, length: .max) }
    }

    @Test func streamsInPiecesOfAnySize() async throws {
        let blobs = try open()
        let content = bytes(4_000_000, seed: 3)
        var generator = SeededGenerator(seed: 5)
        let writer = try blobs.stage()
        var position = 0
        while position < content.count {
            let count = min(Int.random(in: 0...150_000, using: &generator), content.count - position)
            try await writer.append(ByteBuffer(bytes: content[position..<(position + count)]))
            position += count
        }
        let (id, size) = try await writer.finish()
        #expect(size == Int64(content.count) && id.hex == hexEncoded(SHA256.hash(data: content)))
        try await blobs.verify(id)
        await #expect(throws: Failure.self) { try await writer.append(ByteBuffer(bytes: [1])) }
        await #expect(throws: Failure.self) { try await writer.finish() }
        #expect(exists(id))
    }

    @Test func damagedOrMissingBlobIsCorrupt() async throws {
        let blobs = try open()
        let (id, _) = try await blobs.store(bytes(10_000))
        let descriptor = try Files.open(file(id), O_WRONLY)
        try [UInt8(0)].withUnsafeBytes { try Files.writeAll($0, to: descriptor, at: 5000, path: "") }
        try [UInt8(1)].withUnsafeBytes { try Files.writeAll($0, to: descriptor, at: 5001, path: "") }
        close(descriptor)
        let whole = await #expect(throws: Failure.self) { try await blobs.read(id, offset: 0, length: 10_000) }
        #expect(whole?.code == .corrupt)
        let verified = await #expect(throws: Failure.self) { try await blobs.verify(id) }
        #expect(verified?.code == .corrupt)
        unlink(file(id))
        let missing = await #expect(throws: Failure.self) { try await blobs.read(id, offset: 1, length: 1) }
        #expect(missing?.code == .corrupt)
        // Writing it anew heals it.
        _ = try await blobs.store(bytes(10_000))
        try await blobs.verify(id)
    }

    @Test func fileGoesWithItsLastReference() async throws {
        let blobs = try open()
        let (id, size) = try await blobs.store(bytes(100))
        for _ in 0..<2 { try await database.write { try blobs.retain(id, size: size, in: $0) } }
        try await release(id, of: blobs)
        #expect(exists(id))
        try await release(id, of: blobs)
        #expect(!exists(id))
        #expect(try temporaryFiles() == 0)
        let unknown = await #expect(throws: Failure.self) {
            try await database.write { try blobs.retain(id, size: size, in: $0) }
        }
        #expect(unknown?.code == .bug)
    }

    @Test func rolledBackReleaseKeepsTheFile() async throws {
        let blobs = try open()
        let (id, size) = try await blobs.store(bytes(100))
        try await database.write { try blobs.retain(id, size: size, in: $0) }
        await #expect(throws: EngineConformance.Refused.self) {
            try await database.write { transaction in
                try blobs.release(id, in: transaction)
                throw EngineConformance.Refused(number: 1)
            }
        }
        try await settle(blobs)
        #expect(exists(id))
    }

    @Test func replacingABlobByItselfKeepsIt() async throws {
        let blobs = try open()
        let (id, size) = try await blobs.store(bytes(100))
        try await database.write { try blobs.retain(id, size: size, in: $0) }
        _ = try await blobs.store(bytes(100))
        try await database.write { transaction in
            try blobs.release(id, in: transaction)
            try blobs.retain(id, size: size, in: transaction)
        }
        try await settle(blobs)
        #expect(exists(id))
        try await release(id, of: blobs)
        #expect(!exists(id))
    }

    @Test func finishedBytesAreSafeFromTheRemovalOfTheSameBytes() async throws {
        let blobs = try open()
        let (id, size) = try await blobs.store(bytes(100))
        try await database.write { try blobs.retain(id, size: size, in: $0) }
        _ = try await blobs.store(bytes(100))
        try await release(id, of: blobs)
        #expect(exists(id), "a writer has finished the same bytes and is going to retain them")
        try await database.write { try blobs.retain(id, size: size, in: $0) }
        try await settle(blobs)
        #expect(exists(id))
    }

    @Test func heldFileGoesAtItsRelease() async throws {
        let blobs = try open()
        let (id, size) = try await blobs.store(bytes(100))
        try await database.write { try blobs.retain(id, size: size, in: $0) }
        let (first, second) = (blobs.hold(id), blobs.hold(id))
        #expect(first.path == file(id))
        try await release(id, of: blobs)
        #expect(exists(id))
        first.release()
        first.release()
        try await settle(blobs)
        #expect(exists(id), "released twice by one holder; the other still has it")
        second.release()
        try await settle(blobs)
        #expect(!exists(id))
    }

    @Test func discardedLostAndCrashedWritersLeaveNothing() async throws {
        let blobs = try open()
        let writer = try blobs.stage()
        try await writer.append(ByteBuffer(bytes: bytes(600_000)))
        writer.discard()
        try await settle(blobs)
        #expect(try temporaryFiles() == 0)
        do {
            let lost = try blobs.stage()
            try await lost.append(ByteBuffer(bytes: bytes(600_000)))
        }
        try await settle(blobs)
        #expect(try temporaryFiles() == 0)
        close(try Files.open(scratch.path + "/tmp/crashed", O_CREAT | O_WRONLY))
        _ = try open()
        #expect(try temporaryFiles() == 0)
    }

    @Test func abandonedBlobGoesUnlessReferenced() async throws {
        let blobs = try open()
        let (id, size) = try await blobs.store(bytes(100))
        blobs.abandon(id)
        try await settle(blobs)
        #expect(!exists(id))
        _ = try await blobs.store(bytes(100))
        try await database.write { try blobs.retain(id, size: size, in: $0) }
        _ = try await blobs.store(bytes(100))
        blobs.abandon(id)
        try await settle(blobs)
        #expect(exists(id))
    }

    @Test func sweepTakesOldUnreferencedFilesOnly() async throws {
        let now = Instant(milliseconds: Int64(time(nil)) * 1000)
        let blobs = try open()
        let (kept, size) = try await blobs.store(bytes(100))
        let (lost, _) = try await blobs.store(bytes(200))
        try await database.write { try blobs.retain(kept, size: size, in: $0) }
        let restarted = try open()
        #expect(try await restarted.sweep(now: now) == 0)
        #expect(exists(lost))
        #expect(try await blobs.sweep(now: now + .seconds(3600)) == 1)
        #expect(exists(lost), "it is staged in this process")
        #expect(try await restarted.sweep(now: now + .seconds(3600)) == 1)
        #expect(exists(kept) && !exists(lost))
        // A removal that a crash cut off after its commit.
        try await database.write { try $0.execute("UPDATE blobs_blobs SET refs = 0", []) }
        _ = try await restarted.sweep(now: now)
        try await settle(restarted)
        #expect(!exists(kept))
    }

    @Test func manyWritersOfTheSameAndOtherBytes() async throws {
        let blobs = try open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask { [database] in
                    let content = Array("content \(number % 10)".utf8)
                    let (id, size) = try await blobs.store(content)
                    try await database.write { try blobs.retain(id, size: size, in: $0) }
                    #expect(try await blobs.read(id, offset: 0, length: 100) == content)
                    if number % 2 == 0 { try await database.write { try blobs.release(id, in: $0) } }
                }
            }
            try await group.waitForAll()
        }
        try await settle(blobs)
        let rows = try await database.read {
            try $0.query("SELECT id, refs FROM blobs_blobs ORDER BY id", []) { ($0.text(0), $0.int(1)) }
        }
        #expect(rows.count == 5 && rows.allSatisfy { $0.1 == 20 })
        for row in rows { try await blobs.verify(try #require(BlobID(hex: row.0))) }
    }

    @Test func identifiers() {
        #expect(BlobID(hex: String(repeating: "a", count: 64)) != nil)
        #expect(BlobID(hex: String(repeating: "A", count: 64)) == nil)
        #expect(BlobID(hex: "../" + String(repeating: "a", count: 61)) == nil)
        #expect(BlobID(hex: "") == nil)
    }

    // MARK: Small blobs

    private func journalled() async throws -> Int64? {
        try await database.read { try $0.first("SELECT COUNT(*) FROM blobs_journal") { $0.int(0) } }
    }

    private func keep(_ content: [UInt8], in blobs: Blobs) async throws -> BlobID {
        let (id, size) = try await blobs.store(content)
        try await database.write { try blobs.retain(id, size: size, in: $0) }
        return id
    }

    private func flush(_ blobs: Blobs) async throws {
        try await blobs.pool.run { _ in blobs.journal.flush() }
        // Behind the flush's own write.
        try await database.write { _ in }
    }

    @Test(arguments: [0, 1, 5000, StorageLimits.journalledBlobBytes]) func aPowerCutTakesNoSmallBlob(
        _ size: Int
    ) async throws {
        let content = bytes(size)
        let id = try await keep(content, in: try open())
        #expect(try await journalled() == 1)
        // What the disk has of a file that was never synced: a name at best.
        #expect(truncate(file(id), 0) == 0)
        try await open().recover()
        #expect(try await open().read(id, offset: 0, length: size + 1) == content)
        #expect(unlink(file(id)) == 0)
        let blobs = try open()
        try await blobs.recover()
        try await blobs.verify(id)
        // Their files are on disk now: later cuts are of no concern.
        try await flush(blobs)
        #expect(try await journalled() == 0)
        try await blobs.verify(id)
    }

    @Test func largeBlobsAreNotJournalled() async throws {
        _ = try await keep(bytes(StorageLimits.journalledBlobBytes + 1), in: try open())
        #expect(try await journalled() == 0)
    }

    @Test func bytesAreJournalledOnceUntilTheyAreSynced() async throws {
        let blobs = try open()
        let id = try await keep([1, 2, 3], in: blobs)
        for _ in 0..<3 {
            #expect(blobs.share(id))
            try await database.write { try blobs.retain(id, size: 3, in: $0) }
        }
        #expect(try await journalled() == 1)
        try await flush(blobs)
        #expect(blobs.share(id))
        try await database.write { try blobs.retain(id, size: 3, in: $0) }
        #expect(try await journalled() == 0, "the file is on disk")
        // Written anew, it may not be.
        _ = try await keep([1, 2, 3], in: blobs)
        #expect(try await journalled() == 1)
    }

    @Test func theSameBytesAgainMakeNoMoreRows() async throws {
        let blobs = try open()
        for _ in 0..<5 { _ = try await keep([1, 2, 3], in: blobs) }
        #expect(try await journalled() == 1)
        // Unless the file was gone: the new one has not been synced.
        _ = try await keep([4], in: blobs)
        let id = try await keep([1, 2, 3], in: blobs)
        #expect(unlink(file(id)) == 0)
        _ = try await keep([1, 2, 3], in: blobs)
        #expect(try await journalled() == 3)
    }

    @Test func aFullDiskKeepsNoServerFromStarting() async throws {
        let id = try await keep([1, 2, 3], in: try open())
        let full = Failure(.diskFull, "no space")
        let blobs = try open()
        try await blobs.journal.recover { _, _ in throw full }
        #expect(try await blobs.read(id, offset: 0, length: 3) == [1, 2, 3])
        // The file may not be on the disk yet, so that its row stays, over syncs and new blobs.
        _ = try await keep([4], in: blobs)
        try await flush(blobs)
        #expect(try await journalled() == 1)
        try await open().recover()
        // A file that a power cut has taken cannot do without.
        #expect(truncate(file(id), 0) == 0)
        await #expect(throws: Failure.self) { try await open().journal.recover { _, _ in throw full } }
    }

    @Test func rowsThatCouldNotBeDeletedAreDeletedLater() async throws {
        let refusing = RefusingDatabase(database, refusals: 3)
        let blobs = try Blobs(
            directory: scratch.path, database: refusing, removalDelay: .zero, syncInterval: .zero)
        _ = try await keep([1], in: blobs)
        // Nothing new comes: it tries again by itself.
        for _ in 0..<2_000 where try await journalled() != 0 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(try await journalled() == 0)
        #expect(refusing.refusals.withLock { $0 } == 0)
    }

    @Test func manyAreSyncedTogether() async throws {
        let blobs = try open()
        for number in 0...StorageLimits.blobsSyncedSingly {
            _ = try await keep([UInt8](repeating: 1, count: number), in: blobs)
        }
        #expect(try await journalled() == Int64(StorageLimits.blobsSyncedSingly + 1))
        try await flush(blobs)
        #expect(try await journalled() == 0)
    }

    /// Kernels that say nothing of what could not be written must not be asked for all files at once.
    @Test func kernelsThatTellFailures() {
        for release in ["5.8.0", "5.10", "5.15.0-1-amd64", "6.1.0-18-amd64", "10.0-rc1"] {
            #expect(Files.syncfsTellsFailures(kernel: release), "\(release)")
        }
        for release in ["5.7.19", "4.19.0-27-amd64", "3.10.0-1160.el7", "5", "", "x.y", "5.", "99999999999999999999.1"]
        {
            #expect(!Files.syncfsTellsFailures(kernel: release), "\(release)")
        }
    }

    @Test func aWriterThatComesDuringASyncIsNotForgotten() async throws {
        let blobs = try open()
        let (id, size) = try await blobs.store([7])
        let (other, _) = try await blobs.store([8])
        try await flush(blobs)
        try await database.write { transaction in
            try blobs.retain(id, size: size, in: transaction)
            try blobs.retain(other, size: size, in: transaction)
        }
        #expect(try await journalled() == 0, "both files were written before the sync")
        let (late, _) = try await blobs.store([9])
        try await database.write { try blobs.retain(late, size: 1, in: $0) }
        #expect(try await journalled() == 1)
    }

    @Test func rowsThatComeDuringASyncAreNotThoseThatItDeletes() async throws {
        func last() async throws -> Int64? {
            try await database.read { try $0.first("SELECT MAX(seq) FROM blobs_journal") { $0.int(0) } }
        }
        let blobs = try open()
        _ = try await keep([1], in: blobs)
        let first = try #require(try await last())
        try await flush(blobs)
        #expect(try await journalled() == 0)
        // A sync deletes all rows up to the last one that it has seen: a later one must be above it.
        _ = try await keep([2], in: blobs)
        #expect(try #require(try await last()) > first)
    }

    @Test func afterASyncThatFailedNoRowGoes() async throws {
        let blobs = try open()
        let id = try await keep([1], in: blobs)
        #expect(unlink(file(id)) == 0 && symlink(file(id), file(id)) == 0)
        try await flush(blobs)
        #expect(try await journalled() == 1)
        #expect(unlink(file(id)) == 0)
        try await flush(blobs)
        #expect(try await journalled() == 1, "what a later sync says is not to be trusted")
        _ = try await keep([2], in: blobs)
        #expect(try await journalled() == 1, "blobs are synced one by one now")
        let next = try open()
        try await next.recover()
        try await next.verify(id)
        try await flush(next)
        #expect(try await journalled() == 0)
    }

    @Test func aFileThatOthersReferToIsNotReplaced() async throws {
        let blobs = try open()
        let id = try await keep([1], in: blobs)
        func number() -> UInt64 {
            var status = stat()
            return stat(file(id), &status) == 0 ? UInt64(status.st_ino) : 0
        }
        let before = number()
        _ = try await keep([1], in: blobs)
        #expect(before != 0 && number() == before)
        // Unless it is damaged.
        #expect(truncate(file(id), 0) == 0)
        _ = try await keep([1], in: blobs)
        try await blobs.verify(id)
    }

    @Test func whatIsNotReferredToIsNotRecovered() async throws {
        let blobs = try open()
        let id = try await keep([1], in: blobs)
        try await release(id, of: blobs)
        #expect(!exists(id))
        try await open().recover()
        #expect(!exists(id))
        let (lost, size) = try await blobs.store([2])
        await #expect(throws: CancellationError.self) {
            try await database.write { transaction in
                try blobs.retain(lost, size: size, in: transaction)
                throw CancellationError()
            }
        }
        #expect(try await journalled() == 1, "of the first")
    }
}

/// Refuses some writes that nobody waits for, as a full disk does.
private final class RefusingDatabase: Database {
    let base: any Database
    let refusals: Mutex<Int>

    init(_ base: any Database, refusals: Int) {
        self.base = base
        self.refusals = Mutex(refusals)
    }

    func write<T: Sendable>(_ body: @escaping @Sendable (any WriteTransaction) throws -> T) async throws -> T {
        try await base.write(body)
    }

    func read<T: Sendable>(_ body: @escaping @Sendable (any ReadTransaction) throws -> T) async throws -> T {
        try await base.read(body)
    }

    func write<T: Sendable>(
        _ body: @escaping @Sendable (any WriteTransaction) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        let isRefused = refusals.withLock { left in
            defer { left = max(left - 1, 0) }
            return left > 0
        }
        if isRefused { return completion(.failure(Failure(.diskFull, "no space"))) }
        base.write(body, completion: completion)
    }
}
