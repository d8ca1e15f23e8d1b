import Contracts
import Platform
import Synchronization
import Testing

@testable import EventSources

/// The machine against a queue in memory, over many seeded schedules: functions that fail, are slow, throttled, answer
/// partially; a server that dies; mappings that are switched off and on. Nothing may be lost, groups keep their order, and
/// poison ends in the dead-letter queue exactly when its receive count says so.
@Suite struct SimulationTests {
    private struct World {
        enum Event {
            case send(id: String, group: String?)
            case wake
            case timer
            case transacted(QueuePoller.Request)
            case ended(QueuePoller.Batch, QueuePoller.Outcome)
            case crash
            case disable
            case enable
        }

        struct Entry {
            var time: Instant
            var number: Int
            /// Which life of the server it belongs to; nil when it is not the server's.
            var life: Int?
            var event: Event
        }

        var random: Seeded
        let queue: FakeQueue
        let settings: QueuePoller.Settings
        var poller: QueuePoller
        var life = 0
        var now = Instant(milliseconds: 0)
        var entries: [Entry] = []
        var number = 0
        var running: [Int: QueuePoller.Batch] = [:]
        var groups: [String: String] = [:]
        /// In the order of sending.
        var sent: [String] = []
        var problems: [String] = []
        var mostRunning = 0
        var isOff = false
        var armed: Instant?

        init(seed: UInt64) {
            random = Seeded(state: seed)
            let fifo = Bool.random(using: &random)
            queue = FakeQueue(
                fifo: fifo, visibility: .seconds(20), maximumReceives: Int.random(in: 2...4, using: &random))
            let size = Int.random(in: 1...10, using: &random)
            var window = Duration.zero
            if !fifo, Bool.random(using: &random) { window = .seconds(Bool.random(using: &random) ? 3 : 60) }
            let maximum = Bool.random(using: &random) ? Int.random(in: 2...6, using: &random) : nil
            settings = QueuePoller.Settings(
                batchSize: size, window: window, isFIFO: fifo,
                bounds: .init(makeMapping(maximumConcurrency: maximum), machine: 20))
            poller = QueuePoller(settings, now: now)
        }

        mutating func at(_ time: Instant, _ event: Event, ofServer: Bool = true) {
            number += 1
            entries.append(Entry(time: time, number: number, life: ofServer ? life : nil, event: event))
        }

        mutating func run() {
            let messages = Int.random(in: 20...120, using: &random)
            for index in 0..<messages {
                let group = queue.isFIFO ? "g\(Int.random(in: 0..<6, using: &random))" : nil
                let poison = Int.random(in: 0..<12, using: &random) == 0
                at(
                    now + .milliseconds(Int.random(in: 0...30_000, using: &random) + index),
                    .send(id: "\(poison ? "poison" : "ok")-\(index)", group: group), ofServer: false)
            }
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                at(now + .milliseconds(Int.random(in: 0...60_000, using: &random)), .crash, ofServer: false)
            }
            if Bool.random(using: &random) {
                let off = now + .milliseconds(Int.random(in: 0...30_000, using: &random))
                at(off, .disable, ofServer: false)
                at(off + .seconds(5), .enable, ofServer: false)
            }
            perform(poller.timer(now: now))
            var steps = 0
            while let index = entries.indices.min(by: {
                (entries[$0].time, entries[$0].number) < (entries[$1].time, entries[$1].number)
            }), steps < 50_000 {
                steps += 1
                let entry = entries.remove(at: index)
                now = max(now, entry.time)
                if let life = entry.life, life != self.life { continue }
                handle(entry.event)
            }
            if steps >= 50_000 { problems.append("does not come to rest") }
        }

        private mutating func handle(_ event: Event) {
            switch event {
            case .send(let id, let group):
                if let group { groups[id] = group }
                sent.append(id)
                queue.send("", id: id, group: group, now: now)
                perform(poller.wake(receivable: now, now: now))
            case .wake: perform(poller.wake(receivable: now, now: now))
            case .timer:
                if armed.map({ $0 <= now }) ?? false { armed = nil }
                perform(poller.timer(now: now))
            case .transacted(let request): transact(request)
            case .ended(let batch, let outcome):
                running[batch.number] = nil
                perform(poller.completed(batch.number, outcome, now: now))
            case .crash:
                life += 1
                armed = nil
                running = [:]
                poller = QueuePoller(settings, now: now)
                perform(poller.timer(now: now))
                if isOff { perform(poller.stop(now: now)) }
            case .disable:
                isOff = true
                perform(poller.stop(now: now))
            case .enable:
                isOff = false
                perform(poller.change(settings, now: now))
            }
        }

        private mutating func transact(_ request: QueuePoller.Request) {
            if Int.random(in: 0..<30, using: &random) == 0 {
                perform(poller.failed(.store, request: request, now: now))
                return
            }
            queue.delete(request.deletions)
            queue.release(request.releases, at: now)
            var answer = QueuePoller.Answer(visibleAgain: now + queue.visibility)
            var wanted = request.wanted
            while wanted > 0 {
                let most = min(wanted, settings.isFIFO ? settings.batchSize : 10)
                guard let receipt = try? queue.receive(most, as: .anonymous, now: now) else { break }
                answer.nextVisible = receipt.nextVisible
                if receipt.messages.isEmpty { break }
                wanted -= receipt.messages.count
                answer.receipts.append(receipt.messages.map { QueueRecord($0, source: "s", region: "r") })
                guard let next = receipt.nextVisible, next <= now else { break }
            }
            perform(poller.received(answer, now: now))
        }

        private mutating func perform(_ actions: [QueuePoller.Action]) {
            for action in actions {
                switch action {
                case .transact(let request):
                    // The commit takes a moment; a crash before it undoes it.
                    at(now + .milliseconds(1), .transacted(request))
                case .invoke(let batch): invoke(batch)
                case .stopped: if !running.isEmpty { problems.append("stopped while something runs") }
                }
            }
            guard let next = poller.nextTimer(now: now) else { return }
            let due = max(next, now + .nanoseconds(1))
            if armed.map({ due < $0 }) ?? true {
                armed = due
                at(due, .timer)
            }
        }

        private mutating func invoke(_ batch: QueuePoller.Batch) {
            if batch.records.count > settings.batchSize { problems.append("batch too large") }
            if batch.visibleAgain <= now { problems.append("begun when its messages are visible to others") }
            if Set(batch.records.map(\.messageID)).count < batch.records.count { problems.append("a message twice") }
            let mine = Set(batch.records.compactMap { groups[$0.messageID] })
            for other in running.values where other.number != batch.number && other.visibleAgain > now {
                let theirs = Set(other.records.compactMap { groups[$0.messageID] })
                if !mine.isDisjoint(with: theirs) { problems.append("two batches of one group at a time") }
            }
            running[batch.number] = batch
            mostRunning = max(mostRunning, running.count)
            let time = now + .milliseconds(Int.random(in: 1...4_000, using: &random))
            at(time, .ended(batch, outcome(batch)))
        }

        private mutating func outcome(_ batch: QueuePoller.Batch) -> QueuePoller.Outcome {
            switch Int.random(in: 0..<12, using: &random) {
            case 0: return .functionError
            case 1: return .notRun
            case 2...6:
                // Reports failures: after one, the rest of its group.
                var failed: Set<String> = []
                var done: [String] = []
                for record in batch.records {
                    let group = groups[record.messageID] ?? record.messageID
                    if record.messageID.hasPrefix("poison") { failed.insert(group) }
                    if !failed.contains(group) { done.append(record.receiptHandle) }
                }
                return .success(done: done)
            default:
                if batch.records.contains(where: { $0.messageID.hasPrefix("poison") }) { return .functionError }
                return .success(done: batch.records.map(\.receiptHandle))
            }
        }
    }

    @Test(arguments: 0..<20) func schedules(_ block: UInt64) {
        for seed in (block * 20)..<(block * 20 + 20) {
            var world = World(seed: seed)
            world.run()
            check(world, seed)
        }
    }

    private func check(_ world: World, _ seed: UInt64) {
        let state = world.queue.state.withLock { $0 }
        #expect(world.problems.isEmpty, "seed \(seed): \(world.problems.prefix(3))")
        #expect(state.messages.isEmpty, "seed \(seed): left in the queue")
        let ended = state.deleted + state.dead.map(\.id)
        #expect(Set(ended).count == ended.count, "seed \(seed): ended twice")
        for message in state.dead {
            #expect(message.receives == world.queue.maximumReceives, "seed \(seed): \(message.id)")
        }
        #expect(!state.deleted.contains { $0.hasPrefix("poison") }, "seed \(seed): poison was let through")
        #expect(world.mostRunning <= 20, "seed \(seed)")
        guard world.queue.isFIFO else { return }
        var numbers: [String: Int] = [:]
        for (index, id) in world.sent.enumerated() { numbers[id] = index }
        var latest: [String: Int] = [:]
        for id in state.deleted {
            guard let group = world.groups[id], let number = numbers[id] else { continue }
            #expect(latest[group].map { $0 < number } ?? true, "seed \(seed): \(id) out of order")
            latest[group] = number
        }
    }
}
