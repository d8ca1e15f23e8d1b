import Glibc
import Logging
import Platform
import Testing

@testable import Storage

@Suite struct SQLiteConformanceTests {
    @Test(arguments: EngineConformance.cases) func conforms(_ check: EngineConformance) async throws {
        let database = try SQLiteDatabase.temporary(migrations: [EngineConformance.migrations])
        try await check.run(database)
        database.close()
    }

    @Test(arguments: EngineConformance.cases) func conformsWithFullDurability(_ check: EngineConformance) async throws {
        let database = try SQLiteDatabase.temporary(migrations: [EngineConformance.migrations], durability: .full)
        try await check.run(database)
        database.close()
    }
}

/// A directory that goes when the test ends.
final class Scratch: Sendable {
    let path: String
    init() throws {
        var template = Array("/tmp/martlet-scratch-XXXXXX".utf8CString)
        path = String(cString: try #require(mkdtemp(&template)))
    }
    deinit { Directory.removeTree(path) }
}

@Suite struct SQLiteDatabaseTests {
    let migrations = [EngineConformance.migrations]

    @Test func keepsDataOverReopeningAndLeavesNoLog() async throws {
        let scratch = try Scratch()
        let first = try SQLiteDatabase.open(directory: scratch.path + "/a/b", migrations: migrations)
        try await first.write { try EngineConformance.insert("kept", in: $0) }
        first.close()
        #expect((Files.status(scratch.path + "/a/b/martlet.db-wal")?.size ?? 0) == 0)
        let second = try SQLiteDatabase.open(directory: scratch.path + "/a/b", migrations: migrations)
        #expect(try await EngineConformance.names(second) == ["kept"])
        second.close()
    }

    @Test func refusesASecondServerByName() async throws {
        let scratch = try Scratch()
        let first = try SQLiteDatabase.open(directory: scratch.path, migrations: migrations)
        let failure = #expect(throws: Failure.self) {
            try SQLiteDatabase.open(directory: scratch.path, migrations: migrations)
        }
        #expect(failure?.code == .unavailable)
        #expect(failure?.message.contains("process \(getpid())") == true)
        first.close()
        try SQLiteDatabase.open(directory: scratch.path, migrations: migrations).close()
    }

    @Test func closedStoreRefuses() async throws {
        let database = try SQLiteDatabase.temporary(migrations: migrations)
        database.close()
        database.close()
        for _ in 0..<2 {
            let write = await #expect(throws: Failure.self) { try await database.write { _ in } }
            #expect(write?.code == .unavailable)
            let read = await #expect(throws: Failure.self) { try await database.read { _ in } }
            #expect(read?.code == .unavailable)
        }
        #expect(Files.status(database.directory) == nil)
    }

    @Test func losingTheStoreReleasesTheDirectory() async throws {
        let scratch = try Scratch()
        for _ in 0..<3 {
            let database = try SQLiteDatabase.open(directory: scratch.path, migrations: migrations)
            try await database.write { try EngineConformance.insert("x", in: $0) }
            database.close()
        }
        let last = try SQLiteDatabase.open(directory: scratch.path, migrations: migrations)
        #expect(try await EngineConformance.names(last).count == 3)
        last.close()
    }

    // MARK: Migrations

    @Test func migrationsApplyOnceAndInOrder() async throws {
        let scratch = try Scratch()
        var shop = Migrations(service: "shop", steps: ["CREATE TABLE shop_a (x INTEGER)"])
        try SQLiteDatabase.open(directory: scratch.path, migrations: [shop]).close()
        shop.steps.append("INSERT INTO shop_a VALUES (1); INSERT INTO shop_a VALUES (2)")
        for _ in 0..<2 {
            let database = try SQLiteDatabase.open(directory: scratch.path, migrations: [shop])
            let rows = try await database.read { try $0.query("SELECT x FROM shop_a ORDER BY x", []) { $0.int(0) } }
            #expect(rows == [1, 2])
            database.close()
        }
        let newer = #expect(throws: Failure.self) {
            let older = Migrations(service: "shop", steps: [shop.steps[0]])
            _ = try SQLiteDatabase.open(directory: scratch.path, migrations: [older])
        }
        #expect(newer?.code == .configuration && newer?.message.contains("newer Martlet") == true)
        shop.steps[0] += " "
        let edited = #expect(throws: Failure.self) {
            try SQLiteDatabase.open(directory: scratch.path, migrations: [shop])
        }
        #expect(edited?.code == .configuration && edited?.message.contains("never edited") == true)
    }

    @Test func failedMigrationLeavesNothing() async throws {
        let scratch = try Scratch()
        let bad = Migrations(service: "shop", steps: ["CREATE TABLE shop_a (x INTEGER)", "CREATE GARBAGE"])
        #expect(throws: Failure.self) { try SQLiteDatabase.open(directory: scratch.path, migrations: [bad]) }
        let ending = Migrations(service: "shop", steps: ["COMMIT"])
        #expect(throws: Failure.self) { try SQLiteDatabase.open(directory: scratch.path, migrations: [ending]) }
        let good = Migrations(service: "shop", steps: ["CREATE TABLE shop_a (x INTEGER)"])
        try SQLiteDatabase.open(directory: scratch.path, migrations: [good]).close()
    }

    @Test func storeOfANewerFormatIsRefused() async throws {
        let scratch = try Scratch()
        let database = try SQLiteDatabase.open(directory: scratch.path, migrations: [])
        try await database.write { try $0.execute("PRAGMA user_version = 99", []) }
        database.close()
        let failure = #expect(throws: Failure.self) {
            try SQLiteDatabase.open(directory: scratch.path, migrations: [])
        }
        #expect(failure?.code == .configuration && failure?.message.contains("format 99") == true)
    }

    // MARK: Checkpoints

    @Test func logStaysBounded() async throws {
        let database = try SQLiteDatabase.temporary(migrations: migrations)
        let bytes = [UInt8](repeating: 1, count: 100_000)
        for _ in 0..<800 {
            try await database.write { transaction in
                try transaction.execute("INSERT INTO engine_rows (name, value) VALUES ('a', ?)", [.blob(bytes)])
            }
        }
        let size = try #require(Files.status(database.directory + "/martlet.db-wal")?.size)
        #expect(size < 40 << 20, "80 MB were written; the log has \(size) bytes")
        database.close()
    }

    @Test func checkpointPolicy() {
        var policy = CheckpointPolicy()
        #expect(policy.next(pages: 999, isBusy: false) == nil)
        #expect(policy.next(pages: 1000, isBusy: true) == nil)
        #expect(policy.next(pages: 1000, isBusy: false) == .passive)
        policy.finished(pages: 1000, isComplete: true)
        #expect(policy.next(pages: 1500, isBusy: false) == nil)
        // The log began anew.
        #expect(policy.next(pages: 3, isBusy: false) == nil)
        #expect(policy.next(pages: 4000, isBusy: true) == .passive)
        policy.finished(pages: 4000, isComplete: false)
        #expect(policy.next(pages: 4500, isBusy: true) == nil)
        #expect(policy.next(pages: 5000, isBusy: true) == .passive)
        #expect(policy.next(pages: 16_000, isBusy: true) == .restart)
    }
}
