public import Contracts
public import Logging
public import Platform
public import Storage
import Synchronization

/// Hands events from the Outbox to their targets: the row goes, and what the target makes of it comes, in one transaction.
public final class OutboxDispatcher: DeliveryOutbox {
    private struct State {
        var isDispatching = false
        var isDirty = false
        var isStopped = true
        var timer: ScheduledCall?
    }

    private static let queue = DueQueue(name: "outbox")

    private let state = Mutex(State())
    private let targets = Mutex<[String: any DeliveryTarget]>([:])
    private let database: any Database
    private let time: any TimeSource
    private let logger: Logger

    public init(database: any Database, time: any TimeSource, logger: Logger) {
        self.database = database
        self.time = time
        self.logger = logger
    }

    /// Makes a target known, by the service part of its ARNs.
    public func register(_ target: any DeliveryTarget) {
        targets.withLock { $0[target.arnService] = target }
    }

    public func start() async throws {
        try await database.write { try Self.queue.releaseLeases(in: $0) }
        state.withLock { $0.isStopped = false }
        dispatch()
    }

    public func stop() {
        state.withLock {
            $0.isStopped = true
            $0.timer?.cancel()
        }
    }

    // MARK: DeliveryOutbox

    public func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {
        try Self.queue.enqueue(
            NewDueItem(partition: "", due: delivery.createdAt, payload: delivery.encoded()), now: delivery.createdAt,
            in: transaction)
        transaction.afterCommit { [weak self] in self?.dispatch() }
    }

    public func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        guard let arn = ARN(target) else {
            throw DeliveryRefusal.permanent(code: "InvalidArgument", message: "The ARN could not be parsed")
        }
        guard let handler = targets.withLock({ $0[arn.service] }) else {
            throw DeliveryRefusal.permanent(
                code: "UnsupportedTarget", message: "Martlet cannot deliver to \(arn.service) yet: \(target)")
        }
        try handler.validate(target: target, for: principal, in: transaction)
    }

    // MARK: Dispatching

    private func dispatch() {
        let go = state.withLock { state in
            guard !state.isStopped else { return false }
            if state.isDispatching {
                state.isDirty = true
                return false
            }
            state.isDispatching = true
            state.isDirty = false
            return true
        }
        guard go else { return }
        let now = time.now()
        database.write { [self] transaction in
            let items = try Self.queue.claim(
                limit: Limits.outboxBatch, now: now, lease: Limits.outboxLease, in: transaction)
            for item in items { try handOver(item, now: now, in: transaction) }
            return (items.count, try Self.queue.nextClaimable(in: transaction))
        } completion: { [self] result in
            dispatched(result)
        }
    }

    private func handOver(_ item: DueItem, now: Instant, in transaction: any WriteTransaction) throws {
        guard let delivery = Delivery(encoded: item.payload), let arn = ARN(delivery.target) else {
            logger.error("an outbox row cannot be read and is dropped")
            _ = try Self.queue.complete(item, in: transaction)
            return
        }
        do {
            guard let target = targets.withLock({ $0[arn.service] }) else {
                throw DeliveryRefusal.permanent(code: "UnsupportedTarget", message: "no such kind of target")
            }
            try target.accept(delivery, in: transaction, now: now)
            _ = try Self.queue.complete(item, in: transaction)
        } catch DeliveryRefusal.permanent(let code, let message) {
            logger.warning(
                "event not delivered",
                metadata: ["target": "\(delivery.target)", "code": "\(code)", "message": "\(message)"])
            _ = try Self.queue.complete(item, in: transaction)
        } catch DeliveryRefusal.temporary {
            try postpone(item, now: now, in: transaction)
        } catch {
            // One event that cannot be handed over must not hold up the others of its batch. A target's last step is to
            // write, so nothing is half done.
            logger.error("an event waits", metadata: ["target": "\(delivery.target)", "error": "\(error)"])
            try postpone(item, now: now, in: transaction)
        }
    }

    private func postpone(_ item: DueItem, now: Instant, in transaction: any WriteTransaction) throws {
        let doublings = min(item.claims - 1, 16)
        let wait = min(Limits.systemBackoffFirst * (1 << max(doublings, 0)), Limits.systemBackoffLongest)
        _ = try Self.queue.reschedule(item, due: now + wait, in: transaction)
    }

    private func dispatched(_ result: Result<(Int, Instant?), any Error>) {
        var next: Instant?
        var full = false
        switch result {
        case .success((let count, let claimable)):
            next = claimable
            full = count == Limits.outboxBatch
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
}

extension Delivery {
    /// A JSON head, a newline, and the payload's bytes as they are.
    func encoded() -> [UInt8] {
        var head: Fields = [
            "id": .string(id), "target": .string(target), "created": .int(createdAt.nanoseconds),
        ]
        switch principal {
        case .account(let account):
            head.append("account", .string(account))
        case .roleSession(let role, let session, let account):
            head.append("role", .string(role))
            head.append("session", .string(session))
            head.append("account", .string(account))
        case .service(let name, let sourceARN, let sourceAccount):
            head.append("service", .string(name))
            head.append("sourceArn", .string(sourceARN))
            head.append("account", .string(sourceAccount))
        case .anonymous: break
        }
        return JSON.encode(.map(head)) + [UInt8(ascii: "\n")] + payload
    }

    init?(encoded bytes: [UInt8]) {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")), let head = try? JSON.parse(Array(bytes[..<end])),
            let id = head["id"]?.string, let target = head["target"]?.string, let created = head["created"]?.int
        else { return nil }
        let account = head["account"]?.string
        let principal: Principal
        if let service = head["service"]?.string, let source = head["sourceArn"]?.string, let account {
            principal = .service(name: service, sourceARN: source, sourceAccount: account)
        } else if let role = head["role"]?.string, let session = head["session"]?.string, let account {
            principal = .roleSession(roleARN: role, sessionName: session, account: account)
        } else if let account {
            principal = .account(account)
        } else {
            principal = .anonymous
        }
        self.init(
            id: id, target: target, principal: principal, payload: Array(bytes[(end + 1)...]),
            createdAt: Instant(nanoseconds: created))
    }
}
