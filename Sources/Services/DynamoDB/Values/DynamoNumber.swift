import Wire

/// A decimal number of up to 38 significant digits, exactly as DynamoDB has them: ± coefficient × 10^exponent.
///
/// Always normalized (no trailing zeros in the coefficient, one zero), so that equal numbers have equal fields.
struct DynamoNumber: Hashable, Sendable {
    // Two words: a UInt128 would need an alignment of 16, and every attribute value 48 bytes.
    private let high: UInt64
    private let low: UInt64
    let exponent: Int16
    let isNegative: Bool

    static let zero = DynamoNumber(normalizing: 0, exponent: 0, isNegative: false)

    var coefficient: UInt128 { UInt128(high) << 64 | UInt128(low) }
    var isZero: Bool { high == 0 && low == 0 }

    /// Digits of the coefficient; 1 for zero.
    var digitCount: Int { Self.digitCount(coefficient) }

    /// The power of ten of the first digit; 0 for zero.
    var magnitude: Int { isZero ? 0 : Int(exponent) + digitCount - 1 }

    init(_ value: Int) {
        self.init(normalizing: UInt128(value.magnitude), exponent: 0, isNegative: value < 0)
    }

    /// The coefficient is less than 10^38, and the number within `ValueLimits.exponents`.
    private init(normalizing coefficient: UInt128, exponent: Int, isNegative: Bool) {
        var (coefficient, exponent) = (coefficient, exponent)
        if coefficient == 0 {
            (high, low, self.exponent, self.isNegative) = (0, 0, 0, false)
            return
        }
        if coefficient <= UInt128(UInt64.max) {
            var small = UInt64(truncatingIfNeeded: coefficient)
            while small % 10 == 0 {
                small /= 10
                exponent += 1
            }
            coefficient = UInt128(small)
        } else {
            while true {
                let (quotient, remainder) = coefficient.quotientAndRemainder(dividingBy: 10)
                guard remainder == 0 else { break }
                coefficient = quotient
                exponent += 1
            }
        }
        high = UInt64(truncatingIfNeeded: coefficient >> 64)
        low = UInt64(truncatingIfNeeded: coefficient)
        self.exponent = Int16(clamping: exponent)
        self.isNegative = isNegative
    }

    /// The number of these parts; throws DynamoDB's errors of range and precision.
    init(coefficient: UInt128, exponent: Int, isNegative: Bool) throws(AWSError) {
        guard coefficient != 0 else {
            self = .zero
            return
        }
        // Normalized first: 39 digits may be 38 and a zero.
        var (coefficient, exponent) = (coefficient, exponent)
        while coefficient >= Self.powers[ValueLimits.digits] {
            let (quotient, remainder) = coefficient.quotientAndRemainder(dividingBy: 10)
            guard remainder == 0 else { break }
            coefficient = quotient
            exponent += 1
        }
        let digits = Self.digitCount(coefficient)
        try Self.checkRange(magnitude: exponent + digits - 1, digits: digits)
        self.init(normalizing: coefficient, exponent: exponent, isNegative: isNegative)
    }

    /// The number of exactly these fields; nil when they are not normalized or out of range.
    init?(exactly coefficient: UInt128, exponent: Int, isNegative: Bool) {
        guard coefficient != 0 else {
            guard exponent == 0, !isNegative else { return nil }
            self = .zero
            return
        }
        let small = UInt64(truncatingIfNeeded: coefficient)
        let isSmall = coefficient == UInt128(small)
        guard isSmall ? small % 10 != 0 : coefficient % 10 != 0 else { return nil }
        let digits = Self.digitCount(coefficient)
        guard digits <= ValueLimits.digits, ValueLimits.exponents.contains(exponent + digits - 1) else { return nil }
        high = UInt64(truncatingIfNeeded: coefficient >> 64)
        low = small
        self.exponent = Int16(clamping: exponent)
        self.isNegative = isNegative
    }

    static func checkRange(magnitude: Int, digits: Int) throws(AWSError) {
        if magnitude > ValueLimits.exponents.upperBound {
            throw .validation(
                "Number overflow. Attempting to store a number with magnitude larger than supported range")
        }
        if magnitude < ValueLimits.exponents.lowerBound {
            throw .validation(
                "Number underflow. Attempting to store a number with magnitude smaller than supported range")
        }
        if digits > ValueLimits.digits { throw tooPrecise }
    }

    static let tooPrecise = AWSError.validation("Attempting to store more than 38 significant digits in a Number")

    /// 10^0 … 10^38.
    static let powers: [UInt128] = (0..<ValueLimits.digits).reduce(into: [1]) { powers, _ in
        powers.append((powers.last ?? 0) * 10)
    }

    static func digitCount(_ coefficient: UInt128) -> Int {
        var count = 1
        if coefficient <= UInt128(UInt64.max) {
            var power: UInt64 = 10
            let small = UInt64(truncatingIfNeeded: coefficient)
            while small >= power {
                count += 1
                let (next, overflow) = power.multipliedReportingOverflow(by: 10)
                if overflow { break }
                power = next
            }
            return count
        }
        count = 19
        while count < powers.count, coefficient >= powers[count] { count += 1 }
        return coefficient >= powers[ValueLimits.digits] ? ValueLimits.digits + 1 : count
    }
}

extension DynamoNumber: Comparable {
    static func < (left: DynamoNumber, right: DynamoNumber) -> Bool {
        if left.isNegative != right.isNegative { return left.isNegative }
        return left.isNegative ? isSmaller(right, left) : isSmaller(left, right)
    }

    /// Whether it has the smaller absolute value.
    private static func isSmaller(_ left: DynamoNumber, _ right: DynamoNumber) -> Bool {
        if left.isZero || right.isZero { return left.isZero && !right.isZero }
        let (leftDigits, rightDigits) = (left.digitCount, right.digitCount)
        let (leftMagnitude, rightMagnitude) = (Int(left.exponent) + leftDigits, Int(right.exponent) + rightDigits)
        if leftMagnitude != rightMagnitude { return leftMagnitude < rightMagnitude }
        // The first digits stand above each other: fill up with zeros to the same length, at most 38.
        let digits = max(leftDigits, rightDigits)
        return left.coefficient * powers[digits - leftDigits] < right.coefficient * powers[digits - rightDigits]
    }
}

extension DynamoNumber {
    static prefix func - (number: DynamoNumber) -> DynamoNumber {
        DynamoNumber(
            normalizing: number.coefficient, exponent: Int(number.exponent), isNegative: !number.isNegative)
    }

    /// Throws when the exact sum has more than 38 digits or is out of range.
    static func add(_ left: DynamoNumber, _ right: DynamoNumber) throws(AWSError) -> DynamoNumber {
        if left.isZero { return right }
        if right.isZero { return left }
        let (upper, lower) = left.exponent >= right.exponent ? (left, right) : (right, left)
        let shift = Int(upper.exponent) - Int(lower.exponent)
        // The last digit of `lower` is not zero and stays the last digit of the sum, so a shifted number that does not
        // fit into 128 bits (3.4 × 10^38) leaves at least 39 digits even after `lower` (below 10^38) is taken from it.
        guard shift <= ValueLimits.digits else { throw tooPrecise }
        let (shifted, overflow) = upper.coefficient.multipliedReportingOverflow(by: powers[shift])
        if overflow { throw tooPrecise }
        let other = lower.coefficient
        if upper.isNegative == lower.isNegative {
            let (sum, overflow) = shifted.addingReportingOverflow(other)
            if overflow { throw tooPrecise }
            return try DynamoNumber(
                coefficient: sum, exponent: Int(lower.exponent), isNegative: upper.isNegative)
        }
        return try DynamoNumber(
            coefficient: shifted >= other ? shifted - other : other - shifted, exponent: Int(lower.exponent),
            isNegative: shifted >= other ? upper.isNegative : lower.isNegative)
    }

    static func subtract(_ left: DynamoNumber, _ right: DynamoNumber) throws(AWSError) -> DynamoNumber {
        try add(left, -right)
    }
}
