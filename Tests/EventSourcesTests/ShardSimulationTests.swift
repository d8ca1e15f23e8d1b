import Contracts
import Glibc
import Platform
import Testing

@testable import EventSources

/// The machines of a stream's mapping over many seeded schedules: shards that split and merge, lanes, functions that fail, are
/// slow, throttled, answer partially and lie, memory that runs short, a store that refuses, a server that dies and goes on from
/// what is on disk, mappings that are switched off, on and changed.
@Suite struct ShardSimulationTests {
    struct Record: Sendable {
        var sequence: Int
        var key: String
        var arrivedAt: Instant
        var isPoison: Bool
        var isFiltered: Bool
        var text: String { String(sequence) }
    }

    struct Shard {
        var parents: [String] = []
        var records: [Record] = []
        var isClosed = false
    }

    /// What is on disk.
    struct Disk {
        var checkpoints: [String: Checkpoint] = [:]
        var windows: [String: TumblingWindow] = [:]
        var givenUp: [(shard: String, batch: ShardPoller.GivenUp)] = []
        /// Sums of windows that were closed, by their starts.
        var windowSums: [Int] = []
    }

    struct World {
        enum Event {
            case put(shard: Int)
            case reshard
            case timer(String)
            case read(String, ShardPoller.ReadRequest, asOf: Int, isShort: Bool, listed: Bool)
            case ended(String, ShardPoller.Batch, ShardPoller.Outcome, state: [UInt8]?)
            case saved(String, ShardPoller.Save, refused: Bool)
            case relieve
            case crash, disable, enable, change
        }
        struct Entry {
            var time: Instant
            var number: Int
            var life: Int?
            var event: Event
        }

        var random: Seeded
        var settings: ShardPoller.Settings
        var now = Instant(milliseconds: 1_000_000)
        var shards: [String: Shard] = [:]
        var order: [String] = []
        var disk = Disk()
        var pollers: [String: ShardPoller] = [:]
        var lineage = ShardLineage()
        var armed: [String: Instant] = [:]
        var entries: [Entry] = []
        var number = 0
        var life = 0
        var sequence = 100
        var isOff = false
        var problems: [String] = []
        /// By key, the sequence numbers in the order in which they succeeded for the first time.
        var succeeded: [String: [Int]] = [:]
        var times: [Int: Int] = [:]
        var running: [Int: String] = [:]
        var crashes = 0
        var restarts = 0
        /// Records that the stream no longer had when they were to be read.
        var expired: Set<Int> = []
        let retention: Duration

        init(seed: UInt64) {
            random = Seeded(state: seed &* 7919 &+ 13)
            settings = ShardPoller.Settings(batchSize: Int.random(in: 1...12, using: &random))
            settings.lanes = Bool.random(using: &random) ? 1 : Int.random(in: 2...10, using: &random)
            settings.window = Bool.random(using: &random) ? .zero : .seconds(Int.random(in: 1...5, using: &random))
            settings.maximumRetries = Bool.random(using: &random) ? Int.random(in: 0...3, using: &random) : nil
            settings.maximumAge = Bool.random(using: &random) ? .seconds(Int.random(in: 20...90, using: &random)) : nil
            settings.bisects = Bool.random(using: &random)
            if Int.random(in: 0..<4, using: &random) == 0 {
                settings.lanes = 1
                settings.tumbling = .seconds(Int.random(in: 2...20, using: &random))
            }
            retention = .seconds(Int.random(in: 120...400, using: &random))
        }

        mutating func at(_ time: Instant, _ event: Event, ofServer: Bool = true) {
            number += 1
            // Sorted, the next one last.
            var (low, high) = (0, entries.count)
            while low < high {
                let middle = (low + high) / 2
                if entries[middle].time > time { low = middle + 1 } else { high = middle }
            }
            entries.insert(Entry(time: time, number: number, life: ofServer ? life : nil, event: event), at: low)
        }

        mutating func soon() -> Instant { now + .microseconds(Int.random(in: 0...20_000, using: &random)) }

        mutating func run() {
            for index in 0..<Int.random(in: 1...3, using: &random) { addShard("s\(index)", []) }
            let records = Int.random(in: 20...150, using: &random)
            for _ in 0..<records {
                let time = now + .milliseconds(Int.random(in: 0...20_000, using: &random))
                at(time, .put(shard: Int.random(in: 0..<100, using: &random)), ofServer: false)
            }
            for _ in 0..<Int.random(in: 0...4, using: &random) { plan(.reshard, 20_000) }
            for _ in 0..<Int.random(in: 0...3, using: &random) { plan(.crash, 60_000) }
            for _ in 0..<Int.random(in: 0...3, using: &random) { plan(.relieve, 60_000) }
            if Bool.random(using: &random) { plan(.change, 30_000) }
            if Bool.random(using: &random) {
                let off = now + .milliseconds(Int.random(in: 0...30_000, using: &random))
                at(off, .disable, ofServer: false)
                at(off + .seconds(5), .enable, ofServer: false)
            }
            list()
            var steps = 0
            while steps < 30_000, let entry = entries.popLast() {
                steps += 1
                now = max(now, entry.time)
                if let life = entry.life, life != self.life { continue }
                handle(entry.event)
            }
            if steps >= 30_000 { problems.append("does not come to rest") }
        }

        private mutating func plan(_ event: Event, _ within: Int) {
            at(now + .milliseconds(Int.random(in: 0...within, using: &random)), event, ofServer: false)
        }

        private mutating func addShard(_ id: String, _ parents: [String]) {
            shards[id] = Shard(parents: parents)
            order.append(id)
        }

        // MARK: The server

        private var listing: [StreamShard] {
            order.map {
                StreamShard(
                    id: $0, parents: shards[$0]?.parents ?? [], createdAt: Instant(milliseconds: 5),
                    isClosed: shards[$0]?.isClosed ?? false)
            }
        }

        private mutating func list() {
            guard !isOff else { return }
            for shard in lineage.unknown(in: listing) where disk.checkpoints[shard.id] == nil {
                disk.checkpoints[shard.id] = Checkpoint()
            }
            let change = lineage.list(listing, ended: Set(disk.checkpoints.filter { $0.value.isEnded }.keys))
            begin(change.begins)
        }

        private mutating func begin(_ ids: [String]) {
            for id in ids {
                for parent in shards[id]?.parents ?? [] where !(disk.checkpoints[parent]?.isEnded ?? false) {
                    problems.append("\(id) begins before its parent \(parent) is done")
                }
                pollers[id] = ShardPoller(
                    settings, checkpoint: disk.checkpoints[id] ?? Checkpoint(), window: disk.windows[id])
                advance(id) { $0.wake(now: $1) }
            }
        }

        private mutating func advance(_ id: String, _ event: (inout ShardPoller, Instant) -> [ShardPoller.Action]) {
            guard var poller = pollers[id] else { return }
            let actions = event(&poller, now)
            pollers[id] = poller
            if let next = poller.nextTimer(now: now), armed[id].map({ next < $0 }) ?? true {
                armed[id] = next
                at(next, .timer(id))
            }
            for action in actions { perform(id, action) }
        }

        private mutating func perform(_ id: String, _ action: ShardPoller.Action) {
            switch action {
            case .read(let request):
                let isShort = Int.random(in: 0..<40, using: &random) == 0
                at(
                    soon(),
                    .read(
                        id, request, asOf: shards[id]?.records.count ?? 0, isShort: isShort,
                        listed: shards[id]?.isClosed ?? false))
            case .invoke(let batch): invoke(id, batch)
            case .save(let save):
                at(soon(), .saved(id, save, refused: Int.random(in: 0..<30, using: &random) == 0))
            case .ended:
                if disk.checkpoints[id]?.isEnded != true { problems.append("\(id) has ended, and not on disk") }
                pollers[id] = nil
                begin(lineage.ended(id))
            case .stopped: break
            }
        }

        private mutating func invoke(_ id: String, _ batch: ShardPoller.Batch) {
            for record in batch.records where record.json == nil { problems.append("a record without bytes") }
            if batch.records.isEmpty, !batch.isFinal { problems.append("an empty batch") }
            if batch.records.count > settings.batchSize { problems.append("a batch too large") }
            let all = batch.records.map { $0.sequence }
            if all != all.sorted(by: { (Int($0) ?? 0) < (Int($1) ?? 0) }) { problems.append("a batch out of order") }
            for record in batch.records {
                if let other = running[record.lane], other == id, settings.lanes == 1 {
                    problems.append("two batches of a shard at once")
                }
            }
            let poison = batch.records.firstIndex { record(id, $0.sequence)?.isPoison ?? false }
            var outcome = ShardPoller.Outcome.success()
            switch Int.random(in: 0..<20, using: &random) {
            case 0, 1: outcome = .notRun
            case 2, 3: outcome = .functionError
            case 4 where batch.records.count > 0:
                outcome = .success(failedFrom: Int.random(in: 0..<batch.records.count, using: &random))
            default:
                if let poison {
                    outcome = Bool.random(using: &random) ? .functionError : .success(failedFrom: poison)
                }
            }
            // A lie: what it calls done may not be beyond a poisoned record, or the test would not know.
            if case .success(let cut?) = outcome, let poison, cut > poison { outcome = .success(failedFrom: poison) }
            if case .success(failedFrom: nil) = outcome, poison != nil { outcome = .functionError }
            if batch.isFinal, case .success(.some) = outcome { outcome = .success() }
            var state: [UInt8]?
            if case .success(let cut) = outcome, let window = batch.window {
                let sum = Int(String(decoding: window.state, as: UTF8.self)) ?? 0
                let done = batch.records.prefix(cut ?? batch.records.count)
                state = Array(String(sum + done.count).utf8)
                for record in batch.records where record.arrivedAt >= window.end {
                    problems.append("a record in a window before its own")
                }
            }
            at(
                now + .milliseconds(Int.random(in: 0...1_500, using: &random)),
                .ended(id, batch, outcome, state: state))
        }

        private func record(_ id: String, _ sequence: String) -> Record? {
            shards[id]?.records.first { $0.text == sequence }
        }

        private mutating func handle(_ event: Event) {
            switch event {
            case .put(let index): put(index)
            case .reshard: reshard()
            case .timer(let id):
                if armed[id].map({ $0 <= now }) ?? false { armed[id] = nil }
                advance(id) { $0.timer(now: $1) }
            case .read(let id, let request, let count, let isShort, let isClosed):
                read(id, request, count, isShort, isClosed)
            case .ended(let id, let batch, let outcome, let state): ended(id, batch, outcome, state)
            case .saved(let id, let save, let refused): saved(id, save, refused)
            case .relieve: for id in pollers.keys.sorted() { advance(id) { $0.relieve(now: $1) } }
            case .crash:
                crashes += 1
                life += 1
                armed = [:]
                pollers = [:]
                lineage = ShardLineage()
                list()
            case .disable:
                isOff = true
                for id in pollers.keys.sorted() { advance(id) { $0.stop(now: $1) } }
                if Bool.random(using: &random) {
                    restarts += 1
                    for id in pollers.keys.sorted() { advance(id) { $0.abandon(now: $1) } }
                }
            case .enable:
                isOff = false
                if lineage.shards.isEmpty { list() }
                for id in pollers.keys.sorted() { advance(id) { [settings] in $0.change(settings, now: $1) } }
                list()
            case .change:
                settings.revision += 1
                settings.batchSize = Int.random(in: 1...12, using: &random)
                if settings.tumbling == .zero { settings.lanes = Int.random(in: 1...10, using: &random) }
                guard !isOff else { return }
                for id in pollers.keys.sorted() { advance(id) { [settings] in $0.change(settings, now: $1) } }
            }
        }

        private mutating func put(_ index: Int) {
            let open = order.filter { !(shards[$0]?.isClosed ?? true) }
            let id = open[index % open.count]
            sequence += Int.random(in: 1...9, using: &random)
            shards[id]?.records.append(
                Record(
                    sequence: sequence, key: "k\(Int.random(in: 0..<12, using: &random))", arrivedAt: now,
                    isPoison: Int.random(in: 0..<25, using: &random) == 0,
                    isFiltered: Int.random(in: 0..<10, using: &random) == 0))
            advance(id) { $0.wake(now: $1) }
        }

        private mutating func reshard() {
            let open = order.filter { !(shards[$0]?.isClosed ?? true) }
            if open.count >= 2, Bool.random(using: &random) {
                for id in open.prefix(2) { shards[id]?.isClosed = true }
                addShard("s\(order.count)", Array(open.prefix(2)))
                for id in open.prefix(2) { advance(id) { $0.wake(now: $1) } }
            } else {
                shards[open[0]]?.isClosed = true
                addShard("s\(order.count)", [open[0]])
                addShard("s\(order.count)", [open[0]])
                advance(open[0]) { $0.wake(now: $1) }
            }
            list()
        }

        private mutating func read(
            _ id: String, _ request: ShardPoller.ReadRequest, _ count: Int, _ isShort: Bool, _ isClosed: Bool
        ) {
            guard !isShort else { return advance(id) { $0.readFailed(.memory, now: $1) } }
            let after = request.after.flatMap { Int($0) } ?? 0
            // A snapshot of some time before, without what has expired by now.
            for record in shards[id]?.records.prefix(count) ?? []
            where record.sequence > after && record.arrivedAt + retention <= now { expired.insert(record.sequence) }
            let there = (shards[id]?.records.prefix(count) ?? []).filter { $0.arrivedAt + retention > now }
            let behind = there.filter { $0.sequence > after }
            let limit = min(request.limit, Int.random(in: 1...40, using: &random))
            let page = behind.prefix(limit)
            let hasMore = behind.count > page.count
            let lanes = pollers[id]?.settings.lanes ?? 1
            let brought = ShardPoller.Page(
                records: page.map {
                    RecordLedger.Entry(
                        sequence: $0.text, lane: ShardPoller.lane(of: $0.key, lanes: lanes), arrivedAt: $0.arrivedAt,
                        json: $0.isFiltered ? nil : [1])
                }, isEnd: isClosed && !hasMore, hasMore: hasMore, retention: retention, readAt: now)
            advance(id) { $0.received(brought, of: request, now: $1) }
        }

        private mutating func ended(
            _ id: String, _ batch: ShardPoller.Batch, _ outcome: ShardPoller.Outcome, _ state: [UInt8]?
        ) {
            if case .success(let cut) = outcome {
                for entry in batch.records.prefix(cut ?? batch.records.count) {
                    guard let record = record(id, entry.sequence) else { continue }
                    if record.isFiltered { problems.append("a filtered record was invoked") }
                    times[record.sequence, default: 0] += 1
                    if times[record.sequence] == 1 {
                        succeeded["\(id)/\(record.key)", default: []].append(record.sequence)
                    }
                }
            }
            advance(id) { $0.completed(batch.number, outcome, state: state, now: $1) }
        }

        private mutating func saved(_ id: String, _ save: ShardPoller.Save, _ refused: Bool) {
            guard !refused else { return advance(id) { $0.saveFailed(now: $1) } }
            check(id, save)
            disk.checkpoints[id] = save.checkpoint
            disk.windows[id] = save.window
            disk.givenUp += save.givenUp.map { (id, $0) }
            advance(id) { $0.saved(now: $1) }
        }

        /// Whatever the checkpoint says is done, is.
        private mutating func check(_ id: String, _ save: ShardPoller.Save) {
            let gone = Set(
                (disk.givenUp.map { $0 } + save.givenUp.map { (shard: id, batch: $0) }).filter { $0.shard == id }
                    .flatMap { $0.batch.records.compactMap { Int($0.sequence) } })
            let position = save.checkpoint.position.flatMap { Int($0) } ?? 0
            let records = shards[id]?.records ?? []
            func isConcluded(_ record: Record) -> Bool {
                record.isFiltered || (times[record.sequence] ?? 0) > 0 || gone.contains(record.sequence)
                    || record.arrivedAt + retention <= now
            }
            for record in records where record.sequence <= position && !isConcluded(record) {
                problems.append("the checkpoint of \(id) is past \(record.sequence), which is not done")
            }
            if save.checkpoint.isEnded {
                for record in records where !isConcluded(record) {
                    problems.append("\(id) ended without \(record.sequence)")
                }
                if shards[id]?.isClosed != true { problems.append("an open shard ended") }
            }
            guard let ahead = save.checkpoint.ahead else { return }
            let counted = records.drop { $0.text != ahead.anchor }
            for (index, record) in counted.enumerated() where ahead.isDone(index) {
                if !isConcluded(record) { problems.append("\(record.sequence) counts as done ahead, and is not") }
            }
        }
    }

    /// Many thousands with MARTLET_SCHEDULES set.
    private static let schedulesPerBlock =
        getenv("MARTLET_SCHEDULES").flatMap { UInt64(String(cString: $0)) }.map { max($0 / 20, 1) } ?? 20

    @Test(arguments: 0..<20) func schedules(_ block: UInt64) {
        for seed in (block * Self.schedulesPerBlock)..<((block + 1) * Self.schedulesPerBlock) {
            var world = World(seed: seed)
            world.run()
            check(world, seed)
        }
    }

    private func check(_ world: World, _ seed: UInt64) {
        #expect(world.problems.isEmpty, "seed \(seed): \(world.problems.prefix(3))")
        let gone = world.disk.givenUp.flatMap { $0.batch.records.compactMap { Int($0.sequence) } }
        #expect(Set(gone).count == gone.count, "seed \(seed): given up twice")
        for (id, shard) in world.shards {
            for record in shard.records {
                let count = world.times[record.sequence] ?? 0
                if world.expired.contains(record.sequence) { continue }
                if record.isFiltered {
                    #expect(count == 0, "seed \(seed)")
                } else if record.isPoison {
                    #expect(count == 0, "seed \(seed): poison was let through")
                    #expect(gone.contains(record.sequence), "seed \(seed): poison \(record.sequence) is lost")
                } else {
                    #expect(count > 0 || gone.contains(record.sequence), "seed \(seed): \(record.sequence) was skipped")
                    // Once more for each crash, or for running on while the mapping was switched off.
                    #expect(
                        count <= 1 + world.crashes + world.restarts,
                        "seed \(seed): \(record.sequence) came \(count) times")
                }
            }
            let checkpoint = world.disk.checkpoints[id]
            if let last = shard.records.last, !world.expired.contains(last.sequence) {
                #expect(checkpoint?.position == last.text, "seed \(seed): \(id)")
            }
            #expect(checkpoint?.isEnded == shard.isClosed, "seed \(seed): \(id)")
            #expect(world.disk.windows[id] == nil, "seed \(seed): \(id) has an open window")
        }
        for (key, sequences) in world.succeeded {
            #expect(sequences == sequences.sorted(), "seed \(seed): \(key) out of order")
        }
        for (_, poller) in world.pollers {
            #expect(poller.heldBytes == 0, "seed \(seed)")
            #expect(poller.nextTimer(now: world.now) == nil, "seed \(seed): a timer at rest")
            #expect(poller.lanes.isEmpty, "seed \(seed)")
        }
    }
}
