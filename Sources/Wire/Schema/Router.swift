/// Finds the operation of a REST request: a tree over path segments, literals before labels before the greedy label; at
/// its leaves fixed query parameters (`?uploads`) and required parameters tell operations of one path apart.
final class Router: Sendable {
    /// A required query parameter or header.
    struct Need: Sendable, Hashable {
        var isHeader: Bool
        var name: String

        /// `q:uploadId`, `h:x-amz-copy-source`.
        init(_ word: String) {
            isHeader = word.hasPrefix("h:")
            name = String(word.dropFirst(2))
        }
    }

    struct Match {
        var operation: OperationSchema
        var labels: [(name: String, value: String)]
    }

    private struct Route: Sendable {
        var operation: OperationSchema
        var fixed: [(name: String, value: String?)]
        var labels: [String]
    }

    private final class Node: Sendable {
        let literals: [String: Node]
        let label: Node?
        /// Routes whose last segment is `{Name+}`.
        let greedy: Leaf?
        let leaf: Leaf?

        init(_ routes: [(segments: ArraySlice<String>, route: Route)]) {
            var literals: [String: [(ArraySlice<String>, Route)]] = [:]
            var labels: [(ArraySlice<String>, Route)] = []
            var greedy: [Route] = []
            var ending: [Route] = []
            for (segments, route) in routes {
                guard let first = segments.first else {
                    ending.append(route)
                    continue
                }
                if first.hasSuffix("+}") {
                    greedy.append(route)
                } else if first.hasPrefix("{") {
                    labels.append((segments.dropFirst(), route))
                } else {
                    literals[first, default: []].append((segments.dropFirst(), route))
                }
            }
            self.literals = literals.mapValues { Node($0) }
            label = labels.isEmpty ? nil : Node(labels)
            self.greedy = greedy.isEmpty ? nil : Leaf(greedy)
            leaf = ending.isEmpty ? nil : Leaf(ending)
        }
    }

    private struct Leaf: Sendable {
        /// By the name of the first fixed query parameter.
        var fixed: [String: [Route]] = [:]
        var plain: [Route] = []

        init(_ routes: [Route]) {
            for route in routes {
                if let first = route.fixed.first {
                    fixed[first.name, default: []].append(route)
                } else {
                    plain.append(route)
                }
            }
        }
    }

    private let methods: [String: Node]

    init(_ operations: [OperationSchema]) {
        var routes: [String: [(segments: ArraySlice<String>, route: Route)]] = [:]
        for operation in operations where operation.isRouted {
            let parts = operation.uri.split(separator: "?", maxSplits: 1)
            let segments = (parts.first ?? "").split(separator: "/").map(String.init)
            let labels = segments.filter { $0.hasPrefix("{") }.map { segment in
                String(segment.dropFirst().dropLast(segment.hasSuffix("+}") ? 2 : 1))
            }
            let fixed = parts.count > 1 ? Percent.pairs(parts[1]).filter { $0.name != "x-id" } : []
            let route = Route(operation: operation, fixed: fixed, labels: labels)
            routes[operation.method, default: []].append((segments[...], route))
        }
        methods = routes.mapValues { Node($0) }
    }

    /// Nil when no operation has this method and path.
    func match(_ head: RequestHead, query: [(name: String, value: String?)]) -> Match? {
        guard let root = methods[head.method] else { return nil }
        var segments = Substring(head.path).utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .map { Substring($0) }[...]
        if segments.first?.isEmpty == true { segments.removeFirst() }
        // One slash at the end means nothing, except inside a greedy label (an S3 key).
        let trailingSlash = segments.last?.isEmpty == true
        let trimmed = trailingSlash ? segments.dropLast() : segments
        return walk(root, trimmed, whole: segments, labels: [], head, query)
    }

    private func walk(
        _ node: Node, _ segments: ArraySlice<Substring>, whole: ArraySlice<Substring>, labels: [Substring],
        _ head: RequestHead, _ query: [(name: String, value: String?)]
    ) -> Match? {
        guard let first = segments.first else {
            return node.leaf.flatMap { choose($0, labels, head, query) }
        }
        let rest = segments.dropFirst()
        if let next = node.literals[String(first)],
            let match = walk(next, rest, whole: whole, labels: labels, head, query)
        {
            return match
        }
        if !first.isEmpty, let next = node.label,
            let match = walk(next, rest, whole: whole, labels: labels + [first], head, query)
        {
            return match
        }
        if let greedy = node.greedy {
            let remainder = whole[segments.startIndex...].joined(separator: "/")
            return choose(greedy, labels + [Substring(remainder)], head, query)
        }
        return nil
    }

    /// The operation that asks for most of what the request has; when none has all it needs, the one that asks least.
    private func choose(
        _ leaf: Leaf, _ labels: [Substring], _ head: RequestHead, _ query: [(name: String, value: String?)]
    ) -> Match? {
        var candidates: [Route] = []
        if !leaf.fixed.isEmpty {
            for parameter in query {
                for route in leaf.fixed[parameter.name] ?? [] where Self.fits(route, query) { candidates.append(route) }
            }
        }
        if candidates.isEmpty { candidates = leaf.plain }
        var best: (route: Route, score: Int)?
        for route in candidates {
            let needs = route.operation.needs
            let isSatisfied = needs.allSatisfy { need in
                need.isHeader ? head.header(need.name) != nil : query.contains { $0.name == need.name }
            }
            let score = isSatisfied ? needs.count + route.fixed.count : -1 - needs.count
            if best.map({ score > $0.score }) ?? true { best = (route, score) }
        }
        return best.map { best in
            let values = labels.map { Percent.decode($0) }
            return Match(
                operation: best.route.operation, labels: Array(zip(best.route.labels, values)).map { ($0, $1) })
        }
    }

    private static func fits(_ route: Route, _ query: [(name: String, value: String?)]) -> Bool {
        route.fixed.allSatisfy { fixed in
            query.contains { $0.name == fixed.name && (fixed.value == nil || $0.value == fixed.value) }
        }
    }
}
