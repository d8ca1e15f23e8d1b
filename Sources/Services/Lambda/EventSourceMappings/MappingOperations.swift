import Contracts
import Platform
import Storage
import Wire

extension LambdaService {
    func createEventSourceMapping(
        _ input: Model.CreateEventSourceMappingRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try FunctionTarget(input.functionName ?? "", in: context.scope)
        let kind = try SourceKind(input.eventSourceArn, isSelfManaged: input.selfManagedEventSource != nil)
        guard kind.isPolled, let source = input.eventSourceArn else { throw OtherSources.refusal(kind, input.value) }
        var record = MappingRecord(
            scope: context.scope, id: Identifier.uuid(), target: target, source: source,
            isEnabled: input.enabled ?? true, now: context.now)
        record.settings = try Self.settings(of: kind, input.value, source: source, now: context.now)
        record.tags = input.value["Tags"]?.fields ?? [:]
        try ConfigurationRules.checkTags(record.tags)
        let links = try eventSourceLinks()
        let new = record
        try await database.write { [self] transaction in
            try checkMapping(new, links, isNew: true, now: context.now, in: transaction)
            try MappingTable.put(new, in: transaction)
            transaction.afterCommit { links.runner.mappingChanged(new.mapping) }
        }
        return OperationResponse(new.output)
    }

    private static func settings(
        of kind: SourceKind, _ request: Value, source: String, now: Instant
    ) throws(AWSError) -> Fields {
        if kind == .queue {
            return try MappingSettings.merged(
                MappingSettings.defaults, with: request, isFIFO: source.hasSuffix(".fifo"))
        }
        var settings = try StreamMappingSettings.start(request, kind: kind, source: source, now: now)
        for entry in StreamMappingSettings.defaults.entries { settings[entry.name] = entry.value }
        return try StreamMappingSettings.merged(settings, with: request)
    }

    func getEventSourceMapping(
        _ input: Model.GetEventSourceMappingRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let record = try await database.read { [self] in
            try mapping(input.uuid, "GetEventSourceMapping", context, in: $0)
        }
        return OperationResponse(record.output)
    }

    func updateEventSourceMapping(
        _ input: Model.UpdateEventSourceMappingRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try input.functionName.map { try FunctionTarget($0, in: context.scope) }
        let links = try eventSourceLinks()
        let changed = try await database.write { [self] transaction in
            var record = try mapping(
                input.uuid, "UpdateEventSourceMapping", target: target, context, in: transaction)
            guard record.state.isSettled else { throw AWSError.mappingInUse("update") }
            let destination = StreamMappingSettings.onFailure(record.settings)
            record.settings =
                record.isStream
                ? try StreamMappingSettings.merged(record.settings, with: input.value)
                : try MappingSettings.merged(
                    record.settings, with: input.value, isFIFO: record.source.hasSuffix(".fifo"))
            let isElsewhere = StreamMappingSettings.onFailure(record.settings) != destination
            let before = record.target
            if let target {
                record.function = target.name
                record.qualifier = target.qualifier ?? ""
            }
            let isEnabled = input.enabled ?? record.isEnabled
            if target != nil || input.enabled == true || isElsewhere {
                try checkMapping(
                    record, links, isNew: record.target != before, now: context.now, in: transaction)
            }
            record.state = isEnabled == record.isEnabled ? .updating : isEnabled ? .enabling : .disabling
            record.isEnabled = isEnabled
            record.revise(now: context.now)
            try MappingTable.put(record, in: transaction)
            let mapping = record.mapping
            transaction.afterCommit { links.runner.mappingChanged(mapping) }
            return record
        }
        return OperationResponse(changed.output)
    }

    func deleteEventSourceMapping(
        _ input: Model.DeleteEventSourceMappingRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let links = try eventSourceLinks()
        let deleted = try await database.write { [self] transaction in
            var record = try mapping(input.uuid, "DeleteEventSourceMapping", context, in: transaction)
            // One that is being disabled waits for its last batches: it can be told to go right away.
            guard record.state.isSettled || record.state == .disabling else { throw AWSError.mappingInUse("delete") }
            record.state = .deleting
            record.isEnabled = false
            record.revise(now: context.now)
            try MappingTable.put(record, in: transaction)
            let mapping = record.mapping
            transaction.afterCommit { links.runner.mappingChanged(mapping) }
            return record
        }
        return OperationResponse(deleted.output)
    }

    func listEventSourceMappings(
        _ input: Model.ListEventSourceMappingsRequest, _ context: OperationContext
    ) async throws -> OperationResponse {
        let target = try input.functionName.map { try FunctionTarget($0, in: context.scope) }
        let limit = max(1, min(input.maxItems ?? Limits.mappingsPerPage, Limits.mappingsPerPage))
        let after = try Page.marker(input.marker)?[0] ?? ""
        let records = try await database.read {
            try MappingTable.list(
                context.scope, source: input.eventSourceArn, target: target, after: after, limit: limit + 1, in: $0)
        }
        var output: Value = ["EventSourceMappings": .list(records.prefix(limit).map(\.output))]
        if records.count > limit { output["NextMarker"] = .string(Page.token([records[limit - 1].id])) }
        return OperationResponse(output)
    }

    /// The function, the source, the destination, and that there is no other such mapping. Throws AWS's texts (reference 7.1).
    private func checkMapping(
        _ record: MappingRecord, _ links: EventSourceLinks, isNew: Bool, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        let target = record.target
        guard try FunctionTable.get(target.scope, target.name, in: transaction) != nil else {
            throw AWSError.invalidParameter("Function does not exist")
        }
        let function = try FunctionResolution.resolve(target, in: transaction).record
        if isNew, let other = try MappingTable.id(target, source: record.source, in: transaction), other != record.id {
            let pair =
                record.isStream
                ? "The event source arn (\" \(record.source) \") and function (\" \(target.name) \") provided mapping"
                : "An event source mapping with SQS arn (\" \(record.source) \") and function (\" \(target.name) \")"
            throw AWSError.conflict(
                "\(pair) already exists. Please update or delete the existing mapping with UUID \(other)")
        }
        try checkSource(record, function: function, links, now: now, in: transaction)
        try checkDestination(StreamMappingSettings.onFailure(record.settings), of: function, in: transaction)
    }
}

extension AWSError {
    static let noMapping = AWSError.notFound("The resource you requested does not exist.")

    /// AWS's text, as users of its tools quote it.
    static func mappingInUse(_ verb: String) -> AWSError {
        .lambda(
            "ResourceInUseException", status: 400,
            "Cannot \(verb) the event source mapping because it is in use.")
    }

    /// Of the tagging operations.
    static func mappingNotFound(_ arn: String) -> AWSError { .notFound("Event source mapping not found: \(arn)") }
}
