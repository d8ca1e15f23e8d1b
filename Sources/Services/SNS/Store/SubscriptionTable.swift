import Platform
import Storage
import Wire

enum SubscriptionProtocol: String, Sendable {
    case http, https, sqs, lambda

    var isHTTP: Bool { self == .http || self == .https }
}

struct Subscription: Sendable {
    enum State: Int64, Sendable {
        case pending = 0
        case confirmed = 1
        /// Unsubscribed by its link; the token of the last message to it brings it back.
        case removed = 2
    }

    var topic: TopicKey
    var id: String
    var owner: String
    var transport: SubscriptionProtocol
    var endpoint: String
    /// What was set.
    var attributes: Fields
    /// The ARN of who subscribed.
    var principal: String
    /// How this server was called when it was made: `http://localhost:4566`. Links in messages start with it.
    var server: String
    var state: State
    /// Whether the confirmation came with a signature.
    var isAuthenticated: Bool
    /// `AuthenticateOnUnsubscribe`.
    var isGuarded = false
    var token: String?
    var expires: Instant?

    var arn: String { "\(topic.arn):\(id)" }
    func attribute(_ name: String) -> String? { attributes[name]?.string }
    var isRaw: Bool { attribute("RawMessageDelivery") == "true" && transport != .lambda }
    var filterPolicy: String? { attribute("FilterPolicy") }
    var filtersBody: Bool { attribute("FilterPolicyScope") == "MessageBody" }
    /// The queue's ARN of the redrive policy.
    var deadLetterTarget: String? {
        attribute("RedrivePolicy").flatMap { try? JSON.parse($0) }?["deadLetterTargetArn"]?.string
    }
    /// Where a GET unsubscribes.
    var unsubscribeURL: String { "\(server)/?Action=Unsubscribe&SubscriptionArn=\(arn)" }
}

enum SubscriptionTable {
    private static let columns = """
        account, region, topic, id, owner, protocol, endpoint, attributes, principal, server, state, authenticated, \
        guarded, token, expires
        """

    static func get(_ topic: TopicKey, id: String, in transaction: any ReadTransaction) throws -> Subscription? {
        try transaction.first(
            """
            SELECT \(columns) FROM sns_subscription WHERE account = ? AND region = ? AND topic = ? AND id = ?
            """, topic.values + [.text(id)], subscription)
    }

    static func find(
        _ topic: TopicKey, _ transport: SubscriptionProtocol, endpoint: String, in transaction: any ReadTransaction
    ) throws -> Subscription? {
        try transaction.first(
            """
            SELECT \(columns) FROM sns_subscription
            WHERE account = ? AND region = ? AND topic = ? AND protocol = ? AND endpoint = ?
            """, topic.values + [.text(transport.rawValue), .text(endpoint)], subscription)
    }

    static func find(token: String, in transaction: any ReadTransaction) throws -> Subscription? {
        try transaction.first("SELECT \(columns) FROM sns_subscription WHERE token = ?", [.text(token)], subscription)
    }

    static func put(_ subscription: Subscription, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO sns_subscription (account, region, topic, id, owner, protocol, endpoint, attributes, principal,
            server, state, authenticated, guarded, filtered, token, expires)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, topic, id) DO UPDATE SET attributes = excluded.attributes,
            state = excluded.state, authenticated = excluded.authenticated, guarded = excluded.guarded,
            filtered = excluded.filtered, token = excluded.token, expires = excluded.expires
            """,
            subscription.topic.values + [
                .text(subscription.id), .text(subscription.owner), .text(subscription.transport.rawValue),
                .text(subscription.endpoint), .blob(JSON.encode(.map(subscription.attributes))),
                .text(subscription.principal), .text(subscription.server), .int(subscription.state.rawValue),
                .bool(subscription.isAuthenticated), .bool(subscription.isGuarded),
                .bool(subscription.filterPolicy != nil), .optional(subscription.token),
                .optional(subscription.expires?.nanoseconds),
            ])
    }

    static func delete(_ subscription: Subscription, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM sns_subscription WHERE account = ? AND region = ? AND topic = ? AND id = ?",
            subscription.topic.values + [.text(subscription.id)])
    }

    /// Removes what was never confirmed in time, a bounded number at once.
    static func sweep(now: Instant, in transaction: any WriteTransaction) throws {
        let old = try transaction.query(
            """
            SELECT \(columns) FROM sns_subscription WHERE expires IS NOT NULL AND expires <= ? ORDER BY expires LIMIT ?
            """, [.int(now.nanoseconds), .int(Int64(Limits.tokenSweep))], subscription)
        for subscription in old { try delete(subscription, in: transaction) }
    }

    /// Those that get messages, after an id and in the order of their ids.
    static func confirmed(
        _ topic: TopicKey, after id: String = "", limit: Int, in transaction: any ReadTransaction
    ) throws -> [Subscription] {
        try transaction.query(
            """
            SELECT \(columns) FROM sns_subscription
            WHERE account = ? AND region = ? AND topic = ? AND id > ? AND state = 1 ORDER BY id LIMIT ?
            """, topic.values + [.text(id), .int(Int64(limit))], subscription)
    }

    /// A page of a topic's subscriptions, confirmed and pending.
    static func list(
        _ topic: TopicKey, after id: String, limit: Int, now: Instant, in transaction: any ReadTransaction
    ) throws -> [Subscription] {
        try transaction.query(
            """
            SELECT \(columns) FROM sns_subscription WHERE account = ? AND region = ? AND topic = ? AND id > ?
            AND state < 2 AND (expires IS NULL OR expires > ?) ORDER BY id LIMIT ?
            """, topic.values + [.text(id), .int(now.nanoseconds), .int(Int64(limit))], subscription)
    }

    /// A page of an account's own subscriptions, after a place (account, topic, id).
    static func list(
        owner: String, region: String, after place: [String], limit: Int, now: Instant,
        in transaction: any ReadTransaction
    ) throws -> [Subscription] {
        let place = place.count == 3 ? place : ["", "", ""]
        return try transaction.query(
            """
            SELECT \(columns) FROM sns_subscription WHERE owner = ? AND region = ? AND (account, topic, id) > (?, ?, ?)
            AND state < 2 AND (expires IS NULL OR expires > ?) ORDER BY account, topic, id LIMIT ?
            """,
            [.text(owner), .text(region)] + place.map { .text($0) } + [.int(now.nanoseconds), .int(Int64(limit))],
            subscription)
    }

    struct Counts {
        var confirmed = 0
        var pending = 0
        var filtered = 0
        var http = 0
    }

    static func counts(_ topic: TopicKey, now: Instant, in transaction: any ReadTransaction) throws -> Counts {
        let rows = try transaction.query(
            """
            SELECT state, protocol, filtered FROM sns_subscription
            WHERE account = ? AND region = ? AND topic = ? AND state < 2 AND (expires IS NULL OR expires > ?)
            """, topic.values + [.int(now.nanoseconds)], { ($0.int(0), $0.text(1), $0.bool(2)) })
        var counts = Counts()
        for (state, transport, filter) in rows {
            if state == 1 { counts.confirmed += 1 } else { counts.pending += 1 }
            if SubscriptionProtocol(rawValue: transport)?.isHTTP == true { counts.http += 1 }
            if filter { counts.filtered += 1 }
        }
        return counts
    }

    private static func subscription(_ row: any Row) -> Subscription {
        Subscription(
            topic: TopicKey(scope: AccountRegion(account: row.text(0), region: row.text(1)), name: row.text(2)),
            id: row.text(3), owner: row.text(4), transport: SubscriptionProtocol(rawValue: row.text(5)) ?? .sqs,
            endpoint: row.text(6), attributes: TopicTable.fields(row.blob(7)), principal: row.text(8),
            server: row.text(9), state: Subscription.State(rawValue: row.int(10)) ?? .removed,
            isAuthenticated: row.bool(11), isGuarded: row.bool(12), token: row.optionalText(13),
            expires: row.optionalInt(14).map { Instant(nanoseconds: $0) })
    }
}
