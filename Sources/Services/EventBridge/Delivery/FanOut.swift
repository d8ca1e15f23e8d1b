import Contracts
import Logging
import Platform
import Schedules
import Storage
import Synchronization

/// As whom rules deliver.
let eventsPrincipal = "events.amazonaws.com"

/// What is left to write in one transaction.
struct FanOutBudget {
    var deliveries = Limits.deliveriesPerTransaction
    var bytes = Limits.bytesPerTransaction
    var isSpent: Bool { deliveries <= 0 || bytes <= 0 }
}

/// A place in the fan-out of an event: the next is behind it, in the order of rules and their targets.
struct FanOutPlace: Sendable, Hashable {
    var rule: String
    var target: String
}

/// Turns an event into deliveries to the targets of the rules that it fires, in the transaction that brings the event. What
/// is too much for one transaction is kept with the event and follows in others.
final class FanOut: Sendable {
    private static let queue = DueQueue(name: "events-fanout")

    let indexes = BusIndexes()
    let interest = CallInterest()
    private let database: any Database
    private let outbox: any DeliveryOutbox
    private let time: any TimeSource
    private let alarm: Mutex<Alarm?> = Mutex(nil)
    private let logger: Logger

    init(database: any Database, outbox: any DeliveryOutbox, time: any TimeSource, logger: Logger) {
        self.database = database
        self.outbox = outbox
        self.time = time
        self.logger = logger
    }

    /// Goes on with what an earlier process left.
    func start() async throws {
        let alarm = Alarm(time: time) { [weak self] in self?.work() }
        self.alarm.withLock { $0 = alarm }
        let next = try await database.write { transaction in
            try Self.queue.releaseLeases(in: transaction)
            return try Self.queue.nextClaimable(in: transaction)
        }
        if let next { alarm.set(at: next) }
    }

    func stop() { alarm.withLock { $0 }?.stop() }

    /// Sends an event to everything on the bus that wants it.
    func publish(
        _ event: Event, on bus: BusKey, _ budget: inout FanOutBudget, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        if budget.isSpent { return try postpone(event, on: bus, behind: nil, now: now, in: transaction) }
        let place = try step(event, on: bus, behind: nil, &budget, now: now, in: transaction)
        if let place { try postpone(event, on: bus, behind: place, now: now, in: transaction) }
    }

    /// Delivers until the budget is spent; answers the place then, nil when everything is sent.
    private func step(
        _ event: Event, on bus: BusKey, behind place: FanOutPlace?, _ budget: inout FanOutBudget, now: Instant,
        in transaction: any WriteTransaction
    ) throws -> FanOutPlace? {
        var last = place
        for rule in try indexes.index(of: bus, in: transaction).matching(event) {
            if let place, rule.key.name < place.rule { continue }
            for target in rule.targets {
                if let place, rule.key.name == place.rule, target.id <= place.target { continue }
                if budget.isSpent { return last }
                try send(event, to: target, of: rule.key, &budget, now: now, in: transaction)
                last = FanOutPlace(rule: rule.key.name, target: target.id)
            }
        }
        return nil
    }

    func send(
        _ event: Event, to target: RuleTarget, of rule: RuleKey, _ budget: inout FanOutBudget, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        let service = Principal.service(
            name: eventsPrincipal, sourceARN: rule.arn, sourceAccount: rule.bus.scope.account)
        let role = target.roleARN.map { role in
            Principal.roleSession(
                roleARN: role, sessionName: String(rule.name.prefix(Limits.sessionCharacters)),
                account: rule.bus.scope.account)
        }
        var delivery = Delivery(
            id: Identifier.uuid(), target: target.arn, principal: role ?? service, payload: [], createdAt: now,
            attributes: DeliveryAttributes(
                messageGroupID: target.service == "sqs" ? target.messageGroupID : nil, traceHeader: event.traceHeader),
            retry: target.retry,
            deadLetter: target.deadLetterARN.map { DeadLetter(target: $0, principal: service, ruleARN: rule.arn) })
        guard let payload = target.payload(event, rule: rule) else {
            // So much was rendered, and the letter is no larger.
            budget.deliveries -= 1
            budget.bytes -= max(event.bytes.count, Limits.renderedBytes)
            return try giveUp(event, delivery, now: now, in: transaction)
        }
        delivery.payload = payload
        switch target.service {
        case "kinesis":
            let key = target.partitionKeyPath?.value(in: event.value).map { $0.string ?? JSON.encodeString($0) }
            delivery.attributes.partitionKey = key.flatMap { $0.isEmpty ? nil : $0 } ?? event.id
        case "events": delivery.attributes.forwards = event.forwards + 1
        default: break
        }
        budget.deliveries -= 1
        budget.bytes -= delivery.payload.count
        try outbox.send(delivery, in: transaction)
    }

    /// The target's input is too large for anybody: the event goes to the dead-letter queue, if there is one.
    private func giveUp(
        _ event: Event, _ delivery: Delivery, now: Instant, in transaction: any WriteTransaction
    ) throws {
        logger.warning("the input of a rule's target is too large", metadata: ["target": "\(delivery.target)"])
        guard let deadLetter = delivery.deadLetter else { return }
        let attributes = [
            ("RULE_ARN", deadLetter.ruleARN ?? ""), ("TARGET_ARN", delivery.target),
            ("ERROR_CODE", "INVALID_PARAMETER"),
            ("ERROR_MESSAGE", "The transformed input is larger than an event may be"),
        ]
        var letter = Delivery(
            id: delivery.id, target: deadLetter.target, principal: deadLetter.principal, payload: event.bytes,
            createdAt: now,
            attributes: DeliveryAttributes(
                message: attributes.map { MessageAttribute(name: $0.0, dataType: "String", content: .string($0.1)) }),
            retry: DeliveryRetry(maximumAge: Limits.eventAge))
        letter.purpose = .deadLetter
        try outbox.send(letter, in: transaction)
    }

    // MARK: The rest of big fan-outs

    private func postpone(
        _ event: Event, on bus: BusKey, behind place: FanOutPlace?, now: Instant, in transaction: any WriteTransaction
    ) throws {
        let piece = FanOutPiece(bus: bus, event: event, place: place)
        try Self.queue.enqueue(
            NewDueItem(partition: "", due: now, payload: piece.encoded()), now: now, in: transaction)
        transaction.afterCommit { [weak self] in self?.alarm.withLock { $0 }?.set(at: now) }
    }

    private func work() {
        let now = time.now()
        database.write { [self] transaction in
            try work(now: now, in: transaction)
            return try Self.queue.nextClaimable(in: transaction)
        } completion: { [self] result in
            var next: Instant?
            switch result {
            case .success(let due): next = due
            case .failure(let error):
                logger.error("cannot send events to the targets of rules", metadata: ["error": "\(error)"])
                next = time.now() + .seconds(1)
            }
            alarm.withLock { $0 }?.finished(next: next)
        }
    }

    private func work(now: Instant, in transaction: any WriteTransaction) throws {
        let items = try Self.queue.claim(limit: 1, now: now, lease: Limits.fanOutLease, in: transaction)
        guard let item = items.first else { return }
        guard let piece = FanOutPiece(encoded: item.payload) else {
            logger.error("a piece of a fan-out cannot be read and is set aside", metadata: ["row": "\(item.id)"])
            _ = try Self.queue.setAside(item, in: transaction)
            return
        }
        var budget = FanOutBudget()
        let place = try step(
            piece.event, on: piece.bus, behind: piece.place, &budget, now: now, in: transaction)
        guard let place else {
            _ = try Self.queue.complete(item, in: transaction)
            return
        }
        let rest = FanOutPiece(bus: piece.bus, event: piece.event, place: place)
        _ = try Self.queue.reschedule(item, due: now, payload: rest.encoded(), in: transaction)
    }
}

/// An event and how far its fan-out has come, as a row.
struct FanOutPiece: Sendable {
    var bus: BusKey
    var event: Event
    var place: FanOutPlace?

    init(bus: BusKey, event: Event, place: FanOutPlace?) {
        self.bus = bus
        self.event = event
        self.place = place
    }

    /// A JSON head, a newline, and the event.
    func encoded() -> [UInt8] {
        var head: Fields = [
            "bus": .string(bus.arn), "ingestion": .int(event.ingestion.nanoseconds),
            "forwards": .int(Int64(event.forwards)),
        ]
        if let place {
            head.append("rule", .string(place.rule))
            head.append("target", .string(place.target))
        }
        if let trace = event.traceHeader { head.append("trace", .string(trace)) }
        return JSON.encode(.map(head)) + [UInt8(ascii: "\n")] + event.bytes
    }

    init?(encoded bytes: [UInt8]) {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")), let head = try? JSON.parse(bytes[..<end]),
            let bus = head["bus"]?.string.flatMap({ BusKey(arn: $0) }),
            var event = Event(
                encoded: Array(bytes[(end + 1)...]), ingestion: Instant(nanoseconds: head["ingestion"]?.int ?? 0))
        else { return nil }
        event.forwards = Int(min(max(head["forwards"]?.int ?? 0, 0), 1_000))
        event.traceHeader = head["trace"]?.string
        self.bus = bus
        self.event = event
        if let rule = head["rule"]?.string, let target = head["target"]?.string {
            place = FanOutPlace(rule: rule, target: target)
        }
    }
}
