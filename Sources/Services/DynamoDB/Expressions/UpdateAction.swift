import Wire

/// One action of an update expression; placeholders are replaced.
struct UpdateAction: Sendable {
    indirect enum Operand: Sendable {
        case path(DocumentPath)
        case value(AttributeValue)
        case ifNotExists(DocumentPath, Operand)
        case listAppend(Operand, Operand)
        case plus(Operand, Operand)
        case minus(Operand, Operand)
    }

    enum Change: Sendable {
        case set(Operand)
        case remove
        case add(AttributeValue)
        case delete(AttributeValue)
    }

    var path: DocumentPath
    var change: Change
}

extension UpdateAction.Operand {
    /// The type that it has whatever the item.
    var knownType: AttributeType? { if case .value(let value) = self { value.type } else { nil } }

    /// What it is for this item.
    ///
    /// Throws: errors of types and numbers at once. A path that leads nowhere gives nil, because DynamoDB reports it
    /// after every other error.
    func value(in item: Item) throws(AWSError) -> AttributeValue? {
        switch self {
        case .path(let path): return path.value(in: item)
        case .value(let value): return value
        case .ifNotExists(let path, let other):
            if let value = path.value(in: item) { return value }
            return try other.value(in: item)
        case .listAppend(let left, let right):
            guard let left = try left.list(in: item), let right = try right.list(in: item) else { return nil }
            return .list(left + right)
        case .plus(let left, let right):
            guard let left = try left.number(in: item), let right = try right.number(in: item) else { return nil }
            return .number(try DynamoNumber.add(left, right))
        case .minus(let left, let right):
            guard let left = try left.number(in: item), let right = try right.number(in: item) else { return nil }
            return .number(try DynamoNumber.subtract(left, right))
        }
    }

    private func number(in item: Item) throws(AWSError) -> DynamoNumber? {
        switch try value(in: item) {
        case .number(let number)?: return number
        case nil: return nil
        default: throw UpdateExpression.wrongType
        }
    }

    private func list(in item: Item) throws(AWSError) -> [AttributeValue]? {
        switch try value(in: item) {
        case .list(let elements)?: return elements
        case nil: return nil
        default: throw UpdateExpression.wrongType
        }
    }
}

extension AttributeValue {
    /// What ADD makes of this value.
    func adding(_ other: AttributeValue) throws(AWSError) -> AttributeValue {
        switch (self, other) {
        case (.number(let left), .number(let right)): return .number(try DynamoNumber.add(left, right))
        case (.stringSet(let left), .stringSet(let right)): return .set(of: left + right)
        case (.numberSet(let left), .numberSet(let right)): return .set(of: left + right)
        case (.binarySet(let left), .binarySet(let right)): return .set(of: left + right)
        default: throw UpdateExpression.wrongType
        }
    }

    /// What DELETE leaves of this set; nil when that is nothing.
    func deleting(_ other: AttributeValue) throws(AWSError) -> AttributeValue? {
        switch (self, other) {
        case (.stringSet(let left), .stringSet(let right)):
            let rest = Self.difference(left, right, ByteOrder.less)
            return rest.isEmpty ? nil : .stringSet(rest)
        case (.numberSet(let left), .numberSet(let right)):
            let rest = Self.difference(left, right, <)
            return rest.isEmpty ? nil : .numberSet(rest)
        case (.binarySet(let left), .binarySet(let right)):
            let rest = Self.difference(left, right, ByteOrder.less)
            return rest.isEmpty ? nil : .binarySet(rest)
        default: throw UpdateExpression.wrongType
        }
    }

    /// The members of the first set that are not in the second; both in order.
    private static func difference<T>(_ left: [T], _ right: [T], _ isBefore: (T, T) -> Bool) -> [T] {
        var rest: [T] = []
        var index = 0
        for member in left {
            while index < right.count, isBefore(right[index], member) { index += 1 }
            if index < right.count, !isBefore(member, right[index]) { continue }
            rest.append(member)
        }
        return rest
    }

    /// Levels of nesting; 1 for what is neither list nor map.
    var levels: Int {
        switch self {
        case .list(let elements): elements.reduce(1) { max($0, 1 + $1.levels) }
        case .map(let map): map.reduce(1) { max($0, 1 + $1.value.levels) }
        default: 1
        }
    }
}
