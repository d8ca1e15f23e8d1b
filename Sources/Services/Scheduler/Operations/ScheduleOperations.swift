import Contracts
import Platform
import Schedules
import Storage
import Wire

struct ScheduleOperations: Sendable {
    let database: any Database
    let access: Access
    let firing: Firing

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateScheduleInput(request.input)
        let context = request.context
        let (made, plan) = try schedule(input, now: context.now, context.scope)
        let token = input.clientToken
        let arn = made.key.arn
        try await database.write { [access, firing] transaction in
            try access.check(context, "CreateSchedule", arn, in: transaction)
            try access.checkPassing(input.target?.roleArn, request, group: made.key.group, in: transaction)
            try Self.requireActive(made.key.group, now: context.now, in: transaction)
            if let old = try ScheduleTable.get(made.key, in: transaction) {
                // The same call, sent again.
                if let token, old.text("ClientToken") == token { return }
                throw AWSError.conflict("Schedule \(made.key.name) already exists.")
            }
            var schedule = made
            schedule.document["ClientToken"] = token.map { .string($0) }
            schedule.set("Created", context.now)
            schedule.set("Anchor", context.now)
            if schedule.isEnabled {
                schedule.occurrence = plan.first(now: context.now)
                schedule.due = schedule.occurrence.map { plan.due(for: $0) }
            }
            try ScheduleTable.put(schedule, in: transaction)
            firing.changed(schedule.due, in: transaction)
        }
        var output = Model.CreateScheduleOutput()
        output.scheduleArn = arn
        return OperationResponse(output.value)
    }

    /// Replaces everything. Where the times stay as they were, so does the next of them: nothing fires again.
    func update(_ request: OperationRequest) async throws -> OperationResponse {
        // Of the same members as a new schedule.
        let input = Model.CreateScheduleInput(request.input)
        let context = request.context
        let (made, plan) = try schedule(input, now: context.now, context.scope)
        let arn = made.key.arn
        try await database.write { [access, firing] transaction in
            try access.check(context, "UpdateSchedule", arn, in: transaction)
            try access.checkPassing(input.target?.roleArn, request, group: made.key.group, in: transaction)
            try Self.requireActive(made.key.group, now: context.now, in: transaction)
            let old = try ScheduleTable.require(made.key, in: transaction)
            var schedule = made
            schedule.document["ClientToken"] = old.document["ClientToken"]
            schedule.set("Created", old.time("Created"))
            if schedule.hasTimes(of: old) {
                schedule.set("Anchor", old.time("Anchor"))
                schedule.occurrence = old.occurrence
            } else {
                schedule.set("Anchor", context.now)
                if schedule.isEnabled {
                    schedule.occurrence =
                        old.text("ScheduleExpression") == schedule.text("ScheduleExpression")
                        ? plan.occurrence(after: context.now) : plan.first(now: context.now)
                }
            }
            schedule.due = schedule.occurrence.map { plan.due(for: $0) }
            try ScheduleTable.put(schedule, in: transaction)
            firing.changed(schedule.due, in: transaction)
        }
        var output = Model.UpdateScheduleOutput()
        output.scheduleArn = arn
        return OperationResponse(output.value)
    }

    private static func requireActive(_ key: GroupKey, now: Instant, in transaction: any WriteTransaction) throws {
        guard try !GroupTable.begin(key, now: now, in: transaction).isDeleting else {
            throw AWSError.conflict("Schedule group \(key.name) is being deleted.")
        }
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetScheduleInput(request.input)
        let context = request.context
        let key = ScheduleKey(group: GroupKey(scope: context.scope, name: input.groupName), name: input.name ?? "")
        let schedule = try await database.read { [access] transaction in
            try access.check(context, "GetSchedule", key.arn, in: transaction)
            _ = try GroupTable.require(key.group, in: transaction)
            return try ScheduleTable.require(key, in: transaction)
        }
        var output = Model.GetScheduleOutput(.map(schedule.document.only(ScheduleOperations.settings)))
        output.arn = key.arn
        output.name = key.name
        output.groupName = key.group.name
        output.startDate = schedule.time("StartDate")
        output.endDate = schedule.time("EndDate")
        output.creationDate = schedule.time("Created")
        output.lastModificationDate = schedule.time("Modified")
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteScheduleInput(request.input)
        let context = request.context
        let key = ScheduleKey(group: GroupKey(scope: context.scope, name: input.groupName), name: input.name ?? "")
        try await database.write { [access] transaction in
            try access.check(context, "DeleteSchedule", key.arn, in: transaction)
            _ = try GroupTable.require(key.group, in: transaction)
            guard try ScheduleTable.delete(key, in: transaction) else { throw AWSError.noSchedule(key.name) }
        }
        return OperationResponse()
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListSchedulesInput(request.input)
        let context = request.context
        let limit = input.maxResults ?? Limits.page
        let place = try Self.place(input.nextToken)
        let (schedules, next) = try await database.read { [access] transaction in
            try access.check(
                context, "ListSchedules",
                "arn:aws:scheduler:\(context.scope.region):\(context.scope.account):schedule/*/*", in: transaction)
            if let name = input.groupName {
                _ = try GroupTable.require(GroupKey(scope: context.scope, name: name), in: transaction)
            }
            return try Self.page(input, context.scope, behind: place, limit: limit, in: transaction)
        }
        var output = Model.ListSchedulesOutput()
        output.schedules = schedules.map { schedule in
            var item = Model.ScheduleSummary()
            item.arn = schedule.key.arn
            item.name = schedule.key.name
            item.groupName = schedule.key.group.name
            item.state = schedule.text("State")
            item.creationDate = schedule.time("Created")
            item.lastModificationDate = schedule.time("Modified")
            var target = Model.TargetSummary()
            target.arn = schedule.target.arn
            item.target = target
            return item
        }
        output.nextToken = next
        return OperationResponse(output.value)
    }

    /// Up to `limit` schedules that fit, and the token of the next page. Looks at a bounded number, so that a page may be short.
    private static func page(
        _ input: Model.ListSchedulesInput, _ scope: AccountRegion, behind place: (group: String, name: String),
        limit: Int, in transaction: any ReadTransaction
    ) throws -> (schedules: [Schedule], next: String?) {
        let looked = limit * 10 + 1
        let prefix = input.namePrefix ?? ""
        let rows =
            if let name = input.groupName {
                try ScheduleTable.list(
                    of: GroupKey(scope: scope, name: name), after: place.name, prefix: prefix, limit: looked,
                    in: transaction)
            } else {
                try ScheduleTable.list(scope, after: place, prefix: prefix, limit: looked, in: transaction)
            }
        var found: [Schedule] = []
        for (index, row) in rows.enumerated() {
            if input.state == nil || row.text("State") == input.state { found.append(row) }
            let isLast = index == rows.count - 1
            if found.count == limit && !isLast || isLast && rows.count == looked {
                return (found, PageToken.encode("\(row.key.group.name)/\(row.key.name)"))
            }
        }
        return (found, nil)
    }

    private static func place(_ token: String?) throws(AWSError) -> (group: String, name: String) {
        guard let token else { return ("", "") }
        let parts = PageToken.decodeText(token)?.split(separator: "/", omittingEmptySubsequences: false) ?? []
        guard parts.count == 2 else { throw .validation("Invalid NextToken") }
        return (String(parts[0]), String(parts[1]))
    }

    // MARK: What a client sends

    static let settings = [
        "ScheduleExpression", "ScheduleExpressionTimezone", "Description", "State", "KmsKeyArn", "Target",
        "FlexibleTimeWindow", "ActionAfterCompletion",
    ]

    /// Throws ValidationException.
    private func schedule(
        _ input: Model.CreateScheduleInput, now: Instant, _ scope: AccountRegion
    ) throws(AWSError) -> (Schedule, SchedulePlan) {
        let key = ScheduleKey(group: GroupKey(scope: scope, name: input.groupName), name: input.name ?? "")
        var schedule = Schedule(key: key, document: [:])
        for name in Self.settings { if let value = input.value[name] { schedule.document.append(name, value) } }
        for (name, value) in [
            ("ScheduleExpressionTimezone", "UTC"), ("State", "ENABLED"), ("ActionAfterCompletion", "NONE"),
        ] where schedule.document[name] == nil {
            schedule.document.append(name, .string(value))
        }
        var target = input.target ?? Model.Target([:])
        try TargetRules.check(target, account: scope.account)
        var retry = target.retryPolicy ?? Model.RetryPolicy([:])
        retry.maximumEventAgeInSeconds = retry.maximumEventAgeInSeconds ?? 86_400
        retry.maximumRetryAttempts = retry.maximumRetryAttempts ?? Limits.retries
        target.retryPolicy = retry
        schedule.document["Target"] = target.value
        schedule.set("StartDate", input.startDate)
        schedule.set("EndDate", input.endDate)
        schedule.set("Modified", now)
        schedule.set("Anchor", now)
        try Self.check(input.flexibleTimeWindow)
        let expression = input.scheduleExpression ?? ""
        guard let plan = schedule.plan(zone: try firing.zones.zone(schedule.zoneName)) else {
            throw .validation("Invalid Schedule Expression \(expression).")
        }
        if plan.expression.isRecurring {
            if let start = input.startDate, start < now - Limits.startDateAge {
                throw .validation("The StartDate you specify cannot be earlier than 5 minutes ago.")
            }
            if let end = input.endDate, end <= max(input.startDate ?? now, now) {
                throw .validation(
                    input.startDate == nil || end <= now
                        ? "The EndDate you specify must be in the future."
                        : "The EndDate you specify must come after the StartDate.")
            }
        }
        return (schedule, plan)
    }

    private static func check(_ window: Model.FlexibleTimeWindow?) throws(AWSError) {
        switch (window?.mode, window?.maximumWindowInMinutes) {
        case ("FLEXIBLE", nil):
            throw .validation("A MaximumWindowInMinutes must be supplied when Mode is FLEXIBLE.")
        case ("OFF", .some):
            throw .validation("A MaximumWindowInMinutes cannot be supplied when Mode is OFF.")
        default: break
        }
    }
}

extension Fields {
    func only(_ names: [String]) -> Fields {
        var fields = Fields()
        for entry in entries where names.contains(entry.name) { fields.append(entry.name, entry.value) }
        return fields
    }
}
