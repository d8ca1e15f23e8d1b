import Platform

/// CBOR (RFC 8949), the part that rpc-v2-cbor uses: integers, floats, strings, maps, arrays, epoch-second tags.
enum CBOR {
    struct Malformed: Error, CustomStringConvertible { var description: String }

    static func parse(_ bytes: some Collection<UInt8>, timesInMilliseconds: Bool = false) throws -> Value {
        var reader = CBORReader(Array(bytes), timesInMilliseconds: timesInMilliseconds)
        let value = try reader.value()
        guard reader.isAtEnd else { throw Malformed(description: "content behind the document") }
        return value
    }

    static func encode(_ value: Value) -> [UInt8] {
        var writer = CBORWriter()
        writer.write(value)
        return writer.bytes
    }
}

struct CBORReader {
    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0
    private let timesInMilliseconds: Bool

    init(_ bytes: [UInt8], timesInMilliseconds: Bool = false) {
        self.bytes = bytes
        self.timesInMilliseconds = timesInMilliseconds
    }

    var isAtEnd: Bool { position == bytes.count }

    private func malformed(_ what: String) -> CBOR.Malformed {
        CBOR.Malformed(description: "\(what) at byte \(position)")
    }

    private mutating func byte() throws -> UInt8 {
        guard position < bytes.count else { throw malformed("unexpected end") }
        defer { position += 1 }
        return bytes[position]
    }

    /// The argument of a head; nil for indefinite length.
    private mutating func argument(_ info: UInt8) throws -> UInt64? {
        switch info {
        case 0..<24: return UInt64(info)
        case 24...27:
            var value: UInt64 = 0
            for _ in 0..<(1 << Int(info - 24)) { value = value << 8 | UInt64(try byte()) }
            return value
        case 31: return nil
        default: throw malformed("reserved head")
        }
    }

    private func length(_ argument: UInt64) throws -> Int {
        guard let count = Int(exactly: argument), count <= bytes.count - position else { throw malformed("length") }
        return count
    }

    private mutating func skipBreak() -> Bool {
        guard position < bytes.count, bytes[position] == 0xff else { return false }
        position += 1
        return true
    }

    mutating func value() throws -> Value {
        depth += 1
        defer { depth -= 1 }
        guard depth <= CodecLimits.depth else { throw malformed("nested too deep") }
        let head = try byte()
        let argument = try argument(head & 31)
        switch head >> 5 {
        case 0:
            guard let argument else { throw malformed("indefinite integer") }
            return Int64(exactly: argument).map { .int($0) } ?? .double(Double(argument))
        case 1:
            guard let argument else { throw malformed("indefinite integer") }
            return Int64(exactly: argument).map { .int(-1 - $0) } ?? .double(-1 - Double(argument))
        case 2: return .blob(try string(argument, major: 2))
        case 3:
            guard let text = String(validating: try string(argument, major: 3), as: UTF8.self) else {
                throw malformed("not UTF-8")
            }
            return .string(text)
        case 4: return try list(argument)
        case 5: return try map(argument)
        case 6: return try tagged(argument)
        default: return try simple(head & 31, argument)
        }
    }

    private mutating func string(_ argument: UInt64?, major: UInt8) throws -> [UInt8] {
        if let argument {
            let count = try length(argument)
            defer { position += count }
            return Array(bytes[position..<position + count])
        }
        var whole: [UInt8] = []
        while !skipBreak() {
            let head = try byte()
            guard head >> 5 == major, let argument = try self.argument(head & 31) else { throw malformed("chunk") }
            let count = try length(argument)
            whole += bytes[position..<position + count]
            position += count
        }
        return whole
    }

    private mutating func list(_ argument: UInt64?) throws -> Value {
        var elements: [Value] = []
        if let argument {
            // Every element takes a byte at least, so that the count cannot exceed what is left.
            for _ in 0..<(try length(argument)) { elements.append(try value()) }
        } else {
            while !skipBreak() { elements.append(try value()) }
        }
        return .list(elements)
    }

    private mutating func map(_ argument: UInt64?) throws -> Value {
        var fields = Fields()
        var left = try argument.map { try length($0) }
        while true {
            if let count = left {
                if count == 0 { break }
                left = count - 1
            } else if skipBreak() {
                break
            }
            guard case .string(let name) = try value() else { throw malformed("map key") }
            fields.append(name, try value())
        }
        return .map(fields.resolvingRepeatedNames())
    }

    /// Tag 1 is an epoch time; other tags are passed over.
    private mutating func tagged(_ argument: UInt64?) throws -> Value {
        guard let tag = argument else { throw malformed("indefinite tag") }
        let content = try value()
        guard tag == 1 else { return content }
        switch content {
        case .int(let milliseconds) where timesInMilliseconds:
            return .timestamp(Instant(milliseconds: milliseconds))
        case .double(let milliseconds) where timesInMilliseconds:
            return .timestamp(Scalars.epoch(milliseconds / 1_000))
        case .int(let seconds): return .timestamp(Instant(seconds: Double(seconds)))
        case .double(let seconds): return .timestamp(Scalars.epoch(seconds))
        default: throw malformed("epoch time")
        }
    }

    private func simple(_ info: UInt8, _ argument: UInt64?) throws -> Value {
        guard let argument else { throw malformed("unexpected break") }
        switch info {
        case 20: return .bool(false)
        case 21: return .bool(true)
        case 22, 23: return .null
        case 25: return .double(Self.half(UInt16(truncatingIfNeeded: argument)))
        case 26: return .double(Double(Float(bitPattern: UInt32(truncatingIfNeeded: argument))))
        case 27: return .double(Double(bitPattern: argument))
        default: throw malformed("simple value")
        }
    }

    private static func half(_ bits: UInt16) -> Double {
        let exponent = Int(bits >> 10 & 31)
        let fraction = Double(bits & 1023)
        let magnitude: Double
        switch exponent {
        case 0: magnitude = fraction * 0x1p-24
        case 31: magnitude = fraction == 0 ? .infinity : .nan
        default: magnitude = Double(sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024)
        }
        return bits & 0x8000 == 0 ? magnitude : -magnitude
    }
}

struct CBORWriter {
    private(set) var bytes: [UInt8] = []
    private let timesInMilliseconds: Bool

    init(timesInMilliseconds: Bool = false) { self.timesInMilliseconds = timesInMilliseconds }

    private mutating func head(_ major: UInt8, _ argument: UInt64) {
        let type = major << 5
        switch argument {
        case 0..<24: bytes.append(type | UInt8(argument))
        case 0...0xff: bytes += [type | 24, UInt8(argument)]
        case 0...0xffff: bytes += [type | 25] + Self.bigEndian(argument, 2)
        case 0...0xffff_ffff: bytes += [type | 26] + Self.bigEndian(argument, 4)
        default: bytes += [type | 27] + Self.bigEndian(argument, 8)
        }
    }

    private static func bigEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
    }

    mutating func string(_ text: String) {
        head(3, UInt64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    mutating func map(_ count: Int) { head(5, UInt64(count)) }
    mutating func list(_ count: Int) { head(4, UInt64(count)) }

    mutating func write(_ value: Value) {
        switch value {
        case .null: bytes.append(0xf6)
        case .bool(let value): bytes.append(value ? 0xf5 : 0xf4)
        case .int(let value): value >= 0 ? head(0, UInt64(value)) : head(1, UInt64(-1 - value))
        case .double(let value): bytes += [0xfb] + Self.bigEndian(value.bitPattern, 8)
        case .string(let text): string(text)
        case .blob(let blob):
            head(2, UInt64(blob.count))
            bytes += blob
        case .timestamp(let instant):
            bytes.append(0xc1)
            if timesInMilliseconds { return write(.int(instant.milliseconds)) }
            let isWhole = instant.milliseconds == instant.seconds &* 1_000
            write(isWhole ? .int(instant.seconds) : .double(Double(instant.milliseconds) / 1_000))
        case .list(let elements):
            list(elements.count)
            for element in elements { write(element) }
        case .map(let fields):
            map(fields.count)
            for entry in fields.entries {
                string(entry.name)
                write(entry.value)
            }
        }
    }
}

/// Between trees as CBOR has them and trees as the model has them.
enum CBORCodec {
    /// Keeps modelled members, leaves nulls out, checks kinds.
    static func decode(_ value: Value, _ shape: ShapeSchema) throws(AWSError) -> Value {
        switch (shape.kind, value) {
        case (.structure, .map(let fields)):
            var result = Fields()
            for entry in fields.entries {
                guard let index = shape.bodyNames.find(entry.name), !entry.value.isNull else { continue }
                let member = shape.members[index]
                result.append(member.name, try decode(entry.value, member.shape))
            }
            return .map(result)
        case (.list, .list(let elements)):
            var result: [Value] = []
            for element in elements { result.append(element.isNull ? .null : try decode(element, shape.element)) }
            return .list(result)
        case (.map, .map(let fields)):
            var result = Fields()
            for entry in fields.entries {
                result.append(entry.name, entry.value.isNull ? .null : try decode(entry.value, shape.element))
            }
            return .map(result)
        case (.string, .string), (.boolean, .bool), (.blob, .blob), (.document, _), (.timestamp, .timestamp):
            return value
        case (.float, _), (.double, _): if let number = value.double { return .double(number) }
        case (.integer, _): if let whole = value.int, Int32(exactly: whole) != nil { return .int(whole) }
        case (.long, _): if let whole = value.int { return .int(whole) }
        case (.timestamp, _): if let seconds = value.double { return .timestamp(Scalars.epoch(seconds)) }
        default: break
        }
        throw .serialization("Expected \(shape.kind.rawValue)")
    }

    static func write(_ value: Value, _ shape: ShapeSchema, into writer: inout CBORWriter, depth: Int = 0) {
        guard depth < CodecLimits.depth else { return writer.write(.null) }
        switch (shape.kind, value) {
        case (.structure, .map(let fields)):
            let members = shape.inModelOrder(fields).filter { !$0.value.isNull }
            writer.map(members.count)
            for (index, value) in members {
                writer.string(shape.members[index].bodyName)
                write(value, shape.members[index].shape, into: &writer, depth: depth + 1)
            }
        case (.list, .list(let elements)):
            writer.list(elements.count)
            for element in elements { write(element, shape.element, into: &writer, depth: depth + 1) }
        case (.map, .map(let fields)):
            writer.map(fields.count)
            for entry in fields.entries {
                writer.string(entry.name)
                write(entry.value, shape.element, into: &writer, depth: depth + 1)
            }
        case (.float, .int(let value)), (.double, .int(let value)): writer.write(.double(Double(value)))
        case (.blob, .string(let text)): writer.write(.blob(Array(text.utf8)))
        default: writer.write(value)
        }
    }
}
