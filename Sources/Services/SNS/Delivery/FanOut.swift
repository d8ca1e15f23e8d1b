import Contracts
import Logging
import Platform
import Storage
import Wire

/// As whom SNS delivers.
let snsPrincipal = "sns.amazonaws.com"

/// Turns a published message into deliveries, all in the publisher's transaction.
struct FanOut: Sendable {
    let outbox: any DeliveryOutbox
    let http: HTTPDeliveries
    let filters: FilterCache

    struct Receipt: Sendable {
        var messageID: String
        var sequenceNumber: String?
    }

    /// Signatures of a message by its text, made before the transaction: half a millisecond each would hold up the store's
    /// writer. What is not there is made when it is needed.
    struct Signatures: Sendable {
        var key: SigningKey?
        var timestamp: String
        var byText: [String: String] = [:]
    }

    /// Signs the texts that these subscriptions will get, outside of any transaction.
    static func sign(
        _ message: PublishedMessage, topic: Topic, _ subscriptions: [Subscription], key: SigningKey, now: Instant
    ) throws -> Signatures {
        var signatures = Signatures(key: key, timestamp: now.iso8601(fractionDigits: 3))
        guard !topic.key.isFIFO else { return signatures }
        for subscription in subscriptions where !subscription.isRaw {
            let text = message.text(for: subscription.transport)
            guard signatures.byText[text] == nil else { continue }
            let envelope = envelope(message, text, topic: topic, timestamp: signatures.timestamp, sequence: nil)
            signatures.byText[text] = try key.sign(envelope.textToSign(), topic.signatureVersion)
        }
        return signatures
    }

    /// Publishes: a duplicate is answered like the first and goes nowhere. Throws `DeliveryRefusal.temporary` while the signing
    /// key is being made.
    func publish(
        _ message: PublishedMessage, topic: Topic, signatures: Signatures, now: Instant,
        in transaction: any WriteTransaction
    ) throws -> Receipt {
        var sequence: String?
        var createdAt = now
        if topic.key.isFIFO {
            let scope = topic.deduplicatesByGroup ? message.groupID ?? "" : ""
            let id = message.deduplicationID ?? ""
            if let first = try FIFOTable.duplicate(of: id, scope: scope, topic.key, now: now, in: transaction) {
                return Receipt(messageID: first.message, sequenceNumber: Self.text(sequence: first.sequence))
            }
            let next = try FIFOTable.next(topic.key, now: now, in: transaction)
            try FIFOTable.remember(
                id, scope: scope, message: message.id, sequence: next.sequence, topic.key, now: now, in: transaction)
            sequence = Self.text(sequence: next.sequence)
            createdAt = next.published
        }
        var signatures = signatures
        var bodies: [String: Value?] = [:]
        for subscription in try SubscriptionTable.confirmed(topic.key, in: transaction) {
            let text = message.text(for: subscription.transport)
            let filter = try filters.filter(of: subscription)
            let isWanted = filter?.matches(message.attributes) {
                if let body = bodies[text] { return body }
                let body = try? JSON.parse(text)
                bodies[text] = .some(body)
                return body
            }
            guard isWanted ?? true else { continue }
            let envelope = Self.envelope(
                message, text, topic: topic, timestamp: signatures.timestamp, sequence: sequence)
            try deliver(
                message, envelope, to: subscription, topic: topic, &signatures, createdAt: createdAt, in: transaction)
        }
        return Receipt(messageID: message.id, sequenceNumber: sequence)
    }

    private func deliver(
        _ message: PublishedMessage, _ envelope: Envelope, to subscription: Subscription, topic: Topic,
        _ signatures: inout Signatures, createdAt: Instant, in transaction: any WriteTransaction
    ) throws {
        let signature = try subscription.isRaw ? nil : signature(of: envelope, topic: topic, &signatures)
        let wrapped = {
            envelope.body(
                server: subscription.server, unsubscribeURL: subscription.unsubscribeURL, signature: signature)
        }
        switch subscription.transport {
        case .http, .https:
            try http.send(
                HTTPItem(
                    kind: .notification, messageID: message.id, topicARN: topic.key.arn,
                    account: topic.key.scope.account, subscriptionARN: subscription.arn, url: subscription.endpoint,
                    isRaw: subscription.isRaw,
                    policy: .effective(
                        topic: topic.attribute("DeliveryPolicy"), subscription: subscription.attribute("DeliveryPolicy")
                    ),
                    deadLetterTarget: subscription.deadLetterTarget,
                    body: subscription.isRaw ? Array(envelope.message.utf8) : wrapped()),
                partition: subscription.arn, now: createdAt, in: transaction)
        case .lambda:
            let event = envelope.event(server: subscription.server, subscription: subscription, signature: signature)
            var delivery = delivery(event, message, to: subscription, topic: topic, createdAt: createdAt)
            if delivery.deadLetter != nil { delivery.deadLetter?.payload = wrapped() }
            try outbox.send(delivery, in: transaction)
        case .sqs:
            let payload = subscription.isRaw ? Array(envelope.message.utf8) : wrapped()
            var delivery = delivery(payload, message, to: subscription, topic: topic, createdAt: createdAt)
            if subscription.isRaw { delivery.attributes.message = message.attributes }
            delivery.attributes.messageGroupID = message.groupID
            if subscription.endpoint.hasSuffix(".fifo") {
                delivery.attributes.messageDeduplicationID = message.deduplicationID
            }
            try outbox.send(delivery, in: transaction)
        }
    }

    private func delivery(
        _ payload: [UInt8], _ message: PublishedMessage, to subscription: Subscription, topic: Topic,
        createdAt: Instant
    ) -> Delivery {
        let principal = Principal.service(
            name: snsPrincipal, sourceARN: topic.key.arn, sourceAccount: topic.key.scope.account)
        return Delivery(
            id: Identifier.uuid(), target: subscription.endpoint, principal: principal, payload: payload,
            createdAt: createdAt, attributes: DeliveryAttributes(traceHeader: message.traceHeader),
            retry: DeliveryRetry(maximumRetries: Limits.managedRetries, maximumAge: Limits.managedAge),
            deadLetter: subscription.deadLetterTarget.map { DeadLetter(target: $0, principal: principal) })
    }

    private func signature(
        of envelope: Envelope, topic: Topic, _ signatures: inout Signatures
    ) throws -> Envelope.Signature? {
        guard !topic.key.isFIFO else { return nil }
        guard let key = signatures.key else {
            throw DeliveryRefusal.temporary(code: "InternalError", message: "The signing key is being made")
        }
        let value =
            try signatures.byText[envelope.message] ?? key.sign(envelope.textToSign(), topic.signatureVersion)
        signatures.byText[envelope.message] = value
        return Envelope.Signature(version: topic.signatureVersion, value: value, keyName: key.name)
    }

    private static func envelope(
        _ message: PublishedMessage, _ text: String, topic: Topic, timestamp: String, sequence: String?
    ) -> Envelope {
        Envelope(
            messageID: message.id, topicARN: topic.key.arn, subject: message.subject, message: text,
            timestamp: timestamp, sequenceNumber: sequence, attributes: message.attributes)
    }

    /// Twenty digits, as AWS's.
    static func text(sequence: Int64) -> String { "1" + pad(Int(clamping: sequence), 16) + "000" }
}
