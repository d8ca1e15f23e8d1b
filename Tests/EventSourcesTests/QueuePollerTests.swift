import Contracts
import Platform
import Testing

@testable import EventSources

/// The machine alone: what it asks for after each event.
@Suite struct QueuePollerTests {
    private let now = Instant(milliseconds: 1_000_000)

    private func poller(
        batchSize: Int = 10, window: Duration = .zero, fifo: Bool = false, maximum: Int? = nil
    ) -> QueuePoller {
        let mapping = makeMapping(batchSize: batchSize, maximumConcurrency: maximum)
        return QueuePoller(
            .init(batchSize: batchSize, window: window, isFIFO: fifo, bounds: .init(mapping, machine: 1_000)), now: now)
    }

    private func records(_ ids: [String], bytes: Int = 10) -> [QueueRecord] {
        ids.map { QueueRecord(messageID: $0, receiptHandle: "h-\($0)", json: [UInt8](repeating: 32, count: bytes)) }
    }

    private func answer(
        _ receipts: [[QueueRecord]], next: Instant? = nil, filtered: [String] = []
    ) -> QueuePoller.Answer {
        QueuePoller.Answer(receipts: receipts, filtered: filtered, nextVisible: next, visibleAgain: now + .seconds(30))
    }

    private func batches(_ actions: [QueuePoller.Action]) -> [QueuePoller.Batch] {
        actions.compactMap { if case .invoke(let batch) = $0 { batch } else { nil } }
    }

    private func request(_ actions: [QueuePoller.Action]) -> QueuePoller.Request? {
        for case .transact(let request) in actions { return request }
        return nil
    }

    @Test func looksOnceAndSleeps() {
        var poller = poller()
        #expect(poller.timer(now: now) == [.transact(.init(wanted: 50))])
        #expect(poller.received(answer([]), now: now).isEmpty)
        #expect(poller.nextTimer(now: now) == nil)
    }

    @Test func oneTransactionAtATime() {
        var poller = poller()
        _ = poller.timer(now: now)
        #expect(poller.wake(receivable: now, now: now).isEmpty)
        // The wake-up during it is not forgotten.
        #expect(request(poller.received(answer([]), now: now))?.wanted == 50)
    }

    @Test func deletesWithTheNextReceive() {
        var poller = poller(maximum: 2)
        #expect(request(poller.timer(now: now))?.wanted == 20)
        let ids = (0..<13).map(String.init)
        let started = batches(
            poller.received(answer([records(Array(ids[..<2])), records(Array(ids[2...]))], next: now), now: now))
        // Receives of a standard queue are put together.
        #expect(started.map(\.records.count) == [10, 3])
        let done = started[0].records.map(\.receiptHandle)
        let actions = poller.completed(started[0].number, .success(done: done), now: now)
        #expect(request(actions)?.deletions == done)
        #expect(request(actions)?.wanted == 10)
    }

    @Test func waitsForWhatBecomesVisible() {
        var poller = poller()
        _ = poller.timer(now: now)
        #expect(poller.received(answer([], next: now + .seconds(9)), now: now).isEmpty)
        #expect(poller.nextTimer(now: now) == now + .seconds(9))
        #expect(poller.timer(now: now + .seconds(8)).isEmpty)
        #expect(request(poller.timer(now: now + .seconds(9)))?.wanted == 50)
    }

    @Test func windowCollects() {
        var poller = poller(batchSize: 100, window: .seconds(5))
        _ = poller.timer(now: now)
        #expect(batches(poller.received(answer([records(["a"])]), now: now)).isEmpty)
        #expect(poller.nextTimer(now: now) == now + .seconds(5))
        let later = now + .seconds(2)
        #expect(request(poller.wake(receivable: later, now: later)) != nil)
        #expect(batches(poller.received(answer([records(["b"])]), now: later)).isEmpty)
        #expect(batches(poller.timer(now: now + .seconds(5))).map { $0.records.map(\.messageID) } == [["a", "b"]])
    }

    @Test func windowEndsEarlyWhenFull() {
        var poller = poller(batchSize: 2, window: .seconds(5))
        _ = poller.timer(now: now)
        #expect(batches(poller.received(answer([records(["a", "b", "c"])]), now: now)).map(\.records.count) == [2])
    }

    @Test func filteredAreDeleted() {
        var poller = poller()
        _ = poller.timer(now: now)
        #expect(request(poller.received(answer([], filtered: ["x"]), now: now))?.deletions == ["x"])
    }

    @Test func neverMoreThanTheLimit() {
        var poller = poller(batchSize: 1, maximum: 2)
        #expect(request(poller.timer(now: now))?.wanted == 2)
        let actions = poller.received(answer([records(["a", "b", "c"])], next: now), now: now)
        #expect(batches(actions).count == 2)
        #expect(request(actions) == nil)
        let next = poller.completed(0, .success(done: ["h-a"]), now: now)
        #expect(batches(next).map { $0.records[0].messageID } == ["c"])
    }

    @Test func throttledBatchIsTriedAgainUntilVisible() {
        var poller = poller()
        _ = poller.timer(now: now)
        let batch = batches(poller.received(answer([records(["a"])]), now: now))[0]
        #expect(poller.completed(batch.number, .notRun, now: now).isEmpty)
        var time = now
        var tries = 0
        while let next = poller.nextTimer(now: time), next < now + .seconds(30) {
            time = next
            let again = batches(poller.timer(now: time))
            #expect(again == [batch])
            tries += 1
            _ = poller.completed(batch.number, .notRun, now: time)
        }
        #expect((8...12).contains(tries))
        #expect(poller.running == 0)
    }

    @Test func fifoReceiptIsABatchAndItsPartsFollow() {
        var poller = poller(fifo: true)
        _ = poller.timer(now: now)
        let large = records(["a", "b", "c"], bytes: 3 << 20)
        let started = batches(poller.received(answer([large, records(["x"])]), now: now))
        #expect(started.map { $0.records.map(\.messageID) } == [["a"], ["x"]])
        let next = poller.completed(started[0].number, .success(done: ["h-a"]), now: now)
        #expect(batches(next).map { $0.records.map(\.messageID) } == [["b"]])
        // What follows a failure in its groups is left alone.
        let last = poller.completed(batches(next)[0].number, .functionError, now: now)
        #expect(batches(last).isEmpty)
        #expect(poller.running == 1)
    }

    @Test func stoppingFinishesAndGivesBack() {
        var poller = poller(batchSize: 1, maximum: 2)
        _ = poller.timer(now: now)
        let started = batches(poller.received(answer([records(["a", "b", "c"])], next: now), now: now))
        #expect(request(poller.stop(now: now))?.releases == ["h-c"])
        _ = poller.received(answer([]), now: now)
        #expect(poller.wake(receivable: now, now: now).isEmpty)
        #expect(request(poller.completed(started[0].number, .success(done: ["h-a"]), now: now))?.deletions == ["h-a"])
        _ = poller.received(answer([]), now: now)
        // Throttled while stopping: it goes back at once.
        #expect(request(poller.completed(started[1].number, .notRun, now: now))?.releases == ["h-b"])
        #expect(poller.received(answer([]), now: now) == [.stopped])
        let again = poller.change(poller.settings, now: now)
        #expect(request(again)?.wanted == 2)
    }

    @Test func troubleWaitsLongerAndLonger() {
        var poller = poller()
        var time = now
        var waits: [Int64] = []
        for _ in 0..<12 {
            guard let request = request(poller.timer(now: time)) else { break }
            _ = poller.failed(.notNow, request: request, now: time)
            guard let next = poller.nextTimer(now: time) else { break }
            waits.append((next - time).clampedNanoseconds / 1_000_000)
            time = next
        }
        #expect(waits == [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000])
    }

    @Test func queueGoneIsLeftAlone() {
        var poller = poller()
        _ = poller.timer(now: now)
        #expect(poller.failed(.sourceGone, request: .init(wanted: 50), now: now).isEmpty)
        #expect(poller.nextTimer(now: now) == nil)
        #expect(request(poller.wake(receivable: now, now: now))?.wanted == 50)
    }

    @Test func storeFailureKeepsDeletions() {
        var poller = poller()
        _ = poller.timer(now: now)
        let batch = batches(poller.received(answer([records(["a"])]), now: now))[0]
        let first = request(poller.completed(batch.number, .success(done: ["h-a"]), now: now)) ?? .init()
        #expect(poller.failed(.store, request: first, now: now).isEmpty)
        let later = now + .seconds(1)
        #expect(request(poller.timer(now: later))?.deletions == ["h-a"])
    }
}
