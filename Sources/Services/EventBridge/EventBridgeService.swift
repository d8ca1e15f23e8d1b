public import Contracts
public import Logging
public import Platform
public import Storage
import Synchronization
import Wire

/// Amazon EventBridge: buses, rules with patterns and schedules, and what they send to targets.
public final class EventBridgeService: Sendable {
    public let definition: ServiceDefinition
    public static var migrations: Migrations { eventBridgeMigrations }

    let access: Access
    let fanOut: FanOut
    let database: any Database
    let outbox: any DeliveryOutbox
    let waitingCalls = Mutex(WaitingCalls())
    let logger: Logger
    private let schedules: RuleSchedules

    public init(
        database: any Database, outbox: any DeliveryOutbox, authorizer: any Authorizer, time: any TimeSource,
        logger: Logger
    ) throws {
        self.database = database
        self.outbox = outbox
        self.logger = logger
        access = Access(authorizer: authorizer)
        fanOut = FanOut(database: database, outbox: outbox, time: time, logger: logger)
        schedules = RuleSchedules(database: database, fanOut: fanOut, time: time, logger: logger)
        let buses = BusOperations(database: database, access: access)
        let permissions = PermissionOperations(database: database, access: access)
        let rules = RuleOperations(
            database: database, access: access, schedules: schedules, interest: fanOut.interest)
        let targets = TargetOperations(database: database, access: access, interest: fanOut.interest)
        let events = EventOperations(database: database, access: access, fanOut: fanOut)
        let tags = TagOperations(database: database, access: access)
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: EventBridgeSchema.text),
            operations: [
                "CreateEventBus": .asynchronous(buses.create),
                "DeleteEventBus": .asynchronous(buses.delete),
                "DescribeEventBus": .asynchronous(buses.describe),
                "ListEventBuses": .asynchronous(buses.list),
                "UpdateEventBus": .asynchronous(buses.update),
                "PutPermission": .asynchronous(permissions.put),
                "RemovePermission": .asynchronous(permissions.remove),
                "PutRule": .asynchronous(rules.put),
                "DeleteRule": .asynchronous(rules.delete),
                "DescribeRule": .asynchronous(rules.describe),
                "ListRules": .asynchronous(rules.list),
                "EnableRule": .asynchronous(rules.enable),
                "DisableRule": .asynchronous(rules.disable),
                "ListRuleNamesByTarget": .asynchronous(rules.namesByTarget),
                "PutTargets": .asynchronous(targets.put),
                "RemoveTargets": .asynchronous(targets.remove),
                "ListTargetsByRule": .asynchronous(targets.list),
                "PutEvents": .asynchronous(events.put),
                "TestEventPattern": .asynchronous(events.test),
                "TagResource": .asynchronous(tags.tag),
                "UntagResource": .asynchronous(tags.untag),
                "ListTagsForResource": .asynchronous(tags.list),
            ],
            bodyLimit: 8 << 20)
    }

    /// Goes on with what an earlier process left, and fires schedules from now on.
    public func start() async throws {
        try await fanOut.start()
        try await schedules.start()
    }

    /// Fires and sends nothing more.
    public func stop() {
        schedules.stop()
        fanOut.stop()
    }
}
