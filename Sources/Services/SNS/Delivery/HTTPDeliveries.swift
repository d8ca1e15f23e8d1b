import Contracts
import Logging
import Platform
import Storage
import Synchronization

/// The durable queue of messages to HTTP(S) subscribers, and the workers that send them: claim, post, then complete, try again or
/// give up. A partition for each subscription, and places for each host (`HTTPPlaces`), so that dead subscribers hold up no
/// other.
///
/// Woken by the commit that puts a message in and by the due time of the next one; never polls.
final class HTTPDeliveries: Sendable {
    fileprivate struct Partition {
        var running = 0
        var isClaiming = false
        /// Something came while it was claiming.
        var isDirty = false
        /// Has work, and waits for a place.
        var isWaiting = false
        var timer: ScheduledCall?

        var isIdle: Bool { running == 0 && !isClaiming && !isDirty && !isWaiting && timer == nil }
    }

    fileprivate struct State {
        var partitions: [String: Partition] = [:]
        var places = HTTPPlaces()
        /// Somebody is giving free places away.
        var isSettling = false
        /// Of subscriptions with a throttle policy; they outlive their partitions, which go whenever there is nothing to do.
        var rates: [String: ReceiveRate] = [:]
        var isStopped = true
        var unreadable: UInt64 = 0
    }

    static let queue = DueQueue(name: "sns-http")

    private let state = Mutex(State())
    private let database: any Database
    private let http: any OutboundHTTP
    private let outbox: any DeliveryOutbox
    private let time: any TimeSource
    private let timeScale: Double
    private let chance: @Sendable () -> Double
    private let logger: Logger

    init(
        database: any Database, http: any OutboundHTTP, outbox: any DeliveryOutbox, time: any TimeSource,
        timeScale: Double, chance: @escaping @Sendable () -> Double, logger: Logger
    ) {
        self.database = database
        self.http = http
        self.outbox = outbox
        self.time = time
        self.timeScale = timeScale
        self.chance = chance
        self.logger = logger
    }

    /// Starts working. What an earlier process had claimed becomes claimable at once: one process works on a store.
    func start() async throws {
        let partitions = try await database.write { transaction in
            try Self.queue.releaseLeases(in: transaction)
            return try Self.queue.partitions(in: transaction)
        }
        state.withLock { $0.isStopped = false }
        for partition in partitions { pump(partition) }
    }

    /// Claims nothing more. What is under way and does not get written down comes again after the next start.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            for partition in state.partitions.values { partition.timer?.cancel() }
        }
    }

    /// `subscription`: its ARN.
    func send(_ item: HTTPItem, subscription: String, now: Instant, in transaction: any WriteTransaction) throws {
        let partition = Self.partition(subscription, url: item.url)
        try Self.queue.enqueue(
            NewDueItem(partition: partition, due: now, payload: item.encoded()), now: now, in: transaction)
        transaction.afterCommit { [weak self] in self?.pump(partition) }
    }

    /// Rows that could not be read, since the start.
    var unreadable: UInt64 { state.withLock { $0.unreadable } }

    /// A subscription and its host, whose endpoint never changes: who claims must know the host before it has read a row.
    private static func partition(_ subscription: String, url: String) -> String {
        let plain = BasicCredentials.split(url).url
        let path = plain.firstRange(of: "://")?.upperBound ?? plain.startIndex
        return "\(subscription) \(plain[path...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }.lowercased())"
    }

    /// Empty for the partitions of versions that did not name it.
    fileprivate static func host(of partition: String) -> String {
        partition.firstIndex(of: " ").map { String(partition[partition.index(after: $0)...]) } ?? ""
    }

    private static func subscription(of partition: String) -> String { String(partition.prefix { $0 != " " }) }

    // MARK: Claiming

    private func pump(_ name: String) {
        let now = time.now()
        let (count, later) = state.withLock { $0.reserve(name, now: now) }
        if let later {
            wake(name, at: later)
            // Its rate did not let it use the places that it was given.
            settle(name)
        }
        guard count > 0 else { return }
        database.write { transaction in
            let items = try Self.queue.claim(
                limit: count, partition: name, now: now, lease: Limits.httpLease, in: transaction)
            let next = items.count < count ? try Self.queue.nextClaimable(partition: name, in: transaction) : nil
            return (items, next)
        } completion: { [self] result in
            claimed(name, asked: count, result)
        }
    }

    private func claimed(_ name: String, asked: Int, _ result: Result<([DueItem], Instant?), any Error>) {
        var items: [DueItem] = []
        var next: Instant?
        switch result {
        case .success(let answer): (items, next) = answer
        case .failure(let error):
            logger.error(
                "cannot claim notifications",
                metadata: ["subscription": "\(Self.subscription(of: name))", "error": "\(error)"])
            next = time.now() + .seconds(1)
        }
        let now = time.now()
        let again = state.withLock { state in
            var partition = state.partitions[name] ?? Partition()
            partition.isClaiming = false
            partition.running += items.count
            state.rates[name]?.giveBack(asked - items.count)
            state.places.giveBack(asked - items.count, at: Self.host(of: name))
            // A full claim leaves perhaps more.
            let again = partition.isDirty || items.count == asked
            partition.isDirty = false
            state.partitions[name] = partition
            return again
        }
        for item in items { attempt(item, name, now: now) }
        if let next { wake(name, at: next) }
        if again { pump(name) }
        settle(name)
    }

    private func wake(_ name: String, at instant: Instant) {
        let call = time.schedule(at: instant) { [weak self] in self?.woken(name) }
        let surplus = state.withLock { state -> ScheduledCall? in
            guard !state.isStopped else { return call }
            let before = state.partitions[name, default: Partition()].timer
            state.partitions[name, default: Partition()].timer = call
            return before
        }
        surplus?.cancel()
    }

    private func woken(_ name: String) {
        state.withLock { $0.partitions[name]?.timer = nil }
        pump(name)
        settle(name)
    }

    /// Forgets a partition with nothing to do, and gives free places to those that wait.
    private func settle(_ name: String) {
        let begins = state.withLock { state in
            if state.partitions[name]?.isIdle == true { state.partitions[name] = nil }
            defer { state.isSettling = true }
            return !state.isSettling
        }
        // Whoever is at it already goes on until there is nothing to give away.
        guard begins else { return }
        while true {
            let next: String? = state.withLock { state in
                let next = state.places.next()
                if let next { state.partitions[next]?.isWaiting = false } else { state.isSettling = false }
                return next
            }
            guard let next else { return }
            pump(next)
        }
    }

    // MARK: One attempt

    private func attempt(_ claimed: DueItem, _ name: String, now: Instant) {
        guard var item = HTTPItem(encoded: claimed.payload) else {
            logger.error(
                "a notification cannot be read and is set aside",
                metadata: ["subscription": "\(Self.subscription(of: name))", "row": "\(claimed.id)"])
            state.withLock { $0.unreadable += 1 }
            return writeDown(claimed, name, nil, due: nil, deadLetter: nil)
        }
        state.withLock { $0.learn(item.policy.maxReceivesPerSecond, of: name, now: now) }
        item.attempts += 1
        let target = BasicCredentials.split(item.url)
        let request = OutboundRequest(
            method: "POST", url: target.url, headers: item.headers + target.headers, body: item.body,
            timeout: Limits.httpTimeout, wantsBody: false)
        Task { [item] in
            let outcome: HTTPOutcome
            do {
                outcome = .status(try await http.send(request, bodyLimit: 0).status)
            } catch {
                logger.debug("no answer", metadata: ["subscription": "\(item.url)", "error": "\(error)"])
                // A request that the stopping server broke off is none of the subscriber's attempts: the row stays held, and the
                // next start gives it back.
                if isStopped { return release(name) }
                outcome = .noAnswer
            }
            state.withLock { $0.places.learn(Self.host(of: name), answers: outcome != .noAnswer) }
            conclude(
                claimed, name, item,
                HTTPRetry.decide(outcome, attempts: item.attempts, policy: item.policy), outcome: outcome)
        }
    }

    private func conclude(
        _ claimed: DueItem, _ name: String, _ item: HTTPItem?, _ decision: HTTPRetry.Decision,
        outcome: HTTPOutcome = .noAnswer
    ) {
        let now = time.now()
        let due: Instant? =
            if case .again(let wait) = decision {
                now + wait.jittered(by: chance()).divided(by: timeScale)
            } else { nil }
        if decision == .giveUp, let item {
            logger.warning(
                "notification not delivered",
                metadata: [
                    "subscription": "\(Self.subscription(of: name))", "messageId": "\(item.messageID)",
                    "last": "\(outcome)",
                    "deadLetterQueue": "\(item.deadLetterTarget ?? "none")",
                ])
        }
        writeDown(claimed, name, item, due: due, deadLetter: decision == .giveUp ? item?.deadLetter(now: now) : nil)
    }

    /// Its place stays taken until it is written: a write that fails is made again, for nothing else would wake a row that is
    /// held.
    private func writeDown(
        _ claimed: DueItem, _ name: String, _ item: HTTPItem?, due: Instant?, deadLetter: Delivery?
    ) {
        database.write { [outbox] transaction in
            guard let item else {
                _ = try Self.queue.setAside(claimed, in: transaction)
                return
            }
            if let due {
                _ = try Self.queue.reschedule(claimed, due: due, payload: item.encoded(), in: transaction)
            } else if try Self.queue.complete(claimed, in: transaction), let deadLetter {
                try outbox.send(deadLetter, in: transaction)
            }
        } completion: { [self] result in
            if case .failure(let error) = result {
                logger.error(
                    "cannot write down a delivery",
                    metadata: ["subscription": "\(Self.subscription(of: name))", "error": "\(error)"])
                guard !isStopped else { return release(name) }
                _ = time.schedule(at: time.now() + .seconds(1)) { [weak self] in
                    guard let self else { return }
                    // The next start gives the row back.
                    if isStopped { return release(name) }
                    writeDown(claimed, name, item, due: due, deadLetter: deadLetter)
                }
                return
            }
            if let due { wake(name, at: due) }
            release(name)
        }
    }

    private var isStopped: Bool { state.withLock(\.isStopped) }

    /// Gives the place of an attempt back.
    private func release(_ name: String) {
        state.withLock { state in
            state.places.giveBack(1, at: Self.host(of: name))
            state.partitions[name]?.running -= 1
        }
        pump(name)
        settle(name)
    }
}

extension HTTPDeliveries.State {
    /// Takes note of a subscription's rate when one of its messages is sent, which counts already.
    fileprivate mutating func learn(_ perSecond: Int?, of name: String, now: Instant) {
        guard rates[name]?.perSecond != perSecond else { return }
        guard let perSecond else {
            rates[name] = nil
            return
        }
        if rates.count >= Limits.httpRates { rates = rates.filter { !$0.value.isFull(now: now) } }
        if rates.count >= Limits.httpRates { rates.removeAll() }
        var rate = ReceiveRate(perSecond: perSecond, now: now)
        _ = rate.take(1, now: now)
        rates[name] = rate
    }

    /// Takes places for a claim of this partition: as many as it, all together, and its rate allow. Answers when to come again
    /// if only the rate is in the way.
    fileprivate mutating func reserve(_ name: String, now: Instant) -> (count: Int, later: Instant?) {
        guard !isStopped else { return (0, nil) }
        var partition = partitions[name] ?? .init()
        defer { partitions[name] = partition }
        if partition.isClaiming {
            partition.isDirty = true
            return (0, nil)
        }
        // Its turn comes.
        guard !partition.isWaiting else { return (0, nil) }
        let host = HTTPDeliveries.host(of: name)
        let wanted: Int
        switch places.take(for: name, at: host, running: partition.running) {
        case .granted(let count): wanted = count
        case .waits:
            partition.isWaiting = true
            return (0, nil)
        case .full:
            // It is pumped again when one of its requests ends.
            return (0, nil)
        }
        var (count, later) = (wanted, Instant?.none)
        if let answer = rates[name]?.take(wanted, now: now) { (count, later) = answer }
        places.giveBack(wanted - count, at: host)
        guard count > 0 else { return (0, later) }
        partition.isClaiming = true
        partition.isDirty = false
        partition.timer?.cancel()
        partition.timer = nil
        return (count, nil)
    }
}

extension Duration {
    /// Shortened by a part of itself; `chance` is from 0 to 1.
    fileprivate func jittered(by chance: Double) -> Duration {
        divided(by: 1 / max(1 - Limits.httpJitter * min(max(chance, 0), 1), 0.001))
    }
}

extension HTTPItem {
    /// What goes to the dead-letter queue when nothing more is tried; nil without one.
    func deadLetter(now: Instant) -> Delivery? {
        guard let deadLetterTarget, kind == .notification else { return nil }
        return Delivery(
            id: Identifier.uuid(), target: deadLetterTarget,
            principal: .service(name: snsPrincipal, sourceARN: topicARN, sourceAccount: account), payload: body,
            createdAt: now, retry: DeliveryRetry(maximumRetries: Limits.managedRetries, maximumAge: Limits.managedAge))
    }
}

/// User and password in a URL (`https://user:password@host/path`) go into a header.
enum BasicCredentials {
    static func split(_ url: String) -> (url: String, headers: [(name: String, value: String)]) {
        guard let scheme = url.firstRange(of: "://") else { return (url, []) }
        let rest = url[scheme.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard let at = authority.lastIndex(of: "@") else { return (url, []) }
        let credentials = PercentEncoding.decode(authority[..<at].utf8)
        let plain = url[..<scheme.upperBound] + rest[rest.index(after: at)...]
        return (String(plain), [("Authorization", "Basic \(Base64.encode(credentials))")])
    }
}
