import Contracts
import Platform
import Storage
import Wire

/// Query and Scan.
struct QueryOperations: Sendable {
    let desk: Desk

    private static let legacy = [
        "KeyConditions", "QueryFilter", "ScanFilter", "ConditionalOperator", "AttributesToGet",
    ]

    func query(_ request: OperationRequest) async throws -> OperationResponse {
        try Desk.refuse(Self.legacy, in: request.input)
        guard let text = request.input["KeyConditionExpression"]?.string else {
            throw AWSError.validation(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
        }
        return try await run(request, "Query", keyCondition: text)
    }

    func scan(_ request: OperationRequest) async throws -> OperationResponse {
        try Desk.refuse(Self.legacy, in: request.input)
        return try await run(request, "Scan", keyCondition: nil)
    }

    private func run(
        _ request: OperationRequest, _ action: String, keyCondition: String?
    ) async throws -> OperationResponse {
        let input = request.input
        let isQuery = keyCondition != nil
        let filterText = input["FilterExpression"]?.string
        let projectionText = input["ProjectionExpression"]?.string
        var placeholders = try Placeholders(input, for: [keyCondition, filterText, projectionText])
        let filter = try filterText.map { text throws(AWSError) in
            try ConditionExpression.parse(text, kind: .filter, &placeholders)
        }
        let projection = try projectionText.map { text throws(AWSError) in
            try ProjectionExpression.parse(text, &placeholders)
        }
        let condition = try keyCondition.map { text throws(AWSError) in
            try KeyConditionExpression.parse(text, &placeholders)
        }
        try placeholders.checkAllUsed()
        let start = try input["ExclusiveStartKey"].flatMap { $0.isNull ? nil : $0 }.map { try Item(wire: $0) }
        let segment = isQuery ? nil : try Self.segment(input)
        let indexName = input["IndexName"]?.string

        let use: @Sendable (Table) -> ItemUse = { table in
            var use = ItemUse(select: input["Select"]?.string)
            if use.select == nil {
                let whole = indexName == nil ? "ALL_ATTRIBUTES" : "ALL_PROJECTED_ATTRIBUTES"
                use.select = projection == nil ? whole : "SPECIFIC_ATTRIBUTES"
            }
            // What cannot be resolved fails after this.
            if let condition, let schema = try? indexName.map({ try table.index($0).key }) ?? table.key,
                let keys = try? condition.resolve(partitionKey: schema.partition, sortKey: schema.sort)
            {
                use.partitions = [keys.partition]
            }
            use.attributes.formUnion(condition?.attributes ?? [])
            use.add(projection?.paths)
            use.add(filter?.paths)
            return use.of(input)
        }

        let page = try await desk.read(request, action, index: indexName, use: use) { table, transaction in
            let index = try indexName.map { try table.index($0) }
            if let index, index.state != .active {
                throw AWSError.validation("Cannot read from backfilling global secondary index: \(index.name)")
            }
            let schema = index?.key ?? table.key
            var plan = PagePlan(table: table, index: index)
            var range = KeyRange(segment: segment?.number ?? 0, of: segment?.total ?? 1)
            if let condition {
                range = try KeyRange(
                    condition.resolve(partitionKey: schema.partition, sortKey: schema.sort), schema)
            }
            if isQuery, let path = filter?.paths.first(where: { schema.contains($0.attribute) }) {
                throw AWSError.validation(
                    "Filter Expression can only contain non-primary key attributes: Primary key attribute: "
                        + path.attribute)
            }
            plan.filter = filter
            plan.projection = projection
            try plan.select(input)
            plan.limit = input["Limit"]?.wholeNumber ?? .max
            plan.forward = input["ScanIndexForward"]?.bool ?? true
            plan.consistent = try Self.consistency(input, index)
            if let start {
                try plan.start(&range, after: start, isQuery: isQuery, segment: segment)
            }
            return try plan.run(range, in: transaction)
        }
        var answer = Answer()
        if input["Select"]?.string != "COUNT" { answer.add("Items", items: page.items) }
        answer.add("Count", .int(Int64(page.count)))
        answer.add("ScannedCount", .int(Int64(page.scanned)))
        answer.add("LastEvaluatedKey", page.last)
        answer.add("ConsumedCapacity", page.capacity.value(input["ReturnConsumedCapacity"]?.string))
        return answer.response()
    }

    private static func consistency(_ input: Value, _ index: SecondaryIndex?) throws(AWSError) -> Bool {
        let consistent = input["ConsistentRead"]?.bool ?? false
        if consistent, let index, !index.isLocal {
            throw .validation("Consistent reads are not supported on global secondary indexes")
        }
        return consistent
    }

    struct Segment: Sendable {
        var number: Int
        var total: Int
    }

    private static func segment(_ input: Value) throws(AWSError) -> Segment? {
        switch (input["Segment"]?.wholeNumber, input["TotalSegments"]?.wholeNumber) {
        case (nil, nil): return nil
        case (_?, nil):
            throw .validation(
                "The TotalSegments parameter is required but was not present in the request when Segment parameter is "
                    + "present")
        case (nil, _?):
            throw .validation(
                "The Segment parameter is required but was not present in the request when parameter TotalSegments is "
                    + "present")
        case (let number?, let total?):
            guard number < total else {
                throw .validation(
                    "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: "
                        + "\(number) is not less than TotalSegments: \(total)")
            }
            return Segment(number: number, total: total)
        }
    }
}

/// How one page of a Query or Scan is read.
struct PagePlan: Sendable {
    var table: Table
    var index: SecondaryIndex?
    var filter: ConditionExpression?
    var projection: ProjectionExpression?
    var limit = Int.max
    var forward = true
    var consistent = false
    private var countsOnly = false
    /// A local index can be asked for what it does not project: it is read from the table.
    private var readsTable = false

    init(table: Table, index: SecondaryIndex?) {
        self.table = table
        self.index = index
    }

    struct Page: Sendable {
        var items: [Item] = []
        var count = 0
        var scanned = 0
        var last: Item?
        var capacity: Capacity
    }

    /// `Select` and what goes with it. Throws ValidationException.
    mutating func select(_ input: Value) throws(AWSError) {
        let select = input["Select"]?.string
        if projection != nil, let select, select != "SPECIFIC_ATTRIBUTES" {
            let what =
                select == "COUNT"
                ? "get only the Count" : "get \(select)"
            throw .validation("Cannot specify the ProjectionExpression when choosing to \(what)")
        }
        switch select {
        case "COUNT": countsOnly = true
        case "ALL_PROJECTED_ATTRIBUTES":
            guard index != nil else {
                throw .invalidParameterValues(
                    "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
            }
        case "SPECIFIC_ATTRIBUTES":
            guard projection != nil else {
                throw .invalidParameterValues(
                    "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
            }
        case "ALL_ATTRIBUTES":
            if let index, case .all = index.projection {
            } else if let index, !index.isLocal {
                throw .invalidParameterValues(
                    "Select type ALL_ATTRIBUTES is not supported for global secondary index \(index.name) because its "
                        + "projection type is not ALL")
            } else {
                readsTable = true
            }
        default: break
        }
        guard let index, let projection else { return }
        let missing = projection.paths.map(\.attribute).filter { !index.projects($0, table: table.key) }
        if missing.isEmpty { return }
        guard index.isLocal else {
            throw .invalidParameterValues(
                "Global secondary index \(index.name) does not project [\(missing.joined(separator: ", "))]")
        }
        readsTable = true
    }

    /// Begins behind a key of an earlier answer. Throws ValidationException.
    func start(
        _ range: inout KeyRange, after start: Item, isQuery: Bool, segment: QueryOperations.Segment?
    ) throws {
        let wrong = AWSError.validation(
            isQuery
                ? "The provided starting key is invalid"
                : "The provided starting key is invalid: The provided key element does not match the schema")
        var names = Set(table.key.attributes.map(\.name))
        if let index { names.formUnion(index.key.attributes.map(\.name)) }
        guard start.count == names.count, start.entries.allSatisfy({ names.contains($0.name) }) else { throw wrong }
        do {
            try table.key.check(key: table.key.key(of: start))
        } catch {
            throw wrong
        }
        var key = try table.key.bytes(start)
        if let index {
            guard let entry = index.key.entry(start, primary: key) else { throw wrong }
            key = entry
        }
        guard range.contains(key) else {
            throw AWSError.validation(
                isQuery
                    ? "The provided starting key is outside query boundaries based on provided conditions"
                    : segment == nil
                        ? "The provided starting key is invalid"
                        : "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use "
                            + "ExclusiveStartKey with correct Segment. TotalSegments: \(segment?.total ?? 1) Segment: "
                            + "\(segment?.number ?? 0)")
        }
        range.start(after: key, forward: forward)
    }

    func run(_ range: KeyRange, in transaction: any ReadTransaction) throws -> Page {
        var page = Page(capacity: Capacity(table))
        var bytes = 0
        // What ends the page: of an index whose items are fetched from the table, those count.
        var looked = 0
        // Items are read whole also when little of them is asked for.
        var read = 0
        var fetched = 0.0
        if ByteOrder.less(range.lower, range.upper) {
            try ItemStore.visit(
                table: table.id, index: index?.id, range, forward: forward, in: transaction
            ) { whole in
                let item = index.map { $0.project(whole, table: table.key) } ?? whole
                page.scanned += 1
                bytes += item.size
                if readsTable { fetched += Capacity.read(whole.size, consistent: consistent) }
                let seen = readsTable ? whole : item
                looked += seen.size
                read += whole.size
                if filter?.evaluate(seen) ?? true {
                    page.count += 1
                    if !countsOnly { page.items.append(projection?.apply(seen) ?? seen) }
                }
                guard page.scanned < limit, looked < Limits.pageBytes, read < Limits.bytesReadPerPage else {
                    page.last = lastKey(whole)
                    return false
                }
                return true
            }
        }
        let units = Capacity.read(bytes, consistent: consistent)
        page.capacity.units = fetched
        if let index { page.capacity.add(index, units) } else { page.capacity.units += units }
        return page
    }

    /// Where the next page begins: the key, and that of the index.
    private func lastKey(_ item: Item) -> Item {
        var key = table.key.key(of: item)
        for attribute in index?.key.attributes ?? [] { key[attribute.name] = item[attribute.name] }
        return key
    }
}
