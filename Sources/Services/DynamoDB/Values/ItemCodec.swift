/// Items as the store keeps them: a compact binary form with a version in front.
///
///     item   = version map
///     map    = count (name value)…           names in byte order, each once
///     value  = tag content                    text, bytes: length and bytes; lists, sets: count and elements
///     number = head [exponent] coefficient    see `ItemWriter.number`
///
/// Counts and lengths are LEB128.
enum ItemCodec {
    /// Bytes of the store that no version of Martlet wrote.
    struct Damage: Error, Sendable {}

    static let version: UInt8 = 1

    static func encode(_ item: Item) -> [UInt8] {
        var writer = ItemWriter()
        writer.bytes.reserveCapacity(item.size + 4 * item.count + 8)
        writer.bytes.append(version)
        writer.map(item)
        return writer.bytes
    }

    static func decode(_ bytes: [UInt8]) throws(Damage) -> Item {
        let result: Result<Item, Damage> = bytes.withUnsafeBufferPointer { buffer in
            var reader = ItemReader(bytes: buffer)
            do throws(Damage) {
                guard try reader.byte() == version else { throw Damage() }
                let item = try reader.map(level: 0)
                guard reader.isAtEnd else { throw Damage() }
                return .success(item)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// What follows; never renumbered.
    fileprivate enum Tag: UInt8 {
        case string = 1
        case number = 2
        case binary = 3
        case no = 4
        case yes = 5
        case null = 6
        case list = 7
        case map = 8
        case stringSet = 9
        case numberSet = 10
        case binarySet = 11
    }
}

private struct ItemWriter {
    var bytes: [UInt8] = []

    mutating func map(_ map: AttributeMap) {
        count(map.count)
        for entry in map.entries {
            text(entry.name)
            value(entry.value)
        }
    }

    private mutating func value(_ value: AttributeValue) {
        switch value {
        case .string(let content):
            tag(.string)
            text(content)
        case .number(let content):
            tag(.number)
            number(content)
        case .binary(let content):
            tag(.binary)
            blob(content)
        case .bool(let content): tag(content ? .yes : .no)
        case .null: tag(.null)
        case .list(let elements):
            tag(.list)
            count(elements.count)
            for element in elements { self.value(element) }
        case .map(let content):
            tag(.map)
            map(content)
        case .stringSet(let members):
            tag(.stringSet)
            count(members.count)
            for member in members { text(member) }
        case .numberSet(let members):
            tag(.numberSet)
            count(members.count)
            for member in members { number(member) }
        case .binarySet(let members):
            tag(.binarySet)
            count(members.count)
            for member in members { blob(member) }
        }
    }

    private mutating func tag(_ tag: ItemCodec.Tag) { bytes.append(tag.rawValue) }

    mutating func count(_ count: Int) {
        var rest = UInt64(max(count, 0))
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    private mutating func text(_ text: String) {
        var text = text
        text.withUTF8 { buffer in
            count(buffer.count)
            bytes.append(contentsOf: buffer)
        }
    }

    private mutating func blob(_ blob: [UInt8]) {
        count(blob.count)
        bytes.append(contentsOf: blob)
    }

    /// A head of sign (bit 7), exponent follows (bit 6) and bytes of the coefficient (bits 0 to 4); the exponent in two
    /// bytes, the coefficient without leading zero bytes, both big-endian.
    private mutating func number(_ number: DynamoNumber) {
        let coefficient = number.coefficient
        let length = (128 - coefficient.leadingZeroBitCount + 7) / 8
        let hasExponent = number.exponent != 0
        bytes.append((number.isNegative ? 0x80 : 0) | (hasExponent ? 0x40 : 0) | UInt8(length))
        if hasExponent {
            let exponent = UInt16(bitPattern: number.exponent)
            bytes.append(UInt8(truncatingIfNeeded: exponent >> 8))
            bytes.append(UInt8(truncatingIfNeeded: exponent))
        }
        for index in (0..<length).reversed() { bytes.append(UInt8(truncatingIfNeeded: coefficient >> (8 * index))) }
    }
}

/// Holds a pointer: only used inside `ItemCodec.decode`. Every access is checked.
private struct ItemReader {
    typealias Damage = ItemCodec.Damage
    let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func byte() throws(Damage) -> UInt8 {
        guard position < bytes.count else { throw Damage() }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func map(level: Int) throws(Damage) -> AttributeMap {
        guard level <= ValueLimits.nestingLevels else { throw Damage() }
        let count = try elementCount(bytesEach: 2)
        var entries: [AttributeMap.Entry] = []
        entries.reserveCapacity(count)
        var last: UnsafeBufferPointer<UInt8>?
        for _ in 0..<count {
            let name = try slice()
            if let last, !last.lexicographicallyPrecedes(name) { throw Damage() }
            last = name
            entries.append(AttributeMap.Entry(name: try text(name), value: try value(level: level + 1)))
        }
        return AttributeMap(sorted: entries)
    }

    private mutating func value(level: Int) throws(Damage) -> AttributeValue {
        guard let tag = ItemCodec.Tag(rawValue: try byte()), level <= ValueLimits.nestingLevels else { throw Damage() }
        switch tag {
        case .string: return .string(try text(try slice()))
        case .number: return .number(try number())
        case .binary: return .binary(Array(try slice()))
        case .no: return .bool(false)
        case .yes: return .bool(true)
        case .null: return .null
        case .list:
            let count = try elementCount(bytesEach: 1)
            var elements: [AttributeValue] = []
            elements.reserveCapacity(count)
            for _ in 0..<count { elements.append(try value(level: level + 1)) }
            return .list(elements)
        case .map: return .map(try map(level: level))
        case .stringSet:
            return .stringSet(try set(ByteOrder.less) { reader throws(Damage) in try reader.text(try reader.slice()) })
        case .numberSet: return .numberSet(try set(<) { reader throws(Damage) in try reader.number() })
        case .binarySet:
            return .binarySet(try set(ByteOrder.less) { reader throws(Damage) in Array(try reader.slice()) })
        }
    }

    private mutating func set<T>(
        _ isBefore: (T, T) -> Bool, _ member: (inout ItemReader) throws(Damage) -> T
    ) throws(Damage) -> [T] {
        let count = try elementCount(bytesEach: 1)
        guard count > 0 else { throw Damage() }
        var members: [T] = []
        members.reserveCapacity(count)
        for _ in 0..<count {
            let next = try member(&self)
            if let last = members.last, !isBefore(last, next) { throw Damage() }
            members.append(next)
        }
        return members
    }

    /// A count that the rest of the bytes can hold, so that a damaged one does not take memory.
    private mutating func elementCount(bytesEach: Int) throws(Damage) -> Int {
        let count = try number7()
        guard count <= (bytes.count - position) / bytesEach else { throw Damage() }
        return count
    }

    private mutating func number7() throws(Damage) -> Int {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 35, by: 7) {
            let byte = try self.byte()
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return Int(value) }
        }
        throw Damage()
    }

    private mutating func slice() throws(Damage) -> UnsafeBufferPointer<UInt8> {
        let count = try number7()
        guard count <= bytes.count - position else { throw Damage() }
        defer { position += count }
        return UnsafeBufferPointer(rebasing: bytes[position..<position + count])
    }

    private func text(_ slice: UnsafeBufferPointer<UInt8>) throws(Damage) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else { throw Damage() }
        return text
    }

    private mutating func number() throws(Damage) -> DynamoNumber {
        let head = try byte()
        let length = Int(head & 0x3F)
        guard length <= 16 else { throw Damage() }
        var exponent = 0
        if head & 0x40 != 0 {
            let high = try byte()
            let low = try byte()
            exponent = Int(Int16(bitPattern: UInt16(high) << 8 | UInt16(low)))
        }
        var coefficient: UInt128 = 0
        for _ in 0..<length { coefficient = coefficient << 8 | UInt128(try byte()) }
        let isNegative = head & 0x80 != 0
        guard
            let number = DynamoNumber(exactly: coefficient, exponent: exponent, isNegative: isNegative)
        else { throw Damage() }
        return number
    }
}
