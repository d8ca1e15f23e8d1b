import Platform

extension AttributeMap {
    /// Writes DynamoDB JSON, as stream records carry it: `{"id":{"S":"a"}}`, binary values in base64.
    func write(to writer: inout JSONWriter) {
        writer.raw(UInt8(ascii: "{"))
        for (index, entry) in entries.enumerated() {
            if index > 0 { writer.raw(UInt8(ascii: ",")) }
            writer.string(entry.name)
            writer.raw(UInt8(ascii: ":"))
            entry.value.write(to: &writer)
        }
        writer.raw(UInt8(ascii: "}"))
    }
}

extension AttributeValue {
    /// Writes `{"N":"12"}`. Recursive: values are at most `ValueLimits.nestingLevels` deep.
    func write(to writer: inout JSONWriter) {
        switch self {
        case .string(let text):
            writer.raw("{\"S\":")
            writer.string(text)
        case .number(let number):
            writer.raw("{\"N\":\"")
            writer.bytes.append(contentsOf: number.text.utf8)
            writer.raw(UInt8(ascii: "\""))
        case .binary(let bytes):
            writer.raw("{\"B\":")
            writer.base64(bytes)
        case .bool(let value):
            writer.raw("{\"BOOL\":")
            writer.bool(value)
        case .null: writer.raw("{\"NULL\":true")
        case .list(let elements):
            writer.raw("{\"L\":")
            Self.write(elements, to: &writer) { $0.write(to: &$1) }
        case .map(let map):
            writer.raw("{\"M\":")
            map.write(to: &writer)
        case .stringSet(let members):
            writer.raw("{\"SS\":")
            Self.write(members, to: &writer) { $1.string($0) }
        case .numberSet(let members):
            writer.raw("{\"NS\":")
            Self.write(members, to: &writer) { $1.string($0.text) }
        case .binarySet(let members):
            writer.raw("{\"BS\":")
            Self.write(members, to: &writer) { $1.base64($0) }
        }
        writer.raw(UInt8(ascii: "}"))
    }

    private static func write<T>(_ elements: [T], to writer: inout JSONWriter, _ body: (T, inout JSONWriter) -> Void) {
        writer.raw(UInt8(ascii: "["))
        for (index, element) in elements.enumerated() {
            if index > 0 { writer.raw(UInt8(ascii: ",")) }
            body(element, &writer)
        }
        writer.raw(UInt8(ascii: "]"))
    }
}
