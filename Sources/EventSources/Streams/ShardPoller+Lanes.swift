import Platform

extension ShardPoller {
    /// One batch of a lane: new, or what is left of one that failed.
    struct Work: Equatable {
        /// Numbers in the ledger, ascending.
        var records: [Int]
        /// Failures that count against MaximumRetryAttempts.
        var attempts = 0
        /// In a row, without a run of the function.
        var throttles = 0
        var response: Response?
        /// The last invocation of the open window; without records.
        var isFinal = false
    }

    /// A part of the ordering keys of a shard, whose records go one batch after the other.
    struct Lane {
        enum Step: Equatable {
            case idle
            case invoking(Int)
            /// Before another try of the first batch of `work`.
            case waiting(until: Instant)
        }

        /// Batches that are to be tried before `pending`: the first is the current one.
        var work: [Work] = []
        /// Numbers of records that are in no batch yet.
        var pending = NumberedQueue<Int>()
        var step = Step.idle
        /// From when on the batch window counts: the first pending record, or the end of the batch before.
        var opensAt: Instant?

        var isQuiet: Bool { work.isEmpty && pending.isEmpty && step == .idle }
    }

    /// Which lane a key belongs to (FNV-1a): the same one always.
    static func lane(of key: String, lanes: Int) -> Int {
        guard lanes > 1 else { return 0 }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        // The lowest bits of an FNV hash are its weakest.
        return Int((hash ^ (hash >> 32)) % UInt64(lanes))
    }

    // MARK: Beginning

    /// Begins the lane's next batch, if there is one and it is time.
    mutating func start(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        while true {
            if case .invoking = lanes[index].step { return }
            if lanes[index].work.isEmpty, !form(index, now) { return }
            guard var work = lanes[index].work.first else { return }
            if work.isFinal {
                guard let window else {
                    lanes[index].work.removeFirst()
                    continue
                }
                if isTooOld(window.end, now) {
                    lanes[index].work.removeFirst()
                    lanes[index].step = .idle
                    self.window = nil
                    isDirty = true
                    continue
                }
            } else {
                // A wait ends when its records expire; what was let go of meanwhile is not asked for before.
                if case .waiting(let until) = lanes[index].step, until > now { return }
                // What was done before is written down first, what is given up too.
                guard maySpendMore else { return }
                if let number = work.records.first(where: { ledger[$0].json == nil && !ledger[$0].isGone }) {
                    rereadFrom = min(rereadFrom ?? number, number)
                    return
                }
                if dropExpired(index, now) { continue }
                fit(index)
                work = lanes[index].work[0]
            }
            if case .waiting(let until) = lanes[index].step, until > now { return }
            guard maySpendMore else { return }
            let number = number()
            lanes[index].step = .invoking(number)
            var batch = Batch(number: number, records: work.records.map { ledger[$0] }, window: window)
            batch.isFinal = work.isFinal
            batch.isTerminatedEarly = work.isFinal && window?.isOverfull ?? false
            actions.append(.invoke(batch))
            return
        }
    }

    /// Gives up the records at the front of the current batch that are too old; answers whether there were any.
    private mutating func dropExpired(_ index: Int, _ now: Instant) -> Bool {
        guard let work = lanes[index].work.first else { return false }
        let count = work.records.prefix { ledger[$0].isGone || isTooOld(ledger[$0].arrivedAt, now) }.count
        guard count > 0 else { return false }
        // Also of records that were never tried (recorded on AWS): the count is one more than the failures.
        giveUp(
            Array(work.records.prefix(count)), .recordAgeExceeded, count: work.attempts + 1, response: nil)
        lanes[index].work[0].records.removeFirst(count)
        if lanes[index].work[0].records.isEmpty {
            lanes[index].work.removeFirst()
            lanes[index].step = .idle
            lanes[index].opensAt = now
        }
        return true
    }

    /// Cuts the current batch if it is too large for an event: the size of what was let go of is known only now.
    private mutating func fit(_ index: Int) {
        let records = lanes[index].work[0].records
        var bytes = 0
        for (count, number) in records.enumerated() {
            bytes += (ledger[number].json?.count ?? 0) + 1
            guard count > 0, bytes > eventRoom else { continue }
            var rest = lanes[index].work[0]
            rest.records = Array(records.dropFirst(count))
            lanes[index].work[0].records = Array(records.prefix(count))
            lanes[index].work.insert(rest, at: 1)
            return
        }
    }

    /// Bytes of records that an event has room for.
    private var eventRoom: Int {
        Limits.payloadBytes - Limits.streamEventOverheadBytes - (window?.state.count ?? 0)
    }

    /// What records may be old at the most.
    private var ageLimit: Duration? {
        guard let retention else { return settings.maximumAge }
        return min(settings.maximumAge ?? retention, retention)
    }

    private func isTooOld(_ instant: Instant, _ now: Instant) -> Bool {
        ageLimit.map { now >= instant + $0 } ?? false
    }

    /// Makes a batch of the lane's pending records, or the last invocation of its window; answers whether it did.
    private mutating func form(_ index: Int, _ now: Instant) -> Bool {
        if let window, window.isOverfull { return addFinal(index) }
        guard !lanes[index].pending.isEmpty else {
            guard let window, isWindowOver(window) else { return false }
            return addFinal(index)
        }
        let first = lanes[index].pending[lanes[index].pending.first]
        if settings.tumbling > .zero {
            // A record that came late counts to the window that is open.
            if let window, ledger[first].arrivedAt >= window.end { return addFinal(index) }
            if window == nil {
                window = TumblingWindow(containing: ledger[first].arrivedAt, length: settings.tumbling)
            }
        }
        let (count, isClosed) = measure(index)
        let isDue = lanes[index].opensAt.map { $0 + settings.window <= now } ?? true
        guard isClosed || isDue || isFull || isReadToItsEnd else { return false }
        let pending = lanes[index].pending
        let records = (pending.first..<pending.first + count).map { pending[$0] }
        lanes[index].pending.removeFirst(count)
        lanes[index].work = [Work(records: records)]
        return true
    }

    private mutating func addFinal(_ index: Int) -> Bool {
        lanes[index].work = [Work(records: [], isFinal: true)]
        return true
    }

    /// How many pending records the next batch takes, and whether it can take no more.
    private func measure(_ index: Int) -> (count: Int, isClosed: Bool) {
        let pending = lanes[index].pending
        let room = eventRoom
        var bytes = 0
        var count = 0
        while count < pending.count, count < settings.batchSize {
            let entry = ledger[pending[pending.first + count]]
            // What was let go of counts when it is read again: then the batch may be cut.
            bytes += (entry.json?.count ?? 0) + 1
            if count > 0, bytes > room { return (count, true) }
            if let window, entry.arrivedAt >= window.end { return (count, true) }
            count += 1
        }
        return (count, count >= settings.batchSize)
    }

    // MARK: Concluding

    /// An invocation of the lane has ended.
    mutating func conclude(
        _ index: Int, _ outcome: Outcome, _ response: Response?, _ state: [UInt8]?, _ now: Instant
    ) {
        guard var work = lanes[index].work.first else { return }
        lanes[index].work.removeFirst()
        lanes[index].step = .idle
        lanes[index].opensAt = now
        if outcome != .notRun { work.throttles = 0 }
        if let response { work.response = response }
        switch outcome {
        case .notRun:
            let wait = Self.backoff(
                work.throttles, Limits.throttleFirstMilliseconds, Limits.throttleLongestMilliseconds)
            work.throttles += 1
            again(index, [work], after: wait, now)
        case .functionError: failed(index, work, cut: 0, now)
        case .success(failedFrom: nil):
            done(work.records)
            if work.isFinal { window = nil } else if let state { window?.state = state }
        case .success(failedFrom: let cut?):
            if let state, cut > 0 { window?.state = state }
            if cut > 0 { done(work.records.prefix(cut)) }
            failed(index, work, cut: cut, now)
        }
    }

    private mutating func done(_ records: some Sequence<Int>) {
        ledger.finish(records)
        isDirty = true
        unsaved += 1
    }

    /// The records of the batch from `cut` on have failed.
    private mutating func failed(_ index: Int, _ work: Work, cut: Int, _ now: Instant) {
        var rest = work
        rest.records.removeFirst(min(cut, work.records.count))
        if settings.bisects, !work.isFinal {
            if cut > 0 {
                // Cut where the function said: no attempt is spent.
                return again(index, [rest], after: nil, now)
            }
            if rest.records.count > 1 {
                var halves = [rest, rest]
                let middle = rest.records.count / 2
                halves[0].records = Array(rest.records.prefix(middle))
                halves[1].records = Array(rest.records.dropFirst(middle))
                return again(index, halves, after: nil, now)
            }
        }
        rest.attempts += 1
        if let most = settings.maximumRetries, rest.attempts > most {
            if rest.isFinal {
                window = nil
                isDirty = true
            } else {
                giveUp(
                    rest.records, .retryAttemptsExhausted, count: rest.attempts, response: rest.response)
            }
            return
        }
        let wait = Self.backoff(rest.attempts - 1, Limits.retryFirstMilliseconds, Limits.retryLongestMilliseconds)
        again(index, [rest], after: wait, now)
    }

    /// To be tried before everything else of the lane.
    private mutating func again(_ index: Int, _ work: [Work], after wait: Duration?, _ now: Instant) {
        lanes[index].work.insert(contentsOf: work, at: 0)
        guard let wait else { return }
        var until = now + wait.divided(by: settings.timeScale)
        // What would expire while it waits is given up in time.
        if let age = ageLimit, let first = work.first?.records.first {
            until = min(until, max(ledger[first].arrivedAt + age, now))
        }
        lanes[index].step = .waiting(until: until)
    }

    private mutating func giveUp(
        _ records: [Int], _ condition: GivenUp.Condition, count: Int, response: Response?
    ) {
        givenUp.append(
            GivenUp(
                condition: condition, invokeCount: count, response: response, records: records.map { ledger[$0] }))
        ledger.finish(records)
        isDirty = true
        unsaved += 1
    }
}
