import Contracts
import Logging
import Platform
import Storage
import Testing

@testable import CloudWatchLogs

/// Functions' lines when the store does not take them.
@Suite struct WritingTests {
    let database: SQLiteDatabase
    let service: CloudWatchLogsService
    let time = ManualTime()

    init() throws {
        database = try SQLiteDatabase.temporary(migrations: [CloudWatchLogsService.migrations])
        service = try CloudWatchLogsService(
            database: database, outbox: RecordingOutbox(), metrics: nil, time: time, logger: Logger(label: "test"))
    }

    private func say(_ line: String) {
        service.append(
            scope: AccountRegion(account: "000000000000", region: "us-east-1"), group: "g", stream: "s",
            events: [LogEvent(timestamp: time.now(), message: line)])
    }

    private func advance(_ duration: Duration) async throws {
        time.advance(by: duration)
        for _ in 0..<4 { try await database.write { _ in } }
    }

    private func execute(_ statement: String) async throws {
        try await database.write { _ = try $0.execute(statement, []) }
    }

    private func lines() async throws -> [String] {
        try await database.read { try $0.query("SELECT message FROM logs_event ORDER BY id", []) { $0.text(0) } }
    }

    private func spoil() async throws {
        try await execute(
            "CREATE TRIGGER full BEFORE INSERT ON logs_event BEGIN SELECT RAISE(ABORT, 'full'); END")
    }

    @Test func linesAreWrittenOnceMore() async throws {
        try await spoil()
        say("one")
        try await advance(Limits.bufferDelay)
        // What comes meanwhile waits behind them.
        say("two")
        try await advance(.milliseconds(500))
        try await execute("DROP TRIGGER full")
        try await advance(.milliseconds(500))
        #expect(try await lines() == ["one"])
        try await advance(Limits.steadyBufferDelay)
        #expect(try await lines() == ["one", "two"])
        #expect(service.droppedLines == 0)
    }

    @Test func whatIsLostIsCountedAndHoldsUpNothing() async throws {
        try await spoil()
        say("lost")
        try await advance(Limits.bufferDelay)
        try await advance(Limits.rewriteDelay)
        #expect(service.droppedLines == 1)
        try await execute("DROP TRIGGER full")
        say("kept")
        try await advance(Limits.steadyBufferDelay)
        #expect(try await lines() == ["kept"])
        await service.flush()
    }
}
