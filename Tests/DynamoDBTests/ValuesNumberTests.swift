import Testing
import Wire

@testable import DynamoDB

/// Decimal arithmetic on paper: a row of digits around a fixed point. Shares nothing with `DynamoNumber`.
private struct Paper: Equatable {
    static let width = 900
    /// The digit at this index is that of the ones.
    static let ones = 450

    var isNegative = false
    var digits = [UInt8](repeating: 0, count: Paper.width)

    init() {}

    init(_ text: String) {
        var number = Substring(text)
        isNegative = number.hasPrefix("-")
        if number.hasPrefix("-") || number.hasPrefix("+") { number.removeFirst() }
        let parts = number.lowercased().split(separator: "e")
        let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        let halves = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let fraction = halves.count > 1 ? halves[1].count : 0
        for (index, digit) in halves.joined().reversed().enumerated() {
            digits[Paper.ones - (index - fraction + exponent)] = UInt8(digit.wholeNumberValue ?? 0)
        }
        if isZero { isNegative = false }
    }

    var isZero: Bool { digits.allSatisfy { $0 == 0 } }

    /// What DynamoDB says to it.
    var expected: String {
        guard let first = digits.firstIndex(where: { $0 != 0 }), let last = digits.lastIndex(where: { $0 != 0 }) else {
            return "0"
        }
        if Paper.ones - first > 125 { return "overflow" }
        if Paper.ones - first < -130 { return "underflow" }
        if last - first >= 38 { return "precision" }
        let whole = digits[min(first, Paper.ones)...Paper.ones].map { String($0) }.joined()
        let fraction = last > Paper.ones ? "." + digits[(Paper.ones + 1)...last].map { String($0) }.joined() : ""
        return (isNegative ? "-" : "") + whole + fraction
    }

    static func magnitudeIsLess(_ left: Paper, _ right: Paper) -> Bool {
        left.digits.lexicographicallyPrecedes(right.digits)
    }

    static func < (left: Paper, right: Paper) -> Bool {
        if left.isNegative != right.isNegative { return left.isNegative }
        return left.isNegative ? magnitudeIsLess(right, left) : magnitudeIsLess(left, right)
    }

    static func + (left: Paper, right: Paper) -> Paper {
        var sum = Paper()
        if left.isNegative == right.isNegative {
            var carry: UInt8 = 0
            for index in (0..<width).reversed() {
                let digit = left.digits[index] + right.digits[index] + carry
                sum.digits[index] = digit % 10
                carry = digit / 10
            }
            sum.isNegative = left.isNegative
        } else {
            let (large, small) = magnitudeIsLess(left, right) ? (right, left) : (left, right)
            var borrow: UInt8 = 0
            for index in (0..<width).reversed() {
                let digit = large.digits[index] + 10 - small.digits[index] - borrow
                sum.digits[index] = digit % 10
                borrow = digit < 10 ? 1 : 0
            }
            sum.isNegative = large.isNegative
        }
        if sum.isZero { sum.isNegative = false }
        return sum
    }
}

@Suite struct ValuesNumberTests {
    /// The canonical text, or one word for the error.
    static func outcome(_ body: () throws(AWSError) -> DynamoNumber) -> String {
        do throws(AWSError) {
            return try body().text
        } catch {
            for word in ["overflow", "underflow"] where error.message.hasPrefix("Number \(word)") { return word }
            return error.message.hasPrefix("Attempting to store more than 38") ? "precision" : error.message
        }
    }

    @Test func textsAreCanonicalOrRefused() {
        var random = ValueRandom(seed: 1)
        for _ in 0..<3_000 {
            let text = random.numberText()
            // Zero is held to the range by its written exponent: not on paper.
            if Paper(text).isZero { continue }
            #expect(Self.outcome { () throws(AWSError) in try DynamoNumber(text) } == Paper(text).expected, "\(text)")
        }
    }

    @Test func sumsAreExactOrRefused() {
        var random = ValueRandom(seed: 2)
        for round in 0..<3_000 {
            let left = random.number()
            // Often close together, so that digits cancel.
            let right =
                round % 3 == 0
                ? random.number()
                : (try? DynamoNumber.add(left, random.pick([DynamoNumber(1), DynamoNumber(-7), left]))) ?? -left
            let (first, second) = (Paper(left.text), Paper(right.text))
            var expected = (first + second).expected
            // Too many digits in a sum are reported as that, also when the sum is out of range too.
            let found = Self.outcome { () throws(AWSError) in try DynamoNumber.add(left, right) }
            if found == "precision", ["overflow", "underflow"].contains(expected) { expected = found }
            #expect(found == expected, "\(left.text) + \(right.text)")
            #expect(
                Self.outcome { () throws(AWSError) in try DynamoNumber.subtract(left, -right) } == found)
            #expect((left < right) == (first < second))
            #expect((left == right) == (first == second))
        }
    }

    @Test func extremes() throws {
        #expect(try DynamoNumber("9.9999999999999999999999999999999999999E+125").text.utf8.count == 126)
        #expect(try DynamoNumber("1E-130").text == "0." + String(repeating: "0", count: 129) + "1")
        #expect(try DynamoNumber("-0").text == "0")
        #expect(try DynamoNumber("0042.1200").text == "42.12")
        #expect(try DynamoNumber(".5") == DynamoNumber("5.e-1"))
        #expect(try DynamoNumber("1" + String(repeating: "0", count: 125)).text == DynamoNumber("1e125").text)
        #expect(DynamoNumber(Int.min).text == "-9223372036854775808")
    }

    /// Texts and answers recorded on AWS by a public conformance suite (2026).
    @Test(
        arguments: [
            ("1e99999999999", "overflow"), ("1e-99999999999", "underflow"), ("1e126", "overflow"),
            ("1e-131", "underflow"), ("0e126", "overflow"), ("0e-131", "underflow"), ("0e125", "0"),
            ("1e9223372036854775808", "The parameter cannot be converted to a numeric value: 1e9223372036854775808"),
            ("abc", "The parameter cannot be converted to a numeric value: abc"),
            ("", "The parameter cannot be converted to a numeric value"),
            (" 1", "The parameter cannot be converted to a numeric value:  1"),
            ("0x10", "The parameter cannot be converted to a numeric value: 0x10"),
            ("1e", "The parameter cannot be converted to a numeric value: 1e"),
            ("1.2.3", "The parameter cannot be converted to a numeric value: 1.2.3"),
            ("NaN", "The parameter cannot be converted to a numeric value: NaN"),
            (".", "The parameter cannot be converted to a numeric value: ."),
            ("1234567890123456789012345678901234567890", "precision"),
            ("123456789012345678901234567890123456789", "precision"),
        ])
    func refusals(text: String, expected: String) {
        #expect(Self.outcome { () throws(AWSError) in try DynamoNumber(text) } == expected)
    }

    /// Sizes measured on AWS by a public conformance suite (2026).
    @Test(
        arguments: [
            ("0", 1), ("1", 2), ("12", 2), ("123", 3), ("1234", 3), ("12345678901234567890123456789012345678", 20),
            ("0042", 2), ("100", 2), ("1010", 3), ("0.0000001", 2), ("1E125", 2), ("1E-100", 2), ("1.5", 3),
            ("15", 2), ("1.200", 3), ("1.234", 4), ("3.14159", 5), ("123456", 4), ("100.5", 4), ("0.15", 2),
            ("-42", 3), ("-0", 1),
        ])
    func sizes(text: String, bytes: Int) throws {
        #expect(try DynamoNumber(text).size == bytes)
    }
}
