import Contracts
import Platform
import Storage
import Wire

struct GroupOperations: Sendable {
    let database: any Database
    let access: Access

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateScheduleGroupInput(request.input)
        let context = request.context
        let key = GroupKey(scope: context.scope, name: input.name)
        let (tags, token) = (try Self.tags(input.tags ?? []), input.clientToken)
        try await database.write { [access] transaction in
            try access.check(request, "CreateScheduleGroup", key.arn, in: transaction)
            if let old = try GroupTable.get(key, in: transaction) {
                if let token, old.document["ClientToken"]?.string == token { return }
                throw AWSError.conflict("Schedule group \(key.name) already exists.")
            }
            guard try GroupTable.count(context.scope, in: transaction) < Limits.groups else {
                throw AWSError(
                    "ServiceQuotaExceededException", status: 402,
                    "The request exceeds the quota of \(Limits.groups) schedule groups.")
            }
            var group = Group(key: key, document: [:])
            group.tags = tags
            group.document["ClientToken"] = token.map { .string($0) }
            group.document["Created"] = .int(context.now.nanoseconds)
            group.document["Modified"] = .int(context.now.nanoseconds)
            try GroupTable.put(group, in: transaction)
        }
        var output = Model.CreateScheduleGroupOutput()
        output.scheduleGroupArn = key.arn
        return OperationResponse(output.value)
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let key = GroupKey(scope: context.scope, name: Model.GetScheduleGroupInput(request.input).name)
        let group = try await database.read { [access] transaction in
            try access.check(context, "GetScheduleGroup", key.arn, in: transaction)
            return try GroupTable.require(key, in: transaction)
        }
        return OperationResponse(Self.shown(await begun(group, now: context.now)).value)
    }

    /// With the dates of the default group, which it may not have yet. Who only looks gets it without them when nothing can be
    /// written.
    private func begun(_ group: Group, now: Instant) async -> Group {
        guard group.created == nil, group.key.name == GroupKey.defaultName else { return group }
        return (try? await database.write { try GroupTable.begin(group.key, now: now, in: $0) }) ?? group
    }

    /// Deletes the group and its schedules, which fire no more from now on.
    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let key = GroupKey(scope: context.scope, name: Model.DeleteScheduleGroupInput(request.input).name)
        guard key.name != GroupKey.defaultName else {
            throw AWSError.validation("The default schedule group cannot be deleted.")
        }
        try await database.write { [access] transaction in
            try access.check(context, "DeleteScheduleGroup", key.arn, in: transaction)
            var group = try GroupTable.require(key, in: transaction)
            group.isDeleting = true
            try GroupTable.put(group, in: transaction)
        }
        while try await removeStep(key) {}
        return OperationResponse()
    }

    /// Goes on with groups that an earlier process was deleting.
    func resume() async throws {
        while let key = try await database.read({ try GroupTable.deleting(in: $0) }) {
            while try await removeStep(key) {}
        }
    }

    /// Whether there is more to remove.
    private func removeStep(_ key: GroupKey) async throws -> Bool {
        try await database.write { transaction in
            // Two calls may remove one group: what was made by its name afterwards is another.
            guard try GroupTable.get(key, in: transaction)?.isDeleting == true else { return false }
            let limit = Limits.removalsPerTransaction
            if try ScheduleTable.delete(of: key, limit: limit, in: transaction) == limit { return true }
            try GroupTable.delete(key, in: transaction)
            return false
        }
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListScheduleGroupsInput(request.input)
        let context = request.context
        let limit = input.maxResults ?? Limits.page
        var after = ""
        if let token = input.nextToken {
            guard let place = PageToken.decodeText(token) else { throw AWSError.validation("Invalid NextToken") }
            after = place
        }
        let prefix = input.namePrefix ?? ""
        var groups = try await database.read { [access, after] transaction in
            try access.check(
                context, "ListScheduleGroups",
                "arn:aws:scheduler:\(context.scope.region):\(context.scope.account):schedule-group/*", in: transaction)
            var groups = try GroupTable.list(
                context.scope, prefix: prefix, after: after, limit: limit + 1, in: transaction)
            let standard = GroupKey(scope: context.scope, name: nil)
            if standard.name.hasPrefix(prefix), standard.name > after, !groups.contains(where: { $0.key == standard }) {
                groups.append(try GroupTable.require(standard, in: transaction))
                groups.sort { $0.key.name < $1.key.name }
            }
            return groups
        }
        for index in groups.indices { groups[index] = await begun(groups[index], now: context.now) }
        var output = Model.ListScheduleGroupsOutput()
        output.scheduleGroups = groups.prefix(limit).map { Model.ScheduleGroupSummary(Self.shown($0).value) }
        if groups.count > limit { output.nextToken = PageToken.encode(groups[limit - 1].key.name) }
        return OperationResponse(output.value)
    }

    private static func shown(_ group: Group) -> Model.GetScheduleGroupOutput {
        var output = Model.GetScheduleGroupOutput()
        output.arn = group.key.arn
        output.name = group.key.name
        output.state = group.state
        output.creationDate = group.created
        output.lastModificationDate = group.modified
        return output
    }

    // MARK: Tags

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagResourceInput(request.input)
        let added = try Self.tags(input.tags ?? [])
        try await change(input.resourceArn, "TagResource", request) { tags in
            for entry in added.entries { tags[entry.name] = entry.value }
            guard tags.count <= Limits.tags else { throw Self.tooManyTags }
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagResourceInput(request.input)
        let names = input.tagKeys ?? []
        try await change(input.resourceArn, "UntagResource", request) { tags in
            for name in names { tags[name] = nil }
        }
        return OperationResponse()
    }

    private func change(
        _ arn: String?, _ action: String, _ request: OperationRequest,
        _ body: @escaping @Sendable (inout Fields) throws -> Void
    ) async throws {
        let key = try Self.group(arn)
        try await database.write { [access] transaction in
            try access.check(request, action, key.arn, in: transaction)
            var group = try GroupTable.require(key, in: transaction)
            var tags = group.tags
            try body(&tags)
            group.tags = tags
            try GroupTable.put(group, in: transaction)
        }
    }

    func tags(_ request: OperationRequest) async throws -> OperationResponse {
        let key = try Self.group(Model.ListTagsForResourceInput(request.input).resourceArn)
        let context = request.context
        let tags = try await database.read { [access] transaction in
            try access.check(context, "ListTagsForResource", key.arn, in: transaction)
            return try GroupTable.require(key, in: transaction).tags
        }
        var output = Model.ListTagsForResourceOutput()
        output.tags = tags.entries.map { entry in
            var tag = Model.Tag()
            tag.key = entry.name
            tag.value_ = entry.value.string
            return tag
        }
        return OperationResponse(output.value)
    }

    private static func group(_ arn: String?) throws(AWSError) -> GroupKey {
        guard let key = arn.flatMap({ GroupKey(arn: $0) }) else {
            throw .validation("The resource must be the ARN of a schedule group.")
        }
        return key
    }

    private static let tooManyTags = AWSError(
        "ServiceQuotaExceededException", status: 402, "A schedule group has at most \(Limits.tags) tags.")

    private static func tags(_ tags: [Model.Tag]) throws(AWSError) -> Fields {
        var fields: Fields = [:]
        for tag in tags {
            let key = tag.key ?? ""
            guard fields[key] == nil, !key.lowercased().hasPrefix("aws:") else {
                throw .validation("Tag key \(key) is not valid: it comes twice or begins with aws:.")
            }
            fields[key] = .string(tag.value_ ?? "")
        }
        guard fields.count <= Limits.tags else { throw tooManyTags }
        return fields
    }
}
