import Platform
import Wire

/// What a request does with items, for the conditions of policies (DynamoDB Developer Guide, "Using IAM policy conditions
/// for fine-grained access control"). Made only when a policy asks.
struct ItemUse: Sendable {
    /// Partition keys of the items, in an index those of the index. None: the operation names none (Scan), or none that a
    /// key can be; then it fails after this.
    var partitions: [AttributeValue] = []
    /// Names of all attributes that the request reads, writes or compares, keys too.
    var attributes: Set<String> = []
    /// Of reads: `Select`, or what it is when it is not given.
    var select: String?
    /// Of writes.
    var returnValues: String?
    var returnConsumedCapacity: String?
    /// Of parts of transactions: which.
    var enclosing: String?

    /// Whether a policy may ask for something of this.
    static let prefix = "dynamodb:"

    var conditions: [String: [String]] {
        var keys: [String: [String]] = [:]
        keys["dynamodb:leadingkeys"] = partitions.compactMap(\.conditionText)
        keys["dynamodb:attributes"] = attributes.sorted()
        keys["dynamodb:select"] = select.map { [$0] }
        keys["dynamodb:returnvalues"] = returnValues.map { [$0] }
        keys["dynamodb:returnconsumedcapacity"] = [returnConsumedCapacity ?? "NONE"]
        keys["dynamodb:enclosingoperation"] = enclosing.map { [$0] }
        return keys
    }

    /// `keys` of items, or whole items.
    mutating func add(_ keys: [Item], _ table: Table) {
        partitions += keys.compactMap { $0[table.key.partition.name] }
        for key in keys { attributes.formUnion(key.names) }
    }

    /// With what all operations on items have: `input` is the whole request; `enclosing` names it for parts of transactions.
    func of(_ input: Value, enclosing: String? = nil) -> ItemUse {
        var use = self
        use.returnConsumedCapacity = input["ReturnConsumedCapacity"]?.string
        use.enclosing = enclosing
        return use
    }

    mutating func add(_ paths: [DocumentPath]?) { attributes.formUnion((paths ?? []).map(\.attribute)) }
}

extension AttributeValue {
    /// As policies compare it: one text for each value, however it was written; nil of what cannot be a key.
    var conditionText: String? {
        switch self {
        case .string(let text): text
        case .number(let number): number.text
        case .binary(let bytes): Base64.encode(bytes)
        default: nil
        }
    }
}

extension ItemRead {
    /// Of one read, or of several with one projection.
    static func use(_ keys: [Item], _ projection: ProjectionExpression?, _ table: Table) -> ItemUse {
        var use = ItemUse(select: projection == nil ? "ALL_ATTRIBUTES" : "SPECIFIC_ATTRIBUTES")
        use.add(keys, table)
        use.add(projection?.paths)
        return use
    }
}

extension ItemRequest {
    static func use(_ changes: [ItemRequest], _ table: Table) -> ItemUse {
        var use = ItemUse()
        for change in changes {
            switch change.action {
            case .put(let item): use.add([item], table)
            case .delete(let key), .check(let key): use.add([key], table)
            case .update(let key, let expression):
                use.add([key], table)
                use.add(expression?.mentioned)
            }
            use.add(change.condition?.paths)
        }
        return use
    }

    /// `returned`: ReturnValues of the request; parts of transactions have none.
    func use(returning returned: String = "NONE", _ table: Table) -> ItemUse {
        var use = Self.use([self], table)
        // What a failed condition gives away is the whole item: "NONE" would not be true.
        use.returnValues = returned == "NONE" && returnsOnFailure ? "ALL_OLD" : returned
        return use
    }
}
