import Contracts
import Platform
import Testing

@testable import EventSources

/// The machine when messages become visible again while it has them, and how much it holds.
@Suite struct VisibilityTests {
    private let now = Instant(milliseconds: 1_000_000)

    private func poller(
        batchSize: Int = 10, window: Duration = .zero, fifo: Bool = false, maximum: Int? = nil
    ) -> QueuePoller {
        let mapping = makeMapping(batchSize: batchSize, maximumConcurrency: maximum)
        var poller = QueuePoller(
            .init(batchSize: batchSize, window: window, isFIFO: fifo, bounds: .init(mapping, machine: 1_000)), now: now)
        _ = poller.timer(now: now)
        return poller
    }

    private func records(_ ids: [String], bytes: Int = 10) -> [QueueRecord] {
        ids.map { QueueRecord(messageID: $0, receiptHandle: "h-\($0)", json: [UInt8](repeating: 32, count: bytes)) }
    }

    private func answer(
        _ receipts: [[QueueRecord]], visibleAfter: Duration = .seconds(30), timeout: Duration = .seconds(3)
    ) -> QueuePoller.Answer {
        QueuePoller.Answer(
            receipts: receipts, nextVisible: now + visibleAfter, visibleAgain: now + visibleAfter,
            functionTimeout: timeout)
    }

    private func batches(_ actions: [QueuePoller.Action]) -> [[String]] {
        actions.compactMap { if case .invoke(let batch) = $0 { batch.records.map(\.messageID) } else { nil } }
    }

    private func request(_ actions: [QueuePoller.Action]) -> QueuePoller.Request? {
        for case .transact(let request) in actions { return request }
        return nil
    }

    /// Time is left for the function; half of the visibility timeout where it has no more than that.
    @Test(arguments: [(30, 3, 27_000), (2, 3, 1_000), (30, 30, 15_000), (1_000, 3, 300_000)])
    func openBatchClosesBeforeItsMessagesAreVisible(_ visibility: Int, _ timeout: Int, _ closes: Int) {
        var poller = poller(window: .seconds(300))
        let answer = answer([records(["a"])], visibleAfter: .seconds(visibility), timeout: .seconds(timeout))
        #expect(poller.received(answer, now: now).isEmpty)
        let due = now + .milliseconds(closes)
        #expect(batches(poller.timer(now: due - .milliseconds(1))).isEmpty)
        #expect(poller.nextTimer(now: due - .milliseconds(1)) == due)
        #expect(batches(poller.timer(now: due)) == [["a"]])
    }

    @Test func laterMessagesDoNotKeepItOpen() {
        var poller = poller(window: .seconds(300))
        _ = poller.received(answer([records(["a"])]), now: now)
        let later = now + .seconds(10)
        _ = poller.wake(receivable: later, now: later)
        #expect(batches(poller.received(answer([records(["b"])], visibleAfter: .seconds(40)), now: later)).isEmpty)
        #expect(batches(poller.timer(now: now + .seconds(27))) == [["a", "b"]])
    }

    /// The timer comes too late; the new receipt is not mixed with what it has again.
    @Test func expiredOpenBatchIsNotInvoked() {
        var poller = poller(window: .seconds(300))
        _ = poller.received(answer([records(["a", "b"])]), now: now)
        let late = now + .seconds(30)
        let actions = poller.timer(now: late)
        #expect(batches(actions).isEmpty)
        #expect(request(actions)?.wanted == 50)
        #expect(poller.heldBytes == 0)
        let again = answer([records(["a", "b"])], visibleAfter: .seconds(60))
        #expect(batches(poller.received(again, now: late)).isEmpty)
        #expect(batches(poller.timer(now: now + .seconds(57))) == [["a", "b"]])
    }

    @Test func whatComesInLateDoesNotJoinAnExpiredBatch() {
        var poller = poller(window: .seconds(300))
        _ = poller.received(answer([records(["a"])]), now: now)
        _ = poller.wake(receivable: now, now: now)
        let late = now + .seconds(31)
        _ = poller.received(answer([records(["a"])], visibleAfter: .seconds(60)), now: late)
        #expect(batches(poller.timer(now: now + .seconds(57))) == [["a"]])
    }

    @Test func waitingForALaneTooLong() {
        var poller = poller(batchSize: 1, fifo: true, maximum: 2)
        let first = batches(poller.received(answer([["a"], ["b"], ["c"]].map { records($0) }), now: now))
        #expect(first == [["a"], ["b"]])
        let late = now + .seconds(30)
        let actions = poller.completed(0, .success(done: ["h-a"]), now: late)
        #expect(batches(actions).isEmpty)
        #expect(request(actions)?.wanted == 1)
    }

    @Test func partsOfAReceiptThatAreVisibleAgain() {
        var poller = poller(fifo: true)
        let large = records(["a", "b"], bytes: 4 << 20)
        #expect(batches(poller.received(answer([large]), now: now)) == [["a"]])
        let actions = poller.completed(0, .success(done: ["h-a"]), now: now + .seconds(30))
        #expect(batches(actions).isEmpty)
        #expect(poller.heldBytes == 0)
    }

    @Test func throttledBatchWhoseTimerIsLate() {
        var poller = poller()
        _ = poller.received(answer([records(["a"])]), now: now)
        _ = poller.completed(0, .notRun, now: now)
        #expect(batches(poller.timer(now: now + .seconds(30))).isEmpty)
        #expect(poller.running == 0)
    }

    /// Others may have what is visible again: it is not theirs to give back.
    @Test func stoppingGivesBackOnlyWhatIsItsOwn() {
        var poller = poller(window: .seconds(300))
        _ = poller.received(answer([records(["a"])]), now: now)
        #expect(poller.stop(now: now + .seconds(31)) == [.stopped])
    }

    @Test func noVisibilityTimeoutAtAll() {
        for window in [Duration.zero, .seconds(5)] {
            var poller = poller(window: window)
            #expect(batches(poller.received(answer([records(["a"])], visibleAfter: .zero), now: now)) == [["a"]])
        }
    }

    @Test func countsFromReceiptToEnd() {
        var poller = poller(batchSize: 2, window: .seconds(5), maximum: 2)
        #expect(poller.heldBytes == 0)
        // Three batches and an open one; two run.
        let seven = records(["a", "b", "c", "d", "e", "f", "g"], bytes: 1_000)
        #expect(batches(poller.received(answer([seven]), now: now)).count == 2)
        #expect((7_000...7_010).contains(poller.heldBytes))
        _ = poller.completed(0, .success(done: ["h-a", "h-b"]), now: now)
        #expect((5_000...5_010).contains(poller.heldBytes))
        _ = poller.completed(1, .functionError, now: now)
        #expect((3_000...3_010).contains(poller.heldBytes))
        _ = poller.stop(now: now)
        _ = poller.abandon(now: now)
        #expect(poller.heldBytes == 0)
    }

    @Test func makesRoom() {
        var open = poller(window: .seconds(300))
        _ = open.received(answer([records(["a"])], visibleAfter: .seconds(1_000)), now: now)
        #expect(batches(open.relieve(now: now)) == [["a"]])
        var throttled = poller()
        _ = throttled.received(answer([records(["a"])]), now: now)
        _ = throttled.completed(0, .notRun, now: now)
        #expect(throttled.relieve(now: now).isEmpty)
        #expect(throttled.heldBytes == 0)
        // What runs stays.
        var running = poller()
        _ = running.received(answer([records(["a"])]), now: now)
        _ = running.relieve(now: now)
        #expect(running.heldBytes > 0)
    }

    @Test func whatCameBeforeATroubleIsInvoked() {
        var poller = poller()
        var answer = answer([records(["a"])])
        answer.trouble = .notNow
        let actions = poller.received(answer, now: now)
        #expect(batches(actions) == [["a"]])
        #expect(request(actions) == nil)
        #expect(request(poller.timer(now: now + .milliseconds(100)))?.wanted == 40)
    }
}
