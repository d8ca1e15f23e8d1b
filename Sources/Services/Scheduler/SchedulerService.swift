public import Contracts
public import Logging
public import Platform
public import Storage
import Wire

/// EventBridge Scheduler: schedules in groups, and what they call.
public final class SchedulerService: Sendable {
    public let definition: ServiceDefinition
    public static var migrations: Migrations { schedulerMigrations }

    private let firing: Firing
    private let groups: GroupOperations

    public init(
        database: any Database, outbox: any DeliveryOutbox, authorizer: any Authorizer, time: any TimeSource,
        logger: Logger
    ) throws {
        firing = Firing(database: database, outbox: outbox, zones: ZoneFiles(), time: time, logger: logger)
        let access = Access(authorizer: authorizer)
        let groups = GroupOperations(database: database, access: access)
        self.groups = groups
        let schedules = ScheduleOperations(database: database, access: access, firing: firing)
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: SchedulerSchema.text),
            operations: [
                "CreateSchedule": .asynchronous(schedules.create),
                "UpdateSchedule": .asynchronous(schedules.update),
                "GetSchedule": .asynchronous(schedules.get),
                "DeleteSchedule": .asynchronous(schedules.delete),
                "ListSchedules": .asynchronous(schedules.list),
                "CreateScheduleGroup": .asynchronous(groups.create),
                "GetScheduleGroup": .asynchronous(groups.get),
                "DeleteScheduleGroup": .asynchronous(groups.delete),
                "ListScheduleGroups": .asynchronous(groups.list),
                "TagResource": .asynchronous(groups.tag),
                "UntagResource": .asynchronous(groups.untag),
                "ListTagsForResource": .asynchronous(groups.tags),
            ],
            bodyLimit: 1 << 20)
    }

    /// Fires what is due from now on, and what an earlier process left.
    public func start() async throws {
        try await groups.resume()
        try await firing.start()
    }

    /// Fires nothing more.
    public func stop() { firing.stop() }
}
