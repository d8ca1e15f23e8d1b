public import Contracts
public import Logging
public import Platform
public import Storage
import Synchronization
import Wire

/// Hands events over to their targets, in the sender's own transaction where the target takes them at once, else from a row of
/// the Outbox: the row goes, and what the target makes of it comes, in one transaction.
///
/// Deliveries with a message group keep the order in which they were sent to their target.
public final class OutboxDispatcher: DeliveryOutbox {
    private struct State {
        var isDispatching = false
        var isDirty = false
        var isStopped = true
        var timer: ScheduledCall?
        /// Writes of objects that are under way; each holds its payload in memory.
        var writing = 0
        var counters = DeliveryCounters()
    }

    /// What is left to do for a claimed row when its transaction has committed.
    private typealias ObjectWrite = (item: DueItem, row: DeliveryRow, bucket: String, writer: any ObjectWriter)

    /// What one transaction of dispatching came to.
    private struct Round {
        /// Another batch is due.
        var isFull: Bool
        var writes: [ObjectWrite]
        var next: Instant?
    }

    private static let queue = DueQueue(name: "outbox")
    /// Rows for buckets, which wait here for their turn to be written: nothing else waits behind them.
    private static let objectQueue = DueQueue(name: "outbox-objects")

    private static func queue(for delivery: Delivery) -> DueQueue {
        ARN(delivery.target)?.service == "s3" ? objectQueue : queue
    }

    private let state = Mutex(State())
    private let targets = Mutex<[String: any DeliveryTarget]>([:])
    private let objects = Mutex<(any ObjectWriter)?>(nil)
    private let meter = Mutex<LambdaMeter?>(nil)
    private let database: any Database
    private let time: any TimeSource
    private let rules: DeliveryRules
    private let logger: Logger

    /// `timeScale` divides the waits between tries (development); 1 is the real timing.
    public init(database: any Database, time: any TimeSource, timeScale: Double = 1, logger: Logger) {
        self.database = database
        self.time = time
        self.rules = DeliveryRules(timeScale: timeScale)
        self.logger = logger
    }

    /// Makes a target known, by the service part of its ARNs.
    public func register(_ target: any DeliveryTarget) {
        targets.withLock { $0[target.arnService] = target }
    }

    /// Makes the store of objects known, for deliveries to buckets (`s3`).
    public func register(objects writer: any ObjectWriter) {
        objects.withLock { $0 = writer }
    }

    /// Makes known who counts what functions left behind and did not arrive.
    public func register(meter: LambdaMeter) { self.meter.withLock { $0 = meter } }

    public func start() async throws {
        try await database.write { transaction in
            for queue in [Self.queue, Self.objectQueue] { try queue.releaseLeases(in: transaction) }
        }
        state.withLock { $0.isStopped = false }
        dispatch()
    }

    public func stop() {
        state.withLock {
            $0.isStopped = true
            $0.timer?.cancel()
        }
    }

    /// How deliveries fared, in Prometheus's text format.
    public var metricLines: String { state.withLock { $0.counters }.metricLines }

    // MARK: DeliveryOutbox

    public func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {
        let queue = Self.queue(for: delivery)
        let partition = DeliveryRow.partition(of: delivery)
        // What was sent before of the group waits: this one waits behind it.
        let last = partition.isEmpty ? nil : try queue.lastClaimable(partition: partition, in: transaction)
        if last == nil, try handOverAtOnce(delivery, in: transaction) { return }
        let due = max(delivery.createdAt, last ?? delivery.createdAt)
        try queue.enqueue(
            NewDueItem(partition: partition, due: due, payload: DeliveryRow(delivery).encoded()),
            now: delivery.createdAt, in: transaction)
        transaction.afterCommit { [weak self] in self?.dispatch() }
    }

    /// Saves the row, and a second commit, where the target takes the delivery. Whatever else happens is the row's business.
    private func handOverAtOnce(_ delivery: Delivery, in transaction: any WriteTransaction) throws -> Bool {
        guard transaction.savepointCount < Limits.outboxHandOversAtOnce, !state.withLock({ $0.isStopped }),
            let arn = ARN(delivery.target), let target = targets.withLock({ $0[arn.service] })
        else { return false }
        let now = time.now()
        do {
            try transaction.savepoint { try target.accept(delivery, in: transaction, now: now) }
        } catch {
            return false
        }
        transaction.afterCommit { [weak self] in self?.state.withLock { $0.counters.accepted += 1 } }
        return true
    }

    public func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        guard let arn = ARN(target) else {
            throw DeliveryRefusal.permanent(code: "InvalidArgument", message: "The ARN could not be parsed")
        }
        if arn.service == "s3", let writer = objects.withLock({ $0 }) {
            do {
                try writer.validate(bucket: arn.resource, for: principal, in: transaction)
            } catch let error as AWSError {
                throw DeliveryRefusal.permanent(code: error.code, message: error.message)
            }
            return
        }
        guard let handler = targets.withLock({ $0[arn.service] }) else { throw Self.unsupported(target, arn) }
        try handler.validate(target: target, for: principal, in: transaction)
    }

    private static func unsupported(_ target: String, _ arn: ARN) -> DeliveryRefusal {
        .permanent(code: "UnsupportedTarget", message: "Martlet cannot deliver to \(arn.service) yet: \(target)")
    }

    // MARK: Dispatching

    private func dispatch() {
        // Until this round is over no writes are added, so that there is room for so many at least.
        let room: Int? = state.withLock { state in
            guard !state.isStopped else { return nil }
            if state.isDispatching {
                state.isDirty = true
                return nil
            }
            state.isDispatching = true
            state.isDirty = false
            return max(Limits.outboxObjectWrites - state.writing, 0)
        }
        guard let room else { return }
        let now = time.now()
        database.write { [self] transaction in
            try dispatch(Batch(now: now, transaction: transaction), roomForWrites: room)
        } completion: { [self] result in
            dispatched(result)
        }
    }

    private func dispatch(_ batch: Batch, roomForWrites room: Int) throws -> Round {
        var batch = batch
        let transaction = batch.transaction
        let items = try Self.queue.claim(
            limit: Limits.outboxBatch, now: batch.now, lease: Limits.outboxLease, in: transaction)
        for item in items { try handOver(item, of: Self.queue, &batch) }
        var next = try Self.queue.nextClaimable(in: transaction)
        // Without room, the end of a write asks again.
        if room > 0 {
            let objects = try Self.objectQueue.claim(
                limit: room, now: batch.now, lease: Limits.outboxLease, in: transaction)
            for item in objects { try handOver(item, of: Self.objectQueue, &batch) }
            if batch.writes.count < room, let due = try Self.objectQueue.nextClaimable(in: transaction) {
                next = min(next ?? due, due)
            }
        }
        return Round(isFull: items.count == Limits.outboxBatch, writes: batch.writes, next: next)
    }

    /// One transaction's work.
    private struct Batch {
        var now: Instant
        var transaction: any WriteTransaction
        /// Groups whose first delivery was refused for now, and until when.
        var blocked: [String: Instant] = [:]
        var writes: [ObjectWrite] = []
    }

    private func handOver(_ item: DueItem, of queue: DueQueue, _ batch: inout Batch) throws {
        let transaction = batch.transaction
        guard let row = DeliveryRow(encoded: item.payload), let arn = ARN(row.delivery.target) else {
            logger.error("an outbox row cannot be read and is set aside", metadata: ["row": "\(item.id)"])
            if try queue.setAside(item, in: transaction) {
                transaction.afterCommit { [weak self] in self?.state.withLock { $0.counters.unreadable += 1 } }
            }
            return
        }
        if queue.name == Self.queue.name, arn.service == "s3" {
            // Of a version that had one queue only.
            let moved = NewDueItem(partition: item.partition, due: item.due, payload: item.payload)
            _ = try queue.complete(item, in: transaction)
            try Self.objectQueue.enqueue(moved, now: batch.now, in: transaction)
            return
        }
        if let due = batch.blocked[item.partition] {
            _ = try queue.reschedule(item, due: due, in: transaction)
            return
        }
        do {
            if arn.service == "s3", let writer = objects.withLock({ $0 }) {
                batch.writes.append((item, row, arn.resource, writer))
                return
            }
            guard let target = targets.withLock({ $0[arn.service] }) else {
                throw Self.unsupported(row.delivery.target, arn)
            }
            try transaction.savepoint { try target.accept(row.delivery, in: transaction, now: batch.now) }
            try accepted(item, row, in: transaction)
        } catch let refusal as DeliveryRefusal {
            let due = try refused(item, row, refusal, now: batch.now, in: transaction)
            if let due, !item.partition.isEmpty { batch.blocked[item.partition] = due }
        } catch {
            // One event that cannot be handed over must not hold up the others of its batch.
            logger.error("an event waits", metadata: ["target": "\(row.delivery.target)", "error": "\(error)"])
            let refusal = DeliveryRefusal.temporary(code: "InternalFailure", message: "\(error)")
            let due = try refused(item, row, refusal, now: batch.now, in: transaction)
            if let due, !item.partition.isEmpty { batch.blocked[item.partition] = due }
        }
    }

    private func accepted(_ item: DueItem, _ row: DeliveryRow, in transaction: any WriteTransaction) throws {
        _ = try Self.queue(for: row.delivery).complete(item, in: transaction)
        transaction.afterCommit { [weak self] in self?.state.withLock { $0.counters.accepted += 1 } }
    }

    /// Puts the row off, or gives it up: then its dead letter comes as it goes. Answers when it is tried again, if it is.
    private func refused(
        _ item: DueItem, _ row: DeliveryRow, _ refusal: DeliveryRefusal, now: Instant,
        in transaction: any WriteTransaction
    ) throws -> Instant? {
        let delivery = row.delivery
        let queue = Self.queue(for: delivery)
        let tries = row.tries + 1
        switch rules.decide(refusal, delivery, tries: tries, now: now) {
        case .again(let due):
            let row = DeliveryRow(delivery, tries: tries)
            _ = try queue.reschedule(item, due: due, payload: row.encoded(), in: transaction)
            if !item.partition.isEmpty {
                try queue.postpone(partition: item.partition, until: due, in: transaction)
            }
            transaction.afterCommit { [weak self] in self?.state.withLock { $0.counters.retried += 1 } }
            return due
        case .giveUp(let exhaustion):
            _ = try queue.complete(item, in: transaction)
            let letter = DeliveryRules.letter(
                for: delivery, refused: refusal, tries: tries, exhaustion: exhaustion, now: now)
            if let letter { try send(letter, in: transaction) }
            transaction.afterCommit { [weak self] in
                guard let self else { return }
                state.withLock { $0.counters.gaveUp(delivery) }
                log(delivery, refusal, exhaustion)
            }
            return nil
        }
    }

    private func log(_ delivery: Delivery, _ refusal: DeliveryRefusal, _ exhaustion: DeliveryRules.Exhaustion?) {
        let (code, message) = refusal.codeAndMessage
        var metadata: Logger.Metadata = [
            "target": "\(delivery.target)", "principal": "\(delivery.principal.arn)", "code": "\(code)",
            "message": "\(message)",
        ]
        if let exhaustion { metadata["exhausted"] = "\(exhaustion.rawValue)" }
        if let letter = delivery.deadLetter { metadata["deadLetterQueue"] = "\(letter.target)" }
        let text =
            switch delivery.purpose {
            case .event: "event not delivered"
            case .destination: "record not delivered to the function's destination"
            case .deadLetter: "event not delivered to the dead-letter queue"
            }
        logger.warning("\(text)", metadata: metadata)
        meter.withLock { $0 }?.gaveUp(delivery)
    }

    private func dispatched(_ result: Result<Round, any Error>) {
        var next: Instant?
        var full = false
        switch result {
        case .success(let round):
            next = round.next
            full = round.isFull
            state.withLock { $0.writing += round.writes.count }
            for write in round.writes { self.write(write) }
        case .failure(let error):
            logger.error("cannot dispatch events", metadata: ["error": "\(error)"])
            next = time.now() + .seconds(1)
        }
        let call = next.map { time.schedule(at: $0) { [weak self] in self?.dispatch() } }
        let (again, old) = state.withLock { state in
            state.isDispatching = false
            let old = state.timer
            state.timer = call
            if state.isStopped { call?.cancel() }
            return (state.isDirty || full, old)
        }
        old?.cancel()
        if again { dispatch() }
    }

    // MARK: Objects

    /// Writes an object, outside of any transaction, while the row is held; a crash in between writes it once more, under the
    /// same key.
    private func write(_ write: ObjectWrite) {
        let delivery = write.row.delivery
        let account = delivery.principal.account ?? AccountRegion.defaultAccount
        let scope = AccountRegion(account: account, region: delivery.attributes.region ?? AccountRegion.defaultRegion)
        Task { [self] in
            var refusal: DeliveryRefusal?
            do {
                try await write.writer.write(
                    delivery.payload, bucket: write.bucket, key: delivery.attributes.objectKey ?? delivery.id,
                    contentType: "application/json", scope: scope, principal: delivery.principal,
                    traceHeader: delivery.attributes.traceHeader)
            } catch let error as AWSError where error.status < 500 {
                refusal = .permanent(code: error.code, message: error.message)
            } catch {
                refusal = .temporary(code: "InternalFailure", message: "\(error)")
            }
            let (outcome, now) = (refusal, time.now())
            do {
                try await database.write { [self] transaction in
                    guard let outcome else { return try accepted(write.item, write.row, in: transaction) }
                    _ = try refused(write.item, write.row, outcome, now: now, in: transaction)
                }
            } catch {
                // The row comes again when its lease ends.
                logger.error("cannot write down a delivery", metadata: ["error": "\(error)"])
            }
            state.withLock { $0.writing -= 1 }
            dispatch()
        }
    }
}
