import Contracts
import Platform
import Storage
import Wire

struct BusOperations: Sendable {
    let database: any Database
    let access: Access

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateEventBusRequest(request.input)
        let (context, name) = (request.context, input.name ?? "")
        guard input.eventSourceName == nil else {
            throw AWSError.validation("Martlet has no partner event sources: EventSourceName cannot be given.")
        }
        guard !name.contains("/") else {
            throw AWSError.validation(
                "Parameter Name is not valid. Reason: the name of a custom event bus has no slash.")
        }
        let tags = try TagRules.fields(input.tags ?? [])
        let key = BusKey(scope: context.scope, name: name)
        var bus = Bus(key: key, document: Self.settings(input.value))
        bus.tags = tags
        bus.document["Created"] = .int(context.now.nanoseconds)
        bus.document["Modified"] = .int(context.now.nanoseconds)
        try await database.write { [access, bus] transaction in
            try access.check(
                request, "CreateEventBus", key.arn, account: context.scope.account, in: transaction)
            guard try BusTable.get(key, in: transaction) == nil else {
                throw AWSError("ResourceAlreadyExistsException", "Event bus \(name) already exists.")
            }
            guard try BusTable.count(context.scope, in: transaction) < Limits.buses else {
                throw AWSError.limitExceeded
            }
            try BusTable.put(bus, in: transaction)
        }
        var output = Model.CreateEventBusResponse(.map(Self.settings(input.value)))
        output.eventBusArn = key.arn
        return OperationResponse(output.value)
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateEventBusRequest(request.input)
        let context = request.context
        let key = BusKey(input.name, in: context.scope)
        let bus = try await database.write { [access] transaction in
            try access.check(
                context, "UpdateEventBus", key.arn, account: key.scope.account, in: transaction)
            var bus = try BusTable.require(key, in: transaction)
            for entry in Self.settings(input.value).entries { bus.document[entry.name] = entry.value }
            bus.document["Modified"] = .int(context.now.nanoseconds)
            try BusTable.put(bus, in: transaction)
            return bus
        }
        var output = Model.UpdateEventBusResponse(.map(Self.settings(.map(bus.document))))
        output.name = key.name
        output.arn = key.arn
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let key = BusKey(Model.DeleteEventBusRequest(request.input).name, in: context.scope)
        guard !key.isDefault else { throw AWSError.validation("Cannot delete event bus default.") }
        try await database.write { [access] transaction in
            try access.check(
                context, "DeleteEventBus", key.arn, account: key.scope.account, in: transaction)
            guard try BusTable.get(key, in: transaction) != nil else { return }
            guard try RuleTable.count(key, in: transaction) == 0 else {
                throw AWSError.validation("Event bus \(key.name) can't be deleted since it has rules.")
            }
            try BusTable.delete(key, in: transaction)
        }
        return OperationResponse()
    }

    func describe(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let key = BusKey(Model.DescribeEventBusRequest(request.input).name, in: context.scope)
        let bus = try await database.read { [access] transaction in
            try access.check(
                context, "DescribeEventBus", key.arn, account: key.scope.account, in: transaction)
            return try BusTable.require(key, in: transaction)
        }
        var output = Model.DescribeEventBusResponse(.map(Self.settings(.map(bus.document))))
        output.name = key.name
        output.arn = key.arn
        output.policy = bus.policy
        output.creationTime = bus.created
        output.lastModifiedTime = bus.modified
        return OperationResponse(output.value)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListEventBusesRequest(request.input)
        let context = request.context
        let after = try Paging.place(input.nextToken)
        let (prefix, limit) = (input.namePrefix ?? "", input.limit ?? Limits.page)
        let found = try await database.read { [access] transaction in
            try access.check(
                context, "ListEventBuses",
                "arn:aws:events:\(context.scope.region):\(context.scope.account):event-bus/*",
                account: context.scope.account, in: transaction)
            var buses: [Bus] = []
            let standard = BusKey(scope: context.scope, name: BusKey.defaultName)
            // It comes first, whatever the others are called.
            if after.isEmpty, standard.name.hasPrefix(prefix) {
                buses.append(try BusTable.require(standard, in: transaction))
            }
            let place = after == BusKey.defaultName + "/" ? "" : after
            buses += try BusTable.list(
                context.scope, prefix: prefix, after: place, limit: limit + 1, in: transaction)
            return buses
        }
        var output = Model.ListEventBusesResponse()
        output.eventBuses = found.prefix(limit).map { bus in
            var item = Model.EventBus()
            item.name = bus.key.name
            item.arn = bus.key.arn
            item.description = bus.document["Description"]?.string
            item.policy = bus.policy
            item.creationTime = bus.created
            item.lastModifiedTime = bus.modified
            return item
        }
        if found.count > limit {
            let last = found[limit - 1].key
            // Behind the default bus, which comes before all names: no name has this.
            output.nextToken = PageToken.encode(last.isDefault ? last.name + "/" : last.name)
        }
        return OperationResponse(output.value)
    }

    /// What is kept of a bus as it was given.
    private static func settings(_ value: Value) -> Fields {
        var fields: Fields = [:]
        for name in ["Description", "KmsKeyIdentifier", "DeadLetterConfig", "LogConfig"] {
            if let member = value[name] { fields.append(name, member) }
        }
        return fields
    }
}

enum Paging {
    /// The name behind which a page begins. Throws ValidationException.
    static func place(_ token: String?) throws(AWSError) -> String {
        guard let token else { return "" }
        guard let name = PageToken.decodeText(token) else {
            throw .validation("Parameter NextToken is not valid. Reason: Token is not valid.")
        }
        return name
    }
}
