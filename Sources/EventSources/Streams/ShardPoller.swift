import Platform

/// The poller of one shard of one mapping: says what to read, invoke and write down, and knows no clock, store or function.
///
/// Records go by their ordering key into lanes. A lane runs one batch at a time, in order, until it is done or given up. What
/// is done moves the checkpoint, which never passes a record that is not.
struct ShardPoller {
    struct Settings: Sendable, Equatable {
        /// Anything that changes is a new beginning from the checkpoint.
        var revision: Int64 = 1
        var batchSize: Int
        var window = Duration.zero
        var lanes = 1
        /// nil: until the records expire.
        var maximumRetries: Int?
        var maximumAge: Duration?
        var bisects = false
        /// Zero: none.
        var tumbling = Duration.zero
        /// Divides the waits between tries.
        var timeScale = 1.0
    }

    struct ReadRequest: Sendable, Equatable {
        /// nil: from the oldest record kept.
        var after: String?
        var limit: Int
        /// The first entry whose bytes are wanted again; new records may follow.
        var again: Int?
    }

    /// What a read brought. Records that filters dropped have no bytes.
    struct Page: Sendable {
        var records: [RecordLedger.Entry]
        var isEnd: Bool
        var hasMore: Bool
        /// How long the stream keeps records.
        var retention: Duration
        /// When it was begun.
        var readAt: Instant
    }

    struct Batch: Sendable, Equatable {
        /// Of this invocation.
        var number: Int
        var records: [RecordLedger.Entry]
        var window: TumblingWindow?
        var isFinal = false
        var isTerminatedEarly = false
    }

    enum Outcome: Sendable, Equatable {
        /// Done; or from the record of this index on, not.
        case success(failedFrom: Int? = nil)
        case functionError
        /// Throttled, or a failure of ours: the function did not run.
        case notRun
    }

    /// What a function said, for the record of a batch that is given up.
    struct Response: Sendable, Equatable {
        var requestID: String
        var executedVersion: String
        var functionError: String?
    }

    /// Records that will not be tried any more.
    struct GivenUp: Sendable, Equatable {
        enum Condition: String, Sendable, Equatable {
            case retryAttemptsExhausted = "RetryAttemptsExhausted"
            case recordAgeExceeded = "RecordAgeExceeded"
        }
        var condition: Condition
        var invokeCount: Int
        /// Of the last invocation with them; nil when there was none.
        var response: Response?
        var records: [RecordLedger.Entry]
    }

    struct Save: Sendable, Equatable {
        var checkpoint: Checkpoint
        var window: TumblingWindow?
        var givenUp: [GivenUp]
    }

    enum Trouble: Sendable, Equatable {
        /// The stream or shard does not exist: only a sign of it is news.
        case sourceGone
        /// The function cannot run, or the role may not read: that can change without a sign.
        case notNow
        /// Too much is held in memory.
        case memory
    }

    enum Action: Sendable, Equatable {
        case read(ReadRequest)
        case invoke(Batch)
        case save(Save)
        /// The shard is closed, and that all of it is done is on disk.
        case ended
        /// All that ran has ended, and nothing will start any more.
        case stopped
    }

    private enum Phase { case running, stopping, stopped, ended }

    private(set) var settings: Settings
    private var phase = Phase.running
    /// Settings to begin anew with, when what runs has ended.
    private var next: Settings?

    var ledger: RecordLedger
    var lanes: [Lane] = []
    var window: TumblingWindow?
    private var nextNumber = 0
    var retention: Duration?

    // Reading
    private var isReading = false
    private var mayHaveMore = true
    private var isEnd = false
    private var pausedUntil: Instant?
    private var troubles = 0
    /// From which entry on bytes are wanted again.
    var rereadFrom: Int?
    /// When the read was begun that found nothing new.
    private var emptyAt: Instant?

    // Writing down
    private var isSaving = false
    var isDirty = false
    var givenUp: [GivenUp] = []
    private var savingGivenUp: [GivenUp] = []
    /// Batches that are done and not on disk.
    var unsaved = 0
    private var saving = 0
    private var isSavingEnd = false
    private var savePausedUntil: Instant?
    private var saveTroubles = 0
    private var isAbandoned = false

    init(_ settings: Settings, checkpoint: Checkpoint, window: TumblingWindow?) {
        self.settings = settings
        ledger = RecordLedger(checkpoint)
        self.window = window
    }

    var isStopped: Bool { phase == .stopped || phase == .ended }
    var isRunning: Bool { phase == .running }
    /// Bytes of all records that wait or run.
    var heldBytes: Int { ledger.heldBytes }

    // MARK: Events

    /// Something was appended to the shard, or may have been.
    mutating func wake(now: Instant) -> [Action] {
        mayHaveMore = true
        return plan(now)
    }

    mutating func timer(now: Instant) -> [Action] { plan(now) }

    mutating func received(_ page: Page, of request: ReadRequest, now: Instant) -> [Action] {
        isReading = false
        troubles = 0
        pausedUntil = nil
        retention = page.retention
        guard phase == .running else { return plan(now) }
        take(page, request, now)
        return plan(now)
    }

    mutating func readFailed(_ trouble: Trouble, now: Instant) -> [Action] {
        isReading = false
        switch trouble {
        case .sourceGone:
            // An open window is closed at its time: nothing more comes.
            emptyAt = now
            if rereadFrom != nil {
                // Bytes that were let go of and cannot be had now are not asked for again at once.
                pausedUntil =
                    now + Self.backoff(troubles, Limits.troubleFirstMilliseconds, Limits.troubleLongestMilliseconds)
                troubles += 1
            }
        case .memory:
            mayHaveMore = true
            pausedUntil = now + .milliseconds(Limits.memoryPauseMilliseconds)
        case .notNow:
            mayHaveMore = true
            pausedUntil =
                now + Self.backoff(troubles, Limits.troubleFirstMilliseconds, Limits.troubleLongestMilliseconds)
            troubles += 1
        }
        return plan(now)
    }

    /// `state`: what the function returned for its window.
    mutating func completed(
        _ number: Int, _ outcome: Outcome, response: Response? = nil, state: [UInt8]? = nil, now: Instant
    ) -> [Action] {
        guard let index = lanes.firstIndex(where: { $0.step == .invoking(number) }) else { return plan(now) }
        conclude(index, outcome, response, state, now)
        return plan(now)
    }

    mutating func saved(now: Instant) -> [Action] {
        isSaving = false
        saveTroubles = 0
        saving = 0
        savingGivenUp = []
        if isSavingEnd, phase == .running {
            phase = .ended
            return [.ended]
        }
        return plan(now)
    }

    /// The store refused.
    mutating func saveFailed(now: Instant) -> [Action] {
        isSaving = false
        isDirty = true
        unsaved += saving
        saving = 0
        givenUp = savingGivenUp + givenUp
        savingGivenUp = []
        savePausedUntil =
            now + Self.backoff(saveTroubles, Limits.troubleFirstMilliseconds, Limits.troubleLongestMilliseconds)
        saveTroubles += 1
        return plan(now)
    }

    /// Lets what runs end and begins anew from the checkpoint if the settings are others.
    mutating func change(_ settings: Settings, now: Instant) -> [Action] {
        guard phase != .ended else { return [] }
        pausedUntil = nil
        troubles = 0
        mayHaveMore = true
        guard settings != self.settings || phase != .running else { return plan(now) }
        next = settings
        if phase == .running { phase = .stopping }
        return plan(now)
    }

    /// No new reads and invocations. What has not been done is not lost: it lies behind the checkpoint.
    mutating func stop(now: Instant) -> [Action] {
        next = nil
        if phase == .running { phase = .stopping }
        return plan(now)
    }

    /// Stopping, and what runs is not waited for any longer.
    mutating func abandon(now: Instant) -> [Action] {
        guard phase == .stopping else { return [] }
        isAbandoned = true
        for index in lanes.indices { lanes[index].step = .idle }
        return plan(now)
    }

    /// All mappings together hold too much: the bytes of what does not run are read again when they are needed.
    mutating func relieve(now: Instant) -> [Action] {
        var kept: Set<Int> = []
        for lane in lanes { if case .invoking = lane.step { kept.formUnion(lane.work.first?.records ?? []) } }
        ledger.release(except: kept)
        return plan(now)
    }

    /// When to call `timer`; nil when nothing waits for a time.
    func nextTimer(now: Instant) -> Instant? {
        var next: Instant?
        func consider(_ instant: Instant?) {
            // What is past waits for something else than a time.
            if let instant, instant > now { next = min(next ?? instant, instant) }
        }
        if isDirty, !isSaving { consider(savePausedUntil) }
        guard phase == .running else { return next }
        for lane in lanes {
            switch lane.step {
            case .waiting(let until): consider(until)
            case .idle: if !lane.pending.isEmpty { consider(lane.opensAt.map { $0 + settings.window }) }
            case .invoking: break
            }
        }
        if let window, lanes.allSatisfy({ $0.isQuiet }), !isReading {
            consider(max(Self.closing(window), pausedUntil ?? Self.closing(window)))
        }
        if !isReading, wantsRead { consider(pausedUntil) }
        return next
    }

    // MARK: Decisions

    static func backoff(_ tries: Int, _ first: Int, _ longest: Int) -> Duration {
        .milliseconds(min(first << min(tries, 16), longest))
    }

    /// When a window that nothing more comes for is closed.
    static func closing(_ window: TumblingWindow) -> Instant {
        window.end + .milliseconds(Limits.windowGraceMilliseconds)
    }

    private var hasNothingLeft: Bool {
        ledger.isEmpty && window == nil && lanes.allSatisfy { $0.isQuiet } && givenUp.isEmpty
    }

    /// No more is read until something is done.
    var isFull: Bool {
        ledger.count >= max(2 * settings.batchSize * settings.lanes, Limits.leastRecordsPerShard)
            || ledger.heldBytes >= Limits.bytesPerShard
    }

    /// Whether the shard has ended as far as reading goes.
    var isReadToItsEnd: Bool { isEnd }

    /// A batch may be begun while what was done before it is being written down, but not further.
    var maySpendMore: Bool { unsaved + saving <= settings.lanes }

    /// The open window is over and nothing more of it can come.
    func isWindowOver(_ window: TumblingWindow) -> Bool {
        isEnd || (!mayHaveMore && !isReading && emptyAt.map { $0 >= Self.closing(window) } ?? false)
    }

    private var wantsRead: Bool {
        if rereadFrom != nil { return true }
        guard mayHaveMore, !isEnd, !isFull else { return false }
        return lanes.isEmpty || lanes.contains { $0.pending.count < settings.batchSize }
    }

    mutating func number() -> Int {
        defer { nextNumber += 1 }
        return nextNumber
    }

    private mutating func take(_ page: Page, _ request: ReadRequest, _ now: Instant) {
        var cursor = ledger.end
        if let again = request.again {
            cursor = max(again, ledger.first)
            rereadFrom = nil
        }
        let before = ledger.end
        if !page.records.isEmpty, lanes.isEmpty {
            lanes = (0..<settings.lanes).map { _ in Lane() }
        }
        for record in page.records {
            if cursor < before, ledger.refill(record, cursor: &cursor) { continue }
            guard let number = ledger.append(record) else { continue }
            let lane = min(record.lane, lanes.count - 1)
            if lanes[lane].pending.isEmpty { lanes[lane].opensAt = now }
            lanes[lane].pending.append(number)
        }
        if request.again != nil, !page.hasMore {
            for number in min(cursor, before)..<before { ledger.lose(number) }
        }
        // There may have been an append since the read.
        if page.hasMore { mayHaveMore = true }
        if page.isEnd { isEnd = true }
        emptyAt = page.hasMore ? nil : page.readAt
    }

    private mutating func plan(_ now: Instant) -> [Action] {
        var actions: [Action] = []
        if phase == .running {
            lookAgain(now)
            for index in lanes.indices { start(index, now, &actions) }
        }
        if ledger.advance() { isDirty = true }
        if phase == .running { read(now, &actions) }
        // When all of a closed shard is done, that is to be known; the last save before it may have been another.
        if isEnd, phase == .running, hasNothingLeft, !isDirty, !isSaving { isDirty = true }
        save(now, &actions)
        settle(now, &actions)
        return actions
    }

    /// A window can only be closed by a read that came after its end and found nothing.
    private mutating func lookAgain(_ now: Instant) {
        guard let window, isEnd || now >= Self.closing(window) else { return }
        if lanes.isEmpty { lanes = [Lane()] }
        if isEnd { return }
        if emptyAt.map({ $0 < Self.closing(window) }) ?? true { mayHaveMore = true }
    }

    private mutating func read(_ now: Instant, _ actions: inout [Action]) {
        guard !isReading, wantsRead, pausedUntil.map({ $0 <= now }) ?? true else { return }
        isReading = true
        let limit = min(max(settings.batchSize * settings.lanes, Limits.leastRecordsPerRead), Limits.mostRecordsPerRead)
        if let from = rereadFrom {
            actions.append(.read(ReadRequest(after: ledger.predecessor(of: from), limit: limit, again: from)))
        } else {
            mayHaveMore = false
            actions.append(.read(ReadRequest(after: ledger.readPosition, limit: limit)))
        }
    }

    private mutating func save(_ now: Instant, _ actions: inout [Action]) {
        guard isDirty, !isSaving, savePausedUntil.map({ $0 <= now }) ?? true else { return }
        isSaving = true
        isDirty = false
        savePausedUntil = nil
        saving = unsaved
        unsaved = 0
        savingGivenUp = givenUp
        givenUp = []
        var checkpoint = ledger.checkpoint
        isSavingEnd = isEnd && hasNothingLeft && phase == .running
        checkpoint.isEnded = isSavingEnd
        actions.append(.save(Save(checkpoint: checkpoint, window: window, givenUp: savingGivenUp)))
    }

    private mutating func settle(_ now: Instant, _ actions: inout [Action]) {
        if phase == .running, ledger.isEmpty, window == nil, lanes.allSatisfy({ $0.isQuiet }) { lanes = [] }
        guard phase == .stopping || (phase == .stopped && next != nil) else { return }
        let isBusy = lanes.contains { if case .invoking = $0.step { true } else { false } }
        guard !isBusy, !isReading, !isSaving, !isDirty || isAbandoned else { return }
        guard let next else {
            phase = .stopped
            lanes = []
            actions.append(.stopped)
            return
        }
        settings = next
        self.next = nil
        ledger = RecordLedger(ledger.checkpoint)
        lanes = []
        rereadFrom = nil
        isEnd = false
        mayHaveMore = true
        emptyAt = nil
        isAbandoned = false
        phase = .running
        if settings.tumbling == .zero, window != nil {
            window = nil
            isDirty = true
        }
        actions += plan(now)
    }
}
