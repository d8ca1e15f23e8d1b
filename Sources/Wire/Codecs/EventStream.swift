public import NIOCore
public import Platform

/// A header value of `application/vnd.amazon.eventstream`, with its type.
public enum EventStreamHeaderValue: Sendable, Hashable {
    case bool(Bool)
    case byte(Int8)
    case short(Int16)
    case int(Int32)
    case long(Int64)
    case bytes([UInt8])
    case string(String)
    /// To the millisecond on the wire.
    case timestamp(Instant)
    /// 16 bytes.
    case uuid([UInt8])
}

/// One message (frame) of an event stream.
public struct EventStreamMessage: Sendable, Hashable {
    public struct Header: Sendable, Hashable {
        public var name: String
        public var value: EventStreamHeaderValue
        public init(_ name: String, _ value: EventStreamHeaderValue) {
            self.name = name
            self.value = value
        }
    }

    public var headers: [Header]
    public var payload: [UInt8]

    public init(headers: [Header], payload: [UInt8]) {
        self.headers = headers
        self.payload = payload
    }

    public func header(_ name: String) -> EventStreamHeaderValue? { headers.first { $0.name == name }?.value }

    /// The frame: lengths, CRC-32 of them, headers, payload, CRC-32 of all. Header names and values that are too long
    /// for their length fields are cut (names 255 bytes, values 65,535).
    public func encoded() -> ByteBuffer {
        var block: [UInt8] = []
        for header in headers { Self.write(header, into: &block) }
        var frame: [UInt8] = []
        frame.reserveCapacity(block.count + payload.count + 16)
        Self.bigEndian(UInt32(truncatingIfNeeded: block.count + payload.count + 16), into: &frame)
        Self.bigEndian(UInt32(truncatingIfNeeded: block.count), into: &frame)
        Self.bigEndian(CRC32.checksum(frame[...]), into: &frame)
        frame += block
        frame += payload
        Self.bigEndian(CRC32.checksum(frame[...]), into: &frame)
        return ByteBuffer(bytes: frame)
    }

    private static func bigEndian<T: FixedWidthInteger>(_ value: T, into bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private static func write(_ header: Header, into bytes: inout [UInt8]) {
        let name = header.name.utf8.prefix(255)
        bytes.append(UInt8(name.count))
        bytes += name
        switch header.value {
        case .bool(let value): bytes.append(value ? 0 : 1)
        case .byte(let value):
            bytes.append(2)
            bigEndian(value, into: &bytes)
        case .short(let value):
            bytes.append(3)
            bigEndian(value, into: &bytes)
        case .int(let value):
            bytes.append(4)
            bigEndian(value, into: &bytes)
        case .long(let value):
            bytes.append(5)
            bigEndian(value, into: &bytes)
        case .bytes(let value): write(value.prefix(65_535), type: 6, into: &bytes)
        case .string(let value): write(Array(value.utf8).prefix(65_535), type: 7, into: &bytes)
        case .timestamp(let value):
            bytes.append(8)
            bigEndian(value.milliseconds, into: &bytes)
        case .uuid(let value):
            bytes.append(9)
            bytes += (value + [UInt8](repeating: 0, count: 16)).prefix(16)
        }
    }

    private static func write(_ value: ArraySlice<UInt8>, type: UInt8, into bytes: inout [UInt8]) {
        bytes.append(type)
        bigEndian(UInt16(value.count), into: &bytes)
        bytes += value
    }
}

/// Takes messages out of a byte stream that arrives in pieces.
public struct EventStreamDecoder: Sendable {
    private var pending: [UInt8] = []

    public init() {}

    /// Bytes of an unfinished message that are held.
    public var pendingBytes: Int { pending.count }

    /// Messages that are complete now. Throws `AWSError` (SerializationException) for bad lengths, checksums or headers;
    /// the stream is then lost.
    public mutating func feed(_ bytes: ByteBuffer) throws(AWSError) -> [EventStreamMessage] {
        pending += bytes.readableBytesView
        var messages: [EventStreamMessage] = []
        var start = 0
        while pending.count - start >= 12 {
            let total = Int(Self.word(pending, start))
            let headers = Int(Self.word(pending, start + 4))
            guard headers <= CodecLimits.eventHeaderBytes, total >= headers + 16,
                total - headers - 16 <= CodecLimits.eventPayloadBytes
            else { throw .serialization("Event stream message of an impossible length") }
            guard CRC32.checksum(pending[start..<start + 8]) == Self.word(pending, start + 8) else {
                throw .serialization("Event stream prelude checksum does not match")
            }
            guard pending.count - start >= total else { break }
            let end = start + total
            guard CRC32.checksum(pending[start..<end - 4]) == Self.word(pending, end - 4) else {
                throw .serialization("Event stream message checksum does not match")
            }
            let block = pending[start + 12..<start + 12 + headers]
            messages.append(
                EventStreamMessage(
                    headers: try Self.headers(block), payload: Array(pending[start + 12 + headers..<end - 4])))
            start = end
        }
        pending.removeFirst(start)
        return messages
    }

    /// The stream has ended. Throws when a message is unfinished.
    public func finish() throws(AWSError) {
        if !pending.isEmpty { throw .serialization("Event stream ended inside a message") }
    }

    private static func word(_ bytes: [UInt8], _ index: Int) -> UInt32 {
        UInt32(bytes[index]) << 24 | UInt32(bytes[index + 1]) << 16 | UInt32(bytes[index + 2]) << 8
            | UInt32(bytes[index + 3])
    }

    private static func headers(_ block: ArraySlice<UInt8>) throws(AWSError) -> [EventStreamMessage.Header] {
        var rest = block
        var headers: [EventStreamMessage.Header] = []
        while let length = rest.popFirst() {
            guard let name = String(validating: try take(Int(length), &rest), as: UTF8.self), !name.isEmpty,
                let type = rest.popFirst()
            else { throw malformedHeader }
            headers.append(EventStreamMessage.Header(name, try value(type, &rest)))
        }
        return headers
    }

    private static let malformedHeader = AWSError.serialization("Malformed event stream header")

    private static func take(_ count: Int, _ rest: inout ArraySlice<UInt8>) throws(AWSError) -> ArraySlice<UInt8> {
        guard rest.count >= count else { throw malformedHeader }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private static func integer(_ count: Int, _ rest: inout ArraySlice<UInt8>) throws(AWSError) -> UInt64 {
        try take(count, &rest).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func value(_ type: UInt8, _ rest: inout ArraySlice<UInt8>) throws(AWSError) -> EventStreamHeaderValue
    {
        switch type {
        case 0: return .bool(true)
        case 1: return .bool(false)
        case 2: return .byte(Int8(truncatingIfNeeded: try integer(1, &rest)))
        case 3: return .short(Int16(truncatingIfNeeded: try integer(2, &rest)))
        case 4: return .int(Int32(truncatingIfNeeded: try integer(4, &rest)))
        case 5: return .long(Int64(bitPattern: try integer(8, &rest)))
        case 6: return .bytes(Array(try take(Int(try integer(2, &rest)), &rest)))
        case 7:
            let bytes = try take(Int(try integer(2, &rest)), &rest)
            guard let text = String(validating: bytes, as: UTF8.self) else { throw malformedHeader }
            return .string(text)
        case 8: return .timestamp(Instant(milliseconds: Int64(bitPattern: try integer(8, &rest))))
        case 9: return .uuid(Array(try take(16, &rest)))
        default: throw malformedHeader
        }
    }
}

extension Codec {
    /// One event of an operation's output stream, e.g. `PayloadChunk` with `["Payload": .blob(…)]`. Nil when the output
    /// has no such event.
    public static func encodeEvent(_ name: String, _ value: Value, for match: OperationMatch) -> ByteBuffer? {
        let stream = match.operation.output?.members.first { $0.shape.traits.isEventStream }?.shape
        guard let stream, let index = stream.names.find(name) else { return nil }
        let shape = stream.members[index].shape
        var headers = [
            EventStreamMessage.Header(":message-type", .string("event")),
            EventStreamMessage.Header(":event-type", .string(name)),
        ]
        let fields = value.fields ?? [:]
        for (index, value) in shape.inModelOrder(fields) where shape.members[index].isEventHeader {
            if let header = header(value, shape.members[index].shape) {
                headers.append(EventStreamMessage.Header(shape.members[index].name, header))
            }
        }
        let (payload, type) = eventPayload(fields, shape, match.wireProtocol)
        if let type { headers.append(EventStreamMessage.Header(":content-type", .string(type))) }
        return EventStreamMessage(headers: headers, payload: payload).encoded()
    }

    /// The error with which a stream ends.
    public static func encodeEventException(_ error: AWSError, for match: OperationMatch) -> ByteBuffer {
        let headers = [
            EventStreamMessage.Header(":message-type", .string("exception")),
            EventStreamMessage.Header(":exception-type", .string(error.code)),
            EventStreamMessage.Header(":content-type", .string("application/json")),
        ]
        let payload = JSON.encode(["message": .string(error.message)])
        return EventStreamMessage(headers: headers, payload: payload).encoded()
    }

    /// The first message of the RPC protocols' streams: the other members of the output.
    public static func encodeInitialResponse(_ output: Value, for match: OperationMatch) -> ByteBuffer {
        var payload = Array("{}".utf8)
        if let shape = match.operation.output {
            var writer = JSONWriter()
            JSONCodec.write(output, shape, nil, into: &writer)
            payload = writer.bytes
        }
        let headers = [
            EventStreamMessage.Header(":message-type", .string("event")),
            EventStreamMessage.Header(":event-type", .string("initial-response")),
            EventStreamMessage.Header(":content-type", .string("application/json")),
        ]
        return EventStreamMessage(headers: headers, payload: payload).encoded()
    }

    private static func header(_ value: Value, _ shape: ShapeSchema) -> EventStreamHeaderValue? {
        switch (shape.kind, value) {
        case (.integer, .int(let number)): .int(Int32(clamping: number))
        case (_, .int(let number)): .long(number)
        case (_, .bool(let value)): .bool(value)
        case (_, .string(let text)): .string(text)
        case (_, .blob(let bytes)): .bytes(bytes)
        case (_, .timestamp(let instant)): .timestamp(instant)
        default: nil
        }
    }

    private static func eventPayload(
        _ fields: Fields, _ shape: ShapeSchema, _ wireProtocol: AWSProtocol
    ) -> (bytes: [UInt8], type: String?) {
        if let member = shape.members.first(where: { $0.isEventPayload }) {
            guard let value = fields[member.name] else { return ([], nil) }
            switch (member.shape.kind, value) {
            case (.blob, _): return (value.blob ?? [], "application/octet-stream")
            case (.string, .string(let text)): return (Array(text.utf8), "text/plain")
            default: return document(value, member.shape, wireProtocol)
            }
        }
        let body = shape.members.filter { !$0.isEventHeader }
        return body.isEmpty ? ([], nil) : document(.map(fields), shape, wireProtocol)
    }

    private static func document(
        _ value: Value, _ shape: ShapeSchema, _ wireProtocol: AWSProtocol
    ) -> (bytes: [UInt8], type: String?) {
        switch wireProtocol {
        case .restXML, .query:
            var writer = XMLWriter(declaration: false, fractionDigits: 3)
            XMLCodec.write(value, shape, name: shape.traits.root ?? shape.name, nil, into: &writer)
            return (writer.bytes, "text/xml")
        case .cbor:
            var writer = CBORWriter()
            CBORCodec.write(value, shape, into: &writer)
            return (writer.bytes, "application/cbor")
        case .cbor11:
            var writer = CBORWriter(timesInMilliseconds: true)
            CBORCodec.write(value, shape, into: &writer)
            return (writer.bytes, "application/x-amz-cbor-1.1")
        default:
            var writer = JSONWriter()
            JSONCodec.write(value, shape, nil, into: &writer)
            return (writer.bytes, "application/json")
        }
    }
}

/// CRC-32 of ISO 3309 (zlib's), one table.
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xedb8_8320 ^ value >> 1 : value >> 1 }
    }

    static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
    }
}
