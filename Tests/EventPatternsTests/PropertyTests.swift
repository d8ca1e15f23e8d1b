import Platform
import Testing

@testable import EventPatterns

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// A matcher that follows the description of Event Ruler to the letter: events are flattened into fields that know in
/// which elements of which arrays they stand, and fields are tried in every way. Shares no code with the room.
struct NaiveMatcher {
    struct Field {
        var path: String
        var value: Value
        var membership: [Int: Int]
    }

    static func matches(_ pattern: Value, _ event: Value) -> Bool {
        var fields: [Field] = []
        var arrays = 0
        flatten(event, "", [:], &arrays, &fields)
        return branches(pattern, "", [[:]]).contains { branch in
            satisfied(branch.sorted { $0.key < $1.key }[...], [:], fields)
        }
    }

    static func flatten(
        _ value: Value, _ path: String, _ membership: [Int: Int], _ arrays: inout Int, _ out: inout [Field]
    ) {
        switch value {
        case .map(let members):
            for entry in members.entries {
                flatten(entry.value, path.isEmpty ? entry.name : path + "." + entry.name, membership, &arrays, &out)
            }
        case .list(let elements):
            let id = arrays
            arrays += 1
            for (index, element) in elements.enumerated() {
                var inner = membership
                if element.fields != nil || element.list != nil { inner[id] = index }
                flatten(element, path, inner, &arrays, &out)
            }
        default: out.append(Field(path: path, value: value, membership: membership))
        }
    }

    static func branches(_ pattern: Value, _ path: String, _ before: [[String: [Value]]]) -> [[String: [Value]]] {
        var result = before
        for entry in pattern.fields?.entries ?? [] {
            if entry.name == "$or" {
                result = (entry.value.list ?? []).flatMap { branches($0, path, result) }
            } else {
                let inner = path.isEmpty ? entry.name : path + "." + entry.name
                if let alternatives = entry.value.list {
                    for index in result.indices { result[index][inner] = alternatives }
                } else {
                    result = branches(entry.value, inner, result)
                }
            }
        }
        return result
    }

    /// Whether some field is asked to be both a value and an object, which only `$or` can make; there Ruler counts a
    /// value in a nested array as an element of the outer one, and the room does not.
    static func isContradictory(_ pattern: Value) -> Bool {
        branches(pattern, "", [[:]]).contains { branch in
            branch.keys.contains { path in branch.keys.contains { $0.hasPrefix(path + ".") } }
        }
    }

    static func satisfied(
        _ rest: ArraySlice<(key: String, value: [Value])>, _ membership: [Int: Int], _ fields: [Field]
    ) -> Bool {
        guard let (path, alternatives) = rest.first else { return true }
        let consistent = fields.filter { field in
            field.path == path && field.membership.allSatisfy { membership[$0.key] ?? $0.value == $0.value }
        }
        if consistent.isEmpty, alternatives.contains(["exists": false]), satisfied(rest.dropFirst(), membership, fields)
        {
            return true
        }
        return consistent.contains { field in
            alternatives.contains { fits($0, field.value) }
                && satisfied(rest.dropFirst(), membership.merging(field.membership) { $1 }, fields)
        }
    }

    static func fits(_ alternative: Value, _ value: Value) -> Bool {
        guard let entry = alternative.fields?.entries.first else {
            if let number = alternative.double { return value.double == number }
            return alternative == value
        }
        let text = value.string
        switch entry.name {
        case "prefix":
            if let inner = entry.value["equals-ignore-case"]?.string {
                return text?.lowercased().hasPrefix(inner.lowercased()) ?? false
            }
            return text?.hasPrefix(entry.value.string ?? "") ?? false
        case "suffix": return text?.hasSuffix(entry.value.string ?? "") ?? false
        case "equals-ignore-case": return text?.lowercased() == entry.value.string?.lowercased()
        case "wildcard": return text.map { glob(Array(entry.value.string ?? ""), Array($0)) } ?? false
        case "exists": return entry.value == true
        case "numeric":
            guard let number = value.double, let list = entry.value.list else { return false }
            return stride(from: 0, to: list.count, by: 2).allSatisfy { index in
                let bound = list[index + 1].double ?? 0
                return switch list[index].string {
                case "<": number < bound
                case "<=": number <= bound
                case ">": number > bound
                case ">=": number >= bound
                default: number == bound
                }
            }
        case "anything-but":
            if let inner = entry.value.fields { return !fits(.map(inner), value) }
            return !(entry.value.list ?? [entry.value]).contains { fits($0, value) }
        default: return false
        }
    }

    static func glob(_ pattern: [Character], _ text: [Character]) -> Bool {
        guard let head = pattern.first else { return text.isEmpty }
        let rest = Array(pattern.dropFirst())
        if head == "*" { return (0...text.count).contains { glob(rest, Array(text.dropFirst($0))) } }
        return text.first == head && glob(rest, Array(text.dropFirst()))
    }
}

/// Random patterns and events over few names and values, so that they often meet.
struct Generator {
    var random: SeededRandom

    mutating func pick<T>(_ items: [T]) -> T { items[Int.random(in: 0..<items.count, using: &random)] }
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func scalar() -> Value {
        pick(["a", "ab", "b", "ba", "", "A", "aB", 0, 1, 2, 1.5, -3, true, false, .null])
    }

    mutating func event(_ depth: Int = 0) -> Value {
        var fields = Fields()
        for name in ["k", "l", "m"] where chance(75) { fields[name] = value(depth) }
        return .map(fields)
    }

    mutating func value(_ depth: Int) -> Value {
        if depth > 2 || chance(40) { return scalar() }
        if chance(45) { return event(depth + 1) }
        return .list((0..<Int.random(in: 0...3, using: &random)).map { _ in value(depth + 1) })
    }

    mutating func text() -> Value { pick(["a", "ab", "b", "ba", "A"]) }

    mutating func alternative() -> Value {
        switch Int.random(in: 0..<14, using: &random) {
        case 0: return ["prefix": text()]
        case 1: return ["suffix": text()]
        case 2: return ["equals-ignore-case": text()]
        case 3: return ["wildcard": pick(["a*", "*b", "*", "a*b", "*a*"])]
        case 4: return ["anything-but": pick(["a", ["a", "b"], 1, [1, 2]])]
        case 5:
            let name = pick(["prefix", "suffix", "equals-ignore-case"])
            return ["anything-but": .map([name: text()])]
        case 6: return ["numeric": pick([["<", 1], [">=", 1], [">", -3, "<=", 1.5], ["=", 2]])]
        case 7: return ["exists": true]
        case 8, 9: return ["exists": false]
        case 10: return ["prefix": ["equals-ignore-case": text()]]
        default: return scalar()
        }
    }

    mutating func pattern(_ depth: Int = 0, either: Bool = true) -> Value {
        var fields = Fields()
        for name in ["k", "l", "m"] where chance(55) {
            fields[name] =
                depth < 2 && chance(55)
                ? pattern(depth + 1, either: either)
                : .list((0..<Int.random(in: 1...2, using: &random)).map { _ in alternative() })
        }
        if either, chance(20) {
            fields["$or"] = [pattern(depth + 1, either: false), pattern(depth + 1, either: false)]
        }
        if fields.isEmpty { fields["k"] = .list([alternative()]) }
        return .map(fields)
    }
}

@Suite struct PropertyTests {
    @Test(arguments: 0..<40) func agreesWithTheNaiveMatcher(seed: Int) throws {
        var generator = Generator(random: SeededRandom(state: UInt64(seed)))
        var matched = 0
        for _ in 0..<100 {
            let json = generator.pattern()
            if NaiveMatcher.isContradictory(json) { continue }
            let pattern = try EventPattern(json, dialect: .eventBridge)
            for _ in 0..<20 {
                let event = generator.event()
                let expected = NaiveMatcher.matches(json, event)
                if expected { matched += 1 }
                #expect(
                    pattern.matches(event) == expected,
                    "\(JSON.encodeString(json)) on \(JSON.encodeString(event)) should be \(expected)")
            }
        }
        // Neither all nor nothing.
        #expect((20...1_900).contains(matched), "\(matched) of 2000 match")
    }

    @Test(arguments: 0..<20) func bytesOfAnyKindAreRefusedOrRead(seed: Int) {
        var generator = Generator(random: SeededRandom(state: UInt64(1_000 + seed)))
        for _ in 0..<200 {
            var bytes = JSON.encode(generator.pattern())
            for _ in 0..<Int.random(in: 1...4, using: &generator.random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &generator.random)
                if generator.chance(50) {
                    bytes[index] = UInt8.random(in: 0...255, using: &generator.random)
                } else {
                    bytes.removeSubrange(index..<min(bytes.count, index + 3))
                }
            }
            _ = try? EventPattern(json: bytes, dialect: .eventBridge).matches(generator.event())
            _ = try? FilterPolicy(json: String(decoding: bytes, as: UTF8.self), scope: .messageBody)
        }
    }
}
