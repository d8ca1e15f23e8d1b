import Contracts
import Platform
import Storage
import Wire

struct GroupOperations: Sendable {
    let database: any Database
    let sweeper: Sweeper

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateLogGroupRequest(request.input)
        let (name, scope, now) = (input.logGroupName ?? "", request.context.scope, request.context.now)
        let tags = Fields((input.tags ?? []).map { ($0.key, .string($0.value)) })
        guard tags.count <= Limits.tags else { throw Self.tooManyTags }
        let (logClass, key) = (input.logGroupClass ?? "STANDARD", input.kmsKeyId)
        try await database.write { transaction in
            guard try GroupRow.find(name, scope, in: transaction) == nil else {
                throw AWSError("ResourceAlreadyExistsException", "The specified log group already exists")
            }
            try GroupRow.insert(
                name, scope, created: now.milliseconds, logClass: logClass, tags: tags, kmsKey: key, in: transaction)
        }
        return OperationResponse()
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let name = Model.DeleteLogGroupRequest(request.input).logGroupName ?? ""
        let scope = request.context.scope
        try await database.write { transaction in
            try Removal.hide(try GroupRow.require(name, scope, in: transaction), in: transaction)
        }
        sweeper.removeDeletedSoon()
        return OperationResponse()
    }

    func describe(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DescribeLogGroupsRequest(request.input)
        guard input.logGroupNamePrefix == nil || input.logGroupNamePattern == nil else {
            throw LogsError.invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        }
        let scope = request.context.scope
        let limit = min(input.limit ?? Limits.describePage, Limits.describePage)
        let after = try PageToken.read(input.nextToken)
        let (prefix, pattern) = (input.logGroupNamePrefix ?? "", input.logGroupNamePattern ?? "")
        let names = try (input.logGroupIdentifiers ?? []).map { identifier in
            try LogsError.groupName(ofIdentifier: identifier, request.context)
        }
        let logClass = input.logGroupClass ?? ""
        let rows: [GroupRow]
        if names.isEmpty {
            rows = try await database.read { transaction in
                try transaction.query(
                    """
                    SELECT \(GroupRow.columns) FROM logs_group WHERE account = ? AND region = ? AND name > ?
                    AND name >= ? AND substr(name, 1, length(?)) = ? AND (? = '' OR instr(name, ?) > 0)
                    AND (? = '' OR class = ?) ORDER BY name LIMIT ?
                    """,
                    [
                        .text(scope.account), .text(scope.region), .text(after ?? ""), .text(prefix), .text(prefix),
                        .text(prefix), .text(pattern), .text(pattern), .text(logClass), .text(logClass),
                        .int(Int64(limit + 1)),
                    ], GroupRow.init)
            }
        } else {
            rows = try await database.read { transaction in
                try names.prefix(limit).compactMap { try GroupRow.find($0, scope, in: transaction) }
            }
        }
        var output = Model.DescribeLogGroupsResponse()
        // "If you specify logGroupNamePattern in your request, then only arn, creationTime, and logGroupName are included."
        output.logGroups = rows.prefix(limit).map { Self.shape($0, isShort: !pattern.isEmpty) }
        output.nextToken = rows.count > limit ? PageToken.encode(rows[limit - 1].name) : nil
        return OperationResponse(output.value)
    }

    func putRetention(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutRetentionPolicyRequest(request.input)
        let days = input.retentionInDays ?? 0
        guard Limits.retentionDays.contains(days) else {
            throw LogsError.invalid(
                "1 validation error detected: Value '\(days)' at 'retentionInDays' failed to satisfy constraint: "
                    + "Member must satisfy enum value set: ["
                    + Limits.retentionDays.sorted().map(String.init).joined(separator: ", ") + "]")
        }
        try await setRetention(input.logGroupName, Int64(days), request.context)
        return OperationResponse()
    }

    func deleteRetention(_ request: OperationRequest) async throws -> OperationResponse {
        try await setRetention(
            Model.DeleteRetentionPolicyRequest(request.input).logGroupName, nil, request.context)
        return OperationResponse()
    }

    private func setRetention(_ name: String?, _ days: Int64?, _ context: OperationContext) async throws {
        let (name, scope) = (name ?? "", context.scope)
        try await database.write { transaction in
            let group = try GroupRow.require(name, scope, in: transaction)
            try transaction.execute(
                "UPDATE logs_group SET retention = ? WHERE id = ?", [.optional(days), .int(group.id)])
        }
    }

    // MARK: Tags

    func tagResource(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagResourceRequest(request.input)
        let name = try LogsError.groupName(ofIdentifier: input.resourceArn ?? "", request.context)
        try await tag(name, input.tags ?? [], request.context)
        return OperationResponse()
    }

    func untagResource(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagResourceRequest(request.input)
        let name = try LogsError.groupName(ofIdentifier: input.resourceArn ?? "", request.context)
        try await untag(name, input.tagKeys ?? [], request.context)
        return OperationResponse()
    }

    func listTagsForResource(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListTagsForResourceRequest(request.input)
        var output = Model.ListTagsForResourceResponse()
        let name = try LogsError.groupName(ofIdentifier: input.resourceArn ?? "", request.context)
        output.tags = try await tags(of: name, request.context)
        return OperationResponse(output.value)
    }

    func tagLogGroup(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagLogGroupRequest(request.input)
        try await tag(input.logGroupName ?? "", input.tags ?? [], request.context)
        return OperationResponse()
    }

    func untagLogGroup(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagLogGroupRequest(request.input)
        try await untag(input.logGroupName ?? "", input.tags ?? [], request.context)
        return OperationResponse()
    }

    func listTagsLogGroup(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListTagsLogGroupRequest(request.input)
        var output = Model.ListTagsLogGroupResponse()
        output.tags = try await tags(of: input.logGroupName ?? "", request.context)
        return OperationResponse(output.value)
    }

    private static let tooManyTags = AWSError(
        "TooManyTagsException", "A resource can have no more than \(Limits.tags) tags.")

    private func tag(_ name: String, _ tags: [(key: String, value: String)], _ context: OperationContext) async throws {
        try await changeTags(name, context) { all in
            for (key, value) in tags { all[key] = .string(value) }
            guard all.count <= Limits.tags else { throw Self.tooManyTags }
        }
    }

    private func untag(_ name: String, _ keys: [String], _ context: OperationContext) async throws {
        try await changeTags(name, context) { all in
            for key in keys { all[key] = nil }
        }
    }

    private func changeTags(
        _ name: String, _ context: OperationContext, _ body: @escaping @Sendable (inout Fields) throws -> Void
    ) async throws {
        let scope = context.scope
        try await database.write { transaction in
            var group = try GroupRow.require(name, scope, in: transaction)
            try body(&group.tags)
            try transaction.execute(
                "UPDATE logs_group SET tags = ? WHERE id = ?", [.blob(JSON.encode(.map(group.tags))), .int(group.id)])
        }
    }

    private func tags(of name: String, _ context: OperationContext) async throws -> [(key: String, value: String)] {
        let scope = context.scope
        let group = try await database.read { try GroupRow.require(name, scope, in: $0) }
        return group.tags.entries.map { ($0.name, $0.value.string ?? "") }
    }

    private static func shape(_ row: GroupRow, isShort: Bool) -> Model.LogGroup {
        var group = Model.LogGroup()
        group.logGroupName = row.name
        group.creationTime = Int(row.created)
        group.arn = row.arn + ":*"
        if isShort { return group }
        group.retentionInDays = row.retention.map { Int($0) }
        group.metricFilterCount = Int(row.metricFilters)
        group.storedBytes = Int(row.bytes)
        group.kmsKeyId = row.kmsKey
        group.logGroupClass = row.logClass
        group.logGroupArn = row.arn
        return group
    }
}

extension PageToken {
    /// The key in a request's token; nil without one.
    static func read(_ token: String?) throws(AWSError) -> String? {
        guard let token else { return nil }
        guard let key = decodeText(token) else { throw LogsError.badToken }
        return key
    }
}
