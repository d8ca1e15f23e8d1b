import Platform

@testable import DynamoDB

/// SplitMix64, and values made with it.
struct ValueRandom: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 7 }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    /// What is hard to order and to encode: zero bytes, beginnings of each other, several ways to write é.
    mutating func string() -> String {
        (0..<below(5)).map { _ in pick(["a", "b", "\0", "é", "e\u{301}", "ÿ", "𝄞", "\u{7f}", "\u{1}"]) }.joined()
    }

    mutating func bytes() -> [UInt8] { (0..<below(6)).map { _ in pick([0, 0, 1, 127, 128, 254, 255, 255]) } }

    /// Digits, a point and an exponent anywhere; not always a number that DynamoDB takes.
    mutating func numberText() -> String {
        var text = pick(["", "", "-", "+"])
        let count = pick([1, 2, 5, 20, 37, 38, 39, 45])
        let point = below(3) == 0 ? below(count + 1) : -1
        for index in 0..<count {
            if index == point { text += "." }
            text += below(3) == 0 ? "0" : String(below(10))
        }
        if below(2) == 0 { text += pick(["e", "E"]) + pick(["", "+", "-"]) + String(below(pick([4, 40, 140]))) }
        return text
    }

    mutating func number() -> DynamoNumber {
        while true { if let number = try? DynamoNumber(numberText()) { return number } }
    }

    mutating func key(_ type: AttributeType) -> AttributeValue {
        switch type {
        case .string: .string(string())
        case .number: .number(number())
        default: .binary(bytes())
        }
    }

    mutating func value(depth: Int = 3) -> AttributeValue {
        switch below(depth > 0 ? 10 : 8) {
        case 0: .string(string())
        case 1: .number(number())
        case 2: .binary(bytes())
        case 3: .bool(below(2) == 0)
        case 4: .null
        case 5: .set(of: (0...below(4)).map { _ in string() })
        case 6: .set(of: (0...below(4)).map { _ in number() })
        case 7: .set(of: (0...below(4)).map { _ in bytes() })
        case 8: .list((0..<below(4)).map { _ in value(depth: depth - 1) })
        default: .map(item(depth: depth - 1))
        }
    }

    mutating func item(depth: Int = 3) -> Item { Item((0..<below(6)).map { _ in (string(), value(depth: depth)) }) }
}
