import Wire

extension DynamoNumber {
    /// Reads `-12.50E+3`; throws "The parameter cannot be converted to a numeric value: …" and the errors of range.
    init(_ text: String) throws(AWSError) {
        guard !text.isEmpty else {
            throw .validation("The parameter cannot be converted to a numeric value")
        }
        var parser = NumberParser()
        guard parser.read(text) else {
            throw .validation("The parameter cannot be converted to a numeric value: \(text)")
        }
        guard parser.digits > 0 else {
            // Zero too is held to the range, by the exponent that it is written with (seen on AWS in 2026).
            try Self.checkRange(magnitude: parser.exponent, digits: 1)
            self = .zero
            return
        }
        // Far beyond the range, and far from an overflow when a text of megabytes shifts it.
        let written = min(max(parser.exponent, -(1 << 40)), 1 << 40)
        let exponent = parser.pendingZeros - parser.fractionDigits + written
        try Self.checkRange(magnitude: exponent + parser.digits - 1, digits: parser.digits)
        try self.init(coefficient: parser.coefficient, exponent: exponent, isNegative: parser.isNegative)
    }

    /// As DynamoDB prints it: without exponent, without superfluous zeros.
    var text: String {
        if isZero { return "0" }
        let coefficient = self.coefficient
        var digits =
            coefficient <= UInt128(UInt64.max) ? String(UInt64(truncatingIfNeeded: coefficient)) : String(coefficient)
        let exponent = Int(self.exponent)
        if exponent > 0 {
            digits += String(repeating: "0", count: exponent)
        } else if exponent < 0 {
            let whole = digits.utf8.count + exponent
            if whole > 0 {
                digits.insert(".", at: digits.index(digits.startIndex, offsetBy: whole))
            } else {
                digits = "0." + String(repeating: "0", count: -whole) + digits
            }
        }
        return isNegative ? "-" + digits : digits
    }
}

/// The parts of a number's text.
private struct NumberParser {
    var isNegative = false
    var coefficient: UInt128 = 0
    /// From the first to the last digit that is not zero; may be more than the coefficient holds.
    var digits = 0
    /// Behind the last digit that is not zero, before the exponent.
    var pendingZeros = 0
    /// All digits behind the point.
    var fractionDigits = 0
    var exponent = 0

    /// False when it is no number.
    mutating func read(_ text: String) -> Bool {
        var bytes = text.utf8.makeIterator()
        var byte = bytes.next()
        if byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") {
            isNegative = byte == UInt8(ascii: "-")
            byte = bytes.next()
        }
        var hasDigits = false
        var isFraction = false
        while let current = byte {
            if current >= 0x30, current <= 0x39 {
                hasDigits = true
                if isFraction { fractionDigits += 1 }
                append(current - 0x30)
            } else if current == UInt8(ascii: "."), !isFraction {
                isFraction = true
            } else {
                break
            }
            byte = bytes.next()
        }
        guard hasDigits else { return false }
        guard let letter = byte else { return true }
        guard letter | 0x20 == UInt8(ascii: "e") else { return false }
        byte = bytes.next()
        let isSmall = byte == UInt8(ascii: "-")
        if isSmall || byte == UInt8(ascii: "+") { byte = bytes.next() }
        guard byte != nil else { return false }
        while let current = byte {
            guard current >= 0x30, current <= 0x39 else { return false }
            // An exponent that is no 64-bit integer makes it no number (seen on AWS in 2026).
            let (tens, tooLarge) = exponent.multipliedReportingOverflow(by: 10)
            let (sum, overflow) = tens.addingReportingOverflow(Int(current - 0x30))
            guard !tooLarge, !overflow else { return false }
            exponent = sum
            byte = bytes.next()
        }
        if isSmall { exponent = -exponent }
        return true
    }

    private mutating func append(_ digit: UInt8) {
        if digit == 0 {
            if digits > 0 { pendingZeros += 1 }
            return
        }
        digits += pendingZeros + 1
        if digits <= ValueLimits.digits {
            coefficient = coefficient * DynamoNumber.powers[pendingZeros + 1] + UInt128(digit)
        }
        pendingZeros = 0
    }
}
