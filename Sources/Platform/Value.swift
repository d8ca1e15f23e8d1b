/// One tree for everything that the wire carries: JSON documents, decoded requests and answers to be encoded.
///
/// JSON knows no blobs and timestamps; Wire makes them from strings and numbers by schema.
public enum Value: Sendable, Hashable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case blob([UInt8])
    case timestamp(Instant)
    case list([Value])
    case map(Fields)
}

/// The members of a structure or map, in their order. Small ones are searched by walking; a decoder that fills it
/// from outside must refuse or resolve repeated names itself.
public struct Fields: Sendable, Hashable {
    public struct Entry: Sendable, Hashable {
        public var name: String
        public var value: Value
        public init(name: String, value: Value) {
            self.name = name
            self.value = value
        }
    }

    public private(set) var entries: [Entry]

    public init() { entries = [] }
    public init(_ pairs: [(String, Value)]) { entries = pairs.map { Entry(name: $0.0, value: $0.1) } }

    public var count: Int { entries.count }
    public var isEmpty: Bool { entries.isEmpty }
    public var names: [String] { entries.map(\.name) }

    public subscript(name: String) -> Value? {
        get { entries.first { $0.name == name }?.value }
        set {
            if let index = entries.firstIndex(where: { $0.name == name }) {
                if let newValue { entries[index].value = newValue } else { entries.remove(at: index) }
            } else if let newValue {
                entries.append(Entry(name: name, value: newValue))
            }
        }
    }

    /// Appends without looking for a member of the same name: only when it is known to be absent.
    public mutating func append(_ name: String, _ value: Value) { entries.append(Entry(name: name, value: value)) }

    public mutating func reserveCapacity(_ count: Int) { entries.reserveCapacity(count) }
}

extension Fields: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, Value)...) { self.init(elements) }
}

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByFloatLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(arrayLiteral elements: Value...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, Value)...) { self = .map(Fields(elements)) }
}

extension Value {
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var list: [Value]? { if case .list(let value) = self { value } else { nil } }
    public var fields: Fields? { if case .map(let value) = self { value } else { nil } }
    public var timestamp: Instant? { if case .timestamp(let value) = self { value } else { nil } }
    public var isNull: Bool { if case .null = self { true } else { false } }

    /// A whole number; a double counts when it has no fraction and fits.
    public var int: Int64? {
        switch self {
        case .int(let value): value
        case .double(let value): Int64(exactly: value)
        default: nil
        }
    }

    public var double: Double? {
        switch self {
        case .double(let value): value
        case .int(let value): Double(value)
        default: nil
        }
    }

    /// A blob's bytes; a string counts as its UTF-8.
    public var blob: [UInt8]? {
        switch self {
        case .blob(let bytes): bytes
        case .string(let text): Array(text.utf8)
        default: nil
        }
    }

    /// A member of a map; nil for anything else. Setting turns null into a map.
    public subscript(name: String) -> Value? {
        get { fields?[name] }
        set {
            var fields = self.fields ?? Fields()
            fields[name] = newValue
            self = .map(fields)
        }
    }

    public static func strings(_ values: some Sequence<String>) -> Value { .list(values.map { .string($0) }) }
    public static func stringMap(_ pairs: some Sequence<(String, String)>) -> Value {
        .map(Fields(pairs.map { ($0.0, .string($0.1)) }))
    }
}
