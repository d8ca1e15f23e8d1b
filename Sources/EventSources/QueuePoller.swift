import Platform

/// The poller of one mapping with a queue: says what to do, and knows no clock, store or function.
///
/// At most one transaction is under way at a time; it deletes what finished batches left and receives what fits into the
/// free lanes. A lane is one batch, from its receipt to its end: an invocation, or waiting for another after a throttle.
struct QueuePoller {
    struct Settings: Sendable, Equatable {
        var batchSize: Int
        var window: Duration
        var isFIFO: Bool
        var bounds: PollerConcurrency.Bounds
    }

    /// What one transaction does, in this order. `wanted` is 0 when nothing is to be received.
    struct Request: Sendable, Equatable {
        var deletions: [String] = []
        var discards: [String] = []
        var releases: [String] = []
        var wanted = 0
    }

    struct Batch: Sendable, Equatable {
        var number: Int
        var records: [QueueRecord]
        /// When its messages become visible to others again.
        var visibleAgain: Instant
    }

    enum Action: Sendable, Equatable {
        case transact(Request)
        case invoke(Batch)
        /// All that ran has ended, and nothing will start any more.
        case stopped
    }

    /// What a transaction brought.
    struct Answer: Sendable {
        /// What each receive brought, without what is not to be invoked.
        var receipts: [[QueueRecord]] = []
        /// Handles of messages that the filters dropped: they are deleted.
        var filtered: [String] = []
        /// Handles of messages that run in a circle.
        var circular: [String] = []
        /// From when on there may be more, as far as the receives know (`QueueReceipt.nextVisible`).
        var nextVisible: Instant?
        /// When what was received becomes visible to others again.
        var visibleAgain: Instant
        var reservedConcurrency: Int?
        /// How long the function may take with a batch.
        var functionTimeout = Duration.zero
        /// What ended the transaction after it had received these; what it brought is there all the same.
        var trouble: Trouble?
    }

    /// Why a transaction brought nothing.
    enum Trouble: Sendable, Equatable {
        /// The queue does not exist: only a message in it is news.
        case sourceGone
        /// The function cannot run, or the role may not receive: that can change without a sign.
        case notNow
        /// The store refused: what was to be deleted is kept.
        case store
    }

    enum Outcome: Sendable, Equatable {
        /// These messages are done; the others of the batch come again.
        case success(done: [String])
        case functionError
        /// Throttled, or a failure of ours: the function did not run.
        case notRun
    }

    private enum Phase { case running, stopping, stopped }

    private struct Lane {
        enum Step {
            case invoking
            case waiting(until: Instant)
        }
        var batch: Batch
        var step: Step
        var throttles = 0
        /// Batches of the same receive of a FIFO queue, one after the other: they may share groups.
        var following: [[QueueRecord]] = []
        /// Received just now. Such a batch is begun even if its messages are visible again already (a visibility timeout of
        /// next to nothing), or nobody would ever begin it.
        var isFresh = false
        var bytes: Int

        init(_ batch: Batch, following: [[QueueRecord]], isFresh: Bool = false) {
            self.batch = batch
            step = .invoking
            self.following = following
            self.isFresh = isFresh
            bytes = following.reduce(Self.bytes(batch.records)) { $0 + Self.bytes($1) }
        }

        private static func bytes(_ records: [QueueRecord]) -> Int { records.reduce(0) { $0 + $1.json.count } }

        /// What goes back when it is given up. Messages that are visible again may be others' by now.
        func handles(now: Instant) -> [String] {
            guard batch.visibleAgain > now else { return [] }
            return (batch.records + following.flatMap { $0 }).map(\.receiptHandle)
        }
    }

    private(set) var settings: Settings
    private(set) var concurrency: PollerConcurrency
    private var phase = Phase.running
    private var isTransacting = false
    private var isReceiving = false
    /// From when on something may be received; nil when there is nothing to wait for but a message.
    private var receivable: Instant?
    private var buffer = BatchBuffer<QueueRecord>()
    private var bufferVisibleAgain = Instant(nanoseconds: .max)
    private var ready: [Lane] = []
    private var lanes: [Int: Lane] = [:]
    private var pending = Request()
    private var pausedUntil: Instant?
    private var troubles = 0
    private var nextNumber = 0
    private var growth: Instant?

    /// A new poller looks into the queue at once.
    init(_ settings: Settings, now: Instant) {
        self.settings = settings
        concurrency = PollerConcurrency(settings.bounds)
        receivable = now
    }

    var running: Int { lanes.count }
    var isStopped: Bool { phase == .stopped }
    /// Bytes of all records from their receipt to the end of their batch.
    var heldBytes: Int {
        lanes.values.reduce(ready.reduce(buffer.bytes) { $0 + $1.bytes }) { $0 + $1.bytes }
    }

    // MARK: Events

    /// A message is or will be receivable.
    mutating func wake(receivable instant: Instant, now: Instant) -> [Action] {
        receivable = min(receivable ?? instant, instant)
        return plan(now)
    }

    mutating func timer(now: Instant) -> [Action] { plan(now) }

    mutating func change(_ settings: Settings, now: Instant) -> [Action] {
        self.settings = settings
        concurrency.change(settings.bounds)
        pausedUntil = nil
        troubles = 0
        if phase != .running {
            phase = .running
            receivable = now
        }
        return plan(now)
    }

    /// No new receives and no new invocations; what was received and not started becomes visible again.
    mutating func stop(now: Instant) -> [Action] {
        if phase == .running { phase = .stopping }
        return plan(now)
    }

    /// Stopping, and what runs is not waited for any longer: it goes back, too.
    mutating func abandon(now: Instant) -> [Action] {
        guard phase != .running else { return [] }
        for lane in lanes.values { pending.releases += lane.handles(now: now) }
        lanes = [:]
        return plan(now)
    }

    /// All mappings together hold too much for any to receive. The open batch does not wait for more, and throttled batches
    /// do not wait for their next try: their messages come again when they are visible.
    mutating func relieve(now: Instant) -> [Action] {
        guard phase == .running else { return [] }
        if let records = buffer.close() { prepare(records) }
        for (number, lane) in lanes { if case .waiting = lane.step { lanes[number] = nil } }
        return plan(now)
    }

    mutating func received(_ answer: Answer, now: Instant) -> [Action] {
        isTransacting = false
        if isReceiving {
            isReceiving = false
            troubles = 0
            pausedUntil = nil
            concurrency.reserved = answer.reservedConcurrency
            pending.deletions += answer.filtered
            pending.discards += answer.circular
            if let next = answer.nextVisible { receivable = min(receivable ?? next, next) }
            if answer.nextVisible.map({ $0 > now }) ?? true, ready.isEmpty, lanes.isEmpty, answer.receipts.isEmpty {
                concurrency.quiet()
            }
            take(answer, now: now)
            if let trouble = answer.trouble { pause(trouble, wantsMore: true, now: now) }
        }
        return plan(now)
    }

    mutating func failed(_ trouble: Trouble, request: Request, now: Instant) -> [Action] {
        isTransacting = false
        isReceiving = false
        if trouble == .store {
            // Handles are only good for so long: with too many, the oldest have had their time.
            pending.deletions = (request.deletions + pending.deletions).suffix(Limits.waitingDeletions)
            pending.discards = (request.discards + pending.discards).suffix(Limits.waitingDeletions)
            pending.releases = (request.releases + pending.releases).suffix(Limits.waitingDeletions)
        }
        pause(trouble, wantsMore: request.wanted > 0, now: now)
        if phase == .stopping, trouble != .store { pending = Request() }
        return plan(now)
    }

    private mutating func pause(_ trouble: Trouble, wantsMore: Bool, now: Instant) {
        if trouble != .sourceGone {
            let first = Limits.troubleFirstMilliseconds
            let wait = min(first << min(troubles, 16), Limits.troubleLongestMilliseconds)
            troubles += 1
            pausedUntil = now + .milliseconds(wait)
            if wantsMore { receivable = now }
        }
    }

    mutating func completed(_ number: Int, _ outcome: Outcome, now: Instant) -> [Action] {
        guard var lane = lanes.removeValue(forKey: number) else { return plan(now) }
        switch outcome {
        case .success(let done):
            concurrency.completed()
            pending.deletions += done
            // Only when all of it is done may what follows it in its groups run.
            if done.count == lane.batch.records.count, !lane.following.isEmpty { follow(lane, now) }
        case .functionError:
            concurrency.completed()
            concurrency.failed()
        case .notRun:
            concurrency.failed()
            let first = Limits.throttleFirstMilliseconds
            let wait = min(first << min(lane.throttles, 16), Limits.throttleLongestMilliseconds)
            let again = now + .milliseconds(wait)
            // Later than that its messages may be in another batch already; they come again by themselves.
            if again < lane.batch.visibleAgain {
                lane.throttles += 1
                lane.step = .waiting(until: again)
                lanes[number] = lane
            }
        }
        return plan(now)
    }

    /// When to call `timer`; nil when nothing waits for a time.
    func nextTimer(now: Instant) -> Instant? {
        var next: Instant?
        func consider(_ instant: Instant?) {
            if let instant { next = min(next ?? instant, instant) }
        }
        for lane in lanes.values { if case .waiting(let until) = lane.step { consider(until) } }
        guard phase == .running else {
            if !pending.isEmpty, !isTransacting { consider(pausedUntil) }
            return next
        }
        consider(buffer.deadline)
        if !isTransacting, let receivable {
            if room > 0 { consider(max(receivable, pausedUntil ?? receivable)) } else { consider(growth) }
        }
        if !isTransacting, !pending.isEmpty { consider(pausedUntil) }
        return next
    }

    // MARK: Decisions

    private func isPaused(_ now: Instant) -> Bool { pausedUntil.map { $0 > now } ?? false }

    /// Messages that could be put into batches.
    private var room: Int {
        let free = concurrency.limit - lanes.count - ready.count - (buffer.isEmpty ? 0 : 1)
        let open = buffer.isEmpty ? 0 : settings.batchSize - buffer.count
        return min(max(free, 0) * settings.batchSize + max(open, 0), Limits.messagesPerTransaction)
    }

    /// Sorts what was received into batches.
    private mutating func take(_ answer: Answer, now: Instant) {
        closeWhatIsDue(now)
        let latest = lastMoment(answer, now)
        for receipt in answer.receipts where !receipt.isEmpty {
            if phase != .running {
                pending.releases += receipt.map(\.receiptHandle)
                continue
            }
            bufferVisibleAgain = buffer.isEmpty ? answer.visibleAgain : min(bufferVisibleAgain, answer.visibleAgain)
            var closed: [[QueueRecord]] = []
            for record in receipt {
                closed += buffer.add(
                    record, size: settings.batchSize, window: settings.window, latest: latest,
                    overhead: QueueRecord.eventHead.count + QueueRecord.eventTail.count, now: now)
            }
            if settings.isFIFO {
                if let rest = buffer.close() { closed.append(rest) }
                guard let first = closed.first else { continue }
                prepare(first, following: Array(closed.dropFirst()), isFresh: true)
            } else {
                for batch in closed {
                    prepare(batch, isFresh: true)
                    bufferVisibleAgain = answer.visibleAgain
                }
            }
        }
        if settings.window == .zero || latest <= now, let rest = buffer.close() { prepare(rest, isFresh: true) }
    }

    /// When a batch with these messages closes at the latest: the function should end before they are visible again. Where
    /// the visibility timeout is too short for that, half of it is for collecting.
    private func lastMoment(_ answer: Answer, _ now: Instant) -> Instant {
        guard answer.visibleAgain > now else { return now }
        let shortest = Duration.milliseconds(Limits.visibilityMarginMilliseconds)
        let margin = min(max(answer.functionTimeout, shortest), (answer.visibleAgain - now) / 2)
        return answer.visibleAgain - margin
    }

    private mutating func closeWhatIsDue(_ now: Instant) {
        if let deadline = buffer.deadline, deadline <= now, let records = buffer.close() { prepare(records) }
    }

    private mutating func prepare(_ records: [QueueRecord], following: [[QueueRecord]] = [], isFresh: Bool = false) {
        let batch = Batch(number: nextNumber, records: records, visibleAgain: bufferVisibleAgain)
        nextNumber += 1
        ready.append(Lane(batch, following: following, isFresh: isFresh))
    }

    private mutating func follow(_ lane: Lane, _ now: Instant) {
        // Visible again, they come again by themselves: begun now they would run beside that.
        guard lane.batch.visibleAgain > now else { return }
        if phase != .running {
            pending.releases += lane.following.flatMap { $0.map(\.receiptHandle) }
            return
        }
        let batch = Batch(number: nextNumber, records: lane.following[0], visibleAgain: lane.batch.visibleAgain)
        nextNumber += 1
        ready.insert(Lane(batch, following: Array(lane.following.dropFirst())), at: 0)
    }

    private mutating func plan(_ now: Instant) -> [Action] {
        var actions: [Action] = []
        if phase == .running {
            closeWhatIsDue(now)
            start(now, &actions)
        } else {
            giveBack(now)
        }
        transact(now, &actions)
        if phase == .stopping, lanes.isEmpty, !isTransacting, pending.isEmpty {
            phase = .stopped
            actions.append(.stopped)
        }
        return actions
    }

    private mutating func start(_ now: Instant, _ actions: inout [Action]) {
        for (number, lane) in lanes {
            guard case .waiting(let until) = lane.step, until <= now else { continue }
            guard lane.batch.visibleAgain > now else {
                lanes[number] = nil
                continue
            }
            lanes[number]?.step = .invoking
            actions.append(.invoke(lane.batch))
        }
        // What is visible again comes again by itself.
        ready.removeAll { !$0.isFresh && $0.batch.visibleAgain <= now }
        let count = min(max(concurrency.limit - lanes.count, 0), ready.count)
        for lane in ready.prefix(count) {
            lanes[lane.batch.number] = lane
            actions.append(.invoke(lane.batch))
        }
        ready.removeFirst(count)
        for index in ready.indices { ready[index].isFresh = false }
    }

    /// Stopping: what has not been started, or was not let in, goes back to the queue.
    private mutating func giveBack(_ now: Instant) {
        if let records = buffer.close() { prepare(records) }
        for lane in ready { pending.releases += lane.handles(now: now) }
        ready = []
        for (number, lane) in lanes {
            if case .waiting = lane.step {
                pending.releases += lane.handles(now: now)
                lanes[number] = nil
            }
        }
    }

    private mutating func transact(_ now: Instant, _ actions: inout [Action]) {
        growth = nil
        guard !isTransacting, !isPaused(now) else { return }
        var request = pending
        if phase == .running, let due = receivable, due <= now {
            request.wanted = room
            let isFull = lanes.count + ready.count >= concurrency.limit
            if isFull || request.wanted == 0 { growth = concurrency.backlog(now: now) }
            if request.wanted > 0 { receivable = nil }
        }
        guard request.wanted > 0 || !pending.isEmpty else { return }
        pending = Request()
        isTransacting = true
        isReceiving = request.wanted > 0
        actions.append(.transact(request))
    }
}

extension QueuePoller.Request {
    /// Nothing to be written.
    var isEmpty: Bool { deletions.isEmpty && discards.isEmpty && releases.isEmpty }
}
