import Platform
import Testing
import Wire

@testable import DynamoDB

/// A condition made by the test, which can be written as an expression and evaluated by the letter of the guide.
indirect enum TestCondition {
    indirect enum Operand {
        case attribute(String)
        case constant(Plain)
        case size(Operand)
    }

    /// Values in Swift's own types.
    enum Plain: Hashable {
        case number(Int)
        case text(String)
        case list([Plain])
        case map([String: Plain])
        case texts(Set<String>)
        case numbers(Set<Int>)
        case yes
        case nothing
    }

    case and(TestCondition, TestCondition)
    case or(TestCondition, TestCondition)
    case not(TestCondition)
    case compare(String, Operand, Operand)
    case between(Operand, Operand, Operand)
    case oneOf(Operand, [Operand])
    case function(String, [Operand])
}

extension TestCondition.Plain {
    var value: AttributeValue {
        switch self {
        case .number(let number): .number(DynamoNumber(number))
        case .text(let text): .string(text)
        case .list(let list): .list(list.map(\.value))
        case .map(let map): .map(AttributeMap(map.map { ($0.key, $0.value.value) }))
        case .texts(let texts): .set(of: Array(texts))
        case .numbers(let numbers): .set(of: numbers.map { DynamoNumber($0) })
        case .yes: .bool(true)
        case .nothing: .null
        }
    }

    var type: String {
        switch self {
        case .number: "N"
        case .text: "S"
        case .list: "L"
        case .map: "M"
        case .texts: "SS"
        case .numbers: "NS"
        case .yes: "BOOL"
        case .nothing: "NULL"
        }
    }

    var count: Int? {
        switch self {
        case .text(let text): text.count
        case .list(let list): list.count
        case .map(let map): map.count
        case .texts(let texts): texts.count
        case .numbers(let numbers): numbers.count
        default: nil
        }
    }

    /// Ordered pairs only.
    static func before(_ left: Self, _ right: Self) -> Bool? {
        switch (left, right) {
        case (.number(let left), .number(let right)): left < right
        case (.text(let left), .text(let right)): left < right
        default: nil
        }
    }

    static func random(_ random: inout ValueRandom, depth: Int = 2) -> Self {
        switch random.below(depth > 0 ? 9 : 4) {
        case 0, 1: .number(random.below(5) - 2)
        case 2, 3: .text(random.pick(["", "a", "ab", "abc", "b", "S", "ba"]))
        case 4: .list((0..<random.below(3)).map { _ in .random(&random, depth: depth - 1) })
        case 5:
            .map(
                Dictionary(
                    ["x", "y"].prefix(random.below(3)).map { ($0, .random(&random, depth: depth - 1)) },
                    uniquingKeysWith: { first, _ in first }))
        case 6: .texts(Set((0...random.below(2)).map { _ in random.pick(["a", "ab", "b"]) }))
        case 7: .numbers(Set((0...random.below(2)).map { _ in random.below(4) }))
        default: random.pick([.yes, .nothing])
        }
    }
}

/// Writes conditions: with as many parentheses as they need, or more.
private struct Scribe {
    var values: [(String, AttributeValue)] = []

    mutating func operand(_ operand: TestCondition.Operand, _ random: inout ValueRandom) -> String {
        let text: String
        switch operand {
        case .attribute(let path): text = path
        case .constant(let constant):
            text = ":v\(values.count)"
            values.append((text, constant.value))
        case .size(let inner): text = "size(" + self.operand(inner, &random) + ")"
        }
        return random.below(6) == 0 ? "(\(text))" : text
    }

    mutating func condition(_ condition: TestCondition, _ random: inout ValueRandom) -> String {
        switch condition {
        case .and(let left, let right): return part(left, &random) + " AND " + part(right, &random)
        case .or(let left, let right): return part(left, &random) + " or " + part(right, &random)
        case .not(let inner): return "NOT " + part(inner, &random)
        case .compare(let sign, let left, let right):
            let first = operand(left, &random)
            return first + random.pick([" ", ""]) + sign + operand(right, &random)
        case .between(let value, let low, let high):
            let first = operand(value, &random)
            let second = operand(low, &random)
            return "\(first) BETWEEN \(second) AND " + operand(high, &random)
        case .oneOf(let value, let choices):
            let first = operand(value, &random)
            return "\(first) IN (" + choices.map { operand($0, &random) }.joined(separator: ",") + ")"
        case .function(let name, let operands):
            return "\(name) (" + operands.map { operand($0, &random) }.joined(separator: ", ") + ")"
        }
    }

    private mutating func part(_ condition: TestCondition, _ random: inout ValueRandom) -> String {
        "(" + self.condition(condition, &random) + ")"
    }
}

extension TestCondition.Operand {
    func value(_ item: [String: TestCondition.Plain]) -> TestCondition.Plain? {
        switch self {
        case .constant(let constant): return constant
        case .size(let inner): return inner.value(item)?.count.map { .number($0) }
        case .attribute(let path):
            switch path {
            case "e.x": if case .map(let map)? = item["e"] { return map["x"] } else { return nil }
            case "d[1]": if case .list(let list)? = item["d"], list.count > 1 { return list[1] } else { return nil }
            default: return item[path]
            }
        }
    }

    static func random(_ random: inout ValueRandom) -> Self {
        switch random.below(7) {
        case 0...3: .attribute(random.pick(["a", "b", "c", "d", "e", "e.x", "d[1]", "gone"]))
        case 4: .size(.attribute(random.pick(["a", "b", "c", "d", "e"])))
        default: .constant(.random(&random))
        }
    }
}

extension TestCondition {
    func holds(_ item: [String: Plain]) -> Bool {
        switch self {
        case .and(let left, let right): return left.holds(item) && right.holds(item)
        case .or(let left, let right): return left.holds(item) || right.holds(item)
        case .not(let inner): return !inner.holds(item)
        case .compare(let sign, let left, let right):
            return Self.compare(sign, left.value(item), right.value(item))
        case .between(let value, let low, let high):
            let found = value.value(item)
            return Self.compare(">=", found, low.value(item)) && Self.compare("<=", found, high.value(item))
        case .oneOf(let value, let choices):
            guard let found = value.value(item) else { return false }
            return choices.contains { $0.value(item) == found }
        case .function(let name, let operands):
            let first = operands[0].value(item)
            switch name {
            case "attribute_exists": return first != nil
            case "attribute_not_exists": return first == nil
            default: break
            }
            guard let first, operands.count > 1, let second = operands[1].value(item) else { return false }
            switch (name, first, second) {
            case ("attribute_type", _, .text(let type)): return first.type == type
            case ("begins_with", .text(let text), .text(let prefix)): return text.hasPrefix(prefix)
            case ("contains", .text(let text), .text(let part)): return part.isEmpty || text.contains(part)
            case ("contains", .texts(let texts), .text(let text)): return texts.contains(text)
            case ("contains", .numbers(let numbers), .number(let number)): return numbers.contains(number)
            case ("contains", .list(let list), _): return list.contains(second)
            default: return false
            }
        }
    }

    private static func compare(_ sign: String, _ left: Plain?, _ right: Plain?) -> Bool {
        guard let left, let right else { return sign == "<>" }
        switch sign {
        case "=": return left == right
        case "<>": return left != right
        case "<": return Plain.before(left, right) ?? false
        case ">": return Plain.before(right, left) ?? false
        case "<=": return Plain.before(right, left).map { !$0 } ?? false
        default: return Plain.before(left, right).map { !$0 } ?? false
        }
    }

    static func random(_ random: inout ValueRandom, depth: Int = 3) -> TestCondition {
        func operand() -> Operand { .random(&random) }
        switch random.below(depth > 0 ? 12 : 7) {
        case 0, 1: return .compare(random.pick(["=", "<>", "<", "<=", ">", ">="]), operand(), operand())
        case 2: return .between(operand(), operand(), operand())
        case 3: return .oneOf(operand(), (0...random.below(3)).map { _ in operand() })
        case 4:
            let path = random.pick(["a", "b", "e.x", "d[1]", "gone"])
            return .function(random.pick(["attribute_exists", "attribute_not_exists"]), [.attribute(path)])
        case 5:
            let type = random.pick(["S", "N", "L", "M", "SS", "NS", "BOOL", "NULL"])
            return .function("attribute_type", [operand(), .constant(.text(type))])
        case 6: return .function(random.pick(["begins_with", "contains"]), [operand(), operand()])
        case 7, 8: return .and(.random(&random, depth: depth - 1), .random(&random, depth: depth - 1))
        case 9, 10: return .or(.random(&random, depth: depth - 1), .random(&random, depth: depth - 1))
        default: return .not(.random(&random, depth: depth - 1))
        }
    }
}

@Suite struct ExpressionsEvaluationTests {
    @Test(arguments: [21, 22] as [UInt64]) func conditionsAgainstTheLetter(seed: UInt64) throws {
        var random = ValueRandom(seed: seed)
        var (read, held) = (0, 0)
        for _ in 0..<2_000 {
            let condition = TestCondition.random(&random)
            var scribe = Scribe()
            let text = scribe.condition(condition, &random)
            var all = try placeholders(nil, scribe.values.isEmpty ? nil : scribe.values)
            let parsed: ConditionExpression
            do throws(AWSError) {
                parsed = try ConditionExpression.parse(text, kind: .filter, &all)
            } catch {
                // Operands that can never be right; what is refused is another test's business.
                #expect(!error.message.contains("Syntax error"), "\(text): \(error.message)")
                continue
            }
            read += 1
            for _ in 0..<4 {
                var item: [String: TestCondition.Plain] = [:]
                for name in ["a", "b", "c", "d", "e"] where random.below(5) > 0 {
                    item[name] =
                        name == "d"
                        ? .list((0..<random.below(3)).map { _ in .random(&random, depth: 0) })
                        : name == "e"
                            ? .map(random.below(2) == 0 ? [:] : ["x": .random(&random, depth: 1)])
                            : .random(&random)
                }
                let expected = condition.holds(item)
                held += expected ? 1 : 0
                #expect(parsed.evaluate(Item(item.map { ($0.key, $0.value.value) })) == expected, "\(text) \(item)")
            }
        }
        #expect(read > 800 && held > 800 && held < read * 4 - 800)
    }

    @Test func precedence() throws {
        func holds(_ text: String) throws -> Bool {
            var all = try placeholders(nil, testValues)
            return try ConditionExpression.parse(text, kind: .condition, &all).evaluate(["a": number(1)])
        }
        // AND binds more than OR, NOT more than AND.
        #expect(try holds("a = :n OR a = :n AND a = :m"))
        #expect(try !holds("(a = :n OR a = :n) AND a = :m"))
        #expect(try !holds("NOT a = :n AND a = :m"))
        #expect(try holds("NOT (a = :n AND a = :m)"))
        #expect(try holds("a BETWEEN :n AND :m AND a = :n"))
        #expect(try holds("gone <> :n AND NOT gone = :n AND NOT gone < :n"))
    }

    @Test func bytesAndLengths() throws {
        var all = try placeholders(
            nil,
            [(":b", .binary([1, 2])), (":l", .string("e\u{301}")), (":two", number(2)), (":long", .string("aab"))])
        let item: Item = [
            "b": .binary([0, 1, 2, 3]), "f": .binary([1, 2, 9]), "s": .string("xé"), "t": .string("𝄞"),
            "wide": .string(String(repeating: "aa", count: 20_000) + "b"),
        ]
        for (text, expected) in [
            ("contains(b, :b)", true), ("begins_with(b, :b)", false), ("begins_with(f, :b)", true), ("f > :b", true),
            ("contains(s, :l)", false), ("size(t) = :two", true), ("contains(wide, :long)", true),
            ("contains(:long, wide)", false),
        ] {
            #expect(try ConditionExpression.parse(text, kind: .filter, &all).evaluate(item) == expected, "\(text)")
        }
        var random = ValueRandom(seed: 31)
        for _ in 0..<300 {
            let bytes = (0..<random.below(600)).map { _ in UInt8(random.below(2)) }
            let part = (0..<random.below(40)).map { _ in UInt8(random.below(2)) }
            let text = "," + bytes.map { String($0) }.joined() + ","
            #expect(
                ByteOrder.contains(bytes, part) == (part.isEmpty || text.contains(part.map { String($0) }.joined())))
        }
    }
}
