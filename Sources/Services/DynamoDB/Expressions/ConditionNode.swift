enum Comparator: String, Sendable {
    case equal = "="
    case notEqual = "<>"
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="

    init?(_ kind: Token.Kind) {
        switch kind {
        case .equal: self = .equal
        case .notEqual: self = .notEqual
        case .less: self = .less
        case .lessOrEqual: self = .lessOrEqual
        case .greater: self = .greater
        case .greaterOrEqual: self = .greaterOrEqual
        default: return nil
        }
    }

    /// With its operands exchanged.
    var reversed: Comparator {
        switch self {
        case .equal, .notEqual: self
        case .less: .greater
        case .lessOrEqual: .greaterOrEqual
        case .greater: .less
        case .greaterOrEqual: .lessOrEqual
        }
    }
}

/// A parsed condition; placeholders are replaced.
indirect enum ConditionNode: Sendable, Hashable {
    indirect enum Operand: Sendable, Hashable {
        case path(DocumentPath)
        case value(AttributeValue)
        case size(Operand)
    }

    case all([ConditionNode])
    case any([ConditionNode])
    case not(ConditionNode)
    case compare(Comparator, Operand, Operand)
    case between(Operand, Operand, Operand)
    case within(Operand, [Operand])
    case exists(DocumentPath)
    case notExists(DocumentPath)
    case type(Operand, AttributeType)
    case beginsWith(Operand, Operand)
    case contains(Operand, Operand)
}

extension ConditionNode.Operand {
    func value(in item: Item) -> AttributeValue? {
        switch self {
        case .path(let path): path.value(in: item)
        case .value(let value): value
        case .size(let operand): operand.value(in: item)?.length.map { .number(DynamoNumber($0)) }
        }
    }

    /// The type that it has whatever the item; nil for a path.
    var knownType: AttributeType? {
        switch self {
        case .path: nil
        case .value(let value): value.type
        case .size: .number
        }
    }

    var path: DocumentPath? { if case .path(let path) = self { path } else { nil } }
}

extension ConditionNode {
    /// Recursive: as deep as `ExpressionLimits.depth`.
    func holds(for item: Item) -> Bool {
        switch self {
        case .all(let nodes): nodes.allSatisfy { $0.holds(for: item) }
        case .any(let nodes): nodes.contains { $0.holds(for: item) }
        case .not(let node): !node.holds(for: item)
        case .compare(let comparator, let left, let right):
            Self.compare(comparator, left.value(in: item), right.value(in: item))
        case .between(let operand, let low, let high): Self.between(operand, low, high, item)
        case .within(let operand, let choices): Self.within(operand, choices, item)
        case .exists(let path): path.value(in: item) != nil
        case .notExists(let path): path.value(in: item) == nil
        case .type(let operand, let type): operand.value(in: item)?.type == type
        case .beginsWith(let operand, let prefix):
            Self.begins(operand.value(in: item), prefix.value(in: item))
        case .contains(let operand, let part): Self.contains(operand.value(in: item), part.value(in: item))
        }
    }

    /// What is missing equals nothing, not even what is missing too.
    private static func compare(_ comparator: Comparator, _ left: AttributeValue?, _ right: AttributeValue?) -> Bool {
        guard let left, let right else { return comparator == .notEqual }
        switch comparator {
        case .equal: return left == right
        case .notEqual: return left != right
        case .less: return left.order(to: right).map { $0 < 0 } ?? false
        case .lessOrEqual: return left.order(to: right).map { $0 <= 0 } ?? false
        case .greater: return left.order(to: right).map { $0 > 0 } ?? false
        case .greaterOrEqual: return left.order(to: right).map { $0 >= 0 } ?? false
        }
    }

    private static func between(_ operand: Operand, _ low: Operand, _ high: Operand, _ item: Item) -> Bool {
        let value = operand.value(in: item)
        return compare(.greaterOrEqual, value, low.value(in: item))
            && compare(.lessOrEqual, value, high.value(in: item))
    }

    private static func within(_ operand: Operand, _ choices: [Operand], _ item: Item) -> Bool {
        guard let value = operand.value(in: item) else { return false }
        return choices.contains { $0.value(in: item) == value }
    }

    private static func begins(_ value: AttributeValue?, _ prefix: AttributeValue?) -> Bool {
        switch (value, prefix) {
        case (.string(let text), .string(let prefix)): text.utf8.starts(with: prefix.utf8)
        case (.binary(let bytes), .binary(let prefix)): bytes.starts(with: prefix)
        default: false
        }
    }

    private static func contains(_ value: AttributeValue?, _ part: AttributeValue?) -> Bool {
        guard let value, let part else { return false }
        switch (value, part) {
        case (.string(let text), .string(let part)): return ByteOrder.contains(Array(text.utf8), Array(part.utf8))
        case (.binary(let bytes), .binary(let part)): return ByteOrder.contains(bytes, part)
        case (.stringSet(let members), .string(let member)): return members.contains { ByteOrder.equal($0, member) }
        case (.numberSet(let members), .number(let member)): return members.contains(member)
        case (.binarySet(let members), .binary(let member)): return members.contains(member)
        case (.list(let elements), _): return elements.contains(part)
        default: return false
        }
    }
}

extension AttributeValue {
    /// Below, at or above zero; nil for values that have no order: of different types, or neither text nor number nor
    /// bytes.
    func order(to other: AttributeValue) -> Int? {
        switch (self, other) {
        case (.string(let left), .string(let right)): ByteOrder.compare(left, right)
        case (.number(let left), .number(let right)): left == right ? 0 : left < right ? -1 : 1
        case (.binary(let left), .binary(let right)): ByteOrder.compare(left, right)
        default: nil
        }
    }

    /// What `size` answers: UTF-16 units of text as Java counts them, bytes, or elements; nil for other types.
    var length: Int? {
        switch self {
        case .string(let text): text.utf16.count
        case .binary(let bytes): bytes.count
        case .list(let elements): elements.count
        case .map(let map): map.count
        case .stringSet(let members): members.count
        case .numberSet(let members): members.count
        case .binarySet(let members): members.count
        case .number, .bool, .null: nil
        }
    }
}
