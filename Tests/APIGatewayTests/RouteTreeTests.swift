import Platform
import Testing

@testable import APIGateway

@Suite struct RouteTreeTests {
    private static func tree(_ keys: [String]) -> RouteTree<String> {
        var tree = RouteTree<String>()
        for key in keys {
            let parts = key.split(separator: " ")
            if let pattern = RouteTree<String>.Pattern(String(parts[1])) {
                tree.insert(method: String(parts[0]), pattern: pattern, key)
            }
        }
        return tree
    }

    private static func segments(_ path: String) -> [String] {
        path == "/" ? [] : path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    }

    /// The developer guide's own example.
    @Test func theGuidesExample() {
        let tree = Self.tree([
            "GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}",
        ])
        let expected = [
            ("GET", "/pets/dog/1", "GET /pets/dog/1"), ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
            ("GET", "/pets/cat/1", "GET /pets/{proxy+}"), ("POST", "/test/5", "ANY /{proxy+}"),
        ]
        for (method, path, key) in expected {
            #expect(tree.match(method: method, segments: Self.segments(path))?.endpoint == key)
        }
        #expect(tree.match(method: "GET", segments: []) == nil)
    }

    @Test func parametersHaveTheNamesOfTheirOwnRoute() {
        let tree = Self.tree(["GET /a/{x}", "POST /a/{y}", "GET /a/{z}/b/{rest+}"])
        #expect(tree.match(method: "GET", segments: ["a", "1"])?.parameters.map(\.name) == ["x"])
        #expect(tree.match(method: "POST", segments: ["a", "1"])?.parameters.map(\.name) == ["y"])
        let long = tree.match(method: "GET", segments: ["a", "1", "b", "c", "", "d"])
        #expect(long?.parameters.map(\.name) == ["z", "rest"])
        #expect(long?.parameters.map(\.value) == ["1", "c//d"])
    }

    /// What a route says of a path, without a tree: nil when it does not fit, else its rank, lower before higher.
    private static func rank(_ key: String, _ method: String, _ path: [String]) -> [Int]? {
        let parts = key.split(separator: " ")
        guard parts[0] == method || parts[0] == "ANY",
            let pattern = RouteTree<String>.Pattern(String(parts[1]))
        else { return nil }
        var rank: [Int] = []
        var rest = path[...]
        for segment in pattern.segments {
            switch segment {
            case .literal(let text):
                guard rest.first == text else { return nil }
                rank.append(0)
            case .parameter:
                guard let first = rest.first, !first.isEmpty else { return nil }
                rank.append(1)
            case .greedy:
                guard !rest.joined(separator: "/").isEmpty else { return nil }
                return rank + [2, parts[0] == "ANY" ? 1 : 0]
            }
            rest = rest.dropFirst()
        }
        return rest.isEmpty ? rank + [parts[0] == "ANY" ? 1 : 0] : nil
    }

    /// Random routes and paths of few words, so that they meet: the tree finds what looking at every route finds.
    @Test(arguments: 0..<40) func findsWhatTryingAllFinds(seed: UInt64) {
        var random = Seeded(seed)
        let words = ["a", "b", "{p}", "{q}"]
        var keys: Set<String> = []
        for _ in 0..<25 {
            var path = ""
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                path += "/" + (words.randomElement(using: &random) ?? "")
            }
            if Bool.random(using: &random) { path += "/{rest+}" }
            keys.insert(
                (["GET", "POST", "ANY"].randomElement(using: &random) ?? "") + " " + (path.isEmpty ? "/" : path))
        }
        // Of routes that differ in the names of parameters alone only one can be there.
        var shapes: [String: String] = [:]
        for key in keys.sorted() { shapes[key.replacing("{q}", with: "{p}")] = key }
        let routes = shapes.values.sorted()
        let tree = Self.tree(routes)
        for _ in 0..<200 {
            let path = (0..<Int.random(in: 0...5, using: &random)).map { _ in
                ["a", "b", "c", ""].randomElement(using: &random) ?? ""
            }
            let method = ["GET", "POST", "PUT"].randomElement(using: &random) ?? ""
            let ranked = routes.compactMap { key in Self.rank(key, method, path).map { (key, $0) } }
            let best = ranked.min { $0.1.lexicographicallyPrecedes($1.1) }?.0
            #expect(tree.match(method: method, segments: path)?.endpoint == best, "\(method) \(path) \(routes)")
        }
    }
}

@Suite struct RouteKeyTests {
    @Test func keys() {
        for good in ["$default", "GET /", "ANY /{proxy+}", "POST /a/{id}/b", "GET /a-b_c.d~e", "GET /a/"] {
            #expect(RouteKey(good) != nil, "\(good)")
        }
        for bad in [
            "", "GET", "GET ", "/a", "GET a", "get /a", "GET /a b", "GET /{a+}/b", "GET /{}", "GET /{a", "GET /a}",
            "GET /{a/b}", "$other", "TRACE /a", "GET /" + String(repeating: "a/", count: 100),
        ] { #expect(RouteKey(bad) == nil, "\(bad)") }
    }
}

@Suite struct TokenBucketTests {
    /// Over any time a bucket gives no more than its burst and what time brings, and no less.
    @Test(arguments: 0..<20) func givesWhatItShould(seed: UInt64) {
        var random = Seeded(seed)
        let (rate, burst) = (Double.random(in: 0.5...50, using: &random), Int.random(in: 1...20, using: &random))
        let start = Instant(milliseconds: 1_000_000)
        var bucket = TokenBucket(rate: rate, burst: burst, now: start)
        var (now, given) = (start, 0)
        for _ in 0..<2_000 {
            now = now + .milliseconds(Int.random(in: 0...5, using: &random))
            if bucket.take(now: now) { given += 1 }
            #expect(Double(given) <= Double(burst) + rate * (now - start).fractionalSeconds + 0.001)
        }
        // Asked all the time (every 2.5 ms on average), it was always empty when it refused.
        if rate < 50 { #expect(Double(given) >= min(rate * (now - start).fractionalSeconds, 2_000) * 0.9) }
    }

    @Test func oddSettingsAndClocks() {
        let now = Instant(milliseconds: 1_000)
        var none = TokenBucket(rate: 0, burst: 0, now: now)
        var odd = TokenBucket(rate: .nan, burst: -5, now: now)
        let given = [none.take(now: now + .seconds(100)), odd.take(now: now)]
        #expect(given == [false, false])
        var one = TokenBucket(rate: 1, burst: 1, now: now)
        let taken = [
            one.take(now: now), one.take(now: now - .seconds(100)), one.take(now: now),
            one.take(now: now + .seconds(1)),
        ]
        #expect(taken == [true, false, false, true])
    }
}
