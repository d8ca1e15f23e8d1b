import Contracts
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Testing
import Wire

@testable import CloudWatchLogs

@Suite struct RemovalTests {
    let database: SQLiteDatabase
    let service: CloudWatchLogsService
    let time = ManualTime()
    static let scope = AccountRegion(account: "000000000000", region: "us-east-1")

    init() throws {
        database = try SQLiteDatabase.temporary(migrations: [CloudWatchLogsService.migrations])
        service = try CloudWatchLogsService(
            database: database, outbox: RecordingOutbox(), metrics: nil, time: time, logger: Logger(label: "test"))
    }

    private func call(_ operation: String, _ input: Value, scope: AccountRegion = Self.scope) async throws -> Value {
        guard case .asynchronous(let handler) = service.definition.operations[operation] else {
            throw Failure(.bug, "no operation \(operation)")
        }
        let loop = NIOAsyncTestingEventLoop()
        let context = OperationContext(
            requestID: "r", service: "logs", operation: operation, scope: scope, principal: .account(scope.account),
            now: time.now(), endpoint: "", sourceIP: "", headers: [], uri: "/", eventLoop: loop,
            closed: loop.makeSucceededVoidFuture())
        return try await handler(OperationRequest(context: context, input: input, payload: ByteBuffer())).output
    }

    private func code(_ operation: String, _ input: Value) async -> String? {
        do {
            _ = try await call(operation, input)
            return nil
        } catch {
            return (error as? AWSError)?.code
        }
    }

    /// As functions' logs come in.
    private func log(_ group: String, _ stream: String, lines: Int, at instant: Instant? = nil) async {
        let events = (0..<lines).map { LogEvent(timestamp: instant ?? time.now(), message: "line \($0)") }
        service.append(scope: Self.scope, group: group, stream: stream, events: events)
        await service.flush()
    }

    private func count(_ table: String) async throws -> Int64 {
        try await database.read { transaction in
            let statements = [
                "logs_event": "SELECT COUNT(*) FROM logs_event", "logs_stream": "SELECT COUNT(*) FROM logs_stream",
                "logs_group": "SELECT COUNT(*) FROM logs_group",
            ]
            return try transaction.first(statements[table] ?? "") { $0.int(0) } ?? -1
        }
    }

    /// The answer to DeleteLogGroup does not wait for a million events, and no transaction removes more than its share.
    @Test func deletedGroupsGoInBoundedSteps() async throws {
        await log("g", "s", lines: 25)
        await log("other", "s", lines: 3)
        try await database.write { transaction in
            try Removal.hide(try GroupRow.require("g", Self.scope, in: transaction), in: transaction)
        }
        #expect(await code("DescribeLogStreams", ["logGroupName": "g"]) == "ResourceNotFoundException")
        #expect(try await call("DescribeLogGroups", [:])["logGroups"]?.list?.count == 1)
        // A new group of the name has nothing of the old one.
        _ = try await call("CreateLogGroup", ["logGroupName": "g"])
        #expect(try await call("FilterLogEvents", ["logGroupName": "g"])["events"]?.list?.isEmpty == true)

        var left: [Int64] = []
        while try await database.write({ try Removal.step(limit: 10, in: $0) }) {
            left.append(try await count("logs_event"))
        }
        #expect(left.prefix(3) == [18, 8, 3])
        #expect(try await count("logs_stream") == 1)
        #expect(try await count("logs_group") == 2)
    }

    @Test func deletedStreamsGoInBoundedSteps() async throws {
        await log("g", "a", lines: 12)
        await log("g", "b", lines: 2)
        try await database.write { transaction in
            let group = try GroupRow.require("g", Self.scope, in: transaction)
            guard let stream = try StreamRow.find("a", group: group.id, in: transaction) else {
                throw LogsError.noStream
            }
            try Removal.hide(stream, in: transaction)
        }
        #expect(try await call("FilterLogEvents", ["logGroupName": "g"])["events"]?.list?.count == 2)
        // The same name again, before the old events are gone.
        await log("g", "a", lines: 1)
        _ = try await database.write { try Removal.step(limit: 10, in: $0) }
        #expect(try await count("logs_event") == 5)
        while try await database.write({ try Removal.step(limit: 10, in: $0) }) {}
        #expect(try await count("logs_event") == 3)
        let bytes = try await call("DescribeLogGroups", [:])["logGroups"]?.list?.first?["storedBytes"]
        #expect(bytes == .int(3 * 32))
    }

    @Test func whatUsersDeleteGoes() async throws {
        await log("g", "a", lines: 3)
        await log("g", "b", lines: 3)
        _ = try await call("DeleteLogStream", ["logGroupName": "g", "logStreamName": "a"])
        _ = try await call("DeleteLogGroup", ["logGroupName": "g"])
        await service.sweeper.removeDeleted()
        for table in ["logs_event", "logs_stream", "logs_group"] { #expect(try await count(table) == 0) }
        #expect(await code("DeleteLogGroup", ["logGroupName": "g"]) == "ResourceNotFoundException")
    }

    /// One stream for each environment: they go with their events. Those that users have made stay, as on AWS.
    @Test func streamsOfEnvironmentsGoWithTheirEvents() async throws {
        await log("g", "environment", lines: 2)
        _ = try await call("CreateLogStream", ["logGroupName": "g", "logStreamName": "mine"])
        _ = try await call("PutRetentionPolicy", ["logGroupName": "g", "retentionInDays": 1])
        time.advance(by: .seconds(3600))
        await service.sweeper.expire()
        #expect(try await count("logs_stream") == 2)
        time.advance(by: .seconds(86_400))
        await log("g", "young", lines: 1)
        await service.sweeper.expire()
        let names = try await call("DescribeLogStreams", ["logGroupName": "g"])["logStreams"]?.list?.compactMap {
            $0["logStreamName"]?.string
        }
        #expect(names == ["mine", "young"])
        #expect(try await count("logs_event") == 1)
    }

    /// An ARN of another account or Region never means the group of that name here.
    @Test func groupsOfOthersAreNotOnesOwn() async throws {
        await log("g", "s", lines: 1)
        func group(_ region: String, _ account: String) -> Value {
            .string("arn:aws:logs:\(region):\(account):log-group:g:*")
        }
        for operation in ["FilterLogEvents", "DescribeLogStreams"] {
            let mine = group("us-east-1", "000000000000")
            #expect(await code(operation, ["logGroupIdentifier": mine]) == nil)
            let theirs = group("us-east-1", "111122223333")
            #expect(await code(operation, ["logGroupIdentifier": theirs]) == "AccessDeniedException")
            let elsewhere = group("eu-west-1", "000000000000")
            #expect(await code(operation, ["logGroupIdentifier": elsewhere]) == "ResourceNotFoundException")
        }
        let theirs = group("us-east-1", "111122223333")
        #expect(await code("TagResource", ["resourceArn": theirs, "tags": ["a": "b"]]) == "AccessDeniedException")
    }
}
