import Wire

/// Keys as bytes whose order (memcmp) is the order of the values: text by its UTF-8 bytes, numbers by value, bytes.
///
/// `bytes(of:)` is for a column of its own; `append(_:to:)` ends itself, so that several values make one key. Numbers
/// are the same in both: a sign, the power of ten of the first digit, digits in pairs, an end below every pair;
/// negative ones with every bit turned.
enum KeyEncoding {
    /// For a value of type string, number or binary; throws for others, which no key may have.
    static func bytes(of value: AttributeValue) throws(AWSError) -> [UInt8] {
        switch value {
        case .string(let text): return Array(text.utf8)
        case .binary(let bytes): return bytes
        case .number(let number):
            var bytes: [UInt8] = []
            append(number, to: &bytes)
            return bytes
        default: throw noKey
        }
    }

    /// The value again; nil for bytes that `bytes(of:)` does not make.
    static func value(of bytes: [UInt8], type: AttributeType) -> AttributeValue? {
        switch type {
        case .string: return String(validating: bytes, as: UTF8.self).map { .string($0) }
        case .binary: return .binary(bytes)
        case .number:
            var position = 0
            guard let number = readNumber(from: bytes, at: &position), position == bytes.count else { return nil }
            return .number(number)
        default: return nil
        }
    }

    /// Appends the self-delimiting form: no such form is the beginning of another one of the same type. In text and
    /// binary values a zero byte becomes 0 255, and 0 1 ends them.
    static func append(_ value: AttributeValue, to bytes: inout [UInt8]) throws(AWSError) {
        switch value {
        case .string(let text): append(escaping: text.utf8, to: &bytes)
        case .binary(let blob): append(escaping: blob, to: &bytes)
        case .number(let number): append(number, to: &bytes)
        default: throw noKey
        }
    }

    /// Reads the self-delimiting form from `position` on, which it moves behind it; nil for anything else.
    static func read(_ type: AttributeType, from bytes: [UInt8], at position: inout Int) -> AttributeValue? {
        switch type {
        case .number: return readNumber(from: bytes, at: &position).map { .number($0) }
        case .string:
            guard let content = readEscaped(from: bytes, at: &position) else { return nil }
            return String(validating: content, as: UTF8.self).map { .string($0) }
        case .binary: return readEscaped(from: bytes, at: &position).map { .binary($0) }
        default: return nil
        }
    }

    /// The least bytes that are above everything that begins with these; nil when nothing is (all of them are 255).
    static func end(ofPrefix bytes: [UInt8]) -> [UInt8]? {
        guard let last = bytes.lastIndex(where: { $0 != 255 }) else { return nil }
        var end = Array(bytes[...last])
        end[last] += 1
        return end
    }

    private static let noKey = AWSError.validation("The provided key element does not match the schema")

    // MARK: Text and bytes

    private static func append(escaping content: some Collection<UInt8>, to bytes: inout [UInt8]) {
        bytes.reserveCapacity(bytes.count + content.count + 2)
        for byte in content {
            bytes.append(byte)
            if byte == 0 { bytes.append(255) }
        }
        bytes.append(0)
        bytes.append(1)
    }

    private static func readEscaped(from bytes: [UInt8], at position: inout Int) -> [UInt8]? {
        var content: [UInt8] = []
        var index = max(position, 0)
        while index < bytes.count {
            let byte = bytes[index]
            if byte != 0 {
                content.append(byte)
                index += 1
                continue
            }
            guard index + 1 < bytes.count else { return nil }
            switch bytes[index + 1] {
            case 255: content.append(0)
            case 1:
                position = index + 2
                return content
            default: return nil
            }
            index += 2
        }
        return nil
    }

    // MARK: Numbers

    private static let negative: UInt8 = 0x3F
    private static let zero: UInt8 = 0x40
    private static let positive: UInt8 = 0x41

    private static func append(_ number: DynamoNumber, to bytes: inout [UInt8]) {
        guard !number.isZero else { return bytes.append(zero) }
        let mask: UInt8 = number.isNegative ? 255 : 0
        bytes.append(number.isNegative ? negative : positive)
        bytes.append(UInt8(clamping: number.magnitude - ValueLimits.exponents.lowerBound) ^ mask)
        var coefficient = number.coefficient
        let count = number.digitCount
        if count % 2 == 1 { coefficient *= 10 }
        let start = bytes.count
        // Pairs from the last to the first, then turned round; 1 is the pair 00, so that 0 can end them.
        for _ in 0..<(count + 1) / 2 {
            let (rest, pair) = coefficient.quotientAndRemainder(dividingBy: 100)
            bytes.append((UInt8(truncatingIfNeeded: pair) + 1) ^ mask)
            coefficient = rest
        }
        bytes[start...].reverse()
        bytes.append(mask)
    }

    private static func readNumber(from bytes: [UInt8], at position: inout Int) -> DynamoNumber? {
        guard bytes.indices.contains(position) else { return nil }
        let sign = bytes[position]
        if sign == zero {
            position += 1
            return .zero
        }
        guard sign == negative || sign == positive, position + 1 < bytes.count else { return nil }
        let mask: UInt8 = sign == negative ? 255 : 0
        let magnitude = Int(bytes[position + 1] ^ mask) + ValueLimits.exponents.lowerBound
        var index = position + 2
        var coefficient: UInt128 = 0
        var digits = 0
        while index < bytes.count {
            let pair = bytes[index] ^ mask
            index += 1
            if pair == 0 {
                guard digits > 0 else { return nil }
                let number = try? DynamoNumber(
                    coefficient: coefficient, exponent: magnitude - digits + 1, isNegative: sign == negative)
                // Only what `append` makes: a first digit that is no zero, a last pair that is no zero.
                guard let number, !number.isZero, number.magnitude == magnitude,
                    (number.digitCount + 1) / 2 * 2 == digits
                else {
                    return nil
                }
                position = index
                return number
            }
            guard pair <= 100, digits < ValueLimits.digits else { return nil }
            coefficient = coefficient * 100 + UInt128(pair - 1)
            digits += 2
        }
        return nil
    }
}
