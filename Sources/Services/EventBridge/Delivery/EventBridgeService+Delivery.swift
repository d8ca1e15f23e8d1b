public import Contracts
public import Platform
public import Storage
import Wire

/// What other services put on buses: events of S3, destinations of functions, rules that send events on.
extension EventBridgeService: DeliveryTarget {
    public var arnService: String { "events" }

    public func accept(_ delivery: Delivery, in transaction: any WriteTransaction, now: Instant) throws {
        let bus = try permitted(delivery.target, for: delivery.principal, in: transaction)
        var event = try Self.event(of: delivery, bus: bus, now: now)
        event.traceHeader = delivery.attributes.traceHeader
        // Many of these may share a transaction: the most of a fan-out goes in transactions of its own.
        var budget = FanOutBudget(deliveries: Limits.deliveriesPerHandOver, bytes: Limits.bytesPerHandOver)
        try fanOut.publish(event, on: bus, &budget, now: now, in: transaction)
    }

    public func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        _ = try permitted(target, for: principal, in: transaction)
    }

    private func permitted(
        _ target: String, for principal: Principal, in transaction: any ReadTransaction
    ) throws -> BusKey {
        guard let key = BusKey(arn: target), let bus = try BusTable.get(key, in: transaction) else {
            let name = BusKey(arn: target)?.name ?? target
            throw DeliveryRefusal.permanent(
                code: "ResourceNotFoundException", message: "Event bus \(name) does not exist.")
        }
        do {
            try access.checkPutEvents(principal, bus: key, policy: bus.policy, in: transaction)
        } catch let error as AWSError {
            throw DeliveryRefusal.permanent(code: error.code, message: error.message)
        }
        return key
    }

    private static func event(of delivery: Delivery, bus: BusKey, now: Instant) throws -> Event {
        if let forwards = delivery.attributes.forwards {
            guard forwards <= Limits.forwards else {
                throw DeliveryRefusal.permanent(
                    code: "EventLoop", message: "The event has come through \(forwards) event buses already.")
            }
            guard var event = Event(encoded: delivery.payload, ingestion: now) else { throw malformed }
            event.forwards = forwards
            return event
        }
        guard let kind = delivery.attributes.event, let detail = try? JSON.parse(delivery.payload), detail.fields != nil
        else { throw malformed }
        let head = Event.Head(
            id: delivery.id, detailType: kind.detailType, source: kind.source,
            account: delivery.principal.account ?? bus.scope.account, time: delivery.createdAt,
            region: bus.scope.region, resources: kind.resources)
        let event = Event(head, detail: detail, detailBytes: delivery.payload, ingestion: now)
        guard (try? JSON.validate(event.bytes)) != nil else { throw malformed }
        return event
    }

    private static let malformed = DeliveryRefusal.permanent(
        code: "MalformedDetail", message: "Detail is malformed.")
}
