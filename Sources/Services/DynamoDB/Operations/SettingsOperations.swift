import Contracts
import Platform
import Storage
import Wire

/// What is set of a table beside its definition: time to live, tags, the resource policy; and what tools ask before.
struct SettingsOperations: Sendable {
    let desk: Desk

    // MARK: Time to live

    func updateTimeToLive(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateTimeToLiveInput(request.input)
        guard let specification = input.timeToLiveSpecification, let name = specification.attributeName,
            let enabled = specification.enabled
        else { throw AWSError.validation("TimeToLiveSpecification must be given") }
        try await desk.change(request, "UpdateTimeToLive") { table, _, transaction in
            switch (table.definition.timeToLive, enabled) {
            case (let current?, true):
                throw AWSError.validation(
                    current.attribute == name
                        ? "TimeToLive is already enabled"
                        : "TimeToLive is active on a different AttributeName: current AttributeName is "
                            + current.attribute)
            case (nil, false): throw AWSError.validation("TimeToLive is already disabled")
            case (nil, true):
                table.definition.timeToLive = TimeToLive(attribute: name, isReady: false)
                try desk.jobs.add(.findExpiries, table: table.id, target: table.id, in: transaction)
            case (let current?, false):
                guard current.attribute == name else {
                    throw AWSError.validation(
                        "TimeToLive is active on a different AttributeName: current AttributeName is "
                            + current.attribute)
                }
                // The sweep passes over items of tables without it.
                table.definition.timeToLive = nil
            }
        }
        return Answer.of([
            "TimeToLiveSpecification": ["Enabled": .bool(enabled), "AttributeName": .string(name)]
        ])
    }

    func describeTimeToLive(_ request: OperationRequest) async throws -> OperationResponse {
        let name = try TableAddress(request.input["TableName"]?.string, request.context.scope).name
        let timeToLive = try await desk.read(request, "DescribeTimeToLive", otherwise: .noTable(name)) { table, _ in
            table.definition.timeToLive
        }
        var description: Fields = ["TimeToLiveStatus": "DISABLED"]
        if let timeToLive {
            description["TimeToLiveStatus"] = timeToLive.isReady ? "ENABLED" : "ENABLING"
            description["AttributeName"] = .string(timeToLive.attribute)
        }
        return Answer.of(["TimeToLiveDescription": .map(description)])
    }

    // MARK: Tags

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagResourceInput(request.input)
        let address = try Self.resource(input.resourceArn)
        try await desk.database.write { transaction in
            let table = try desk.table(
                address, request, "TagResource", otherwise: Self.noResource(input.resourceArn),
                in: transaction)
            let tags = try Tags.added(input.tags ?? [], to: TableStore.tags(table.id, in: transaction))
            try TableStore.setTags(table.id, tags, in: transaction)
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagResourceInput(request.input)
        let address = try Self.resource(input.resourceArn)
        try await desk.database.write { transaction in
            let table = try desk.table(
                address, request, "UntagResource", otherwise: Self.noResource(input.resourceArn),
                in: transaction)
            var tags = try TableStore.tags(table.id, in: transaction)
            for key in input.tagKeys ?? [] { tags[key] = nil }
            try TableStore.setTags(table.id, tags, in: transaction)
        }
        return OperationResponse()
    }

    func tags(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListTagsOfResourceInput(request.input)
        let context = request.context
        let address = try Self.resource(input.resourceArn)
        let after = try input.nextToken.map { token throws(AWSError) in
            guard let key = PageToken.decodeText(token) else { throw .validation("Invalid NextToken") }
            return key
        }
        let tags = try await desk.database.read { transaction in
            let table = try desk.table(
                address, context, "ListTagsOfResource", otherwise: Self.noResource(input.resourceArn),
                in: transaction)
            return try TableStore.tags(table.id, in: transaction)
        }
        let rest = tags.entries.sorted { ByteOrder.less($0.name, $1.name) }
            .filter { tag in after.map { ByteOrder.less($0, tag.name) } ?? true }
        let page = rest.prefix(Limits.tagsPage)
        var output: Fields = ["Tags": .list(page.map { ["Key": .string($0.name), "Value": $0.value] })]
        if rest.count > page.count { output["NextToken"] = page.last.map { .string(PageToken.encode($0.name)) } }
        return Answer.of(.map(output))
    }

    private static func resource(_ arn: String?) throws(AWSError) -> TableAddress {
        guard let arn, arn.hasPrefix("arn:"), let parsed = ARN(arn), parsed.service == "dynamodb",
            parsed.resource.hasPrefix("table/"), !parsed.resource.dropFirst("table/".count).contains("/")
        else { throw .validation("Invalid TableArn: \(arn?.prefix(256) ?? "")") }
        return try TableAddress(arn, AccountRegion(account: parsed.account, region: parsed.region))
    }

    private static func noResource(_ arn: String?) -> AWSError {
        AWSError("ResourceNotFoundException", "Requested resource not found: ResourcArn: \(arn ?? "") not found")
    }

    // MARK: Resource policies

    func putPolicy(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutResourcePolicyInput(request.input)
        let address = try Self.resource(input.resourceArn)
        let policy = try TablePolicy(input.policy ?? "")
        let revision = try await desk.change(address, request, "PutResourcePolicy") { table, _, _ in
            try Self.expect(input.expectedRevisionId, table)
            if table.definition.policy?.text == policy.text, let revision = table.definition.policyRevision {
                return revision
            }
            let revision = String(Identifier.uuid().filter { $0 != "-" })
            table.definition.policy = policy
            table.definition.policyRevision = revision
            return revision
        }
        return Answer.of(["RevisionId": .string(revision)])
    }

    func policy(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetResourcePolicyInput(request.input)
        let context = request.context
        let address = try Self.resource(input.resourceArn)
        let table = try await desk.database.read { transaction in
            try desk.table(
                address, context, "GetResourcePolicy", otherwise: .noTable(address.name), in: transaction)
        }
        guard let policy = table.definition.policy else { throw Self.noPolicy(table) }
        return Answer.of([
            "Policy": .string(policy.text), "RevisionId": .string(table.definition.policyRevision ?? ""),
        ])
    }

    func deletePolicy(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteResourcePolicyInput(request.input)
        let address = try Self.resource(input.resourceArn)
        let revision = try await desk.change(address, request, "DeleteResourcePolicy") {
            table, _, _ in
            try Self.expect(input.expectedRevisionId, table)
            defer {
                table.definition.policy = nil
                table.definition.policyRevision = nil
            }
            return table.definition.policyRevision
        }
        var output = Fields()
        output["RevisionId"] = revision.map { .string($0) }
        return Answer.of(.map(output))
    }

    private static func expect(_ revision: String?, _ table: Table) throws(AWSError) {
        guard let revision else { return }
        let current = table.definition.policyRevision
        guard revision == current || (revision == "NO_POLICY" && current == nil) else { throw noPolicy(table) }
    }

    private static func noPolicy(_ table: Table) -> AWSError {
        AWSError(
            "PolicyNotFoundException", "Resource-based policy not found for the provided ResourceArn: \(table.arn)")
    }

    // MARK: What tools ask for

    func limits(_ request: OperationRequest) async throws -> OperationResponse {
        let account = request.context.scope.account
        try await desk.database.read { [desk] transaction in
            try desk.access.check(request, "DescribeLimits", resource: "*", account: account, in: transaction)
        }
        return Answer.of([
            "AccountMaxReadCapacityUnits": .int(Limits.accountUnits),
            "AccountMaxWriteCapacityUnits": .int(Limits.accountUnits),
            "TableMaxReadCapacityUnits": .int(Limits.tableUnits),
            "TableMaxWriteCapacityUnits": .int(Limits.tableUnits),
        ])
    }

    /// The address that the caller used: clients that discover endpoints must come back here.
    func endpoints(_ request: OperationRequest) async throws -> OperationResponse {
        let endpoint = request.context.endpoint
        let address = endpoint.split(separator: "/", omittingEmptySubsequences: true).last.map(String.init) ?? endpoint
        return Answer.of(["Endpoints": [["Address": .string(address), "CachePeriodInMinutes": .int(1440)]]])
    }

    func continuousBackups(_ request: OperationRequest) async throws -> OperationResponse {
        let name = try TableAddress(request.input["TableName"]?.string, request.context.scope).name
        try await desk.read(request, "DescribeContinuousBackups", otherwise: Self.noBackupTable(name)) { _, _ in }
        return Answer.of(["ContinuousBackupsDescription": Self.backups])
    }

    /// Martlet keeps no backups, and says so.
    func updateContinuousBackups(_ request: OperationRequest) async throws -> OperationResponse {
        let name = try TableAddress(request.input["TableName"]?.string, request.context.scope).name
        try await desk.read(request, "UpdateContinuousBackups", otherwise: Self.noBackupTable(name)) { _, _ in }
        guard
            request.input["PointInTimeRecoverySpecification"]?["PointInTimeRecoveryEnabled"]?.bool == false
        else {
            throw AWSError(
                "ContinuousBackupsUnavailableException",
                "Backups are not available: Martlet keeps no backups of tables. Back up its data directory instead.")
        }
        return Answer.of(["ContinuousBackupsDescription": Self.backups])
    }

    private static let backups: Value = [
        "ContinuousBackupsStatus": "DISABLED",
        "PointInTimeRecoveryDescription": ["PointInTimeRecoveryStatus": "DISABLED"],
    ]

    private static func noBackupTable(_ name: String) -> AWSError {
        AWSError("TableNotFoundException", "Table not found: \(name)")
    }
}

enum Tags {
    /// Throws ValidationException.
    static func added(_ given: [Model.Tag], to tags: Fields) throws(AWSError) -> Fields {
        var tags = tags
        for tag in given {
            let key = tag.key ?? ""
            let value = tag.value_ ?? ""
            guard !key.isEmpty, key.count <= Limits.tagKeyCharacters, value.count <= Limits.tagValueCharacters else {
                throw .invalidParameterValues("Tag keys have 1 to 128 characters and values up to 256")
            }
            guard !key.lowercased().hasPrefix("aws:") else {
                throw .validation("One or more parameter values were invalid: Tag keys must not begin with aws:")
            }
            tags[key] = .string(value)
        }
        guard tags.count <= Limits.tags else {
            throw .validation("Too many tags: a table can have \(Limits.tags)")
        }
        return tags
    }
}
