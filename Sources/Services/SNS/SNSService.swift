public import Contracts
public import Logging
public import Platform
public import Storage
import Wire

/// Simple Notification Service: topics, and what they send to functions, queues and HTTP(S) subscribers.
public final class SNSService: Sendable {
    public let definition: ServiceDefinition
    public static var migrations: Migrations { snsMigrations }

    let keys: KeyKeeper
    let access: Access
    let publications: Publications
    private let http: HTTPDeliveries

    /// `timeScale` divides the waits between attempts to HTTP(S) subscribers (development); 1 is AWS's timing. Unless
    /// `functionsMaySubscribeHTTP`, role sessions cannot subscribe URLs: a function that reaches no network must not have the
    /// server reach it instead. `chance` (from 0 to 1) is behind the jitter of those waits.
    public init(
        database: any Database, outbox: any DeliveryOutbox, http client: any OutboundHTTP, authorizer: any Authorizer,
        time: any TimeSource, timeScale: Double = 1, functionsMaySubscribeHTTP: Bool,
        chance: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }, logger: Logger
    ) throws {
        keys = KeyKeeper(database: database, time: time)
        access = Access(authorizer: authorizer)
        http = HTTPDeliveries(
            database: database, http: client, outbox: outbox, time: time, timeScale: timeScale, chance: chance,
            logger: logger)
        publications = Publications(
            database: database, keys: keys, fanOut: FanOut(outbox: outbox, http: http, filters: FilterCache()),
            time: time,
            logger: logger)
        let topics = TopicOperations(database: database, access: access, keys: keys)
        let tags = TagOperations(database: database, access: access)
        let publishing = PublishOperations(database: database, access: access, keys: keys, publications: publications)
        let subscriptions = SubscriptionOperations(
            database: database, access: access, keys: keys,
            confirmations: Confirmations(outbox: outbox, http: http),
            functionsMaySubscribeHTTP: functionsMaySubscribeHTTP)
        var operations: [String: OperationHandler] = [
            "CreateTopic": .asynchronous(topics.create),
            "DeleteTopic": .asynchronous(topics.delete),
            "ListTopics": .asynchronous(topics.list),
            "GetTopicAttributes": .asynchronous(topics.getAttributes),
            "SetTopicAttributes": .asynchronous(topics.setAttributes),
            "AddPermission": .asynchronous(topics.addPermission),
            "RemovePermission": .asynchronous(topics.removePermission),
            "PutDataProtectionPolicy": .asynchronous(topics.putProtection),
            "GetDataProtectionPolicy": .asynchronous(topics.getProtection),
            "Subscribe": .asynchronous(subscriptions.subscribe),
            "ConfirmSubscription": .asynchronous(subscriptions.confirm),
            "Unsubscribe": .asynchronous(subscriptions.unsubscribe),
            "GetSubscriptionAttributes": .asynchronous(subscriptions.getAttributes),
            "SetSubscriptionAttributes": .asynchronous(subscriptions.setAttributes),
            "ListSubscriptions": .asynchronous(subscriptions.list),
            "ListSubscriptionsByTopic": .asynchronous(subscriptions.listByTopic),
            "Publish": .asynchronous(publishing.publish),
            "PublishBatch": .asynchronous(publishing.publishBatch),
            "TagResource": .asynchronous(tags.tag),
            "UntagResource": .asynchronous(tags.untag),
            "ListTagsForResource": .asynchronous(tags.list),
        ]
        for name in Self.refused {
            operations[name] = .callback { _, answer in answer(.failure(AWSError.outOfScope("The operation \(name)"))) }
        }
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: SNSSchema.text), operations: operations, bodyLimit: 4 << 20,
            openOperations: ["ConfirmSubscription", "Unsubscribe"])
    }

    /// Sends what an earlier process left.
    public func start() async throws {
        try await keys.load()
        try await http.start()
        try await publications.start()
    }

    /// Sends nothing more.
    public func stop() {
        publications.stop()
        http.stop()
    }

    /// What befell deliveries, in Prometheus's text format.
    public var metricLines: String {
        """
        # HELP martlet_sns_unreadable_rows_total Rows of messages that could not be read and were set aside.
        # TYPE martlet_sns_unreadable_rows_total counter
        martlet_sns_unreadable_rows_total{queue="publish"} \(publications.unreadable)
        martlet_sns_unreadable_rows_total{queue="http"} \(http.unreadable)

        """
    }

    /// Where the links `SigningCertURL` of messages point.
    public static var certificatePath: String { KeyKeeper.path }

    /// The certificate (PEM) behind the rest of such a link, `KEY.pem`; nil for another name.
    public func certificate(named file: String) -> [UInt8]? {
        guard let key = keys.current, file == key.name + ".pem" else { return nil }
        return Array(key.certificate.utf8)
    }

    /// For carriers and mobile platforms, which a server of one's own has not: answered with an error that says so.
    static let refused = [
        "CheckIfPhoneNumberIsOptedOut", "CreatePlatformApplication", "CreatePlatformEndpoint",
        "CreateSMSSandboxPhoneNumber", "DeleteEndpoint", "DeletePlatformApplication", "DeleteSMSSandboxPhoneNumber",
        "GetEndpointAttributes", "GetPlatformApplicationAttributes", "GetSMSAttributes", "GetSMSSandboxAccountStatus",
        "ListEndpointsByPlatformApplication", "ListOriginationNumbers", "ListPhoneNumbersOptedOut",
        "ListPlatformApplications", "ListSMSSandboxPhoneNumbers", "OptInPhoneNumber", "SetEndpointAttributes",
        "SetPlatformApplicationAttributes", "SetSMSAttributes", "VerifySMSSandboxPhoneNumber",
    ]
}
