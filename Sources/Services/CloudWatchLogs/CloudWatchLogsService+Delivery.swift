public import Contracts
public import Platform
public import Storage
import Wire

/// Events that EventBridge's rules send to log groups. A group lets the services of its own account in.
extension CloudWatchLogsService: DeliveryTarget {
    public var arnService: String { "logs" }

    /// Each event has a stream of its own, as on AWS. What a transformer made, `{"timestamp": …, "message": …}`, is taken apart; all
    /// else is the message as it is.
    public func accept(_ delivery: Delivery, in transaction: any WriteTransaction, now: Instant) throws {
        let group = try permitted(delivery.target, for: delivery.principal, in: transaction)
        guard var message = String(validating: delivery.payload, as: UTF8.self), !message.isEmpty,
            message.utf8.count + Limits.overheadPerEvent <= Limits.bytesPerPut
        else {
            throw DeliveryRefusal.permanent(
                code: "InvalidParameterException", message: "The event is empty, too large or no UTF-8")
        }
        var timestamp = now.milliseconds
        if let fields = (try? JSON.parse(delivery.payload))?.fields, fields.count == 2,
            let text = fields["message"]?.string, let time = fields["timestamp"]
        {
            message = text
            timestamp =
                time.int ?? time.string.flatMap { Int64($0) ?? Instant(iso8601: $0)?.milliseconds } ?? timestamp
        }
        guard (0...253_402_300_799_999).contains(timestamp), !message.isEmpty else {
            throw DeliveryRefusal.permanent(
                code: "InvalidParameterException", message: "The event has no message or an impossible time")
        }
        let stream =
            try StreamRow.find(delivery.id, group: group.id, in: transaction)?.id
            ?? StreamRow.insert(delivery.id, group: group.id, created: now.milliseconds, in: transaction)
        let events = [NewEvent(timestamp: timestamp, message: message)]
        try ingestion.append(
            events, to: group, stream: (stream, delivery.id), now: now.milliseconds,
            hasMetrics: EmbeddedMetrics.areIn(events), in: transaction)
    }

    public func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        _ = try permitted(target, for: principal, in: transaction)
    }

    private func permitted(
        _ target: String, for principal: Principal, in transaction: any ReadTransaction
    ) throws -> GroupRow {
        guard let arn = ARN(target), arn.resource.hasPrefix("log-group:") else {
            throw DeliveryRefusal.permanent(
                code: "InvalidParameterException", message: "Not the ARN of a log group: \(target)")
        }
        let name = arn.resource.dropFirst("log-group:".count)
        let scope = AccountRegion(account: arn.account, region: arn.region)
        guard
            let group = try GroupRow.find(
                String(name.hasSuffix(":*") ? name.dropLast(2) : name), scope, in: transaction)
        else {
            throw DeliveryRefusal.permanent(
                code: "ResourceNotFoundException", message: "The specified log group does not exist.")
        }
        guard principal.account == arn.account else {
            throw DeliveryRefusal.permanent(
                code: "AccessDeniedException",
                message: "User: \(principal.arn) is not authorized to perform: logs:PutLogEvents on resource: \(target)"
            )
        }
        return group
    }
}
