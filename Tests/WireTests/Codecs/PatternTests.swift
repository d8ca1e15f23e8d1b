import Testing

@testable import Wire

@Suite struct PatternTests {
    @Test(
        arguments: [
            ("[a-zA-Z0-9-_]+", "a-Z_9", true), ("[a-zA-Z0-9-_]+", "", false), ("[a-zA-Z0-9-_]+", "a.b", false),
            ("a|b", "b", true), ("a|b", "ab", false), ("(|x)", "", true), ("(a|b)*c", "ababc", true),
            ("a{2,3}", "aa", true),
            ("a{2,3}", "aaaa", false), ("a{2}", "aaa", false), ("a{2,}", "aaaaa", true), ("a?b", "b", true),
            (".*", "a\nb", false),
            ("[\\s\\S]*", "a\nb", true), ("[^\\s]+", "a b", false), ("\\d{12}", "123456789012", true),
            ("\\d{12}", "12345678901", false),
            ("((?!^\\d+$)^[0-9a-zA-Z-_]+$)", "2", false), ("((?!^\\d+$)^[0-9a-zA-Z-_]+$)", "v2", true),
            ("(?!^[0-9]+$)([a-zA-Z0-9-_]+)", "2024", false), ("(?!^[0-9]+$)([a-zA-Z0-9-_]+)", "live", true),
            ("[0-9A-Za-z\\.\\-_]*(?<!\\.)", "bucket.", false), ("[0-9A-Za-z\\.\\-_]*(?<!\\.)", "b.c", true),
            ("([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)", "Größe 大 ٣", true),
            ("([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)", "a!b", false),
            ("[\\p{L}\\p{Zs}]+", "a\u{3000}b c", true), ("[\\p{L}\\p{Zs}]+", "a\nb", false),
            ("[\\w+=,.@-]*", "user@x.y-z", true), ("[\\w+=,.@-]*", "Session1:2", false), ("$|kafka://x", "", true),
            ("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", "{\"é\"}\n", true),
            ("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", "大", false),
            ("^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$", "a-b-c", true),
            ("^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$", "a--c", false),
            ("[^.]([a-zA-Z0-9\\-_.]+)", ".ab", false), ("(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)", "/a/b/", true),
            ("\\S{3}", "abc", true), ("[!-~&&]", "a", nil), ("(a", "a", nil), ("\\bx", "x", nil), ("(?<n>a)", "a", nil),
            ("*", "", nil),
        ] as [(String, String, Bool?)])
    func matches(pattern: String, text: String, expected: Bool?) {
        let compiled = try? Pattern(pattern)
        #expect(compiled?.matches(text) == expected, "\(pattern) on \(text)")
    }

    /// The two ways of matching agree on random patterns and texts.
    @Test(arguments: 0..<6 as Range<UInt64>)
    func bothWaysAgree(seed: UInt64) throws {
        var random = SplitMix(seed)
        var compared = 0
        for _ in 0..<1_500 {
            let text = Self.randomPattern(&random, depth: 3)
            // A lookahead that always holds keeps the fast way out.
            guard let fast = try? Pattern(text), let slow = try? Pattern("(?!\\u0001)(\(text))") else { continue }
            for _ in 0..<8 {
                let subject = String((0..<random.below(7)).map { _ in ["a", "b", "é"][random.below(3)] }.joined())
                #expect(fast.matches(subject) == slow.matches(subject), "\(text) on \(subject)")
                compared += 1
            }
        }
        #expect(compared > 5_000)
    }

    private static func randomPattern(_ random: inout SplitMix, depth: Int) -> String {
        let leaf = ["a", "b", "[ab]", "[^a]", ".", "", "é"][random.below(7)]
        if depth == 0 { return leaf }
        let inner = randomPattern(&random, depth: depth - 1)
        let other = randomPattern(&random, depth: depth - 1)
        switch random.below(7) {
        case 0: return "(\(inner)|\(other))"
        case 1: return "(\(inner))*"
        case 2: return "(\(inner))+"
        case 3: return "(\(inner))?"
        case 4: return "(\(inner)){1,3}"
        case 5: return "(\(inner)){2,}\(other)"
        default: return inner + other
        }
    }

    /// What makes backtracking matchers stall.
    @Test(
        .timeLimit(.minutes(1)),
        arguments: ["(a+)+b", "(a|a)*b", "(a|aa)+$b", "((a{0,30}){0,30}){0,3}b", "(?!(a+)+b)c"])
    func hostileTextsDoNotStall(pattern: String) {
        let compiled = try? Pattern(pattern)
        #expect(compiled?.matches(String(repeating: "a", count: 20_000)) != true)
    }

    @Test func hugePatternsAreRefused() {
        #expect(throws: Pattern.Unsupported.self) { try Pattern("((((a{100}){100}){100}){100})") }
        #expect(throws: Pattern.Unsupported.self) { try Pattern(String(repeating: "(", count: 1_000)) }
    }
}
