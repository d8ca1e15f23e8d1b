import Contracts
import Logging
import NIOCore
import Platform
import Storage
import Synchronization
import Wire

/// One mapping with a queue at work: the shell around `QueuePoller`. Idle, it is an entry in the queue's list of observers:
/// no task and no timer.
final class QueueMapping: RunningMapping {
    private struct State {
        var mapping: EventSourceMapping
        var filters: RecordFilters
        var poller: QueuePoller
        /// Called once when all has ended.
        var onStopped: (@Sendable () -> Void)?
        /// Of its messages, as counted in the room's budget.
        var heldBytes = 0
        /// The execution role, as of the last time that the function was there.
        var roleARN: String?
    }

    private let room: EventSourceRoom
    private let state: Mutex<State>
    private let observation = Mutex<(@Sendable () -> Void)?>(nil)
    private let timer: EarliestTimer
    private let reporter: MappingReporter
    private let source: String
    private let region: String

    init(_ mapping: EventSourceMapping, room: EventSourceRoom) {
        self.room = room
        source = mapping.sourceARN
        region = ARN(mapping.sourceARN)?.region ?? mapping.scope.region
        timer = EarliestTimer(room.time)
        reporter = MappingReporter(mapping, room: room)
        state = Mutex(
            State(
                mapping: mapping, filters: RecordFilters(mapping.filters),
                poller: QueuePoller(Self.settings(mapping, room), now: room.time.now())))
    }

    private static func settings(_ mapping: EventSourceMapping, _ room: EventSourceRoom) -> QueuePoller.Settings {
        QueuePoller.Settings(
            batchSize: mapping.batchSize, window: mapping.batchingWindow, isFIFO: mapping.sourceARN.hasSuffix(".fifo"),
            bounds: PollerConcurrency.Bounds(mapping, machine: room.machineConcurrency))
    }

    // MARK: What the room says

    func start(_ begun: @escaping @Sendable () -> Void) {
        let end = room.queues.observe(queue: source) { [weak self] receivable in
            self?.advance { $0.wake(receivable: receivable, now: $1) }
        }
        observation.withLock { $0 = end }
        advance { $0.timer(now: $1) }
        begun()
    }

    func change(_ mapping: EventSourceMapping) {
        let filters = RecordFilters(mapping.filters)
        reporter.change(mapping)
        state.withLock {
            $0.mapping = mapping
            $0.filters = filters
            $0.onStopped = nil
        }
        let settings = Self.settings(mapping, room)
        advance { $0.change(settings, now: $1) }
    }

    /// Finishes what runs, gives back what has not started, and then calls `stopped`.
    func stop(_ mapping: EventSourceMapping?, _ stopped: @escaping @Sendable () -> Void) {
        if let mapping { reporter.change(mapping) }
        let isStopped = state.withLock { state in
            if let mapping { state.mapping = mapping }
            state.onStopped = stopped
            return state.poller.isStopped
        }
        if isStopped { ended() } else { advance { $0.stop(now: $1) } }
    }

    /// After `stop`: what runs is not waited for any longer, and goes back to the queue.
    func abandon() { advance { $0.abandon(now: $1) } }

    /// Lets go of what waits, for the memory that it takes.
    func relieve() { advance { $0.relieve(now: $1) } }

    private func ended() {
        let stopped = state.withLock { state in
            defer { state.onStopped = nil }
            return state.onStopped
        }
        timer.cancel()
        stopped?()
    }

    /// The room has let go of it: no more wake-ups.
    func close() {
        let end = observation.withLock { observation in
            defer { observation = nil }
            return observation
        }
        end?()
    }

    // MARK: The machine and its actions

    private func advance(_ event: (inout QueuePoller, Instant) -> [QueuePoller.Action]) {
        let now = room.time.now()
        let (actions, mapping, due) = state.withLock { state in
            let actions = event(&state.poller, now)
            let held = state.poller.heldBytes
            room.memory.take(held - state.heldBytes)
            state.heldBytes = held
            return (actions, state.mapping, state.poller.nextTimer(now: now))
        }
        if let due { timer.want(due) { [weak self] in self?.advance { $0.timer(now: $1) } } }
        for action in actions {
            switch action {
            case .transact(let request): Task { await transact(request, mapping) }
            case .invoke(let batch): Task { await invoke(batch, mapping) }
            case .stopped: ended()
            }
        }
    }

    // MARK: A transaction

    private struct Brought: Sendable {
        var receipts: [[QueueMessage]] = []
        var nextVisible: Instant?
        var visibleAgain = Instant(nanoseconds: .max)
        /// What ended it; the receipts from before are good.
        var refusal: AWSError?
        /// Nothing more fits into the memory.
        var isShort = false
    }

    private func transact(_ request: QueuePoller.Request, _ mapping: EventSourceMapping) async {
        var request = request
        var function: FunctionVersion?
        do {
            let resolved = try await room.resolve(mapping)
            state.withLock { $0.roleARN = resolved.roleARN }
            function = resolved
        } catch {
            reporter.report(Problem.functionUnavailable, cause: error)
        }
        // Without the function nothing is received, but what it has finished is still deleted, as the role that it had.
        let held = QueuePoller.Request(wanted: request.wanted)
        if function == nil { request.wanted = 0 }
        guard let role = state.withLock({ $0.roleARN }), function != nil || !request.isEmpty else {
            advance { $0.failed(.notNow, request: held, now: $1) }
            return
        }
        let isShort = request.wanted > 0 && !room.mayReceive(now: room.time.now())
        if isShort {
            request.wanted = 0
            if request.isEmpty {
                advance { $0.received(Self.later($1), now: $1) }
                return
            }
        }
        let hold = MemoryHold(room.memory)
        defer { hold.end() }
        let principal = EventSourceRoom.principal(role, mapping)
        do {
            let asked = request
            let now = room.time.now()
            let isFIFO = mapping.sourceARN.hasSuffix(".fifo")
            var brought = try await room.database.write { [room, source] transaction in
                try Self.carryOut(
                    asked, queue: source, batchSize: isFIFO ? mapping.batchSize : Limits.messagesPerReceive,
                    as: principal, room.queues, hold, now: now, in: transaction)
            }
            if let refusal = brought.refusal, brought.receipts.isEmpty { throw refusal }
            guard let function else {
                advance { $0.failed(.notNow, request: held, now: $1) }
                return
            }
            // There is more, but none of it was handed out: a limit of the queue, or many that moved elsewhere.
            if request.wanted > 0, brought.receipts.isEmpty, let next = brought.nextVisible, next <= now {
                brought.nextVisible = now + .milliseconds(Limits.troubleFirstMilliseconds)
            }
            if isShort || brought.isShort {
                brought.nextVisible = now + .milliseconds(Limits.memoryPauseMilliseconds)
            }
            var answer = sort(brought, mapping, function)
            if let refusal = brought.refusal {
                answer.trouble = Problem.isGone(refusal) ? .sourceGone : .notNow
                reporter.report(Problem.sourceRefused(refusal), cause: refusal)
            } else if request.wanted > 0 {
                reporter.report(nil)
            }
            advance { $0.received(answer, now: $1) }
        } catch let error as AWSError {
            reporter.report(Problem.sourceRefused(error), cause: error)
            let trouble: QueuePoller.Trouble = Problem.isGone(error) ? .sourceGone : .notNow
            advance { $0.failed(trouble, request: held, now: $1) }
        } catch {
            room.logger.error(
                "a queue's messages cannot be received or deleted",
                metadata: ["mapping": "\(mapping.id)", "error": "\(error)"])
            request.wanted = held.wanted
            let kept = request
            advance { $0.failed(.store, request: kept, now: $1) }
        }
    }

    /// Nothing was received for want of memory.
    private static func later(_ now: Instant) -> QueuePoller.Answer {
        QueuePoller.Answer(
            nextVisible: now + .milliseconds(Limits.memoryPauseMilliseconds), visibleAgain: Instant(nanoseconds: .max))
    }

    /// On the store's writer, where one after the other sees what is left of the memory. What the queue refuses when receiving does not undo what is deleted.
    private static func carryOut(
        _ request: QueuePoller.Request, queue: String, batchSize: Int, as principal: Principal,
        _ queues: any QueueSource, _ hold: MemoryHold, now: Instant, in transaction: any WriteTransaction
    ) throws -> Brought {
        var brought = Brought()
        do {
            if !request.deletions.isEmpty {
                try queues.delete(
                    queue: queue, receiptHandles: request.deletions, as: principal, now: now, in: transaction)
            }
            if !request.discards.isEmpty {
                try queues.discard(
                    queue: queue, receiptHandles: request.discards, as: principal, now: now, in: transaction)
            }
            if !request.releases.isEmpty {
                try queues.release(
                    queue: queue, receiptHandles: request.releases, at: now, as: principal, now: now, in: transaction)
            }
            var wanted = request.wanted
            var bytes = 0
            if wanted > 0 {
                // Before anything is taken: refused afterwards, it would be known too late.
                let description = try queues.describe(queue: queue, as: principal, in: transaction)
                brought.visibleAgain = now + description.visibilityTimeout
            }
            while wanted > 0, bytes < Limits.bytesPerTransaction {
                guard hold.mayTake else {
                    brought.isShort = true
                    break
                }
                let receipt = try queues.receive(
                    queue: queue, maximum: min(wanted, batchSize, Limits.messagesPerReceive), as: principal, now: now,
                    in: transaction)
                brought.nextVisible = receipt.nextVisible
                if receipt.messages.isEmpty { break }
                brought.receipts.append(receipt.messages)
                wanted -= receipt.messages.count
                let size = receipt.messages.reduce(0) { $0 + QueueRecord.size($1) }
                bytes += size
                hold.take(size)
                guard let next = receipt.nextVisible, next <= now else { break }
            }
        } catch let error as AWSError {
            brought.refusal = error
        }
        return brought
    }

    /// Filters, and makes records.
    private func sort(
        _ brought: Brought, _ mapping: EventSourceMapping, _ function: FunctionVersion
    ) -> QueuePoller.Answer {
        var answer = QueuePoller.Answer(
            nextVisible: brought.nextVisible, visibleAgain: brought.visibleAgain,
            reservedConcurrency: function.reservedConcurrency,
            functionTimeout: .seconds(function.timeoutSeconds))
        if brought.receipts.isEmpty { return answer }
        let filters = state.withLock { $0.filters }
        for receipt in brought.receipts {
            var records: [QueueRecord] = []
            for message in receipt {
                room.counters.messages.add(1)
                let passes = filters.passes { QueueRecord.filterable(message, source: source, region: region) }
                guard passes else {
                    answer.filtered.append(message.receiptHandle)
                    continue
                }
                var record = QueueRecord(message, source: source, region: region)
                if let header = message.attributes.first(where: { $0.name == "AWSTraceHeader" })?.value {
                    let (next, invocation) = TraceHeader.passing(function.functionARN, header)
                    if invocation > TraceHeader.recursionLimit, !function.allowsRecursion {
                        answer.circular.append(message.receiptHandle)
                        continue
                    }
                    record.traceHeader = next
                    record.lineage = invocation
                }
                records.append(record)
            }
            if !records.isEmpty { answer.receipts.append(records) }
        }
        room.counters.filtered.add(answer.filtered.count)
        if !answer.circular.isEmpty {
            room.counters.circular.add(answer.circular.count)
            room.logger.warning(
                "messages that run in a circle through a function are stopped",
                metadata: ["mapping": "\(mapping.id)", "messages": "\(answer.circular.count)"])
        }
        return answer
    }

    // MARK: An invocation

    private func invoke(_ batch: QueuePoller.Batch, _ mapping: EventSourceMapping) async {
        let function: FunctionVersion
        do {
            function = try await room.resolve(mapping)
        } catch {
            reporter.report(Problem.functionUnavailable, cause: error)
            advance { $0.completed(batch.number, .notRun, now: $1) }
            return
        }
        // Of a batch of many causes, the one nearest to a circle counts.
        let cause = batch.records.max { $0.lineage < $1.lineage }?.traceHeader
        room.invoke(
            function, QueueRecord.event(batch.records), requestID: Identifier.uuid(), for: mapping, cause: cause
        ) { [self] result in
            let outcome = outcome(of: result, batch, mapping)
            advance { $0.completed(batch.number, outcome, now: $1) }
        }
    }

    private func outcome(
        of result: Result<InvocationResult, any Error>, _ batch: QueuePoller.Batch, _ mapping: EventSourceMapping
    ) -> QueuePoller.Outcome {
        switch result {
        case .failure:
            room.counters.throttles.add(1)
            return .notRun
        case .success(let answer) where answer.functionError != nil:
            room.counters.errors.add(1)
            return .functionError
        case .success(let answer):
            guard mapping.reportsBatchItemFailures else {
                return .success(done: batch.records.map(\.receiptHandle))
            }
            let known = Set(batch.records.map(\.messageID))
            switch BatchAnswer(answer.payload.readableBytesView, isKnown: known.contains) {
            case .allSucceeded: return .success(done: batch.records.map(\.receiptHandle))
            case .allFailed:
                room.counters.errors.add(1)
                // Not a function error: the pollers do not step back (reference 5.2).
                return .success(done: [])
            case .failed(let failed):
                return .success(done: batch.records.filter { !failed.contains($0.messageID) }.map(\.receiptHandle))
            }
        }
    }
}

/// What is shown of a mapping that cannot work, in AWS's manner.
enum Problem {
    /// The function is gone, not ready, or its package cannot be unpacked (reference 5.1).
    static let functionUnavailable = "PROBLEM: Function call failed"

    static func sourceRefused(_ error: AWSError) -> String {
        if isGone(error) { return "PROBLEM: \(error.message)" }
        return "PROBLEM: The provided execution role does not have permissions to call ReceiveMessage on SQS"
    }

    static func isGone(_ error: AWSError) -> Bool { error.code.hasSuffix("NonExistentQueue") }
}
