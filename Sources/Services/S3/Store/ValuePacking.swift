import Platform

/// Structures as they were sent, kept in one column: sub-resources of buckets, which are given back as they came.
extension Packer {
    mutating func value(_ value: Value) {
        switch value {
        case .null: int(0)
        case .bool(let flag): int(flag ? 2 : 1)
        case .int(let number):
            int(3)
            int(number)
        case .double(let number):
            int(4)
            int(Int64(bitPattern: number.bitPattern))
        case .string(let text):
            int(5)
            self.text(text)
        case .blob(let bytes):
            int(6)
            data(bytes)
        case .timestamp(let instant):
            int(7)
            int(instant.nanoseconds)
        case .list(let items):
            int(8)
            int(Int64(items.count))
            for item in items { self.value(item) }
        case .map(let fields):
            int(9)
            int(Int64(fields.count))
            for entry in fields.entries {
                text(entry.name)
                self.value(entry.value)
            }
        }
    }

    static func pack(_ value: Value) -> [UInt8] {
        var packer = Packer()
        packer.value(value)
        return packer.bytes
    }
}

extension Unpacker {
    /// Levels of a structure; the model's deepest has about ten. Ours.
    private static let maximumDepth = 32

    mutating func value(depth: Int = 0) throws -> Value {
        guard depth < Unpacker.maximumDepth else { throw Failure(.corrupt, "a bucket's setting is nested too deeply") }
        switch try int() {
        case 0: return .null
        case 1: return .bool(false)
        case 2: return .bool(true)
        case 3: return .int(try int())
        case 4: return .double(Double(bitPattern: UInt64(bitPattern: try int())))
        case 5: return .string(try text())
        case 6: return .blob(try data())
        case 7: return .timestamp(Instant(nanoseconds: try int()))
        case 8:
            var items: [Value] = []
            for _ in 0..<(try count()) { items.append(try value(depth: depth + 1)) }
            return .list(items)
        case 9:
            var fields = Fields()
            for _ in 0..<(try count()) { fields.append(try text(), try value(depth: depth + 1)) }
            return .map(fields)
        default: throw Failure(.corrupt, "a bucket's setting cannot be read")
        }
    }

    static func value(_ bytes: [UInt8]) throws -> Value {
        var unpacker = Unpacker(bytes)
        return try unpacker.value()
    }
}
