import Contracts
import Platform
import Storage
import Wire

/// As whom SNS delivers.
let snsPrincipal = "sns.amazonaws.com"

/// Turns a published message into deliveries to subscribers, inside a transaction. Signs nothing there: half a millisecond of a
/// processor each would hold up the store's only writer.
struct FanOut: Sendable {
    let outbox: any DeliveryOutbox
    let http: HTTPDeliveries
    let filters: FilterCache

    /// Signatures of one message by its texts, made before the transaction.
    struct Signatures: Sendable {
        var key: String
        var version: SignatureVersion
        var byText: [String: String] = [:]

        /// Signs the texts that these subscriptions get.
        init(_ publication: Publication, topic: Topic, _ subscriptions: [Subscription], key: SigningKey) throws {
            self.key = key.name
            version = topic.signatureVersion
            for text in FanOut.textsToSign(publication, topic: topic, subscriptions) {
                let envelope = FanOut.envelope(publication, text, topic: topic)
                byText[text] = try key.sign(envelope.textToSign(), version)
            }
        }
    }

    /// The texts that need a signature: FIFO topics sign nothing, and raw deliveries have no place for one.
    static func textsToSign(
        _ publication: Publication, topic: Topic, _ subscriptions: [Subscription]
    ) -> Set<String> {
        if topic.key.isFIFO { return [] }
        return Set(subscriptions.lazy.filter { !$0.isRaw }.map { publication.message.text(for: $0.transport) })
    }

    /// Whether all texts that these subscriptions get are signed as the topic wants it now.
    static func isSigned(
        _ publication: Publication, topic: Topic, _ subscriptions: [Subscription], by signatures: Signatures?
    ) -> Bool {
        let texts = textsToSign(publication, topic: topic, subscriptions)
        if texts.isEmpty { return true }
        guard let signatures, signatures.version == topic.signatureVersion else { return false }
        return texts.allSatisfy { signatures.byText[$0] != nil }
    }

    /// Gives the message to those of the subscriptions whose filters want it.
    func deliver(
        _ publication: Publication, to subscriptions: [Subscription], topic: Topic, _ signatures: Signatures?,
        in transaction: any WriteTransaction
    ) throws {
        let message = publication.message
        var bodies: [String: Value?] = [:]
        for subscription in subscriptions {
            let text = message.text(for: subscription.transport)
            let filter = try filters.filter(of: subscription)
            let isWanted = filter?.matches(message.attributes) {
                if let body = bodies[text] { return body }
                let body = try? JSON.parse(text)
                bodies[text] = .some(body)
                return body
            }
            guard isWanted ?? true else { continue }
            try deliver(
                publication, Self.envelope(publication, text, topic: topic), to: subscription, topic: topic,
                signature: subscription.isRaw
                    ? nil
                    : signatures.flatMap { signatures in
                        signatures.byText[text].map {
                            Envelope.Signature(version: signatures.version, value: $0, keyName: signatures.key)
                        }
                    }, in: transaction)
        }
    }

    private func deliver(
        _ publication: Publication, _ envelope: Envelope, to subscription: Subscription, topic: Topic,
        signature: Envelope.Signature?, in transaction: any WriteTransaction
    ) throws {
        let (message, createdAt) = (publication.message, publication.createdAt)
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
                subscription: subscription.arn, now: createdAt, in: transaction)
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
            if delivery.attributes.message.count > Limits.rawMessageAttributes {
                guard let letter = Self.discarded(delivery, as: wrapped()) else { return }
                delivery = letter
            }
            try outbox.send(delivery, in: transaction)
        }
    }

    /// A raw message has more attributes than a queue takes: AWS discards it as a client-side error, which is what dead-letter
    /// queues are for; the attributes are in the notification that goes there. Nil when there is none.
    private static func discarded(_ delivery: Delivery, as notification: [UInt8]) -> Delivery? {
        guard let deadLetter = delivery.deadLetter else { return nil }
        var letter = Delivery(
            id: delivery.id, target: deadLetter.target, principal: deadLetter.principal, payload: notification,
            createdAt: delivery.createdAt, attributes: delivery.attributes, retry: delivery.retry)
        letter.attributes.message = []
        letter.purpose = .deadLetter
        return letter
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

    static func envelope(_ publication: Publication, _ text: String, topic: Topic) -> Envelope {
        let message = publication.message
        return Envelope(
            messageID: message.id, topicARN: topic.key.arn, subject: message.subject, message: text,
            timestamp: publication.timestamp, sequenceNumber: publication.sequence, attributes: message.attributes)
    }
}
