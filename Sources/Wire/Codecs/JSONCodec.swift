import NIOCore
import Platform

/// Bodies of the JSON protocols, read by schema straight from the bytes.
enum JSONCodec {
    // MARK: Decoding

    /// A structure (or other shape) from a body; nil when the body is empty or blank.
    static func decode(_ body: ByteBuffer, _ shape: ShapeSchema) throws(JSONError) -> Value? {
        if body.readableBytes == 0 { return nil }
        return try JSON.withReader(body.readableBytesView) { (reader) throws(JSONError) in
            reader.skipBlanks()
            if reader.isAtEnd { return nil }
            let value = try read(&reader, shape, nil)
            try reader.expectEnd()
            return value
        }
    }

    /// The next value, nil when it is null. Recursive: bounded by `JSON.depthLimit`.
    private static func read(
        _ reader: inout JSONReader, _ shape: ShapeSchema, _ format: TimestampFormat?
    ) throws(JSONError) -> Value? {
        let token = try reader.peek()
        if token == .null {
            try reader.readNull()
            return nil
        }
        switch shape.kind {
        case .structure:
            guard token == .object else { throw mismatch(reader, token, shape) }
            return try readStructure(&reader, shape)
        case .list:
            guard token == .array else { throw mismatch(reader, token, shape) }
            return try readList(&reader, shape)
        case .map:
            guard token == .object else { throw mismatch(reader, token, shape) }
            return try readMap(&reader, shape)
        case .document: return try reader.readValue()
        case .string:
            guard token == .string else { throw mismatch(reader, token, shape) }
            return .string(try reader.readString())
        case .boolean:
            guard token == .boolean else { throw mismatch(reader, token, shape) }
            return .bool(try reader.readBoolean())
        case .integer, .long, .float, .double: return try readNumber(&reader, token, shape)
        case .blob:
            guard token == .string else { throw mismatch(reader, token, shape) }
            return try readBlob(&reader)
        case .timestamp: return try readTimestamp(&reader, token, shape, format)
        }
    }

    private static func readStructure(_ reader: inout JSONReader, _ shape: ShapeSchema) throws(JSONError) -> Value {
        try reader.enterObject()
        var fields = Fields()
        var seen: UInt64 = 0
        var first = true
        while let name = try reader.nextName(first: &first) {
            let index =
                name.isPlain ? shape.bodyNames.find(reader.bytes(name)) : shape.bodyNames.find(reader.string(name))
            guard let index else {
                try reader.skipValue()
                continue
            }
            let member = shape.members[index]
            guard let value = try read(&reader, member.shape, member.timestampFormat) else { continue }
            if index < 64, seen & 1 << UInt64(index) == 0 {
                seen |= 1 << UInt64(index)
                fields.append(member.name, value)
            } else {
                fields[member.name] = value
            }
        }
        return .map(fields)
    }

    private static func readList(_ reader: inout JSONReader, _ shape: ShapeSchema) throws(JSONError) -> Value {
        try reader.enterArray()
        let element = shape.element
        var elements: [Value] = []
        var first = true
        while try reader.nextElement(first: &first) { elements.append(try read(&reader, element, nil) ?? .null) }
        return .list(elements)
    }

    private static func readMap(_ reader: inout JSONReader, _ shape: ShapeSchema) throws(JSONError) -> Value {
        try reader.enterObject()
        let element = shape.element
        var fields = Fields()
        var first = true
        while let name = try reader.nextName(first: &first) {
            fields.append(reader.string(name), try read(&reader, element, nil) ?? .null)
        }
        return .map(fields.resolvingRepeatedNames())
    }

    private static func readNumber(
        _ reader: inout JSONReader, _ token: JSONReader.Token, _ shape: ShapeSchema
    ) throws(JSONError) -> Value {
        let isWhole = shape.kind == .integer || shape.kind == .long
        if token == .string, !isWhole {
            let text = try reader.readString()
            if let value = Scalars.double(text) { return .double(value) }
            throw reader.error(.mismatch("class java.lang.String can not be converted to a \(typeName(shape))"))
        }
        guard token == .number else { throw mismatch(reader, token, shape) }
        let number = try reader.readNumber()
        if !isWhole { return .double(number.double ?? 0) }
        // AWS cuts fractions off (its class is called TruncatingBigNumber).
        let whole = number.int ?? number.double.flatMap { Int64(exactly: $0.rounded(.towardZero)) }
        guard let whole, shape.kind == .long || Int32(exactly: whole) != nil else {
            throw reader.error(.mismatch("Number out of range: it does not fit a \(typeName(shape))"))
        }
        return .int(whole)
    }

    private static func readBlob(_ reader: inout JSONReader) throws(JSONError) -> Value {
        let slice = try reader.skipString()
        if slice.isPlain, let bytes = Base64.decode(reader.bytes(slice)) { return .blob(bytes) }
        // `\/` is a legal escape inside base64.
        if !slice.isPlain, let bytes = Base64.decode(reader.string(slice)) { return .blob(bytes) }
        throw reader.error(.notBase64)
    }

    private static func readTimestamp(
        _ reader: inout JSONReader, _ token: JSONReader.Token, _ shape: ShapeSchema, _ format: TimestampFormat?
    ) throws(JSONError) -> Value {
        switch token {
        case .number:
            let number = try reader.readNumber()
            if case .int(let seconds) = number {
                let (milliseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
                return .timestamp(overflow ? Instant(seconds: Double(seconds)) : Instant(milliseconds: milliseconds))
            }
            return .timestamp(Scalars.epoch(number.double ?? 0))
        case .string:
            let text = try reader.readString()
            if let instant = Scalars.timestamp(text, format ?? shape.traits.timestampFormat) {
                return .timestamp(instant)
            }
            throw reader.error(.mismatch("class java.lang.String can not be converted to a Date"))
        default: throw mismatch(reader, token, shape)
        }
    }

    /// The words of AWS's own serializer, as clients know them from its JSON services.
    private static func mismatch(_ reader: JSONReader, _ token: JSONReader.Token, _ shape: ShapeSchema) -> JSONError {
        let text: String
        switch (token, shape.kind) {
        case (.object, _): text = "Start of structure or map found where not expected."
        case (.array, _): text = "Start of list found where not expected."
        case (_, .list): text = "Expected list or null"
        case (_, .structure), (_, .map): text = "Expected map or null"
        default:
            let found =
                switch token {
                case .string: "java.lang.String"
                case .boolean: "java.lang.Boolean"
                default: "com.amazon.coral.value.json.numbers.TruncatingBigNumber"
                }
            let name = typeName(shape)
            text = "class \(found) can not be converted to a\(name == "Integer" ? "n" : "") \(name)"
        }
        return reader.error(.mismatch(text))
    }

    private static func typeName(_ shape: ShapeSchema) -> String {
        switch shape.kind {
        case .blob: "Blob"
        case .timestamp: "Date"
        default: shape.kind.rawValue.prefix(1).uppercased() + shape.kind.rawValue.dropFirst()
        }
    }

    // MARK: Encoding

    /// Writes a value by its shape: members in the model's order, unknown ones left out, nulls left out.
    static func write(
        _ value: Value, _ shape: ShapeSchema, _ member: MemberSchema?, into writer: inout JSONWriter, depth: Int = 0
    ) {
        guard depth < JSON.depthLimit else { return writer.raw("null") }
        switch (shape.kind, value) {
        case (.structure, .map(let fields)): writeStructure(fields, shape, into: &writer, depth: depth)
        case (.list, .list(let elements)):
            writer.raw(UInt8(ascii: "["))
            let element = shape.element
            for (index, item) in elements.enumerated() {
                if index > 0 { writer.raw(UInt8(ascii: ",")) }
                write(item, element, nil, into: &writer, depth: depth + 1)
            }
            writer.raw(UInt8(ascii: "]"))
        case (.map, .map(let fields)):
            writer.raw(UInt8(ascii: "{"))
            let element = shape.element
            for (index, entry) in fields.entries.enumerated() {
                if index > 0 { writer.raw(UInt8(ascii: ",")) }
                writer.string(entry.name)
                writer.raw(UInt8(ascii: ":"))
                write(entry.value, element, nil, into: &writer, depth: depth + 1)
            }
            writer.raw(UInt8(ascii: "}"))
        case (.blob, .string(let text)): writer.base64(Array(text.utf8))
        case (.float, .int(let value)), (.double, .int(let value)): writer.double(Double(value))
        case (.integer, .double(let value)), (.long, .double(let value)):
            if let whole = Int64(exactly: value) { writer.int(whole) } else { writer.double(value) }
        case (.timestamp, .timestamp(let instant)):
            let format = member?.format(default: .unixTimestamp) ?? shape.format(default: .unixTimestamp)
            if format == .unixTimestamp {
                writer.epochSeconds(instant)
            } else {
                writer.string(Scalars.text(instant, format))
            }
        default: writer.write(value)
        }
    }

    private static func writeStructure(
        _ fields: Fields, _ shape: ShapeSchema, into writer: inout JSONWriter, depth: Int
    ) {
        writer.raw(UInt8(ascii: "{"))
        var isFirst = true
        for (index, value) in shape.inModelOrder(fields) {
            let member = shape.members[index]
            guard member.location == .body, !value.isNull else { continue }
            if !isFirst { writer.raw(UInt8(ascii: ",")) }
            isFirst = false
            writer.string(member.bodyName)
            writer.raw(UInt8(ascii: ":"))
            write(value, member.shape, member, into: &writer, depth: depth + 1)
        }
        writer.raw(UInt8(ascii: "}"))
    }
}

extension ShapeSchema {
    /// The modelled members that are set, as the model orders them.
    func inModelOrder(_ fields: Fields) -> [(index: Int, value: Value)] {
        var found: [(index: Int, value: Value)] = []
        found.reserveCapacity(fields.count)
        var isSorted = true
        for entry in fields.entries {
            guard let index = names.find(entry.name) else { continue }
            if let last = found.last, last.index > index { isSorted = false }
            found.append((index, entry.value))
        }
        if !isSorted { found.sort { $0.index < $1.index } }
        return found
    }
}
