/// A value of an item. Equal when DynamoDB finds it equal: text and bytes byte by byte, numbers by value, sets whatever
/// their order.
enum AttributeValue: Sendable {
    case string(String)
    case number(DynamoNumber)
    case binary([UInt8])
    case bool(Bool)
    case null
    case list([AttributeValue])
    case map(AttributeMap)
    /// Members of sets are in ascending order and distinct: made by `AttributeValue.set(of:)` only.
    case stringSet([String])
    case numberSet([DynamoNumber])
    case binarySet([[UInt8]])

    var type: AttributeType {
        switch self {
        case .string: .string
        case .number: .number
        case .binary: .binary
        case .bool: .bool
        case .null: .null
        case .list: .list
        case .map: .map
        case .stringSet: .stringSet
        case .numberSet: .numberSet
        case .binarySet: .binarySet
        }
    }

    /// A set of these members, sorted, repeated ones once. It must not become empty: DynamoDB has no empty sets.
    static func set(of members: [String]) -> AttributeValue {
        .stringSet(distinct(members.sorted(by: ByteOrder.less), ByteOrder.equal))
    }
    static func set(of members: [DynamoNumber]) -> AttributeValue { .numberSet(distinct(members.sorted(), ==)) }
    static func set(of members: [[UInt8]]) -> AttributeValue {
        .binarySet(distinct(members.sorted(by: ByteOrder.less), ==))
    }

    private static func distinct<T>(_ sorted: [T], _ equal: (T, T) -> Bool) -> [T] {
        var result: [T] = []
        result.reserveCapacity(sorted.count)
        for member in sorted {
            if let last = result.last, equal(last, member) { continue }
            result.append(member)
        }
        return result
    }
}

/// The ten data types, by the names that the wire gives them.
enum AttributeType: String, Sendable, Hashable, CaseIterable {
    case string = "S"
    case number = "N"
    case binary = "B"
    case bool = "BOOL"
    case null = "NULL"
    case list = "L"
    case map = "M"
    case stringSet = "SS"
    case numberSet = "NS"
    case binarySet = "BS"
}

extension AttributeValue: Hashable {
    static func == (left: AttributeValue, right: AttributeValue) -> Bool {
        switch (left, right) {
        case (.string(let left), .string(let right)): ByteOrder.equal(left, right)
        case (.number(let left), .number(let right)): left == right
        case (.binary(let left), .binary(let right)): left == right
        case (.bool(let left), .bool(let right)): left == right
        case (.null, .null): true
        case (.list(let left), .list(let right)): left == right
        case (.map(let left), .map(let right)): left == right
        case (.stringSet(let left), .stringSet(let right)):
            left.count == right.count && zip(left, right).allSatisfy(ByteOrder.equal)
        case (.numberSet(let left), .numberSet(let right)): left == right
        case (.binarySet(let left), .binarySet(let right)): left == right
        default: false
        }
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(type)
        switch self {
        case .string(let text): hasher.combine(text)
        case .number(let number): hasher.combine(number)
        case .binary(let bytes): hasher.combine(bytes)
        case .bool(let value): hasher.combine(value)
        case .null: break
        case .list(let elements): hasher.combine(elements)
        case .map(let map): hasher.combine(map)
        case .stringSet(let members): hasher.combine(members)
        case .numberSet(let members): hasher.combine(members)
        case .binarySet(let members): hasher.combine(members)
        }
    }
}
