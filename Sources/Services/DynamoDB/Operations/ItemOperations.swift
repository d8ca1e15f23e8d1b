import Contracts
import Platform
import Storage
import Wire

/// GetItem, PutItem, UpdateItem and DeleteItem.
struct ItemOperations: Sendable {
    let desk: Desk

    private static let legacy = ["Expected", "ConditionalOperator", "AttributeUpdates", "AttributesToGet"]

    // MARK: Reading

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        try Desk.refuse(Self.legacy, in: input)
        let read = try ItemRead(input)
        let consistent = input["ConsistentRead"]?.bool ?? false
        let use: @Sendable (Table) -> ItemUse = { ItemRead.use([read.key], read.projection, $0).of(input) }
        let (item, capacity) = try await desk.read(request, "GetItem", use: use) { table, transaction in
            let item = try read.item(table, in: transaction)
            var capacity = Capacity(table)
            capacity.units = Capacity.read(item?.size ?? 0, consistent: consistent)
            return (item.map(read.project), capacity)
        }
        var answer = Answer()
        answer.add("Item", item)
        answer.add("ConsumedCapacity", capacity.value(input["ReturnConsumedCapacity"]?.string))
        return answer.response()
    }

    // MARK: Writing

    func put(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        write(request, .put, "PutItem", returning: ["NONE", "ALL_OLD"], completion)
    }

    func delete(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        write(request, .delete, "DeleteItem", returning: ["NONE", "ALL_OLD"], completion)
    }

    func update(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        write(
            request, .update, "UpdateItem", returning: ["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"],
            completion)
    }

    private func write(
        _ request: OperationRequest, _ kind: ItemRequest.Kind, _ action: String, returning allowed: Set<String>,
        _ completion: @escaping OperationCompletion
    ) {
        let input = request.input
        let change: ItemRequest
        let returned = input["ReturnValues"]?.string ?? "NONE"
        do throws(AWSError) {
            try Desk.refuse(Self.legacy, in: input)
            guard allowed.contains(returned) else {
                throw .validation(
                    kind == .update
                        ? "Return values set to invalid value" : "ReturnValues can only be ALL_OLD or NONE")
            }
            change = try ItemRequest(kind, input)
        } catch {
            return completion(.failure(error))
        }
        let use: @Sendable (Table) -> ItemUse = { change.use(returning: returned, $0).of(input) }
        desk.write(request, action, completion, use: use) { table, now, transaction in
            let key = try change.key(table)
            let outcome = try change.perform(
                on: table, key: key, keeper: desk.keeper, now: now, in: transaction)
            return (table, outcome)
        } answer: { (table, outcome) in
            var answer = Answer()
            answer.add("Attributes", Self.attributes(returned, outcome))
            answer.add("ConsumedCapacity", outcome.capacity.value(input["ReturnConsumedCapacity"]?.string))
            if input["ReturnItemCollectionMetrics"]?.string == "SIZE", let item = outcome.new ?? outcome.old {
                answer.add("ItemCollectionMetrics", CollectionMetrics.value(table, item))
            }
            return answer.response()
        }
    }

    private static func attributes(_ returned: String, _ outcome: ItemRequest.Outcome) -> Item? {
        let item: Item? =
            switch returned {
            case "ALL_OLD": outcome.old
            case "ALL_NEW": outcome.new
            case "UPDATED_OLD": outcome.old == nil ? nil : outcome.update?.updatedOld
            case "UPDATED_NEW": outcome.update?.updatedNew
            default: nil
            }
        return item.flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// A read of one item by its key: of GetItem, BatchGetItem and TransactGetItems.
struct ItemRead: Sendable {
    var key: Item
    var projection: ProjectionExpression?

    init(_ input: Value) throws(AWSError) {
        projection = try Self.projection(input)
        key = try Item(wire: input["Key"] ?? [:])
    }

    init(key: Item, projection: ProjectionExpression?) {
        self.key = key
        self.projection = projection
    }

    static func projection(_ input: Value) throws(AWSError) -> ProjectionExpression? {
        let text = input["ProjectionExpression"]?.string
        var placeholders = try Placeholders(input, for: [text])
        var projection: ProjectionExpression?
        if let text { projection = try ProjectionExpression.parse(text, &placeholders) }
        try placeholders.checkAllUsed()
        return projection
    }

    func item(_ table: Table, in transaction: any ReadTransaction) throws -> Item? {
        try table.key.check(key: key)
        return try ItemStore.get(table.id, try table.key.bytes(key), in: transaction)?.item
    }

    @Sendable func project(_ item: Item) -> Item { projection?.apply(item) ?? item }
}

/// `ItemCollectionMetrics`: only tables with local indexes have item collections.
enum CollectionMetrics {
    static func value(_ table: Table, _ item: Item) -> Value? {
        guard table.definition.indexes.contains(where: \.isLocal),
            let partition = item[table.key.partition.name]
        else { return nil }
        // An estimate, as AWS's is: collections of Martlet have no limit of 10 GB to come near to.
        return [
            "ItemCollectionKey": .map([table.key.partition.name: partition.wire]),
            "SizeEstimateRangeGB": [.double(0), .double(1)],
        ]
    }
}
