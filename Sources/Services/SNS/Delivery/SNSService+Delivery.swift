public import Contracts
public import Platform
public import Storage
import Wire

/// What other services publish: destinations of asynchronous invocations, dead letters of functions, S3 notifications.
extension SNSService: DeliveryTarget {
    public var arnService: String { "sns" }

    public func accept(_ delivery: Delivery, in transaction: any WriteTransaction, now: Instant) throws {
        let topic = try permitted(delivery.target, for: delivery.principal, in: transaction)
        let message = try Self.message(of: delivery, topic: topic)
        _ = try publications.publish(message, topic: topic, signatures: nil, now: now, in: transaction)
    }

    public func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        _ = try permitted(target, for: principal, in: transaction)
    }

    private static func message(of delivery: Delivery, topic: Topic) throws -> PublishedMessage {
        guard let text = String(validating: delivery.payload, as: UTF8.self), !text.isEmpty else {
            throw DeliveryRefusal.permanent(
                code: "InvalidParameter", message: "Invalid parameter: the message is empty or no UTF-8")
        }
        guard MessageRules.size(text, delivery.attributes.message) <= topic.messageBytes else {
            throw DeliveryRefusal.permanent(code: "InvalidParameter", message: "Invalid parameter: Message too long")
        }
        let attributes = delivery.attributes
        let draft = MessageRules.Draft(
            text: text, subject: nil, structure: nil, attributes: [], groupID: attributes.messageGroupID,
            deduplicationID: attributes.messageDeduplicationID)
        do throws(AWSError) {
            var kept = draft
            // A standard topic has no use for it, and nobody to tell.
            if !topic.key.isFIFO { kept.deduplicationID = nil }
            try MessageRules.checkIDs(kept, topic: topic)
            var (message, _) = try MessageRules.message(kept, topic: topic, traceHeader: attributes.traceHeader)
            message.subject = attributes.subject.flatMap { (try? MessageRules.check(subject: $0)) == nil ? nil : $0 }
            message.attributes = attributes.message
            return message
        } catch {
            throw DeliveryRefusal.permanent(code: error.code, message: error.message)
        }
    }

    private func permitted(
        _ target: String, for principal: Principal, in transaction: any ReadTransaction
    ) throws -> Topic {
        guard let key = try? TopicKey(arn: target), let topic = try TopicTable.get(key, in: transaction) else {
            throw DeliveryRefusal.permanent(code: "NotFound", message: "Topic does not exist: \(target)")
        }
        do {
            try access.check(principal, "Publish", topic, in: transaction)
        } catch let error as AWSError {
            throw DeliveryRefusal.permanent(code: error.code, message: error.message)
        }
        return topic
    }
}
