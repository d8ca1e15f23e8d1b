import Wire

extension AttributeMap {
    /// Bytes as DynamoDB counts them for its limit of 400 KB and for capacity units: names in UTF-8, and values.
    var size: Int {
        var size = 0
        for entry in entries { size += entry.name.utf8.count + entry.value.size }
        return size
    }

    /// Throws when the item is larger than `ValueLimits.itemBytes`. `updating`: by UpdateItem, which words it otherwise.
    func checkSize(updating: Bool = false) throws(AWSError) {
        guard size <= ValueLimits.itemBytes else {
            throw .validation(
                updating
                    ? "Item size to update has exceeded the maximum allowed size"
                    : "Item size has exceeded the maximum allowed size")
        }
    }
}

extension AttributeValue {
    /// Bytes as DynamoDB counts them, without the attribute's name. Lists and maps: 3 bytes, and one for each element.
    /// Source: "DynamoDB item sizes and formats".
    var size: Int {
        switch self {
        case .string(let text): text.utf8.count
        case .number(let number): number.size
        case .binary(let bytes): bytes.count
        case .bool, .null: 1
        case .list(let elements): elements.reduce(3) { $0 + 1 + $1.size }
        case .map(let map): 3 + map.count + map.size
        case .stringSet(let members): members.reduce(0) { $0 + $1.utf8.count }
        case .numberSet(let members): members.reduce(0) { $0 + $1.size }
        case .binarySet(let members): members.reduce(0) { $0 + $1.count }
        }
    }
}

extension DynamoNumber {
    /// One byte, one for each two digits before the point and each two behind it, one for the sign. The guide's
    /// "approximately" is made exact by measurements at the limit of 400 KB (a public conformance suite, 2026).
    var size: Int {
        if isZero { return 1 }
        let digits = digitCount
        let fraction = min(max(0, -Int(exponent)), digits)
        let whole = digits - fraction
        return 1 + (whole + 1) / 2 + (fraction + 1) / 2 + (isNegative ? 1 : 0)
    }
}
