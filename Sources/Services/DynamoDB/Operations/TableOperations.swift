import Contracts
import Platform
import Storage
import Wire

/// Tables themselves: made, described, listed, changed, deleted.
struct TableOperations: Sendable {
    let desk: Desk

    // MARK: CreateTable

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateTableInput(request.input)
        let context = request.context
        let address = try TableAddress(input.tableName, context.scope)
        try refuseGlobal(input.value)
        let definition = try TableRules.definition(input)
        let view = try Self.view(input.streamSpecification)
        let tags = try Tags.added(input.tags ?? [], to: [:])
        let description = try await desk.database.write { transaction in
            try desk.access.check(
                request, "CreateTable", resource: Table.arn(address.scope, address.name),
                account: address.scope.account, in: transaction)
            if try desk.directory.find(address.scope, address.name, in: transaction) != nil {
                throw AWSError.tableExists(address.name)
            }
            guard try TableStore.count(address.scope, in: transaction) < Limits.tables else {
                throw AWSError.limitExceeded(
                    "Subscriber limit exceeded: The number of tables would exceed the limit of \(Limits.tables)")
            }
            let now = desk.time.now()
            var table = Table(
                id: try TableStore.newID(in: transaction), scope: address.scope, name: address.name,
                uuid: Identifier.uuid(), created: now, definition: definition)
            for place in table.definition.indexes.indices {
                table.definition.indexes[place].id = try TableStore.newID(in: transaction)
            }
            if let view { try self.start(view, &table, now: now, in: transaction) }
            try TableStore.insert(table, tags: .map(tags), in: transaction)
            desk.directory.forget(table, in: transaction)
            return try TableDescription.value(table, status: "CREATING", in: transaction)
        }
        return Answer.of(["TableDescription": description])
    }

    private func refuseGlobal(_ input: Value) throws(AWSError) {
        for name in [
            "GlobalTableSourceArn", "GlobalTableSettingsReplicationMode", "ReplicaUpdates", "MultiRegionConsistency",
            "GlobalTableWitnessUpdates",
        ] {
            if let value = input[name], !value.isNull { throw .notSupported("Global tables (\(name))") }
        }
        for name in ["VectorIndexes", "VectorIndexUpdates"] {
            if let value = input[name], !value.isNull { throw .notSupported("Vector indexes (\(name))") }
        }
    }

    // MARK: Streams

    /// Nil when no stream is asked for.
    private static func view(_ specification: Model.StreamSpecification?) throws(AWSError) -> TableStream.View? {
        guard let specification else { return nil }
        guard specification.streamEnabled == true else {
            if specification.streamViewType != nil {
                throw .invalidParameterValues("StreamViewType must not be specified when StreamEnabled is false")
            }
            return nil
        }
        guard let view = specification.streamViewType.flatMap(TableStream.View.init) else {
            throw .invalidParameterValues("StreamViewType must be specified when StreamEnabled is true")
        }
        return view
    }

    private func start(
        _ view: TableStream.View, _ table: inout Table, now: Instant, in transaction: any WriteTransaction
    ) throws {
        // The label is a time to the millisecond: two streams of one table must not have the same.
        var moment = now
        while try StreamStore.find(
            arn: StreamRow.arn(table.scope, table.name, moment.streamLabel), in: transaction) != nil
        {
            moment = moment + .milliseconds(1)
        }
        let row = StreamRow(
            id: 0, scope: table.scope, table: table.name, label: moment.streamLabel, view: view,
            key: table.key.attributes.map(\.name), created: now)
        let id = try StreamStore.create(row, in: transaction)
        table.definition.stream = TableStream(id: id, label: row.label, view: view)
        table.definition.streamLabel = row.label
        desk.changes.announce(row.arn, shard: nil, in: transaction)
    }

    private func stop(_ table: inout Table, now: Instant, in transaction: any WriteTransaction) throws {
        guard let stream = table.definition.stream else { return }
        try StreamStore.end(stream.id, now: now, in: transaction)
        table.definition.stream = nil
        desk.changes.announce(
            StreamRow.arn(table.scope, table.name, stream.label), shard: nil, in: transaction)
    }

    // MARK: DescribeTable, ListTables, DeleteTable

    func describe(_ request: OperationRequest) async throws -> OperationResponse {
        let name = try TableAddress(request.input["TableName"]?.string, request.context.scope).name
        let description = try await desk.read(request, "DescribeTable", otherwise: .noTable(name)) {
            table, transaction in
            try TableDescription.value(table, in: transaction)
        }
        return Answer.of(["Table": description])
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListTablesInput(request.input)
        let context = request.context
        let limit = input.limit ?? Limits.tableNamesPage
        let names = try await desk.database.read { transaction in
            try desk.access.check(
                context, "ListTables", resource: "*", account: context.scope.account, in: transaction)
            return try TableStore.list(
                context.scope, after: input.exclusiveStartTableName ?? "", limit: limit + 1, in: transaction)
        }
        let page = names.prefix(limit)
        var output: Fields = ["TableNames": .list(page.map { .string($0) })]
        if names.count > limit { output["LastEvaluatedTableName"] = page.last.map { .string($0) } }
        return Answer.of(.map(output))
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let address = try TableAddress(request.input["TableName"]?.string, context.scope)
        let description = try await desk.database.write { transaction in
            var table = try desk.table(
                address, context, "DeleteTable", otherwise: .noTable(address.name), in: transaction)
            guard !table.definition.isProtected else {
                throw AWSError.validation(
                    "Resource cannot be deleted as it is currently protected against deletion. Disable deletion "
                        + "protection first.")
            }
            let description = try TableDescription.value(table, status: "DELETING", in: transaction)
            try stop(&table, now: desk.time.now(), in: transaction)
            try TableStore.delete(table, in: transaction)
            for index in table.definition.indexes {
                try desk.jobs.add(.removeEntries, table: table.id, target: index.id, in: transaction)
            }
            try desk.jobs.add(.removeItems, table: table.id, target: table.id, in: transaction)
            desk.directory.forget(table, in: transaction)
            return description
        }
        return Answer.of(["TableDescription": description])
    }

    // MARK: UpdateTable

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateTableInput(request.input)
        try refuseGlobal(input.value)
        let description = try await desk.change(request, "UpdateTable") { table, now, transaction in
            if table.definition.isUpdating, input.globalSecondaryIndexUpdates != nil {
                throw AWSError.inUse(
                    "Attempt to change a resource which is still in use: Table is being updated: \(table.name)")
            }
            try change(&table, input, now: now, in: transaction)
            return try TableDescription.value(table, status: "UPDATING", in: transaction)
        }
        return Answer.of(["TableDescription": description])
    }

    private func change(
        _ table: inout Table, _ input: Model.UpdateTableInput, now: Instant, in transaction: any WriteTransaction
    ) throws {
        let changes = [
            "BillingMode", "ProvisionedThroughput", "GlobalSecondaryIndexUpdates", "StreamSpecification",
            "SSESpecification", "TableClass", "DeletionProtectionEnabled", "OnDemandThroughput", "WarmThroughput",
        ]
        guard changes.contains(where: { input.value[$0].map { !$0.isNull } ?? false }) else {
            throw AWSError.validation(
                "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
                    + "SSESpecification or ReplicaUpdates is required")
        }
        if input.billingMode != nil || input.provisionedThroughput != nil {
            table.definition.billing = try TableRules.billing(
                input.billingMode, input.provisionedThroughput, current: table.definition.billing, now: now)
            if table.definition.billing.isOnDemand {
                for place in table.definition.indexes.indices {
                    (table.definition.indexes[place].read, table.definition.indexes[place].write) = (0, 0)
                }
            }
        }
        if let updates = input.globalSecondaryIndexUpdates {
            if let attributes = input.attributeDefinitions {
                try merge(try TableRules.attributes(attributes), into: &table.definition)
            }
            for update in updates { try apply(update, &table, in: transaction) }
            try TableRules.checkIndexes(table.definition)
            dropUnusedAttributes(&table.definition)
        }
        if let specification = input.streamSpecification {
            if let view = try Self.view(specification) {
                guard table.definition.stream == nil else {
                    throw AWSError.validation("Table already has an enabled stream: TableName: \(table.name)")
                }
                try start(view, &table, now: now, in: transaction)
            } else {
                guard table.definition.stream != nil else {
                    throw AWSError.validation("Table has no stream to disable: TableName: \(table.name)")
                }
                try stop(&table, now: now, in: transaction)
            }
        }
        if let specification = input.sseSpecification {
            table.definition.encryptionKey = try TableRules.encryption(specification)
        }
        if let tableClass = input.tableClass { table.definition.tableClass = tableClass }
        if let protects = input.deletionProtectionEnabled { table.definition.isProtected = protects }
        if let given = input.value["OnDemandThroughput"] { table.definition.onDemandThroughput = given }
        if let given = input.value["WarmThroughput"] { table.definition.warmThroughput = given }
    }

    private func merge(_ attributes: [KeyCondition.Key], into definition: inout TableDefinition) throws(AWSError) {
        for attribute in attributes {
            if let known = definition.attributes.first(where: { $0.name == attribute.name }) {
                guard known.type == attribute.type else {
                    throw .validation(
                        "Attribute \(attribute.name) is already defined with another type in the table's keys or "
                            + "indexes")
                }
            } else {
                definition.attributes.append(attribute)
            }
        }
    }

    private func dropUnusedAttributes(_ definition: inout TableDefinition) {
        let keys = [definition.key] + definition.indexes.map(\.key)
        definition.attributes.removeAll { attribute in !keys.contains { $0.contains(attribute.name) } }
    }

    private func apply(
        _ update: Model.GlobalSecondaryIndexUpdate, _ table: inout Table, in transaction: any WriteTransaction
    ) throws {
        if let create = update.create {
            guard !table.definition.indexes.contains(where: { $0.name == create.indexName }) else {
                throw AWSError.validation(
                    "Attempting to create an index which already exists: \(create.indexName ?? "")")
            }
            var index = try TableRules.globalIndex(
                name: create.indexName, create.keySchema, create.projection, create.provisionedThroughput,
                table.definition)
            index.id = try TableStore.newID(in: transaction)
            index.state = .creating
            table.definition.indexes.append(index)
            try desk.jobs.add(.fillIndex, table: table.id, target: index.id, in: transaction)
        } else if let delete = update.delete {
            let index = try existing(delete.indexName, table)
            table.definition.indexes.removeAll { $0.id == index.id }
            try desk.jobs.add(.removeEntries, table: table.id, target: index.id, in: transaction)
        } else if let change = update.update {
            let index = try existing(change.indexName, table)
            guard let place = table.definition.indexes.firstIndex(where: { $0.id == index.id }) else { return }
            if let throughput = change.provisionedThroughput {
                let (read, write) = TableRules.units(throughput)
                (table.definition.indexes[place].read, table.definition.indexes[place].write) = (read, write)
            }
        } else {
            throw AWSError.invalidParameterValues("One of Create, Update or Delete must be given for an index")
        }
    }

    private func existing(_ name: String?, _ table: Table) throws(AWSError) -> SecondaryIndex {
        guard let index = table.definition.indexes.first(where: { $0.name == name && !$0.isLocal }) else {
            throw AWSError("ResourceNotFoundException", "Requested resource not found")
        }
        return index
    }
}

extension Instant {
    /// `2025-02-22T03:03:25.490`.
    var streamLabel: String { String(iso8601(fractionDigits: 3).prefix { $0 != "Z" }) }
}
