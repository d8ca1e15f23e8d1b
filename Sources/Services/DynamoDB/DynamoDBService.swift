public import Contracts
public import Logging
public import Platform
public import Storage
import Wire

/// Amazon DynamoDB and DynamoDB Streams: tables for clients, their changes for pollers (`StreamSource`).
public final class DynamoDBService: Sendable {
    public let definition: ServiceDefinition
    /// DynamoDB Streams is a service of its own to clients.
    public let streamsDefinition: ServiceDefinition
    public static var migrations: Migrations { Schema.migrations }

    let desk: Desk
    let housekeeping: Housekeeping

    /// - Parameters:
    ///   - serverKey: at least 32 random bytes, kept with the data: shard iterators are authenticated with it.
    ///   - authorizer: identity policies; nil: identities may everything in their own account.
    public init(
        database: any Database, time: any TimeSource, serverKey: [UInt8], authorizer: (any Authorizer)? = nil,
        logger: Logger
    ) throws {
        let directory = TableDirectory()
        let changes = ChangeLog()
        let expiry = ExpiryTimer(time: time)
        let keeper = ItemKeeper(changes: changes, expiry: expiry)
        let desk = Desk(
            database: database, time: time, directory: directory, access: Access(authorizer: authorizer),
            changes: changes, keeper: keeper,
            jobs: Jobs(database: database, time: time, directory: directory, expiry: expiry, logger: logger),
            iterators: ShardIterators(serverKey: serverKey))
        self.desk = desk
        housekeeping = Housekeeping(
            database: database, time: time, keeper: keeper, expiry: expiry, logger: logger)
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: DynamoDBSchema.text), operations: Self.operations(desk),
            bodyLimit: Limits.requestBytes,
            tooLarge: { _, limit in
                AWSError("RequestTooLargeException", status: 413, "Request size exceeds \(limit) bytes")
            })
        let streams = StreamOperations(desk: desk)
        streamsDefinition = ServiceDefinition(
            schema: try ServiceSchema(text: DynamoDBStreamsSchema.text),
            operations: [
                "ListStreams": .asynchronous(streams.list),
                "DescribeStream": .asynchronous(streams.describe),
                "GetShardIterator": .asynchronous(streams.iterator),
                "GetRecords": .asynchronous(streams.records),
            ], bodyLimit: 1 << 20)
    }

    private static func operations(_ desk: Desk) -> [String: OperationHandler] {
        let tables = TableOperations(desk: desk)
        let settings = SettingsOperations(desk: desk)
        let items = ItemOperations(desk: desk)
        let queries = QueryOperations(desk: desk)
        let batches = BatchOperations(desk: desk)
        let transactions = TransactionOperations(desk: desk)
        return [
            "GetItem": .asynchronous(items.get),
            "PutItem": .callback(items.put),
            "UpdateItem": .callback(items.update),
            "DeleteItem": .callback(items.delete),
            "Query": .asynchronous(queries.query),
            "Scan": .asynchronous(queries.scan),
            "BatchGetItem": .asynchronous(batches.get),
            "BatchWriteItem": .callback(batches.write),
            "TransactWriteItems": .callback(transactions.write),
            "TransactGetItems": .asynchronous(transactions.get),
            "CreateTable": .asynchronous(tables.create),
            "DescribeTable": .asynchronous(tables.describe),
            "ListTables": .asynchronous(tables.list),
            "UpdateTable": .asynchronous(tables.update),
            "DeleteTable": .asynchronous(tables.delete),
            "UpdateTimeToLive": .asynchronous(settings.updateTimeToLive),
            "DescribeTimeToLive": .asynchronous(settings.describeTimeToLive),
            "TagResource": .asynchronous(settings.tag),
            "UntagResource": .asynchronous(settings.untag),
            "ListTagsOfResource": .asynchronous(settings.tags),
            "PutResourcePolicy": .asynchronous(settings.putPolicy),
            "GetResourcePolicy": .asynchronous(settings.policy),
            "DeleteResourcePolicy": .asynchronous(settings.deletePolicy),
            "DescribeLimits": .asynchronous(settings.limits),
            "DescribeEndpoints": .asynchronous(settings.endpoints),
            "DescribeContinuousBackups": .asynchronous(settings.continuousBackups),
            "UpdateContinuousBackups": .asynchronous(settings.updateContinuousBackups),
        ]
    }

    /// Goes on with what an earlier run left: indexes that are being filled, items of deleted tables, what expires.
    public func start() {
        desk.jobs.run()
        housekeeping.start()
    }

    /// Stops what runs in the background. Everything durable stays as it is.
    public func stop() {
        desk.jobs.stop()
        housekeeping.stop()
    }
}
