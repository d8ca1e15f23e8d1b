import Testing

@testable import S3

private struct Row: ListingEntry, Equatable {
    var keyBytes: [UInt8]
    var tie = ""
    var key: String { String(decoding: keyBytes, as: UTF8.self) }
    init(_ key: String, _ tie: String = "") {
        keyBytes = Array(key.utf8)
        self.tie = tie
    }
}

/// A sorted table that counts what it is asked for.
private struct Table {
    var rows: [Row]
    var fetched = 0
    var fetches = 0

    init(_ rows: [Row]) {
        self.rows = rows.sorted {
            $0.keyBytes == $1.keyBytes ? $0.tie < $1.tie : $0.keyBytes.lexicographicallyPrecedes($1.keyBytes)
        }
    }

    mutating func run(_ machine: ListingMachine<Row>) -> ListingMachine<Row> {
        var machine = machine
        var action = machine.start()
        while case .fetch(let position, let end, let limit) = action {
            let found = rows.filter { row in
                guard row.keyBytes.lexicographicallyPrecedes(end) else { return false }
                switch position {
                case .from(let start): return !row.keyBytes.lexicographicallyPrecedes(start)
                case .after(let key, let tie):
                    return key.lexicographicallyPrecedes(row.keyBytes) || (row.keyBytes == key && row.tie > tie)
                }
            }.prefix(limit)
            fetched += found.count
            fetches += 1
            action = machine.received(Array(found))
        }
        return machine
    }
}

private func machine(
    _ prefix: String = "", _ delimiter: String = "", after marker: String? = nil, tie: String? = nil, limit: Int = 1000
) -> ListingMachine<Row> {
    ListingMachine(
        prefix: Array(prefix.utf8), delimiter: Array(delimiter.utf8), marker: marker.map { Array($0.utf8) },
        markerTie: tie, limit: limit)
}

private func texts(_ prefixes: [[UInt8]]) -> [String] { prefixes.map { String(decoding: $0, as: UTF8.self) } }

@Suite struct Listing {
    @Test func plain() {
        var table = Table(["b", "a", "c/d", "ü"].map { Row($0) })
        let all = table.run(machine())
        #expect(all.entries.map(\.key) == ["a", "b", "c/d", "ü"])
        #expect(!all.isTruncated)
        let two = table.run(machine(limit: 2))
        #expect(two.entries.map(\.key) == ["a", "b"])
        #expect(two.isTruncated)
        #expect(two.last?.key == Array("b".utf8))
        #expect(table.run(machine(after: "b")).entries.map(\.key) == ["c/d", "ü"])
        #expect(table.run(machine(limit: 4)).isTruncated == false)
        let none = table.run(machine(limit: 0))
        #expect(none.entries.isEmpty && !none.isTruncated)
    }

    @Test func commonPrefixes() {
        var table = Table(["a.txt", "p/1", "p/2", "p/q/3", "r/1", "z"].map { Row($0) })
        let root = table.run(machine("", "/"))
        #expect(root.entries.map(\.key) == ["a.txt", "z"])
        #expect(texts(root.commonPrefixes) == ["p/", "r/"])
        let inside = table.run(machine("p/", "/"))
        #expect(inside.entries.map(\.key) == ["p/1", "p/2"])
        #expect(texts(inside.commonPrefixes) == ["p/q/"])
        #expect(texts(table.run(machine("p", "/")).commonPrefixes) == ["p/"])
        #expect(texts(table.run(machine("", "/", after: "p/")).commonPrefixes) == ["r/"])
        #expect(texts(table.run(machine("", "/", after: "p/1")).commonPrefixes) == ["r/"])
    }

    @Test func aCommonPrefixIsSkippedAndNotScanned() {
        var table = Table((0..<10_000).map { Row("big/\($0)") } + ["a", "z"].map { Row($0) })
        let listed = table.run(machine("", "/"))
        #expect(listed.entries.map(\.key) == ["a", "z"])
        #expect(texts(listed.commonPrefixes) == ["big/"])
        #expect(table.fetched <= 30, "\(table.fetched) rows were read for three results")
    }

    @Test func pagesOfManyPrefixes() {
        var table = Table((100..<400).flatMap { n in (0..<5).map { Row("dir\(n)/\($0)") } })
        var marker: String?
        var seen: [String] = []
        var pages = 0
        repeat {
            let page = table.run(machine("", "/", after: marker, limit: 7))
            seen += texts(page.commonPrefixes)
            marker = page.isTruncated ? page.last.map { String(decoding: $0.key, as: UTF8.self) } : nil
            pages += 1
        } while marker != nil && pages < 100
        #expect(seen == (100..<400).map { "dir\($0)/" })
    }

    @Test func uploadsOfOneKey() {
        var table = Table([Row("k", "1"), Row("k", "2"), Row("k", "3"), Row("l", "0")])
        let first = table.run(machine(limit: 2))
        #expect(first.entries.map(\.tie) == ["1", "2"])
        #expect(first.isTruncated && first.last?.tie == "2")
        let second = table.run(machine(after: "k", tie: "2"))
        #expect(second.entries.map(\.tie) == ["3", "0"])
        #expect(table.run(machine(after: "k")).entries.map(\.key) == ["l"], "without an id the key is passed whole")
    }

    /// Against a listing of the obvious kind, over random keys, prefixes, delimiters and page sizes.
    @Test(arguments: 0..<200) func agreesWithTheObvious(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        let alphabet = ["a", "b", "/", "//", "ab", "ü", "\u{0}", "0"]
        func word(_ count: Int) -> String {
            (0..<count).map { _ in alphabet.randomElement(using: &random) ?? "" }.joined()
        }
        let keys = Set(
            (0..<Int.random(in: 0...60, using: &random)).map { _ in word(Int.random(in: 1...5, using: &random)) })
        let prefix = word(Int.random(in: 0...2, using: &random))
        let delimiter = ["", "/", "ab", "//"].randomElement(using: &random) ?? ""
        var table = Table(keys.map { Row($0) })

        var expected: [String] = []
        for row in table.rows where row.keyBytes.starts(with: prefix.utf8) {
            let rest = Array(row.keyBytes.dropFirst(prefix.utf8.count))
            var shown = row.key
            let wanted = Array(delimiter.utf8)
            if !wanted.isEmpty, rest.count >= wanted.count {
                for start in 0...(rest.count - wanted.count) where Array(rest[start..<(start + wanted.count)]) == wanted
                {
                    shown = prefix + String(decoding: rest[..<(start + wanted.count)], as: UTF8.self)
                    break
                }
            }
            if expected.last != shown { expected.append(shown) }
        }

        let limit = Int.random(in: 1...5, using: &random)
        var seen: [String] = []
        var marker: String?
        for _ in 0..<200 {
            let page = table.run(machine(prefix, delimiter, after: marker, limit: limit))
            #expect(page.entries.count + page.commonPrefixes.count <= limit)
            let items = page.entries.map(\.keyBytes) + page.commonPrefixes
            seen += texts(items.sorted { $0.lexicographicallyPrecedes($1) })
            guard page.isTruncated, let last = page.last else { break }
            marker = String(decoding: last.key, as: UTF8.self)
        }
        #expect(seen == expected)
    }
}

/// xorshift64*; the same seed gives the same run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}
