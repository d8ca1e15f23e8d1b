import Contracts
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Kinesis

@Suite struct Service {
    private func stream(_ harness: Harness, _ name: String, shards: Int64 = 1) async throws {
        _ = try await harness.call("CreateStream", ["StreamName": .string(name), "ShardCount": .int(shards)])
    }

    @Test func recordsComeBackInOrderAndNumbersNeverRepeat() async throws {
        let harness = try Harness()
        try await stream(harness, "s", shards: 3)
        var random = Seeded(state: 6)
        var expected: [String: [String]] = [:]
        var numbers = Set<String>()
        for _ in 0..<60 {
            // The clock may also step back.
            harness.time.advance(by: .milliseconds(Int64.random(in: 0...2, using: &random)))
            let keys = (0..<Int.random(in: 1...20, using: &random)).map { "k\($0)" }
            for answer in try await harness.put("s", keys) {
                let shard = try #require(answer["ShardId"]?.string)
                let number = try #require(answer["SequenceNumber"]?.string)
                #expect(numbers.insert(number).inserted)
                if let last = expected[shard]?.last { #expect(SequenceNumber.isBefore(last, number)) }
                expected[shard, default: []].append(number)
            }
        }
        for (shard, wanted) in expected {
            for limit in [10_000, 7] {
                let read = try await harness.drain("s", shard, limit: limit).compactMap { $0["SequenceNumber"]?.string }
                #expect(read == wanted)
            }
        }
        // Another process on the same store goes on behind them.
        let other = try Harness.service(harness.database, harness.time)
        let answer = try await harness.call(
            "PutRecord", ["StreamName": "s", "PartitionKey": "k1", "Data": .blob([1])], on: other)
        let (shard, number) = (answer["ShardId"]?.string ?? "", answer["SequenceNumber"]?.string ?? "")
        #expect(SequenceNumber.isBefore(expected[shard]?.last ?? "0", number))
    }

    @Test func everyIteratorBeginsWhereItSays() async throws {
        let harness = try Harness()
        try await stream(harness, "s")
        let shard = "shardId-000000000000"
        var numbers: [String] = []
        var times: [Instant] = []
        for _ in 0..<5 {
            harness.time.advance(by: .milliseconds(10))
            times.append(harness.time.now())
            numbers += try await harness.put("s", ["k"]).compactMap { $0["SequenceNumber"]?.string }
        }
        func first(_ type: String, _ more: Value = [:]) async throws -> String? {
            let iterator = try await harness.iterator("s", shard, type, more)
            let answer = try await harness.call("GetRecords", ["ShardIterator": .string(iterator), "Limit": 1])
            return answer["Records"]?.list?.first?["SequenceNumber"]?.string
        }
        #expect(try await first("TRIM_HORIZON") == numbers[0])
        #expect(try await first("LATEST") == nil)
        #expect(
            try await first("AT_SEQUENCE_NUMBER", ["StartingSequenceNumber": .string(numbers[2])]) == numbers[2])
        #expect(
            try await first("AFTER_SEQUENCE_NUMBER", ["StartingSequenceNumber": .string(numbers[2])]) == numbers[3])
        #expect(try await first("AT_TIMESTAMP", ["Timestamp": .timestamp(times[3])]) == numbers[3])
        #expect(try await first("AT_TIMESTAMP", ["Timestamp": .timestamp(times[3] - .milliseconds(1))]) == numbers[3])
        let latest = try await harness.iterator("s", shard, "LATEST")
        _ = try await harness.put("s", ["new"])
        let answer = try await harness.call("GetRecords", ["ShardIterator": .string(latest)])
        #expect(answer["Records"]?.list?.count == 1)
        // They live five minutes.
        harness.time.advance(by: .seconds(301))
        #expect(
            await code { _ = try await harness.call("GetRecords", ["ShardIterator": .string(latest)]) }
                == "ExpiredIteratorException")
        #expect(
            await code { _ = try await harness.call("GetRecords", ["ShardIterator": "AAAAAAAA"]) }
                == "InvalidArgumentException")
    }

    @Test func splittingAndMergingKeepsOrderAndSaysWhoFollows() async throws {
        let harness = try Harness()
        try await stream(harness, "s")
        let half = UInt128(1) << 127
        _ = try await harness.put("s", ["a", "b"], explicit: [0, half])
        _ = try await harness.call(
            "SplitShard",
            ["StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": .string(String(half))])
        let after = try await harness.put("s", ["c", "d"], explicit: [0, half])
        #expect(
            after.compactMap { $0["ShardId"]?.string } == ["shardId-000000000001", "shardId-000000000002"])
        let iterator = try await harness.iterator("s", "shardId-000000000000", "TRIM_HORIZON")
        let end = try await harness.call("GetRecords", ["ShardIterator": .string(iterator)])
        #expect(end["Records"]?.list?.count == 2)
        #expect(end["NextShardIterator"] == nil)
        #expect(Model.GetRecordsOutput(end).childShards?.count == 2)
        _ = try await harness.call(
            "MergeShards",
            [
                "StreamName": "s", "ShardToMerge": "shardId-000000000001",
                "AdjacentShardToMerge": "shardId-000000000002",
            ])
        let shards = try await harness.shards("s")
        #expect(shards.count == 4)
        #expect(shards[3].parentShardId == "shardId-000000000001")
        #expect(shards[3].adjacentParentShardId == "shardId-000000000002")
        #expect(shards.filter { $0.sequenceNumberRange?.endingSequenceNumber == nil }.count == 1)
        let open = try await harness.shards("s", ["ShardFilter": ["Type": "AT_LATEST"]])
        #expect(open.compactMap(\.shardId) == ["shardId-000000000003"])
        #expect(
            await code {
                _ = try await harness.call(
                    "SplitShard",
                    ["StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "5"])
            } == "InvalidArgumentException")
    }

    @Test func expiredRecordsAndEmptyClosedShardsGo() async throws {
        let harness = try Harness()
        try await stream(harness, "s")
        _ = try await harness.put("s", (0..<50).map { "k\($0)" })
        let last = try await harness.put("s", ["last"])[0]["SequenceNumber"]?.string ?? ""
        _ = try await harness.call(
            "UpdateShardCount", ["StreamName": "s", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"])
        harness.time.advance(by: .seconds(24 * 3600 - 1))
        #expect(try await harness.drain("s", "shardId-000000000000").count == 51)
        harness.time.advance(by: .seconds(2))
        #expect(
            await code { _ = try await harness.iterator("s", "shardId-000000000000", "TRIM_HORIZON") }
                == "ResourceNotFoundException")
        await harness.service.housekeeping.sweep()
        let left = try await harness.database.read { transaction in
            try transaction.first(
                "SELECT (SELECT COUNT(*) FROM kinesis_segments), (SELECT COUNT(*) FROM kinesis_shards)"
            ) {
                [$0.int(0), $0.int(1)]
            }
        }
        #expect(left == [0, 2])
        #expect(try await harness.shards("s").count == 2)
        let next = try await harness.put("s", ["k"])[0]["SequenceNumber"]?.string ?? ""
        #expect(SequenceNumber.isBefore(last, next))
    }

    @Test func absurdShardCountsCostNothing() async throws {
        let harness = try Harness()
        for count: Int64 in [20_001, 1_000_000, Int64(Int32.max)] {
            #expect(
                await code {
                    _ = try await harness.call("CreateStream", ["StreamName": "s", "ShardCount": .int(count)])
                } == "LimitExceededException")
        }
        try await stream(harness, "s", shards: 2)
        for count: Int64 in [5, 100_000] {
            #expect(
                await code {
                    _ = try await harness.call(
                        "UpdateShardCount",
                        ["StreamName": "s", "TargetShardCount": .int(count), "ScalingType": "UNIFORM_SCALING"])
                } == (count == 5 ? "InvalidArgumentException" : "LimitExceededException"))
        }
    }

    @Test func throughputLimitsRefusePartOfAPut() async throws {
        let harness = try Harness(limitsThroughput: true)
        try await stream(harness, "s")
        var failed: Int64 = 0
        for _ in 0..<3 {
            let records = Value.list((0..<500).map { ["PartitionKey": .string("\($0)"), "Data": .blob([1])] })
            failed +=
                try await harness.call("PutRecords", ["StreamName": "s", "Records": records])["FailedRecordCount"]?.int
                ?? 0
        }
        #expect(failed == 500)
        #expect(
            await code {
                _ = try await harness.call("PutRecord", ["StreamName": "s", "PartitionKey": "k", "Data": .blob([1])])
            } == "ProvisionedThroughputExceededException")
        harness.time.advance(by: .seconds(1))
        #expect(try await harness.drain("s", "shardId-000000000000").count == 1_000)
    }

    @Test func resourcePoliciesLetOthersIn() async throws {
        let harness = try Harness()
        try await stream(harness, "s")
        let arn = Harness.arn("s")
        let other = Principal.account("111122223333")
        let input: Value = ["StreamARN": .string(arn), "PartitionKey": "k", "Data": .blob([1])]
        #expect(await code { _ = try await harness.call("PutRecord", input, as: other) } == "AccessDeniedException")
        let policy = """
            {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},\
            "Action":"kinesis:PutRecord","Resource":"\(arn)"}]}
            """
        _ = try await harness.call("PutResourcePolicy", ["ResourceARN": .string(arn), "Policy": .string(policy)])
        _ = try await harness.call("PutRecord", input, as: other)
        #expect(
            await code { _ = try await harness.call("DescribeStream", ["StreamARN": .string(arn)], as: other) }
                == "AccessDeniedException")
    }

    @Test func pollersReadWhatWasPutAndAreWoken() async throws {
        let harness = try Harness()
        try await stream(harness, "s")
        let arn = Harness.arn("s")
        let woken = Woken()
        let stop = harness.service.observe(stream: arn) { woken.add($0) }
        defer { stop() }
        let shard = "shardId-000000000000"
        let service = harness.service
        let (start, time) = try await harness.database.read { transaction in
            (
                try service.position(stream: arn, shard: shard, at: .latest, as: Harness.owner, in: transaction),
                harness.time.now()
            )
        }
        _ = try await harness.put("s", ["a", "b", "c"])
        #expect(woken.all == [shard])
        let page = try await harness.database.read { transaction in
            try service.read(
                stream: arn, shard: shard, after: start, limit: 2, byteLimit: 1 << 20, as: Harness.owner, now: time,
                in: transaction)
        }
        #expect(page.records.map(\.orderingKey) == ["a", "b"])
        #expect(page.hasMore && !page.isEnd)
        _ = try await harness.call(
            "UpdateShardCount", ["StreamName": "s", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"])
        #expect(woken.all == [shard, nil])
        let end = try await harness.database.read { transaction in
            try service.read(
                stream: arn, shard: shard, after: page.records.last?.sequenceNumber, limit: 2, byteLimit: 1 << 20,
                as: Harness.owner, now: time, in: transaction)
        }
        #expect(end.records.map(\.orderingKey) == ["c"])
        #expect(end.isEnd)
        let shards = try await harness.database.read { transaction in
            try service.shards(stream: arn, after: nil, limit: 10, as: Harness.owner, in: transaction)
        }
        #expect(shards.map(\.parents) == [[], [shard], [shard]])
        #expect(shards.map(\.isClosed) == [true, false, false])
    }

    @Test func whatIsPushedArrives() async throws {
        let harness = try Harness()
        try await stream(harness, "s")
        var delivery = Delivery(
            id: "d", target: Harness.arn("s"), principal: Harness.owner, payload: [7, 8], createdAt: harness.time.now())
        delivery.attributes.partitionKey = "pushed"
        let (service, now) = (harness.service, harness.time.now())
        let sent = delivery
        try await harness.database.write { try service.accept(sent, in: $0, now: now) }
        let records = try await harness.drain("s", "shardId-000000000000")
        #expect(records.first?["PartitionKey"]?.string == "pushed")
        #expect(records.first?["Data"]?.blob == [7, 8])
        delivery.target = Harness.arn("none")
        let refused = delivery
        do {
            try await harness.database.write { try service.accept(refused, in: $0, now: now) }
            Issue.record("A stream that is not there took a record.")
        } catch {
            #expect(error is DeliveryRefusal)
        }
    }
}

private final class Woken: Sendable {
    private let state = Mutex<[String?]>([])
    var all: [String?] { state.withLock { $0 } }
    func add(_ shard: String?) { state.withLock { $0.append(shard) } }
}
