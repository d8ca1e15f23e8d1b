public import Platform

// What the generated accessors (`Services/*/Shapes`) are made of.

extension Shape {
    /// Sets or, with nil, removes a member. In place: a plain `value[name] = …` would copy all members.
    @inline(never)
    public mutating func put(_ name: String, _ newValue: Value?) {
        guard case .map(var fields) = value else {
            value[name] = newValue
            return
        }
        value = .null
        fields[name] = newValue
        value = .map(fields)
    }

    public mutating func put(_ name: String, _ newValue: String?) { put(name, newValue.map { Value.string($0) }) }
    public mutating func put(_ name: String, _ newValue: Bool?) { put(name, newValue.map { Value.bool($0) }) }
    public mutating func put(_ name: String, _ newValue: Int?) { put(name, newValue.map { Value.int(Int64($0)) }) }
    public mutating func put(_ name: String, _ newValue: Double?) { put(name, newValue.map { Value.double($0) }) }
    public mutating func put(_ name: String, _ newValue: [UInt8]?) { put(name, newValue.map { Value.blob($0) }) }
    public mutating func put(_ name: String, _ newValue: Instant?) { put(name, newValue.map { Value.timestamp($0) }) }
}

extension Value {
    /// A whole number as Swift's usual integer.
    public var wholeNumber: Int? { int.map { Int($0) } }

    /// A list's elements, each read by `read`; nil when this is no list. Elements that `read` refuses are left out.
    public func elements<T>(_ read: (Value) -> T?) -> [T]? { list.map { $0.compactMap(read) } }

    /// A map's pairs in their order, each value read by `read`; nil when this is no map.
    public func pairs<T>(_ read: (Value) -> T?) -> [(key: String, value: T)]? {
        fields.map { fields in
            fields.entries.compactMap { entry in read(entry.value).map { (key: entry.name, value: $0) } }
        }
    }
}
