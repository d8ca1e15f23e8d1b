import Testing

@testable import CloudWatchLogs

/// Seeded comparisons with the plainest implementation that there is.
@Suite struct PatternPropertyTests {
    struct Random {
        var state: UInt64
        mutating func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        mutating func text(_ alphabet: [Character], _ most: Int) -> String {
            String((0..<next(most + 1)).map { _ in alphabet[next(alphabet.count)] })
        }
    }

    // MARK: Regular expressions: backtracking over a list of items

    struct Item {
        var characters: Set<Character>?
        var least: Int
        var most: Int
        func takes(_ character: Character) -> Bool { characters?.contains(character) ?? true }
    }

    static func naive(_ items: ArraySlice<Item>, _ text: Substring, atEnd: Bool) -> Bool {
        guard let item = items.first else { return !atEnd || text.isEmpty }
        var rest = text
        var taken = 0
        while true {
            if taken >= item.least, naive(items.dropFirst(), rest, atEnd: atEnd) { return true }
            guard taken < item.most, let next = rest.first, item.takes(next) else { return false }
            rest = rest.dropFirst()
            taken += 1
        }
    }

    @Test(arguments: 1...8) func regularExpressionsAgree(seed: Int) throws {
        var random = Random(state: UInt64(seed) &* 7_919)
        for _ in 0..<300 {
            var pattern = ""
            var rows: [(items: [Item], atStart: Bool, atEnd: Bool)] = []
            // Every fifth has more places than one word holds.
            let padding = random.next(5) == 0
            for number in 0...random.next(3) {
                if number > 0 { pattern += "|" }
                var row: (items: [Item], atStart: Bool, atEnd: Bool) = ([], random.next(4) == 0, random.next(4) == 0)
                if row.atStart { pattern += "^" }
                for _ in 0...random.next(5) {
                    let (text, set): (String, Set<Character>?) = [
                        ("a", ["a"]), ("b", ["b"]), ("[ab]", ["a", "b"]), ("[^a]", ["b", "c", "ü"]), (".", nil),
                    ][random.next(5)]
                    let low = random.next(3)
                    let high = low + random.next(3) + (padding ? 40 : 0)
                    let (suffix, least, most) = [
                        ("", 1, 1), ("?", 0, 1), ("*", 0, 99), ("+", 1, 99), ("{\(low),\(high)}", low, high),
                    ][random.next(5)]
                    pattern += text + suffix
                    row.items.append(Item(characters: set, least: least, most: most))
                }
                if row.atEnd { pattern += "$" }
                rows.append(row)
            }
            guard let regex = try? RegexParser.parse(Array(pattern.utf8)[...]) else { continue }
            for _ in 0..<10 {
                let text = random.text(["a", "b", "c", "ü"], 8)
                let expected = rows.contains { row in
                    let starts = row.atStart ? [text.startIndex] : Array(text.indices) + [text.endIndex]
                    return starts.contains { Self.naive(row.items[...], text[$0...], atEnd: row.atEnd) }
                }
                #expect(text.withBytes { regex.matches($0) } == expected, "\(pattern) \(text)")
            }
        }
    }

    // MARK: Wildcards and terms

    static func naive(_ glob: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
        guard let first = glob.first else { return text.isEmpty }
        if first == UInt8(ascii: "*") {
            return naive(glob.dropFirst(), text) || (!text.isEmpty && naive(glob, text.dropFirst()))
        }
        return text.first == first && naive(glob.dropFirst(), text.dropFirst())
    }

    @Test(arguments: 1...5) func wildcardsAndTermsAgree(seed: Int) {
        var random = Random(state: UInt64(seed) &* 104_729)
        for _ in 0..<3_000 {
            let glob = random.text(["a", "b", "*"], 6)
            let text = random.text(["a", "b"], 10)
            let expected = Self.naive(Array(glob.utf8)[...], Array(text.utf8)[...])
            #expect(Glob(glob.utf8).matches(text) == expected, "\(glob) \(text)")
            let term = random.text(["a", "b"], 4)
            let place = Array(text.utf8).indices.first { Array(text.utf8)[$0...].starts(with: term.utf8) }
            let found = text.withBytes { Needle(term.utf8).find(in: $0, from: 0) }
            #expect(found == (term.isEmpty ? 0 : place), "\(term) \(text)")
        }
    }
}
