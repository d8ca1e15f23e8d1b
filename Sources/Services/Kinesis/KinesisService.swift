public import Contracts
public import Logging
public import Platform
public import Storage
import Wire

/// Kinesis Data Streams: for clients, for pollers (`StreamSource`) and for what is pushed (`DeliveryTarget`).
public final class KinesisService: Sendable {
    public let definition: ServiceDefinition
    public static var migrations: Migrations { Schema.migrations }

    let desk: Desk
    let housekeeping: Housekeeping
    private let subscriptions = Subscriptions()

    /// - Parameters:
    ///   - serverKey: at least 32 random bytes, kept with the data: iterators are authenticated with it.
    ///   - authorizer: identity policies; nil: identities may everything in their own account.
    ///   - limitsThroughput: refuses what is over AWS's limits of a shard (1 MB and 1,000 records written, 2 MB and 5 reads,
    ///     each second), and of changes in a day.
    public init(
        database: any Database, time: any TimeSource, serverKey: [UInt8], authorizer: (any Authorizer)? = nil,
        limitsThroughput: Bool = false, logger: Logger
    ) throws {
        let arrivals = Observers<String?>()
        let desk = Desk(
            database: database, time: time, directory: StreamDirectory(database: database),
            ledger: Ledger(arrivals: arrivals), arrivals: arrivals, access: Access(authorizer: authorizer),
            tokens: Tokens(serverKey: serverKey), throughput: limitsThroughput ? Throughput() : nil)
        self.desk = desk
        housekeeping = Housekeeping(desk: desk, logger: logger)
        let schema = try ServiceSchema(text: KinesisSchema.text)
        definition = ServiceDefinition(
            schema: schema, operations: Self.operations(desk, schema, housekeeping, subscriptions),
            bodyLimit: Limits.requestBytes,
            tooLarge: { _, limit in .validation("The request is larger than \(limit) bytes.") })
    }

    private static func operations(
        _ desk: Desk, _ schema: ServiceSchema, _ housekeeping: Housekeeping, _ subscriptions: Subscriptions
    ) -> [String: OperationHandler] {
        let putting = Putting(desk: desk)
        let getting = Getting(desk: desk)
        let streams = Streams(desk: desk, housekeeping: housekeeping)
        let shards = Shards(desk: desk)
        let settings = Settings(desk: desk)
        let tags = Tags(desk: desk)
        let consumers = Consumers(desk: desk, subscriptions: subscriptions)
        let subscribing = Subscribing(desk: desk, schema: schema, subscriptions: subscriptions)
        return [
            "PutRecord": .callback(putting.putRecord),
            "PutRecords": .callback(putting.putRecords),
            "GetShardIterator": .asynchronous(getting.iterator),
            "GetRecords": .asynchronous(getting.records),
            "CreateStream": .asynchronous(streams.create),
            "DeleteStream": .asynchronous(streams.delete),
            "ListStreams": .asynchronous(streams.list),
            "DescribeStream": .asynchronous(streams.describe),
            "DescribeStreamSummary": .asynchronous(streams.summary),
            "DescribeLimits": .asynchronous(streams.limits),
            "ListShards": .asynchronous(shards.list),
            "SplitShard": .asynchronous(shards.split),
            "MergeShards": .asynchronous(shards.merge),
            "UpdateShardCount": .asynchronous(shards.updateCount),
            "IncreaseStreamRetentionPeriod": .asynchronous(settings.increaseRetention),
            "DecreaseStreamRetentionPeriod": .asynchronous(settings.decreaseRetention),
            "UpdateStreamMode": .asynchronous(settings.updateMode),
            "UpdateMaxRecordSize": .asynchronous(settings.updateRecordSize),
            "StartStreamEncryption": .asynchronous(settings.startEncryption),
            "StopStreamEncryption": .asynchronous(settings.stopEncryption),
            "EnableEnhancedMonitoring": .asynchronous(settings.enableMonitoring),
            "DisableEnhancedMonitoring": .asynchronous(settings.disableMonitoring),
            "AddTagsToStream": .asynchronous(tags.addToStream),
            "RemoveTagsFromStream": .asynchronous(tags.removeFromStream),
            "ListTagsForStream": .asynchronous(tags.listOfStream),
            "TagResource": .asynchronous(tags.tag),
            "UntagResource": .asynchronous(tags.untag),
            "ListTagsForResource": .asynchronous(tags.list),
            "PutResourcePolicy": .asynchronous(tags.putPolicy),
            "GetResourcePolicy": .asynchronous(tags.policy),
            "DeleteResourcePolicy": .asynchronous(tags.deletePolicy),
            "RegisterStreamConsumer": .asynchronous(consumers.register),
            "DeregisterStreamConsumer": .asynchronous(consumers.deregister),
            "DescribeStreamConsumer": .asynchronous(consumers.describe),
            "ListStreamConsumers": .asynchronous(consumers.list),
            "SubscribeToShard": .asynchronous(subscribing.subscribe),
        ]
    }

    /// Goes on with what an earlier run left: records of deleted streams; starts looking for expired ones.
    public func start() { housekeeping.start() }

    /// Ends the subscriptions and what runs in the background. Everything durable stays as it is.
    public func stop() {
        subscriptions.stop()
        housekeeping.stop()
    }
}
