import Contracts
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import DynamoDB

@Suite struct StreamTests {
    private func arn(_ table: Table) throws -> String {
        StreamRow.arn(table.scope, table.name, try #require(table.definition.streamLabel))
    }

    private func read(
        _ harness: Harness, _ arn: String, _ shard: String, after: String? = nil, limit: Int = 100
    ) async throws -> StreamPage {
        let now = harness.time.now()
        let service = harness.service
        return try await harness.database.read {
            try service.read(
                stream: arn, shard: shard, after: after, limit: limit, byteLimit: 1 << 20, as: Harness.principal,
                now: now, in: $0)
        }
    }

    private func shards(_ harness: Harness, _ arn: String) async throws -> [StreamShard] {
        let service = harness.service
        return try await harness.database.read {
            try service.shards(stream: arn, after: nil, limit: 100, as: Harness.principal, in: $0)
        }
    }

    @Test func aShardMakesWayForItsChild() async throws {
        let harness = try Harness()
        let arn = try arn(try await harness.makeTable("t", view: "NEW_IMAGE"))
        try await harness.put("t", Harness.item("a", 1))
        let first = try #require(try await shards(harness, arn).first)
        #expect(!first.isClosed && first.parents.isEmpty)
        harness.time.advance(by: .seconds(Limits.shardSeconds))
        try await harness.put("t", Harness.item("a", 2))
        let both = try await shards(harness, arn)
        #expect(both.map(\.isClosed) == [true, false])
        #expect(both[1].parents == [first.id])
        let old = try await read(harness, arn, first.id)
        #expect(old.isEnd && old.records.count == 1)
        let new = try await read(harness, arn, both[1].id)
        #expect(!new.isEnd && new.records.count == 1)
        let (one, two) = (try #require(old.records.first), try #require(new.records.first))
        #expect(harness.service.isBefore(one.sequenceNumber, two.sequenceNumber))
        #expect(one.orderingKey == #"{"pk":{"S":"a"},"sk":{"N":"1"}}"#)
    }

    @Test func recordsExpireAndAreRemoved() async throws {
        let harness = try Harness()
        let arn = try arn(try await harness.makeTable("t", view: "KEYS_ONLY"))
        for number in 0..<5 { try await harness.put("t", Harness.item("a", number)) }
        let first = try #require(try await shards(harness, arn).first)
        harness.time.advance(by: .seconds(Limits.streamSeconds - 10))
        try await harness.put("t", Harness.item("a", 5))
        harness.time.advance(by: .seconds(10))
        #expect(try await read(harness, arn, first.id).records.isEmpty)
        let trimmed = try await harness.refusal(
            "GetShardIterator",
            [
                "StreamArn": .string(arn), "ShardId": .string(first.id), "ShardIteratorType": "AT_SEQUENCE_NUMBER",
                "SequenceNumber": .string(SequenceNumber.text(2)),
            ], streams: true)
        #expect(trimmed.code == "TrimmedDataAccessException")
        await harness.service.housekeeping.sweep()
        let left = try await harness.database.read {
            try $0.first("SELECT count(*) FROM dynamodb_records") { $0.int(0) }
        }
        #expect(left == 1)
        #expect(try await shards(harness, arn).count == 2)
        // The closed shard goes a day after its end; so does a stream that was switched off.
        harness.time.advance(by: .seconds(Limits.streamSeconds))
        await harness.service.housekeeping.sweep()
        #expect(try await shards(harness, arn).count == 1)
        _ = try await harness.call(
            "UpdateTable", ["TableName": "t", "StreamSpecification": ["StreamEnabled": false]])
        harness.time.advance(by: .seconds(Limits.streamSeconds))
        await harness.service.housekeeping.sweep()
        let error = try await harness.refusal("DescribeStream", ["StreamArn": .string(arn)], streams: true)
        #expect(error.code == "ResourceNotFoundException")
    }

    @Test func sequenceNumbersNeverGoBack() async throws {
        let harness = try Harness()
        let arn = try arn(try await harness.makeTable("t", view: "KEYS_ONLY"))
        var last = ""
        for round in 0..<4 {
            try await harness.put("t", Harness.item("a", round))
            let shard = try #require(try await shards(harness, arn).last)
            let number = try #require(try await read(harness, arn, shard.id).records.last).sequenceNumber
            #expect(harness.service.isBefore(last, number))
            last = number
            harness.time.advance(by: .seconds(2 * Limits.streamSeconds))
            await harness.service.housekeeping.sweep()
        }
    }

    @Test func iteratorsExpireAndCannotBeForged() async throws {
        let harness = try Harness()
        let arn = try arn(try await harness.makeTable("t", view: "KEYS_ONLY"))
        let shard = try #require(try await shards(harness, arn).first)
        let made = try await harness.call(
            "GetShardIterator",
            ["StreamArn": .string(arn), "ShardId": .string(shard.id), "ShardIteratorType": "TRIM_HORIZON"],
            streams: true)
        let text = try #require(made["ShardIterator"]?.string)
        _ = try await harness.call("GetRecords", ["ShardIterator": .string(text)], streams: true)
        var random = Seeded(9)
        for _ in 0..<200 {
            var bytes = Array(text.utf8)
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0x20..<0x7F, using: &random)
            let forged = String(decoding: bytes, as: UTF8.self)
            guard forged != text else { continue }
            // Base64 has spare bits in its last character: those say the same.
            guard harness.desk.iterators.read(forged).map({ $0.arn != arn }) ?? true else { continue }
            let error = try await harness.refusal("GetRecords", ["ShardIterator": .string(forged)], streams: true)
            #expect(error.code == "ValidationException")
        }
        harness.time.advance(by: .seconds(Limits.iteratorSeconds))
        let error = try await harness.refusal("GetRecords", ["ShardIterator": .string(text)], streams: true)
        #expect(error.code == "ExpiredIteratorException")
    }

    @Test func positionsAndWakeUps() async throws {
        let harness = try Harness()
        let service = harness.service
        let arn = try arn(try await harness.makeTable("t", view: "NEW_AND_OLD_IMAGES"))
        let shard = try #require(try await shards(harness, arn).first)
        let woken = Mutex<[String?]>([])
        let stop = service.observe(stream: arn) { shard in woken.withLock { $0.append(shard) } }
        @Sendable func position(_ start: StreamStart, _ transaction: any ReadTransaction) throws -> String? {
            try service.position(stream: arn, shard: shard.id, at: start, as: Harness.principal, in: transaction)
        }
        let latest = try await harness.database.read { try position(.latest, $0) }
        try await harness.put("t", Harness.item("a", 1))
        harness.time.advance(by: .seconds(60))
        let middle = harness.time.now()
        try await harness.put("t", Harness.item("a", 2))
        #expect(woken.withLock { $0 } == [shard.id, shard.id])
        #expect(try await read(harness, arn, shard.id, after: latest).records.count == 2)
        let (begin, timed) = try await harness.database.read {
            (try position(.trimHorizon, $0), try position(.timestamp(middle), $0))
        }
        #expect(begin == nil)
        #expect(try await read(harness, arn, shard.id, after: timed).records.count == 1)
        let page = try await read(harness, arn, shard.id, limit: 1)
        #expect(page.hasMore && page.records.count == 1)
        guard case .change(let id, "INSERT", nil, let json) = try #require(page.records.first).content else {
            Issue.record("not an insertion")
            return
        }
        #expect(id.utf8.count == 32)
        let change = try JSON.parse(json)
        #expect(change["NewImage"]?["sk"] == ["N": "1"] && change["StreamViewType"] == "NEW_AND_OLD_IMAGES")
        stop()
        try await harness.put("t", Harness.item("a", 3))
        #expect(woken.withLock { $0.count } == 2)
    }

    @Test func shardNamesAreRead() {
        let now = Instant(milliseconds: 1_741_234_567_890)
        #expect(ShardRow.name(42, now) == "shardId-00000001741234567890-0000002a")
        #expect(ShardRow.row(of: "shardId-00000001741234567890-0000002a") == 42)
        #expect(
            ShardRow.row(of: "shardId") == nil && ShardRow.row(of: "") == nil && ShardRow.row(of: "-zzzzzzzz") == nil)
        #expect(SequenceNumber.id(SequenceNumber.text(77)) == 77)
        #expect(SequenceNumber.id("1000-0000000000000000007") == nil && SequenceNumber.id("1") == nil)
        #expect(SequenceNumber.id("100099999999999999999999") == nil)
    }
}
