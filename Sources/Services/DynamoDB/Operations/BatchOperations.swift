import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// BatchGetItem and BatchWriteItem: many items at once, without a promise between them.
struct BatchOperations: Sendable {
    let desk: Desk

    // MARK: BatchGetItem

    private struct Wanted: Sendable {
        /// As the request names the table.
        var name: String
        var address: TableAddress
        var keys: [Item]
        var projection: ProjectionExpression?
        var consistent: Bool
        /// For what is left over.
        var request: Value
    }

    private struct Got: Sendable {
        var tables: [(name: String, items: [Item])] = []
        var unprocessed = Fields()
        var capacities = Capacities()
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let wanted = try self.wanted(input, request.context.scope)
        let context = request.context
        let mark = desk.directory.mark()
        let got = try await desk.database.read { transaction in
            var got = Got()
            var bytes = 0
            for one in wanted {
                let table = try desk.table(
                    one.address, context, "BatchGetItem", since: mark,
                    use: { ItemRead.use(one.keys, one.projection, $0).of(input) }, in: transaction)
                try get(one, table, &got, &bytes, in: transaction)
            }
            return got
        }
        var answer = Answer()
        answer.add("Responses", tables: got.tables)
        answer.add("UnprocessedKeys", .map(got.unprocessed))
        answer.add("ConsumedCapacity", got.capacities.value(input["ReturnConsumedCapacity"]?.string))
        return answer.response()
    }

    private func wanted(_ input: Value, _ scope: AccountRegion) throws(AWSError) -> [Wanted] {
        var wanted: [Wanted] = []
        var count = 0
        for entry in input["RequestItems"]?.fields?.entries ?? [] {
            try Desk.refuse(["AttributesToGet"], in: entry.value)
            var keys: [Item] = []
            for key in entry.value["Keys"]?.list ?? [] { keys.append(try Item(wire: key)) }
            count += keys.count
            guard Set(keys).count == keys.count else {
                throw .validation("Provided list of item keys contains duplicates")
            }
            wanted.append(
                Wanted(
                    name: entry.name, address: try TableAddress(entry.name, scope), keys: keys,
                    projection: try ItemRead.projection(entry.value),
                    consistent: entry.value["ConsistentRead"]?.bool ?? false, request: entry.value))
        }
        guard count <= Limits.batchReads else {
            throw .validation("Too many items requested for the BatchGetItem call")
        }
        return wanted
    }

    private func get(
        _ wanted: Wanted, _ table: Table, _ got: inout Got, _ bytes: inout Int, in transaction: any ReadTransaction
    ) throws {
        var items: [Item] = []
        var capacity = Capacity(table)
        var left: [Value] = []
        for key in wanted.keys {
            let read = ItemRead(key: key, projection: wanted.projection)
            guard bytes < Limits.batchBytes else {
                try table.key.check(key: key)
                left.append(key.wire)
                continue
            }
            let item = try read.item(table, in: transaction)
            capacity.units += Capacity.read(item?.size ?? 0, consistent: wanted.consistent)
            bytes += item?.size ?? 0
            if let item { items.append(read.project(item)) }
        }
        if !left.isEmpty, var request = wanted.request.fields {
            request["Keys"] = .list(left)
            got.unprocessed[wanted.name] = .map(request)
        }
        got.tables.append((wanted.name, items))
        got.capacities.add(capacity)
    }

    // MARK: BatchWriteItem

    private struct Write: Sendable {
        var name: String
        var address: TableAddress
        var changes: [ItemRequest]
    }

    private struct Written: Sendable {
        var capacities = Capacities()
        var metrics: [(table: String, value: Value)] = []
    }

    func write(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = request.input
        let context = request.context
        let writes: [Write]
        do throws(AWSError) {
            writes = try self.writes(input, context.scope)
        } catch {
            return completion(.failure(error))
        }
        desk.database.write { transaction in
            var written = Written()
            let now = desk.time.now()
            for write in writes {
                let table = try desk.table(
                    write.address, context, "BatchWriteItem", use: { ItemRequest.use(write.changes, $0).of(input) },
                    in: transaction)
                try perform(write, table, &written, now: now, in: transaction)
            }
            return written
        } completion: { result in
            context.eventLoop.execute {
                completion(
                    result.map { (written: Written) in
                        var answer = Answer()
                        answer.add("UnprocessedItems", .map([:]))
                        if input["ReturnItemCollectionMetrics"]?.string == "SIZE", !written.metrics.isEmpty {
                            answer.add("ItemCollectionMetrics", CollectionMetrics.byTable(written.metrics))
                        }
                        answer.add(
                            "ConsumedCapacity", written.capacities.value(input["ReturnConsumedCapacity"]?.string))
                        return answer.response()
                    })
            }
        }
    }

    private func perform(
        _ write: Write, _ table: Table, _ written: inout Written, now: Instant, in transaction: any WriteTransaction
    ) throws {
        let keys = try write.changes.map { try $0.key(table) }
        guard Set(keys).count == keys.count else {
            throw AWSError.validation("Provided list of item keys contains duplicates")
        }
        for (change, key) in zip(write.changes, keys) {
            let outcome = try change.perform(
                on: table, key: key, keeper: desk.keeper, now: now, in: transaction)
            written.capacities.add(outcome.capacity)
            if let item = outcome.new ?? outcome.old, let value = CollectionMetrics.value(table, item) {
                written.metrics.append((write.name, value))
            }
        }
    }

    private func writes(_ input: Value, _ scope: AccountRegion) throws(AWSError) -> [Write] {
        var writes: [Write] = []
        var count = 0
        var bytes = 0
        for entry in input["RequestItems"]?.fields?.entries ?? [] {
            var changes: [ItemRequest] = []
            for request in entry.value.list ?? [] {
                let put = request["PutRequest"].flatMap { $0.isNull ? nil : $0 }
                let delete = request["DeleteRequest"].flatMap { $0.isNull ? nil : $0 }
                switch (put, delete) {
                case (let put?, nil):
                    let item = try Item(wire: put["Item"] ?? [:])
                    try item.checkSize()
                    bytes += item.size
                    changes.append(ItemRequest(.put(item)))
                case (nil, let delete?):
                    changes.append(ItemRequest(.delete(key: try Item(wire: delete["Key"] ?? [:]))))
                default:
                    throw .validation(
                        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the "
                            + "supported datatypes")
                }
            }
            count += changes.count
            writes.append(
                Write(name: entry.name, address: try TableAddress(entry.name, scope), changes: changes))
        }
        guard count <= Limits.batchWrites else {
            throw .validation("Too many items requested for the BatchWriteItem call")
        }
        guard bytes <= Limits.batchBytes else {
            throw .validation("The total size of the items of a BatchWriteItem call must not exceed 16 MB")
        }
        return writes
    }
}

extension CollectionMetrics {
    static func byTable(_ metrics: [(table: String, value: Value)]) -> Value {
        var tables = Fields()
        for (table, value) in metrics { tables[table] = .list((tables[table]?.list ?? []) + [value]) }
        return .map(tables)
    }
}
