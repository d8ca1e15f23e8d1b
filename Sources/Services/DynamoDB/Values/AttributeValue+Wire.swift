import Platform
import Wire

extension AttributeValue {
    /// A value of a request, as Wire has decoded it; throws every ValidationException about it.
    init(wire: Value) throws(AWSError) { try self.init(wire: wire, level: 1) }

    /// `level`: 1 for an attribute's value, one more inside each list and map.
    fileprivate init(wire: Value, level: Int) throws(AWSError) {
        guard level <= ValueLimits.nestingLevels else { throw Self.tooDeep }
        var chosen: Fields.Entry?
        for entry in wire.fields?.entries ?? [] where !entry.value.isNull {
            guard AttributeType(rawValue: entry.name) != nil else { continue }
            guard chosen == nil else {
                throw .validation(
                    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the "
                        + "supported datatypes")
            }
            chosen = entry
        }
        guard let chosen, let type = AttributeType(rawValue: chosen.name) else { throw Self.empty }
        try self.init(type, chosen.value, level: level)
    }

    private init(_ type: AttributeType, _ content: Value, level: Int) throws(AWSError) {
        switch type {
        case .string:
            guard let text = content.string else { throw Self.empty }
            self = .string(text)
        case .number:
            guard let text = content.string else { throw Self.empty }
            self = .number(try DynamoNumber(text))
        case .binary:
            guard let bytes = content.blob else { throw Self.empty }
            self = .binary(bytes)
        case .bool:
            guard let value = content.bool else { throw Self.empty }
            self = .bool(value)
        case .null:
            guard content.bool == true else {
                throw .invalidParameterValues("Null attribute value types must have the value of true")
            }
            self = .null
        case .list:
            var elements: [AttributeValue] = []
            elements.reserveCapacity(content.list?.count ?? 0)
            for element in content.list ?? [] { elements.append(try AttributeValue(wire: element, level: level + 1)) }
            self = .list(elements)
        case .map: self = .map(try AttributeMap(wire: content, level: level + 1))
        case .stringSet, .numberSet, .binarySet: try self.init(set: type, content.list ?? [])
        }
    }

    private init(set type: AttributeType, _ members: [Value]) throws(AWSError) {
        guard !members.isEmpty else {
            switch type {
            case .stringSet: throw .invalidParameterValues("An string set  may not be empty")
            case .numberSet: throw .invalidParameterValues("An number set  may not be empty")
            default: throw .invalidParameterValues("Binary sets should not be empty")
            }
        }
        switch type {
        case .stringSet:
            let texts = members.map { $0.string ?? "" }
            self = .set(of: texts)
            guard setCount == texts.count else {
                throw .invalidParameterValues(
                    "Input collection [\(texts.joined(separator: ", "))] contains duplicates.")
            }
        case .numberSet:
            var numbers: [DynamoNumber] = []
            numbers.reserveCapacity(members.count)
            for member in members { numbers.append(try DynamoNumber(member.string ?? "")) }
            self = .set(of: numbers)
            guard setCount == numbers.count else { throw .validation("Input collection contains duplicates") }
        default:
            let blobs = members.map { $0.blob ?? [] }
            self = .set(of: blobs)
            guard setCount == blobs.count else {
                let texts = blobs.map { Base64.encode($0) }
                throw .invalidParameterValues(
                    "Input collection [\(texts.joined(separator: ", "))]of type BS contains duplicates.")
            }
        }
    }

    private var setCount: Int {
        switch self {
        case .stringSet(let members): members.count
        case .numberSet(let members): members.count
        case .binarySet(let members): members.count
        default: 0
        }
    }

    static let tooDeep = AWSError.validation(
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported "
            + "limit")

    private static let empty = AWSError.validation(
        "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")

    /// For an answer; also the form of stream records.
    var wire: Value {
        switch self {
        case .string(let text): ["S": .string(text)]
        case .number(let number): ["N": .string(number.text)]
        case .binary(let bytes): ["B": .blob(bytes)]
        case .bool(let value): ["BOOL": .bool(value)]
        case .null: ["NULL": true]
        case .list(let elements): ["L": .list(elements.map(\.wire))]
        case .map(let map): ["M": map.wire as Value]
        case .stringSet(let members): ["SS": .strings(members)]
        case .numberSet(let members): ["NS": .strings(members.map(\.text))]
        case .binarySet(let members): ["BS": .list(members.map { .blob($0) })]
        }
    }
}

extension AttributeMap {
    /// An item, a key or a map of a request.
    init(wire: Platform.Value) throws(AWSError) { try self.init(wire: wire, level: 1) }

    fileprivate init(wire: Platform.Value, level: Int) throws(AWSError) {
        let entries = wire.fields?.entries ?? []
        var pairs: [(name: String, value: AttributeValue)] = []
        pairs.reserveCapacity(entries.count)
        for entry in entries {
            guard entry.name.utf8.count <= ValueLimits.nameBytes else {
                throw .invalidParameterValues(
                    "Attribute name is too large, must be less than \(ValueLimits.nameBytes + 1) bytes")
            }
            pairs.append((entry.name, try AttributeValue(wire: entry.value, level: level)))
        }
        self.init(pairs)
    }

    var wire: Platform.Value {
        var fields = Fields()
        fields.reserveCapacity(count)
        for entry in self { fields.append(entry.name, entry.value.wire) }
        return .map(fields)
    }
}
