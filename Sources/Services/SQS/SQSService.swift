public import Contracts
public import Logging
public import Platform
public import Storage
import Wire

/// Amazon SQS: queues for clients, for pollers (`QueueSource`) and for what is pushed (`DeliveryTarget`).
public final class SQSService: Sendable {
    public let definition: ServiceDefinition
    public static var migrations: Migrations { Schema.migrations }

    let desk: Desk
    private let housekeeping: Housekeeping
    private let moveTasks: MoveTasks

    /// - Parameters:
    ///   - serverKey: at least 32 random bytes, kept with the data: receipt handles are authenticated with it.
    ///   - authorizer: identity policies; nil: identities may everything in their own account.
    public init(
        database: any Database, time: any TimeSource, serverKey: [UInt8], authorizer: (any Authorizer)? = nil,
        logger: Logger
    ) throws {
        let directory = QueueDirectory()
        let arrivals = Arrivals()
        let mailbox = Mailbox(
            directory: directory, arrivals: arrivals, unreadable: Unreadable(logger: logger))
        let desk = Desk(
            database: database, time: time, directory: directory, mailbox: mailbox,
            waiting: WaitingReceives(arrivals: arrivals, time: time), access: Access(authorizer: authorizer),
            handles: ReceiptHandles(serverKey: serverKey))
        let housekeeping = Housekeeping(database: database, time: time, mailbox: mailbox, logger: logger)
        let moveTasks = MoveTasks(database: database, time: time, mailbox: mailbox, logger: logger)
        self.desk = desk
        self.housekeeping = housekeeping
        self.moveTasks = moveTasks
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: SQSSchema.text),
            operations: Self.operations(desk, housekeeping, moveTasks), bodyLimit: Limits.requestBytes,
            tooLarge: { operation, limit in
                operation == "SendMessageBatch" ? .batchTooLong(limit) : .messageTooLong(Limits.messageBytes)
            })
    }

    private static func operations(
        _ desk: Desk, _ housekeeping: Housekeeping, _ moveTasks: MoveTasks
    ) -> [String: OperationHandler] {
        let sending = Sending(desk: desk)
        let receiving = Receiving(desk: desk)
        let handling = Handling(desk: desk)
        let queues = Queues(desk: desk, housekeeping: housekeeping)
        let permissions = Permissions(desk: desk)
        let moving = Moving(desk: desk, tasks: moveTasks)
        return [
            "SendMessage": .callback(sending.send),
            "SendMessageBatch": .callback(sending.sendBatch),
            "ReceiveMessage": .callback(receiving.receive),
            "DeleteMessage": .callback(handling.delete),
            "DeleteMessageBatch": .callback(handling.deleteBatch),
            "ChangeMessageVisibility": .callback(handling.changeVisibility),
            "ChangeMessageVisibilityBatch": .callback(handling.changeVisibilityBatch),
            "CreateQueue": .asynchronous(queues.create),
            "DeleteQueue": .asynchronous(queues.delete),
            "GetQueueUrl": .asynchronous(queues.url),
            "GetQueueAttributes": .asynchronous(queues.attributes),
            "SetQueueAttributes": .asynchronous(queues.setAttributes),
            "ListQueues": .asynchronous(queues.list),
            "ListDeadLetterSourceQueues": .asynchronous(queues.deadLetterSources),
            "PurgeQueue": .asynchronous(queues.purge),
            "AddPermission": .asynchronous(permissions.add),
            "RemovePermission": .asynchronous(permissions.remove),
            "TagQueue": .asynchronous(permissions.tag),
            "UntagQueue": .asynchronous(permissions.untag),
            "ListQueueTags": .asynchronous(permissions.tags),
            "StartMessageMoveTask": .asynchronous(moving.start),
            "CancelMessageMoveTask": .asynchronous(moving.cancel),
            "ListMessageMoveTasks": .asynchronous(moving.list),
        ]
    }

    /// Goes on with what an earlier run left: deleted queues' messages, move tasks; starts looking for expired messages.
    public func start() async throws {
        housekeeping.start()
        try await moveTasks.start()
    }

    /// Answers the receives that wait, and stops what runs in the background. Everything durable stays as it is.
    public func stop() {
        desk.waiting.stop()
        housekeeping.stop()
        moveTasks.stop()
    }

    /// What befell messages, in Prometheus's text format.
    public var metricLines: String {
        """
        # HELP martlet_sqs_unreadable_messages_total Messages that could not be read and were set aside.
        # TYPE martlet_sqs_unreadable_messages_total counter
        martlet_sqs_unreadable_messages_total \(desk.mailbox.unreadable.count)

        """
    }
}
