import Glibc
import Logging
import Platform
import Testing

@testable import Storage

/// What a crash, a bad disk or a full disk does to the store. A killed process is looked at from outside, in
/// Conformance: here its files are copied while the store is open, which is what a kill leaves.
@Suite struct DamageTests {
    let migrations = [EngineConformance.migrations]

    /// A store with `rows` acknowledged rows, one commit each, as a kill would leave it: database and log.
    private func killed(rows: Int, in scratch: Scratch) async throws -> String {
        let live = try SQLiteDatabase.open(directory: scratch.path + "/live", migrations: migrations)
        for number in 0..<rows { try await live.write { try EngineConformance.insert("\(number)", in: $0) } }
        let copy = scratch.path + "/killed"
        try copyStore(from: scratch.path + "/live", to: copy)
        live.close()
        return copy
    }

    private func copyStore(from source: String, to target: String) throws {
        try Files.makeDirectories(target)
        for name in ["martlet.db", "martlet.db-wal"] {
            try write(read(source + "/" + name), to: target + "/" + name)
        }
    }

    private func read(_ path: String) throws -> [UInt8] {
        let descriptor = try Files.open(path, O_RDONLY)
        defer { close(descriptor) }
        let size = Int(try #require(Files.status(path)).size)
        var bytes = [UInt8](repeating: 0, count: size)
        let count = try bytes.withUnsafeMutableBytes { try Files.readFully($0, from: descriptor, at: 0, path: path) }
        #expect(count == size)
        return bytes
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let descriptor = try Files.open(path, O_WRONLY | O_CREAT | O_TRUNC)
        defer { close(descriptor) }
        try bytes.withUnsafeBytes { try Files.writeAll($0, to: descriptor, at: 0, path: path) }
    }

    @Test func everythingAcknowledgedOutlivesAKill() async throws {
        let scratch = try Scratch()
        let path = try await killed(rows: 40, in: scratch)
        guard case .whole(let frames) = try WALAudit.examine(path + "/martlet.db-wal") else {
            Issue.record("the log should be whole")
            return
        }
        #expect(frames >= 40)
        let database = try SQLiteDatabase.open(directory: path, migrations: migrations)
        #expect(try await EngineConformance.names(database) == (0..<40).map { "\($0)" })
        database.close()
    }

    @Test(arguments: [1, 100, 2048, 4119, 4120, 4121, 9000, 20_000])
    func tornTailLosesOnlyWhatWasCut(_ cut: Int) async throws {
        let scratch = try Scratch()
        let path = try await killed(rows: 30, in: scratch)
        let log = try read(path + "/martlet.db-wal")
        try write(Array(log.dropLast(cut)), to: path + "/martlet.db-wal")
        let database = try SQLiteDatabase.open(directory: path, migrations: migrations)
        let names = try await EngineConformance.names(database)
        #expect(names == (0..<names.count).map { "\($0)" })
        #expect(names.count < 30 && names.count >= 30 - 2 * (cut / 4120 + 1))
        try await database.write { try EngineConformance.insert("after", in: $0) }
        #expect(try await EngineConformance.names(database) == names + ["after"])
        database.close()
    }

    @Test func garbageInTheTornTailIsATornTail() async throws {
        let scratch = try Scratch()
        let path = try await killed(rows: 20, in: scratch)
        var log = try read(path + "/martlet.db-wal")
        for index in (log.count - 500)..<log.count { log[index] ^= 0x5A }
        try write(log, to: path + "/martlet.db-wal")
        guard case .tornTail = try WALAudit.examine(path + "/martlet.db-wal") else {
            Issue.record("a damaged last page is a torn tail")
            return
        }
    }

    @Test func damageBehindWhichCommitsLieIsReported() async throws {
        let scratch = try Scratch()
        let path = try await killed(rows: 30, in: scratch)
        var log = try read(path + "/martlet.db-wal")
        let frames = (log.count - 32) / 4120
        log[32 + (frames - 20) * 4120 + 1000] ^= 1
        try write(log, to: path + "/martlet.db-wal")
        guard case .damaged(let frame, let behind) = try WALAudit.examine(path + "/martlet.db-wal") else {
            Issue.record("acknowledged commits are behind the damage")
            return
        }
        #expect(frame == frames - 20 && behind > 0)
        // The store opens with what can be used, and keeps the log for a look.
        let database = try SQLiteDatabase.open(directory: path, migrations: migrations)
        let names = try await EngineConformance.names(database)
        #expect(names == (0..<names.count).map { "\($0)" } && names.count < 30)
        database.close()
        #expect(Files.status(path + "/martlet.db-wal.damaged")?.size == Int64(log.count))
    }

    @Test func anyLogCanBeExamined() throws {
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: 11)
        let path = scratch.path + "/wal"
        for length in [0, 1, 31, 32, 33, 56, 600, 4152, 9000] {
            try write((0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }, to: path)
            #expect(try WALAudit.examine(path) == .unreadable)
        }
    }

    @Test func corruptedPageIsAnErrorNotData() async throws {
        let scratch = try Scratch()
        let path = scratch.path + "/store"
        let first = try SQLiteDatabase.open(directory: path, migrations: migrations)
        try await first.write { transaction in
            for number in 0..<3000 { try EngineConformance.insert("row \(number)", in: transaction) }
        }
        first.close()
        var bytes = try read(path + "/martlet.db")
        // Every page behind the schema: headers overwritten.
        for page in stride(from: 12 * 4096, to: bytes.count, by: 4096) {
            for index in page..<min(page + 64, bytes.count) { bytes[index] = 0xEE }
        }
        try write(bytes, to: path + "/martlet.db")
        let database = try SQLiteDatabase.open(directory: path, migrations: migrations)
        let failure = await #expect(throws: Failure.self) { try await EngineConformance.names(database) }
        #expect(failure?.code == .corrupt)
        database.close()

        // After an unclean end the same damage is found at start.
        try write([1], to: path + "/martlet.db-wal")
        let atStart = #expect(throws: Failure.self) {
            try SQLiteDatabase.open(directory: path, migrations: migrations)
        }
        #expect(atStart?.code == .corrupt)
    }

    @Test func notADatabaseIsCorrupt() throws {
        let scratch = try Scratch()
        try write([UInt8](repeating: 0x41, count: 8192), to: scratch.path + "/martlet.db")
        let failure = #expect(throws: Failure.self) {
            try SQLiteDatabase.open(directory: scratch.path, migrations: migrations)
        }
        #expect(failure?.code == .corrupt)
    }

    // MARK: Full disk

    @Test func fullDiskRefusesWritesServesReadsAndRecovers() async throws {
        let scratch = try Scratch()
        guard let disk = SmallDisk(megabytes: 4, at: scratch.path + "/disk") else { return }
        try write([UInt8](repeating: 0, count: 1 << 20), to: disk.path + "/ballast")
        let database = try SQLiteDatabase.open(directory: disk.path + "/data", migrations: migrations)
        let blobs = try Blobs(directory: disk.path + "/blobs", database: database)
        try await database.write { try EngineConformance.insert("first", in: $0) }
        let bytes = [UInt8](repeating: 9, count: 100_000)
        var written = 0
        var refused: Failure?
        while refused == nil, written < 200 {
            do {
                try await database.write { transaction in
                    try transaction.execute("INSERT INTO engine_rows (name, value) VALUES ('big', ?)", [.blob(bytes)])
                }
                written += 1
            } catch { refused = error as? Failure }
        }
        #expect(refused?.code == .diskFull)
        #expect(try await EngineConformance.names(database).count == written + 1)
        let blob = await #expect(throws: Failure.self) {
            try await blobs.store([UInt8](repeating: 1, count: 2 << 20))
        }
        #expect(blob?.code == .diskFull)
        // Many at once: all are refused, none half.
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    let failure = await #expect(throws: Failure.self) {
                        try await database.write { transaction in
                            try transaction.execute(
                                "INSERT INTO engine_rows (name, value) VALUES ('big', ?)", [.blob(bytes)])
                        }
                    }
                    #expect(failure?.code == .diskFull)
                }
            }
        }
        #expect(try await EngineConformance.names(database).count == written + 1)
        unlink(disk.path + "/ballast")
        try await database.write { try EngineConformance.insert("last", in: $0) }
        #expect(try await EngineConformance.names(database).last == "last")
        _ = try await blobs.store([1, 2, 3])
        blobs.close()
        database.close()
        let again = try SQLiteDatabase.open(directory: disk.path + "/data", migrations: migrations)
        #expect(try await EngineConformance.names(again).count == written + 2)
        again.close()
    }
}

/// A tmpfs of a few megabytes; only where we may mount.
private final class SmallDisk {
    let path: String
    init?(megabytes: Int, at path: String) {
        self.path = path
        guard geteuid() == 0, mkdir(path, 0o700) == 0,
            run("/bin/mount", "-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", path)
        else {
            print("skipped: a small tmpfs cannot be mounted here")
            return nil
        }
    }
    deinit { _ = run("/bin/umount", "-l", path) }
}

private func run(_ arguments: String...) -> Bool {
    var strings: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for string in strings { free(string) } }
    var child = pid_t()
    guard posix_spawn(&child, arguments[0], nil, nil, &strings, environ) == 0 else { return false }
    var status: CInt = 0
    return waitpid(child, &status, 0) == child && status == 0
}

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
