import Contracts
import Logging
import Platform
import Storage
import Synchronization
import Wire

/// One shard of a mapping at work: the shell around `ShardPoller`. Idle, it is an entry in its mapping: no task and no timer.
final class ShardRunner: Sendable {
    private struct State {
        var poller: ShardPoller
        /// Of its records, as counted in the room's budget.
        var heldBytes = 0
        /// The mapping has let go of it: it holds nothing of the budget any more, whatever still ends.
        var isClosed = false
        /// There is, or may be, a row with an open window.
        var hasWindowRow: Bool
    }

    let key: StreamShardKey
    private let owner: StreamMapping
    private let room: EventSourceRoom
    private let state: Mutex<State>
    private let timer: EarliestTimer

    init(
        _ key: StreamShardKey, _ settings: ShardPoller.Settings, from beginning: Checkpoint, window: TumblingWindow?,
        owner: StreamMapping, room: EventSourceRoom
    ) {
        self.key = key
        self.owner = owner
        self.room = room
        timer = EarliestTimer(room.time)
        state = Mutex(
            State(
                poller: ShardPoller(settings, checkpoint: beginning, window: window), hasWindowRow: window != nil))
    }

    var isStopped: Bool { state.withLock { $0.poller.isStopped } }

    func wake() { advance { $0.wake(now: $1) } }
    func change(_ settings: ShardPoller.Settings) { advance { $0.change(settings, now: $1) } }
    func stop() { advance { $0.stop(now: $1) } }
    func abandon() { advance { $0.abandon(now: $1) } }
    func relieve() { advance { $0.relieve(now: $1) } }

    /// The mapping has let go of it.
    func close() {
        timer.cancel()
        let held = state.withLock { state in
            defer { state.heldBytes = 0 }
            state.isClosed = true
            return state.heldBytes
        }
        room.memory.give(held)
    }

    // MARK: The machine and its actions

    private func advance(_ event: (inout ShardPoller, Instant) -> [ShardPoller.Action]) {
        let now = room.time.now()
        let (actions, due) = state.withLock { state in
            let actions = event(&state.poller, now)
            // Whoever is closed has given everything back, and nobody would do so again.
            let held = state.isClosed ? 0 : state.poller.heldBytes
            room.memory.take(held - state.heldBytes)
            state.heldBytes = held
            return (actions, state.isClosed ? nil : state.poller.nextTimer(now: now))
        }
        if let due { timer.want(due) { [weak self] in self?.advance { $0.timer(now: $1) } } }
        for action in actions {
            switch action {
            case .read(let request):
                room.reads.enter { [self] leave in
                    Task {
                        await read(request)
                        leave()
                    }
                }
            case .invoke(let batch):
                owner.slots.enter { [self] leave in Task { await invoke(batch, leave) } }
            case .save(let save): write(save)
            case .ended: owner.ended(self)
            case .stopped: owner.stopped(self)
            }
        }
    }

    // MARK: Reading

    private func read(_ request: ShardPoller.ReadRequest) async {
        let (mapping, filters) = owner.current
        guard let source = owner.source else {
            advance { $0.readFailed(.sourceGone, now: $1) }
            return
        }
        let function: FunctionVersion
        do {
            function = try await room.resolve(mapping)
        } catch {
            owner.reporter.report(Problem.functionUnavailable, cause: error)
            advance { $0.readFailed(.notNow, now: $1) }
            return
        }
        owner.learn(function)
        guard room.mayReceive(now: room.time.now()) else {
            advance { $0.readFailed(.memory, now: $1) }
            return
        }
        let hold = MemoryHold(room.memory)
        defer { hold.end() }
        let principal = EventSourceRoom.principal(function.roleARN, mapping)
        let (shard, now) = (key.id, room.time.now())
        do {
            let (stream, page) = try await room.database.read { transaction in
                let stream = try source.describe(stream: mapping.sourceARN, as: principal, in: transaction)
                let page = try source.read(
                    stream: mapping.sourceARN, shard: shard, after: request.after, limit: request.limit,
                    byteLimit: Limits.bytesPerRead, as: principal, now: now, in: transaction)
                hold.take(page.records.reduce(0) { $0 + $1.size })
                return (stream, page)
            }
            let records = sort(page.records, mapping, filters, function)
            owner.recovered()
            let brought = ShardPoller.Page(
                records: records, isEnd: page.isEnd, hasMore: page.hasMore, retention: stream.retention, readAt: now)
            advance { $0.received(brought, of: request, now: $1) }
        } catch let error as AWSError {
            owner.reporter.report(StreamProblem.sourceRefused(error, mapping.sourceARN), cause: error)
            let trouble: ShardPoller.Trouble = StreamProblem.isGone(error) ? .sourceGone : .notNow
            advance { $0.readFailed(trouble, now: $1) }
        } catch {
            room.logger.error(
                "a stream's records cannot be read",
                metadata: ["mapping": "\(mapping.id)", "shard": "\(key.id)", "error": "\(error)"])
            advance { $0.readFailed(.notNow, now: $1) }
        }
    }

    /// Filters, and makes records.
    private func sort(
        _ records: [StreamRecord], _ mapping: EventSourceMapping, _ filters: RecordFilters, _ function: FunctionVersion
    ) -> [RecordLedger.Entry] {
        let event = StreamEvent(source: mapping.sourceARN, region: owner.region, role: function.roleARN)
        let lanes = mapping.stream?.parallelizationFactor ?? 1
        room.counters.messages.add(records.count)
        var filtered = 0
        let entries = records.map { record in
            let passes = filters.passes { event.filterable(record, shard: key.id) }
            if !passes { filtered += 1 }
            return RecordLedger.Entry(
                sequence: record.sequenceNumber, lane: ShardPoller.lane(of: record.orderingKey, lanes: lanes),
                arrivedAt: record.arrivedAt, json: passes ? event.encode(record, shard: key.id) : nil)
        }
        room.counters.filtered.add(filtered)
        return entries
    }

    // MARK: Invoking

    private func invoke(_ batch: ShardPoller.Batch, _ leave: @escaping @Sendable () -> Void) async {
        let (mapping, _) = owner.current
        // It may have waited for its turn.
        guard state.withLock({ $0.poller.isRunning }) else {
            leave()
            advance { $0.completed(batch.number, .notRun, now: $1) }
            return
        }
        let function: FunctionVersion
        do {
            function = try await room.resolve(mapping)
        } catch {
            owner.reporter.report(Problem.functionUnavailable, cause: error)
            leave()
            advance { $0.completed(batch.number, .notRun, now: $1) }
            return
        }
        owner.learn(function)
        if let last = batch.records.last {
            room.measure(iteratorAge: room.time.now() - last.arrivedAt, of: mapping)
        }
        let event = StreamEvent(source: mapping.sourceARN, region: owner.region, role: function.roleARN)
        let requestID = Identifier.uuid()
        room.invoke(
            function, event.event(batch, shard: key.id), requestID: requestID, for: mapping, cause: nil
        ) { [self] result in
            leave()
            let answer = StreamAnswer(
                result, to: batch, requestID: requestID, reportsBatchItemFailures: mapping.reportsBatchItemFailures)
            count(answer)
            advance {
                $0.completed(batch.number, answer.outcome, response: answer.response, state: answer.state, now: $1)
            }
        }
    }

    private func count(_ answer: StreamAnswer) {
        switch answer.outcome {
        case .notRun: room.counters.throttles.add(1)
        case .success(let failed):
            if failed != nil { room.counters.errors.add(1) }
            owner.reporter.report(StreamProblem.ok)
        case .functionError:
            room.counters.errors.add(1)
            owner.reporter.report(Problem.functionUnavailable)
        }
    }

    // MARK: Writing down

    /// The checkpoint, and the records of what was given up, in one transaction.
    private func write(_ save: ShardPoller.Save) {
        let (mapping, _) = owner.current
        let key = key
        let deletesWindow = state.withLock { state in
            defer { state.hasWindowRow = save.window != nil }
            return save.window == nil && state.hasWindowRow
        }
        let deliveries = save.givenUp.compactMap { deliver($0, mapping) }
        room.counters.givenUp.add(save.givenUp.reduce(0) { $0 + $1.records.count })
        room.database.write { [room] transaction in
            if try CheckpointTable.update(mapping.id, key, save.checkpoint, window: save.window, in: transaction) {
                if deletesWindow { try CheckpointTable.deleteWindow(mapping.id, key, in: transaction) }
            } else {
                // The shard has left the stream: what was given up of it is told all the same, unless the mapping is gone too.
                guard try CheckpointTable.isBegun(mapping.id, in: transaction) else { return }
            }
            for delivery in deliveries { try room.outbox?.send(delivery, in: transaction) }
        } completion: { [self] result in
            switch result {
            case .success: advance { $0.saved(now: $1) }
            case .failure(let error):
                room.logger.error(
                    "a shard's checkpoint cannot be stored",
                    metadata: ["mapping": "\(mapping.id)", "shard": "\(key.id)", "error": "\(error)"])
                if deletesWindow { state.withLock { $0.hasWindowRow = true } }
                advance { $0.saveFailed(now: $1) }
            }
        }
    }

    private func deliver(_ batch: ShardPoller.GivenUp, _ mapping: EventSourceMapping) -> Delivery? {
        room.logger.warning(
            "records of a stream are given up",
            metadata: [
                "mapping": "\(mapping.id)", "shard": "\(key.id)", "condition": "\(batch.condition.rawValue)",
                "records": "\(batch.records.count)", "first": "\(batch.records.first?.sequence ?? "")",
                "last": "\(batch.records.last?.sequence ?? "")",
            ])
        guard let role = owner.role else { return nil }
        return FailedBatch(
            mapping: mapping, shard: key.id, streamARN: owner.streamARN, batch: batch, now: room.time.now()
        ).delivery(role: role)
    }
}

/// What is shown of a mapping with a stream, in AWS's manner. The texts of problems are ours where AWS's are not recorded.
enum StreamProblem {
    static let ok = "OK"

    static func sourceRefused(_ error: AWSError, _ arn: String) -> String {
        if isGone(error) { return "PROBLEM: Stream not found: \(arn)" }
        return "PROBLEM: Cannot access stream \(arn). Please ensure the role can perform the GetRecords, "
            + "GetShardIterator, DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
    }

    static func isGone(_ error: AWSError) -> Bool { error.code.hasSuffix("ResourceNotFoundException") }

    /// Whether it is one that ends when the stream and the function can be used again.
    static func isOfAccess(_ result: String?) -> Bool {
        guard let result, result.hasPrefix("PROBLEM") else { return false }
        return result != Problem.functionUnavailable
    }
}
