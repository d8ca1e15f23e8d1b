import Platform

/// A number of a pattern or event, as it is compared.
struct PatternNumber: Sendable, Hashable {
    /// In millionths; nil outside of the range in which AWS compares by value.
    var scaled: Int64?
    /// As it was written: whole or not.
    var whole: Int64?
    var double: Double

    init?(_ value: Value) {
        switch value {
        case .int(let number):
            whole = number
            double = Double(number)
            if (-Limits.largestNumber...Limits.largestNumber).contains(number) { scaled = number * Limits.numberScale }
        case .double(let number):
            double = number
            if abs(number) <= Double(Limits.largestNumber) {
                scaled = Int64((number * Double(Limits.numberScale)).rounded())
            }
        default: return nil
        }
    }

    /// Same value to six decimals; numbers out of range only when they are written alike.
    func equals(_ other: PatternNumber) -> Bool {
        if let scaled, let theirs = other.scaled { return scaled == theirs }
        return isWrittenAs(other)
    }

    /// As text would be: 300 is not 300.0.
    func isWrittenAs(_ other: PatternNumber) -> Bool {
        if whole != nil || other.whole != nil { return whole == other.whole }
        return double == other.double
    }
}

/// What `numeric` asks; ends are in millionths.
struct NumericRange: Sendable, Hashable {
    var bottom: Int64
    var includesBottom: Bool
    var top: Int64
    var includesTop: Bool

    static let lowest = -Limits.largestNumber * Limits.numberScale
    static let highest = Limits.largestNumber * Limits.numberScale

    func contains(_ number: PatternNumber) -> Bool {
        guard let value = number.scaled else { return false }
        return (includesBottom ? value >= bottom : value > bottom) && (includesTop ? value <= top : value < top)
    }
}
