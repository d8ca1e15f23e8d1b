import Contracts
import Platform
import Storage

/// The messages with which subscribers are asked.
struct Confirmations: Sendable {
    let outbox: any DeliveryOutbox
    let http: HTTPDeliveries

    /// Asks the endpoint whether it wants the topic's messages, or tells it that it gets no more. The subscription has a token.
    /// `key` signs it.
    func send(
        _ kind: Envelope.Kind, to subscription: Subscription, topic: Topic, key: SigningKey?, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        let text =
            kind == .subscriptionConfirmation
            ? "You have chosen to subscribe to the topic \(topic.key.arn).\nTo confirm the subscription, visit the "
                + "SubscribeURL included in this message."
            : "You have chosen to deactivate subscription \(subscription.arn).\nTo cancel this operation and restore the "
                + "subscription, visit the SubscribeURL included in this message."
        let envelope = Envelope(
            kind: kind, messageID: Identifier.uuid(), topicARN: topic.key.arn, message: text,
            timestamp: now.iso8601(fractionDigits: 3), token: subscription.token)
        let signature = try key.map { key in
            Envelope.Signature(
                version: topic.signatureVersion,
                value: try key.sign(
                    envelope.textToSign(subscribeURL: envelope.subscribeURL(server: subscription.server)),
                    topic.signatureVersion), keyName: key.name)
        }
        let body = envelope.body(server: subscription.server, unsubscribeURL: nil, signature: signature)
        if subscription.transport.isHTTP {
            try http.send(
                HTTPItem(
                    kind: kind, messageID: envelope.messageID, topicARN: topic.key.arn,
                    account: topic.key.scope.account,
                    subscriptionARN: kind == .unsubscribeConfirmation ? subscription.arn : nil,
                    url: subscription.endpoint, isRaw: false,
                    policy: .effective(
                        topic: topic.attribute("DeliveryPolicy"), subscription: subscription.attribute("DeliveryPolicy")
                    ),
                    deadLetterTarget: nil, body: body),
                subscription: subscription.arn, now: now, in: transaction)
        } else {
            try outbox.send(
                Delivery(
                    id: Identifier.uuid(), target: subscription.endpoint,
                    principal: .service(
                        name: snsPrincipal, sourceARN: topic.key.arn, sourceAccount: topic.key.scope.account),
                    payload: body, createdAt: now,
                    attributes: DeliveryAttributes(
                        messageGroupID: subscription.endpoint.hasSuffix(".fifo") ? "confirmation" : nil,
                        messageDeduplicationID: subscription.endpoint.hasSuffix(".fifo") ? envelope.messageID : nil),
                    retry: DeliveryRetry(maximumRetries: Limits.managedRetries, maximumAge: Limits.managedAge)),
                in: transaction)
        }
    }
}
