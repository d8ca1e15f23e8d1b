import Platform
import Testing

@testable import Kinesis

@Suite struct SequenceNumbers {
    @Test func haveTheLookOfAWSAndRoundTrip() {
        var random = Seeded(state: 1)
        for _ in 0..<2_000 {
            let number = SequenceNumber(
                shardCreated: Int64.random(in: 0..<2_100_000_000, using: &random),
                shard: Int64.random(in: 0..<(1 << 31), using: &random),
                position: Position(Int64.random(in: 0...Int64.max, using: &random)))
            let text = number.text
            #expect(text.utf8.count == 56 && text.hasPrefix("49"))
            #expect(SequenceNumber(text) == number)
        }
    }

    @Test func sortAsPositions() {
        var random = Seeded(state: 2)
        var last: String?
        var position = Position.first(at: Instant(milliseconds: 1_795_413_600_000))
        for _ in 0..<1_000 {
            position = position.advanced(by: Int.random(in: 1..<5_000_000, using: &random))
            let text = SequenceNumber(shardCreated: 1_795_413_600, shard: 3, position: position).text
            if let last {
                #expect(SequenceNumber.isBefore(last, text))
                #expect(!SequenceNumber.isBefore(text, last))
            }
            last = text
        }
    }

    @Test(arguments: ["", "0", "49", String(repeating: "9", count: 56), String(repeating: "4", count: 129), "４９"])
    func refuseWhatIsNone(_ text: String) { #expect(SequenceNumber(text) == nil) }

    @Test func positionsOfHostileTimesClamp() {
        #expect(Position.first(at: Instant(nanoseconds: .min)) == .start)
        #expect(Position.first(at: Instant(nanoseconds: .max)).number > 0)
        #expect(Position(.max).advanced(by: .max) == Position(.max))
        let time = Instant(milliseconds: 1_795_413_600_123)
        #expect(Position.first(at: time).arrival == time)
        #expect(Position.first(at: time + .nanoseconds(1)).arrival == Instant(milliseconds: 1_795_413_600_124))
    }
}

@Suite struct ShardMaps {
    /// Open shards cover every hash key once; lineage is right.
    static func check(_ map: ShardMap) {
        let open = map.openShards
        #expect(open.first?.range.lowerBound == 0)
        #expect(open.last?.range.upperBound == .max)
        for (a, b) in zip(open, open.dropFirst()) { #expect(a.range.upperBound + 1 == b.range.lowerBound) }
        #expect(open.allSatisfy { $0.isOpen })
        #expect(map.shards.filter(\.isOpen).count == open.count)
        for shard in map.shards {
            for parent in shard.parents.compactMap({ map.find($0) }) {
                #expect(!parent.isOpen)
                #expect(parent.number < shard.number)
                #expect(parent.createdSeconds < shard.createdSeconds)
                #expect(parent.range.overlaps(shard.range))
            }
        }
    }

    @Test func splitsMergesAndResizesKeepEverythingCovered() {
        var random = Seeded(state: 3)
        for _ in 0..<60 {
            var map = ShardMap(count: Int.random(in: 1...9, using: &random), now: Instant(milliseconds: 1_000_000))
            for step in 0..<30 {
                let now = Instant(milliseconds: 1_000_000 + Int64(step) * 100)
                let open = map.openShards
                switch Int.random(in: 0..<3, using: &random) {
                case 0:
                    let shard = open[Int.random(in: 0..<open.count, using: &random)]
                    guard shard.range.upperBound - shard.range.lowerBound > 4 else { continue }
                    let key = UInt128.random(
                        in: (shard.range.lowerBound + 1)...shard.range.upperBound, using: &random)
                    #expect(map.split(shard.number, at: key, now: now) != nil)
                case 1:
                    guard open.count > 1 else { continue }
                    let index = Int.random(in: 0..<(open.count - 1), using: &random)
                    #expect(map.merge(open[index + 1].number, open[index].number, now: now) != nil)
                default:
                    let low = (open.count + 1) / 2
                    let target = Int.random(in: low...(open.count * 2), using: &random)
                    _ = map.resize(to: target, now: now)
                    #expect(map.openShards.map(\.range) == HashKey.uniform(target))
                }
                Self.check(map)
                let key = UInt128.random(in: 0...UInt128.max, using: &random)
                #expect(map.route(key)?.range.contains(key) == true)
            }
        }
    }

    @Test func aClosedOrDistantShardIsRefused() {
        let now = Instant(milliseconds: 5)
        var map = ShardMap(count: 3, now: now)
        #expect(map.merge(0, 2, now: now) == nil)
        #expect(map.merge(0, 0, now: now) == nil)
        #expect(map.split(7, at: 1, now: now) == nil)
        #expect(map.split(0, at: 0, now: now) == nil)
        #expect(map.split(0, at: 9, now: now) != nil)
        #expect(map.split(0, at: 9, now: now) == nil)
    }

    @Test func rangesAreThoseOfAWS() {
        #expect(HashKey.uniform(2)[0].upperBound == 170_141_183_460_469_231_731_687_303_715_884_105_727)
        #expect(HashKey.uniform(1) == [0...UInt128.max])
        #expect(HashKey.uniform(3)[2].upperBound == .max)
        // MD5 of "a" is 0cc175b9c0f1b6a831c399e269772661.
        #expect(HashKey.of("a") == 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661)
        #expect(HashKey.parse("340282366920938463463374607431768211455") == .max)
        #expect(HashKey.parse("340282366920938463463374607431768211456") == nil)
        #expect(HashKey.parse("-1") == nil)
    }
}

@Suite struct Records {
    @Test func segmentsGiveBackWhatTheyTook() throws {
        var random = Seeded(state: 4)
        for _ in 0..<100 {
            let drafts = (0..<Int.random(in: 1...40, using: &random)).map { index in
                RecordDraft(
                    partitionKey: "key-\(index)-é", hash: 0,
                    data: (0..<Int.random(in: 0...6_000, using: &random)).map { UInt8(truncatingIfNeeded: $0) })
            }
            let segments = Segment.pack(drafts, isEncrypted: false)
            #expect(segments.allSatisfy { $0.count == 1 || $0.bytes.count <= Limits.segmentBytes + 1_024 })
            var read: [StoredRecord] = []
            var first = Position(1_000)
            for segment in segments {
                _ = try Segment.read(segment.bytes, first: first, from: .start) { _ in
                    true
                } _: {
                    read.append($0)
                }
                first = first.advanced(by: segment.count)
            }
            #expect(read.map(\.data) == drafts.map(\.data))
            #expect(read.map(\.partitionKey) == drafts.map(\.partitionKey))
            #expect(read.map(\.position.number) == (0..<drafts.count).map { 1_000 + Int64($0) })
        }
    }

    @Test func damagedSegmentsAreRefusedNotTrapped() {
        var random = Seeded(state: 5)
        var segment = Segment()
        segment.append(RecordDraft(partitionKey: "k", hash: 0, data: [1, 2, 3]), isEncrypted: true)
        for _ in 0..<2_000 {
            var bytes = segment.bytes
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
            _ = try? Segment.read(bytes, first: Position(.max), from: .start) { _ in
                true
            } _: { _ in
            }
        }
    }
}

@Suite struct IteratorTokens {
    private let tokens = Tokens(serverKey: Array(repeating: 1, count: 32))

    @Test func areReadAndNotForged() {
        let iterator = ShardIterator(
            stream: 5, shard: 77, from: Position(.max), created: Instant(milliseconds: 1_795_413_600_000))
        let text = tokens.text(iterator)
        #expect(tokens.iterator(text) == iterator)
        #expect(Tokens(serverKey: Array(repeating: 2, count: 32)).iterator(text) == nil)
        for index in text.indices {
            var forged = text
            forged.replaceSubrange(index...index, with: text[index] == "A" ? "B" : "A")
            #expect(tokens.iterator(forged) == nil || tokens.iterator(forged) == iterator)
        }
        #expect(tokens.shardList(text) == nil)
        #expect(tokens.iterator(String(repeating: "A", count: 600)) == nil)
        let list = ShardListToken(
            stream: 1, after: 2, filter: .atTimestamp(Instant(nanoseconds: -5)), created: Instant(nanoseconds: 3))
        #expect(tokens.shardList(tokens.text(list)) == list)
        let consumers = ConsumerListToken(stream: 1, after: "c.é", created: Instant(nanoseconds: 3))
        #expect(tokens.consumerList(tokens.text(consumers)) == consumers)
    }
}

@Suite struct Machines {
    @Test func aConsumerSubscribesOnceAndTakesOverLater() {
        var machine = SubscriptionMachine()
        let key = SubscriptionMachine.Key(consumer: 1, shard: 2)
        let start = Instant(milliseconds: 0)
        #expect(machine.subscribe(key, now: start) == .started(number: 1, replaced: nil))
        #expect(machine.subscribe(key, now: start + .seconds(4)) == .inUse)
        #expect(machine.subscribe(key, now: start + .seconds(5)) == .started(number: 2, replaced: 1))
        machine.ended(key, number: 1)
        #expect(machine.numbers(of: 1) == [2])
        machine.ended(key, number: 2)
        #expect(machine.subscribe(key, now: start + .seconds(6)) == .started(number: 3, replaced: nil))
    }

    @Test func aShardTakesAndGivesWhatAWSLets() {
        var meter = Meter()
        let now = Instant(milliseconds: 0)
        let taken = (0..<1_001).filter { _ in meter.write(10, now: now) }.count
        #expect(taken == 1_000)
        let later = now + .seconds(1)
        let (whole, more) = (meter.write(1 << 20, now: later), meter.write(1, now: later))
        #expect(whole && !more)
        let reads = (0..<6).filter { _ in meter.read(now: later) }.count
        #expect(reads == 5)
        meter.gave(10 << 20, now: later)
        let (early, late) = (meter.read(now: later + .seconds(4)), meter.read(now: later + .seconds(5)))
        #expect(!early && late)
    }

    @Test func settingsAreKept() throws {
        var settings = StreamSettings(mode: .onDemand)
        settings.retentionHours = 8_760
        settings.encryptionType = "KMS"
        settings.keyID = "alias/k"
        settings.metrics = ["IncomingBytes"]
        settings.modeUpdates = [5]
        #expect(try StreamSettings(stored: settings.stored) == settings)
        #expect(throws: Failure.self) { try StreamSettings(stored: [1, 2]) }
    }
}
