import Wire

/// What Query asks of the keys.
struct KeyCondition: Sendable, Hashable {
    enum Sort: Sendable, Hashable {
        case equal(AttributeValue)
        case less(AttributeValue)
        case lessOrEqual(AttributeValue)
        case greater(AttributeValue)
        case greaterOrEqual(AttributeValue)
        /// Both ends included.
        case between(AttributeValue, AttributeValue)
        case beginsWith(AttributeValue)

        fileprivate var values: [AttributeValue] {
            switch self {
            case .equal(let value), .less(let value), .lessOrEqual(let value), .greater(let value),
                .greaterOrEqual(let value), .beginsWith(let value):
                [value]
            case .between(let low, let high): [low, high]
            }
        }
    }

    /// A key attribute and its declared type (string, number or binary).
    struct Key: Sendable {
        var name: String
        var type: AttributeType
    }

    var partition: AttributeValue
    /// nil: every sort key.
    var sort: Sort?

    /// Throws every error of syntax, "Query condition missed key schema element: …", "Query key condition not
    /// supported", and those of types. The same as `KeyConditionExpression.parse` and `resolve`, for callers that know
    /// the keys already.
    static func parse(
        _ text: String, partitionKey: Key, sortKey: Key?, _ placeholders: inout Placeholders
    ) throws(AWSError) -> KeyCondition {
        try KeyConditionExpression.parse(text, &placeholders).resolve(partitionKey: partitionKey, sortKey: sortKey)
    }
}

/// A key condition before the table's keys are known: DynamoDB checks the text before it looks for the table.
struct KeyConditionExpression: Sendable {
    private struct Clause: Sendable {
        var attribute: String
        var condition: KeyCondition.Sort
    }

    private var clauses: [Clause] = []

    var attributes: [String] { clauses.map(\.attribute) }

    /// Throws errors of syntax, of operators and functions that key conditions cannot have, and of two conditions for
    /// one attribute.
    static func parse(_ text: String, _ placeholders: inout Placeholders) throws(AWSError) -> KeyConditionExpression {
        let condition = try ConditionExpression.parse(text, kind: .keyCondition, &placeholders)
        var expression = KeyConditionExpression()
        try expression.add(condition.node)
        return expression
    }

    /// Throws what the keys make wrong.
    func resolve(partitionKey: KeyCondition.Key, sortKey: KeyCondition.Key?) throws(AWSError) -> KeyCondition {
        let keyCount = sortKey == nil ? 1 : 2
        guard clauses.count <= keyCount else {
            throw .validation(
                "The number of query conditions (\(clauses.count)) exceeds the number of key attributes defined in "
                    + "the schema (\(keyCount))")
        }
        guard let partition = condition(on: partitionKey) else {
            throw .validation("Query condition missed key schema element: \(partitionKey.name)")
        }
        let sort = sortKey.flatMap { condition(on: $0) }
        if clauses.count == 2, sort == nil {
            throw .validation("Query condition missed key schema element: \(sortKey?.name ?? "")")
        }
        try Self.check(partition, partitionKey)
        guard case .equal(let value) = partition else { throw .validation("Query key condition not supported") }
        if let sort, let sortKey { try Self.check(sort, sortKey) }
        return KeyCondition(partition: value, sort: sort)
    }

    private func condition(on key: KeyCondition.Key) -> KeyCondition.Sort? {
        clauses.first { ByteOrder.equal($0.attribute, key.name) }?.condition
    }

    private static func check(_ condition: KeyCondition.Sort, _ key: KeyCondition.Key) throws(AWSError) {
        for value in condition.values {
            guard value.type == key.type else {
                throw .invalidParameterValues("Condition parameter type does not match schema type")
            }
            if value.length == 0, key.type != .number {
                // Nothing is below an empty prefix, but a key cannot be empty.
                throw .validation(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                        + "an empty \(key.type == .string ? "string" : "binary") value. Key: \(key.name)")
            }
        }
    }

    // MARK: From a condition

    private static func error(_ text: String) -> AWSError { .validation(text) }

    private static func unsupported(_ name: String) -> AWSError {
        error("Invalid operator used in KeyConditionExpression: \(name)")
    }

    private mutating func add(_ node: ConditionNode) throws(AWSError) {
        switch node {
        case .all(let nodes): for node in nodes { try add(node) }
        case .any: throw Self.unsupported("OR")
        case .not: throw Self.unsupported("NOT")
        case .within: throw Self.unsupported("IN")
        case .compare(.notEqual, _, _): throw Self.unsupported("<>")
        case .exists: throw Self.unsupported("attribute_exists")
        case .notExists: throw Self.unsupported("attribute_not_exists")
        case .type: throw Self.unsupported("attribute_type")
        case .contains: throw Self.unsupported("contains")
        case .compare(let comparator, let left, let right):
            let attribute = try Self.attribute([left, right])
            if case .value(let value) = right {
                try add(attribute, Self.sort(comparator, value))
            } else if case .value(let value) = left {
                try add(attribute, Self.sort(comparator.reversed, value))
            }
        case .between(let operand, let low, let high):
            let attribute = try Self.attribute([operand, low, high], firstIn: "BETWEEN")
            guard case .value(let low) = low, case .value(let high) = high else { return }
            try add(attribute, .between(low, high))
        case .beginsWith(let operand, let prefix):
            let attribute = try Self.attribute([operand, prefix], firstIn: "begins_with")
            guard case .value(let prefix) = prefix else { return }
            try add(attribute, .beginsWith(prefix))
        }
    }

    private static func sort(_ comparator: Comparator, _ value: AttributeValue) -> KeyCondition.Sort {
        switch comparator {
        case .equal, .notEqual: .equal(value)
        case .less: .less(value)
        case .lessOrEqual: .lessOrEqual(value)
        case .greater: .greater(value)
        case .greaterOrEqual: .greaterOrEqual(value)
        }
    }

    /// The one attribute of a clause; all other operands are values.
    private static func attribute(
        _ operands: [ConditionNode.Operand], firstIn name: String? = nil
    ) throws(AWSError) -> String {
        for case .size in operands { throw error("KeyConditionExpressions cannot contain nested operations") }
        if let name, operands.first?.path == nil {
            throw error(
                "Invalid condition in KeyConditionExpression: \(name) operator must have the key attribute as its "
                    + "first operand")
        }
        let paths = operands.compactMap(\.path)
        guard let path = paths.first else {
            throw error("Invalid condition in KeyConditionExpression: No key attribute specified")
        }
        guard paths.count == 1 else {
            throw error("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
        }
        guard path.elements.isEmpty else {
            throw error("KeyConditionExpressions cannot have conditions on nested attributes")
        }
        return path.attribute
    }

    private mutating func add(_ attribute: String, _ condition: KeyCondition.Sort) throws(AWSError) {
        guard !clauses.contains(where: { ByteOrder.equal($0.attribute, attribute) }) else {
            throw Self.error(
                "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key")
        }
        clauses.append(Clause(attribute: attribute, condition: condition))
    }
}
