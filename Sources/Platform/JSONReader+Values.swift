// Numbers, whole values and the skipping of values.

extension JSONReader {
    /// The extent of the number that comes next, by RFC 8259's grammar.
    private func scanNumber() throws(JSONError) -> (end: Int, isWhole: Bool) {
        var index = position
        var isWhole = true
        if byte(index) == UInt8(ascii: "-") { index += 1 }
        guard let first = byte(index), first.isDigit else {
            throw error(
                byte(index) == nil ? .unexpectedEnd(" in a number") : .badNumber("Invalid numeric value"), at: index)
        }
        index += 1
        if first == UInt8(ascii: "0") {
            if let next = byte(index), next.isDigit {
                throw error(.badNumber("Invalid numeric value: Leading zeroes not allowed"), at: index)
            }
        } else {
            while let next = byte(index), next.isDigit { index += 1 }
        }
        if byte(index) == UInt8(ascii: ".") {
            isWhole = false
            index = try digits(from: index + 1, "Decimal point not followed by a digit")
        }
        if let mark = byte(index), mark | 0x20 == UInt8(ascii: "e") {
            isWhole = false
            index += 1
            if let sign = byte(index), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { index += 1 }
            index = try digits(from: index, "Exponent indicator not followed by a digit")
        }
        if let next = byte(index), next.isIdentifierPart {
            throw error(.badNumber("Invalid numeric value: unexpected character behind a number"), at: index)
        }
        if index - position > JSON.numberLengthLimit {
            throw error(
                .badNumber(
                    "Number value length (\(index - position)) exceeds the maximum allowed (\(JSON.numberLengthLimit))")
            )
        }
        return (index, isWhole)
    }

    private func digits(from start: Int, _ complaint: String) throws(JSONError) -> Int {
        var index = start
        while let next = byte(index), next.isDigit { index += 1 }
        guard index > start else { throw error(.badNumber("Invalid numeric value: \(complaint)"), at: index) }
        return index
    }

    package mutating func skipNumber() throws(JSONError) { position = try scanNumber().end }

    /// `.int` when it is written whole and fits, otherwise `.double`. Throws when it is beyond a double's range.
    package mutating func readNumber() throws(JSONError) -> Value {
        let (end, isWhole) = try scanNumber()
        let start = position
        if isWhole, let value = wholeNumber(start, end) {
            position = end
            return .int(value)
        }
        guard let value = decimalNumber(start, end), value.isFinite else {
            throw error(.badNumber("Numeric value out of range"))
        }
        position = end
        return .double(value)
    }

    private func wholeNumber(_ start: Int, _ end: Int) -> Int64? {
        let isNegative = byte(start) == UInt8(ascii: "-")
        var value: Int64 = 0
        for index in (isNegative ? start + 1 : start)..<end {
            let digit = Int64((byte(index) ?? 0x30) &- 0x30)
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow2) = product.subtractingReportingOverflow(digit)
            if overflow || overflow2 { return nil }
            value = sum
        }
        if isNegative { return value }
        return value == .min ? nil : -value
    }

    /// Exact for up to 15 digits and small exponents by one multiplication or division (Clinger's fast path), else by
    /// the standard library.
    private func decimalNumber(_ start: Int, _ end: Int) -> Double? {
        var mantissa: UInt64 = 0
        var digits = 0
        var scale = 0
        var index = start
        var isNegative = false
        var seenPoint = false
        while index < end, let byte = byte(index), byte | 0x20 != UInt8(ascii: "e") {
            if byte == UInt8(ascii: "-") {
                isNegative = true
            } else if byte == UInt8(ascii: ".") {
                seenPoint = true
            } else {
                digits += 1
                if digits <= 15 { mantissa = mantissa * 10 + UInt64(byte &- 0x30) }
                if seenPoint { scale -= 1 }
            }
            index += 1
        }
        if digits <= 15, index == end, scale >= -22 {
            let value = Double(mantissa) / powersOfTen[-scale]
            return isNegative ? -value : value
        }
        return Double(String(decoding: bytes(Slice(start: start, count: end - start, isPlain: true)), as: UTF8.self))
    }

    /// Any value. Recursive: `JSON.depthLimit` bounds it.
    package mutating func readValue() throws(JSONError) -> Value {
        switch try peek() {
        case .string: return .string(try readString())
        case .number: return try readNumber()
        case .boolean: return .bool(try readBoolean())
        case .null:
            try readNull()
            return .null
        case .array: return try readArray()
        case .object: return try readObject()
        }
    }

    private mutating func readArray() throws(JSONError) -> Value {
        try enterArray()
        var elements: [Value] = []
        var first = true
        while try nextElement(first: &first) { elements.append(try readValue()) }
        return .list(elements)
    }

    private mutating func readObject() throws(JSONError) -> Value {
        try enterObject()
        var fields = Fields()
        var first = true
        while let name = try nextName(first: &first) {
            fields.append(string(name), try readValue())
        }
        return .map(fields.resolvingRepeatedNames())
    }

    /// Checks a value and moves behind it. Iterative: no stack grows.
    package mutating func skipValue() throws(JSONError) {
        var containers: [Bool] = []  // true: object
        var first = false
        repeat {
            if let isObject = containers.last {
                let goesOn = isObject ? try nextName(first: &first) != nil : try nextElement(first: &first)
                if !goesOn {
                    containers.removeLast()
                    first = false
                    continue
                }
            }
            switch try peek() {
            case .string: _ = try skipString()
            case .number: try skipNumber()
            case .boolean: _ = try readBoolean()
            case .null: try readNull()
            case .array:
                try enterArray()
                containers.append(false)
                first = true
            case .object:
                try enterObject()
                containers.append(true)
                first = true
            }
        } while !containers.isEmpty
    }
}

private let powersOfTen: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
]

extension Fields {
    /// Up to this many names are compared with each other; more are hashed, so that hostile input stays linear.
    private static let comparedNames = 12

    /// The last entry of each name, at the place of the first one.
    package func resolvingRepeatedNames() -> Fields {
        if count <= Self.comparedNames {
            for index in entries.indices.dropFirst() {
                for earlier in 0..<index where entries[earlier].name == entries[index].name { return rebuilt() }
            }
            return self
        }
        var seen = Set<String>(minimumCapacity: count)
        for entry in entries where !seen.insert(entry.name).inserted { return rebuilt() }
        return self
    }

    private func rebuilt() -> Fields {
        var last: [String: Value] = [:]
        for entry in entries { last[entry.name] = entry.value }
        var result = Fields()
        for entry in entries {
            if let value = last.removeValue(forKey: entry.name) { result.append(entry.name, value) }
        }
        return result
    }
}
