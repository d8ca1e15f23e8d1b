import Contracts
import Logging
import Platform
import Storage
import Synchronization

/// Published messages on their way to their subscribers.
///
/// A publish commits either the deliveries themselves, or one row that stands for all of them: when there are many, when they
/// are not signed yet (another service published, in its own transaction), or when messages of a FIFO topic are waiting that
/// must not be overtaken. Such a row is worked off page by page: read who gets it, sign, write a page and how far it got in one
/// transaction. So no transaction is larger than a page, nothing is signed on the store's writer, and a crash repeats no page.
final class Publications: Sendable {
    static let queue = DueQueue(name: "sns-publish")

    private struct State {
        var isStopped = true
        var turns = TopicTurns(most: Limits.fanOutTopics)
        var unreadable: UInt64 = 0
    }

    /// Who subscribes, or how the topic signs, has changed between signing and writing.
    private struct Changed: Error {}

    private let state = Mutex(State())
    private let database: any Database
    private let keys: KeyKeeper
    private let fanOut: FanOut
    private let time: any TimeSource
    private let logger: Logger

    init(database: any Database, keys: KeyKeeper, fanOut: FanOut, time: any TimeSource, logger: Logger) {
        self.database = database
        self.keys = keys
        self.fanOut = fanOut
        self.time = time
        self.logger = logger
    }

    /// Goes on with what an earlier process left.
    func start() async throws {
        let topics = try await database.write { transaction in
            try Self.queue.releaseLeases(in: transaction)
            return try Self.queue.partitions(in: transaction)
        }
        state.withLock { $0.isStopped = false }
        for topic in topics { work(topic) }
    }

    /// Begins nothing more. What is under way is written, or comes again at the next start.
    func stop() { state.withLock { $0.isStopped = true } }

    /// Rows that could not be read, since the start.
    var unreadable: UInt64 { state.withLock { $0.unreadable } }

    // MARK: Publishing

    struct Receipt: Sendable {
        var messageID: String
        var sequenceNumber: String?
    }

    /// Publishes in the caller's transaction: a duplicate is answered like the first and goes nowhere. `signatures` are used where
    /// they fit. `sharing`: how many messages the transaction is for.
    func publish(
        _ message: PublishedMessage, topic: Topic, signatures: FanOut.Signatures?, sharing: Int = 1, now: Instant,
        in transaction: any WriteTransaction
    ) throws -> Receipt {
        var publication = Publication(message: message, publishedAt: now, createdAt: now, sequence: nil)
        if topic.key.isFIFO {
            let scope = topic.deduplicatesByGroup ? message.groupID ?? "" : ""
            let id = message.deduplicationID ?? ""
            if let first = try FIFOTable.duplicate(of: id, scope: scope, topic.key, now: now, in: transaction) {
                return Receipt(messageID: first.message, sequenceNumber: Self.text(sequence: first.sequence))
            }
            let next = try FIFOTable.next(topic.key, now: now, in: transaction)
            try FIFOTable.remember(
                id, scope: scope, message: message.id, sequence: next.sequence, topic.key, now: now, in: transaction)
            publication.sequence = Self.text(sequence: next.sequence)
            publication.createdAt = next.published
        }
        let page = publication.pageSize(sharing: sharing)
        let subscriptions = try SubscriptionTable.confirmed(topic.key, limit: page + 1, in: transaction)
        let isOneTransaction =
            try subscriptions.count <= page
            && FanOut.isSigned(publication, topic: topic, subscriptions, by: signatures)
            && !(topic.key.isFIFO && Self.queue.lastClaimable(partition: topic.key.arn, in: transaction) != nil)
        if isOneTransaction {
            try fanOut.deliver(publication, to: subscriptions, topic: topic, signatures, in: transaction)
        } else {
            try Self.queue.enqueue(
                NewDueItem(partition: topic.key.arn, due: publication.createdAt, payload: publication.encoded()),
                now: now, in: transaction)
            transaction.afterCommit { [weak self] in self?.work(topic.key.arn) }
        }
        return Receipt(messageID: message.id, sequenceNumber: publication.sequence)
    }

    /// Twenty digits, as AWS's.
    static func text(sequence: Int64) -> String { "1" + pad(Int(clamping: sequence), 16) + "000" }

    // MARK: Working rows off

    private func work(_ topic: String) {
        let begins = state.withLock { !$0.isStopped && $0.turns.came(topic) }
        if begins { begin(topic) }
    }

    private func begin(_ topic: String) {
        Task { [self] in
            while !isStopped, await workOff(topic) {}
            let next = state.withLock { $0.turns.ended(topic, goesOn: !$0.isStopped) }
            if let next { begin(next) }
        }
    }

    private var isStopped: Bool { state.withLock(\.isStopped) }

    /// Takes the first rows of a topic and works them off; false when there are none.
    private func workOff(_ topic: String) async -> Bool {
        var rows: [DueItem] = []
        while !isStopped {
            do {
                if rows.isEmpty {
                    let now = time.now()
                    rows = try await database.write { transaction in
                        // FIFO topics' times may be ahead of the clock by the number of messages.
                        let due = max(now, try Self.queue.nextClaimable(partition: topic, in: transaction) ?? now)
                        return try Self.queue.claim(
                            limit: Limits.fanOutBatch, partition: topic, now: due, lease: Limits.fanOutLease,
                            in: transaction)
                    }
                    if rows.isEmpty { return false }
                }
                rows = try await step(rows, topic)
                if rows.isEmpty { return true }
            } catch is Changed {
                continue
            } catch {
                // What is claimed stays claimed: nobody else may take it, and nothing would wake it up.
                logger.error("messages wait to be sent on", metadata: ["topic": "\(topic)", "error": "\(error)"])
                await pause()
            }
        }
        return false
    }

    private func pause() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            _ = time.schedule(at: time.now() + Limits.fanOutPause) { continuation.resume() }
        }
    }

    /// One transaction's work, prepared.
    private struct Page: Sendable {
        var rows: [(item: DueItem, publication: Publication?, signatures: FanOut.Signatures?)]
    }

    /// Works off as many of these rows as one transaction may hold, at least a page of the first; answers the rows that are
    /// left and still claimed.
    private func step(_ rows: [DueItem], _ arn: String) async throws -> [DueItem] {
        let key = try? TopicKey(arn: arn)
        let page = try await prepare(rows, key)
        let now = time.now()
        let done = try await database.write { [self] transaction in
            let topic = try key.flatMap { try TopicTable.get($0, in: transaction) }
            for (index, row) in page.rows.enumerated() {
                let isWhole = try write(row.item, row.publication, row.signatures, topic, in: transaction)
                if !isWhole {
                    // The rest of the message goes first: the others are claimed anew, behind it.
                    for other in rows.dropFirst(index + 1) {
                        _ = try Self.queue.reschedule(other, due: other.due, in: transaction)
                    }
                    return rows.count
                }
            }
            return page.rows.count
        }
        logUnreadable(page, now: now)
        return Array(rows.dropFirst(done))
    }

    private func logUnreadable(_ page: Page, now: Instant) {
        for row in page.rows where row.publication == nil {
            state.withLock { $0.unreadable += 1 }
            logger.error("a published message cannot be read and is set aside", metadata: ["row": "\(row.item.id)"])
        }
    }

    /// Chooses the rows of one transaction, reads who gets them, and signs.
    private func prepare(_ rows: [DueItem], _ key: TopicKey?) async throws -> Page {
        let publications = rows.map { Publication(encoded: $0.payload) }
        let first = publications.compactMap { $0 }.first
        let found: (topic: Topic, subscriptions: [Subscription])? =
            if let key, let first {
                try await database.read { transaction in
                    guard let topic = try TopicTable.get(key, in: transaction) else { return nil }
                    let page = try SubscriptionTable.confirmed(
                        key, after: first.after, limit: first.pageSize + 1, in: transaction)
                    return (topic, page)
                }
            } else { nil }
        guard let found else { return Page(rows: zip(rows, publications).map { ($0, $1, nil) }) }
        var page = Page(rows: [])
        // Parts of the transaction that are spoken for.
        var share = 0.0
        for (item, publication) in zip(rows, publications) {
            guard let publication else {
                page.rows.append((item, nil, nil))
                continue
            }
            share += Double(found.subscriptions.count) / Double(publication.pageSize)
            // Later ones come along when all of their deliveries fit beside the others'.
            guard share <= 1 && publication.after == first?.after || !page.rows.contains(where: { $0.1 != nil }) else {
                break
            }
            page.rows.append((item, publication, try await sign(publication, found.topic, found.subscriptions)))
        }
        return page
    }

    private func sign(
        _ publication: Publication, _ topic: Topic, _ subscriptions: [Subscription]
    ) async throws -> FanOut.Signatures? {
        guard !FanOut.textsToSign(publication, topic: topic, subscriptions).isEmpty else { return nil }
        return try FanOut.Signatures(publication, topic: topic, subscriptions, key: try await keys.key())
    }

    /// Writes a page of one message; false when there is more of it, which is claimable again.
    private func write(
        _ item: DueItem, _ publication: Publication?, _ signatures: FanOut.Signatures?, _ topic: Topic?,
        in transaction: any WriteTransaction
    ) throws -> Bool {
        guard var publication else {
            _ = try Self.queue.setAside(item, in: transaction)
            return true
        }
        guard let topic else {
            // AWS: deleting a topic may keep messages from being delivered that were sent before.
            _ = try Self.queue.complete(item, in: transaction)
            return true
        }
        let size = publication.pageSize
        let found = try SubscriptionTable.confirmed(
            topic.key, after: publication.after, limit: size + 1, in: transaction)
        let page = Array(found.prefix(size))
        guard FanOut.isSigned(publication, topic: topic, page, by: signatures) else { throw Changed() }
        if let last = page.last, found.count > size {
            publication.after = last.id
            let isOurs = try Self.queue.reschedule(
                item, due: item.due, payload: publication.encoded(), in: transaction)
            guard isOurs else { return true }
            var sent = publication
            sent.after = ""
            try fanOut.deliver(sent, to: page, topic: topic, signatures, in: transaction)
            return false
        }
        guard try Self.queue.complete(item, in: transaction) else { return true }
        try fanOut.deliver(publication, to: page, topic: topic, signatures, in: transaction)
        return true
    }
}
