import Contracts
import NIOCore
import Platform
import Wire

/// The body of an answer, written at once: items do not become trees first.
struct Answer {
    private var writer = JSONWriter(capacity: 512)
    private var isEmpty = true

    init() { writer.raw(UInt8(ascii: "{")) }

    private mutating func name(_ name: String) {
        if !isEmpty { writer.raw(UInt8(ascii: ",")) }
        isEmpty = false
        writer.string(name)
        writer.raw(UInt8(ascii: ":"))
    }

    mutating func add(_ name: String, _ value: Value?) {
        guard let value else { return }
        self.name(name)
        writer.write(value)
    }

    mutating func add(_ name: String, _ item: Item?) {
        guard let item else { return }
        self.name(name)
        item.write(to: &writer)
    }

    mutating func add(_ name: String, items: [Item]) {
        self.name(name)
        list(items)
    }

    /// A list of structures of which each has an item, or nothing.
    mutating func add(_ name: String, responses: [Item?]) {
        self.name(name)
        writer.raw(UInt8(ascii: "["))
        for (index, item) in responses.enumerated() {
            if index > 0 { writer.raw(UInt8(ascii: ",")) }
            writer.raw("{")
            if let item {
                writer.raw("\"Item\":")
                item.write(to: &writer)
            }
            writer.raw("}")
        }
        writer.raw(UInt8(ascii: "]"))
    }

    /// A map of lists of items, by table.
    mutating func add(_ name: String, tables: [(name: String, items: [Item])]) {
        self.name(name)
        writer.raw(UInt8(ascii: "{"))
        for (index, table) in tables.enumerated() {
            if index > 0 { writer.raw(UInt8(ascii: ",")) }
            writer.string(table.name)
            writer.raw(UInt8(ascii: ":"))
            list(table.items)
        }
        writer.raw(UInt8(ascii: "}"))
    }

    private mutating func list(_ items: [Item]) {
        writer.raw(UInt8(ascii: "["))
        for (index, item) in items.enumerated() {
            if index > 0 { writer.raw(UInt8(ascii: ",")) }
            item.write(to: &writer)
        }
        writer.raw(UInt8(ascii: "]"))
    }

    /// With `x-amz-crc32`, by which clients see whether all of it arrived.
    consuming func response() -> OperationResponse {
        writer.raw(UInt8(ascii: "}"))
        let bytes = writer.bytes
        var sum = Checksum(.crc32)
        bytes.withUnsafeBytes { sum.update($0) }
        let crc = sum.finalize().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return OperationResponse(
            payload: .bytes(ByteBuffer(bytes: bytes)),
            headers: [
                (name: "Content-Type", value: "application/x-amz-json-1.0"),
                (name: "x-amz-crc32", value: String(crc)),
            ])
    }

    /// Of an output that is small.
    static func of(_ output: Value) -> OperationResponse {
        var answer = Answer()
        for entry in output.fields?.entries ?? [] { answer.add(entry.name, entry.value) }
        return answer.response()
    }
}
