import Contracts
import Logging
import Platform
import Storage
import Synchronization

/// Sends events to what subscribes to their groups. Which events it has to look at was written in the transaction that
/// stored them, and goes in the one that sends them: each is sent once, whenever the server ends.
///
/// Reading, matching and compressing happen outside of the store's writer.
final class SubscriptionWorker: Sendable {
    private struct State {
        var isRunning = false
        var isDirty = false
        var isStopped = true
        var retry: ScheduledCall?
        var tooLarge: UInt64 = 0
    }

    /// Events of one stream and lineage, read together.
    private struct Work: Sendable {
        var pieces: [Int64]
        var group: GroupRow
        var subscriptions: [Subscription]
        var streamID: Int64
        var stream: String
        var lineage: String?
        var events: [EventRow]
    }

    /// What one subscription sends of it.
    private struct Parcel: Sendable {
        var group: GroupRow
        var subscription: Subscription
        var stream: String
        var lineage: String?
        var payloads: [[UInt8]]
    }

    private let database: any Database
    private let outbox: any DeliveryOutbox
    private let cache: FilterCache
    private let time: any TimeSource
    private let logger: Logger
    private let state = Mutex(State())

    init(
        database: any Database, outbox: any DeliveryOutbox, cache: FilterCache, time: any TimeSource, logger: Logger
    ) {
        self.database = database
        self.outbox = outbox
        self.cache = cache
        self.time = time
        self.logger = logger
    }

    /// Goes on with what an earlier process left.
    func start() {
        state.withLock { $0.isStopped = false }
        wake()
    }

    func stop() {
        let retry = state.withLock { state in
            state.isStopped = true
            return state.retry
        }
        retry?.cancel()
    }

    /// Events that no target could take.
    var tooLargeEvents: UInt64 { state.withLock { $0.tooLarge } }

    /// There is something to look at.
    func wake() {
        let starts = state.withLock { state in
            guard !state.isStopped else { return false }
            state.isDirty = true
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard starts else { return }
        Task { await run() }
    }

    private func run() async {
        while mayGoOn() {
            do {
                while try await round(), !state.withLock({ $0.isStopped }) {}
            } catch {
                logger.error("cannot send log events to subscriptions", metadata: ["error": "\(error)"])
                let call = time.schedule(at: time.now() + Limits.roundDelay) { [weak self] in self?.wake() }
                state.withLock { state in
                    state.retry = call
                    if state.isStopped { call.cancel() }
                }
            }
        }
    }

    private func mayGoOn() -> Bool {
        state.withLock { state in
            state.isRunning = state.isDirty && !state.isStopped
            state.isDirty = false
            return state.isRunning
        }
    }

    /// Looks at the oldest events; false when there are none. Throws what the store throws; then nothing was sent.
    func round() async throws -> Bool {
        let (work, gone) = try await database.read { [cache] in try Self.read(cache, in: $0) }
        guard !work.isEmpty || !gone.isEmpty else { return false }
        var parcels: [Parcel] = []
        for part in work { parcels += try Self.parcels(of: part, onTooLarge: tooLarge) }
        let (ready, done, now) = (parcels, work.flatMap(\.pieces) + gone, time.now())
        try await database.write { [self] transaction in
            for parcel in ready { try send(parcel, now: now, in: transaction) }
            for piece in done {
                try transaction.execute("DELETE FROM logs_pending WHERE id = ?", [.int(piece)])
            }
        }
        return true
    }

    /// The oldest pieces, those of one stream together, and pieces that nobody waits for any more.
    private static func read(
        _ cache: FilterCache, in transaction: any ReadTransaction
    ) throws -> (work: [Work], gone: [Int64]) {
        var (work, gone): ([Work], [Int64]) = ([], [])
        var groups: [Int64: GroupRow?] = [:]
        var bytes = 0
        for piece in try PendingRow.next(Limits.piecesPerRound, in: transaction) {
            guard bytes < Limits.bytesPerRound else { break }
            if groups[piece.group] == nil {
                groups[piece.group] = .some(try GroupRow.find(id: piece.group, in: transaction))
            }
            guard let group = groups[piece.group] ?? nil, group.subscriptions > 0,
                let stream = try StreamRow.name(piece.stream, group: group.id, in: transaction)
            else {
                gone.append(piece.id)
                continue
            }
            let events = try piece.events(in: transaction)
            bytes += events.reduce(0) { $0 + $1.message.utf8.count + Limits.overheadPerEvent }
            if let index = work.firstIndex(where: { $0.streamID == piece.stream && $0.lineage == piece.lineage }) {
                work[index].pieces.append(piece.id)
                work[index].events += events
            } else {
                let filters = try cache.filters(of: group, in: transaction)
                work.append(
                    Work(
                        pieces: [piece.id], group: group, subscriptions: filters.subscriptions,
                        streamID: piece.stream, stream: stream, lineage: piece.lineage, events: events))
            }
        }
        return (work, gone)
    }

    private static func parcels(of work: Work, onTooLarge: (Int) -> Void) throws -> [Parcel] {
        try work.subscriptions.compactMap { subscription in
            let entries = work.events.compactMap { row in
                subscription.pattern.match(row.message).map { SubscriptionDocument.Entry(row, $0) }
            }
            guard !entries.isEmpty else { return nil }
            let isFunction = ARN(subscription.destination)?.service == "lambda"
            let (payloads, left) = try SubscriptionDocument.payloads(entries) { compressed in
                guard isFunction else { return compressed }
                return JSON.encode(["awslogs": ["data": .string(Base64.encode(compressed))]])
            } document: { part in
                SubscriptionDocument.data(
                    part, owner: work.group.scope.account, group: work.group.name, stream: work.stream,
                    filter: subscription.name)
            }
            if left > 0 { onTooLarge(left) }
            return Parcel(
                group: work.group, subscription: subscription, stream: work.stream, lineage: work.lineage,
                payloads: payloads)
        }
    }

    private func tooLarge(_ events: Int) {
        state.withLock { $0.tooLarge += UInt64(events) }
        logger.warning("log events are too large for their subscription", metadata: ["events": "\(events)"])
    }

    private func send(_ parcel: Parcel, now: Instant, in transaction: any WriteTransaction) throws {
        let subscription = parcel.subscription
        let principal = SubscriptionPrincipal.choose(
            subscription.destination, role: subscription.roleARN, group: parcel.group, outbox: outbox,
            in: transaction)
        for payload in parcel.payloads {
            var delivery = Delivery(
                id: Identifier.uuid(), target: subscription.destination, principal: principal, payload: payload,
                createdAt: now, retry: DeliveryRetry(maximumAge: Limits.deliveryAge))
            if let lineage = parcel.lineage {
                delivery.attributes.traceHeader = TraceHeader.generate(now: now) + ";" + lineage
            }
            if subscription.isByStream {
                // A partition key has at most 256 characters.
                delivery.attributes.partitionKey = String(parcel.stream.unicodeScalars.prefix(256))
            }
            try outbox.send(delivery, in: transaction)
        }
    }
}

/// As whom a group's events are sent.
enum SubscriptionPrincipal {
    static func service(_ name: String, _ group: GroupRow) -> Principal {
        .service(name: name, sourceARN: group.arn + ":*", sourceAccount: group.scope.account)
    }

    /// Functions let in either of the two names that AWS's documents use.
    static func names(_ group: GroupRow) -> [String] {
        ["logs.amazonaws.com", "logs.\(group.scope.region).amazonaws.com"]
    }

    static func role(_ arn: String, _ group: GroupRow) -> Principal {
        .roleSession(roleARN: arn, sessionName: "CloudWatchLogs", account: group.scope.account)
    }

    /// The one that the target lets in now; the first when none is.
    static func choose(
        _ destination: String, role: String?, group: GroupRow, outbox: any DeliveryOutbox,
        in transaction: any ReadTransaction
    ) -> Principal {
        if let role { return self.role(role, group) }
        let names = names(group)
        let allowed = names.first { name in
            (try? outbox.validate(target: destination, for: service(name, group), in: transaction)) != nil
        }
        return service(allowed ?? names[0], group)
    }
}
