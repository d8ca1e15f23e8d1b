/// Finds the route of a path: literal segments before parameters before greedy parameters, and of one path the method itself
/// before ANY (developer guide, "Routing API requests"). A path whose method has no route there goes to the next best.
///
/// Each node is reached by one way only, so that a search visits no node twice, whatever the routes are.
struct RouteTree<Endpoint: Sendable>: Sendable {
    struct Match {
        var endpoint: Endpoint
        /// The values of the parameters, in the order of the path.
        var parameters: [(name: String, value: String)]
    }

    /// A path of a route, taken apart.
    struct Pattern: Sendable, Hashable {
        enum Segment: Sendable, Hashable {
            case literal(String)
            case parameter(String)
            case greedy(String)
        }
        var segments: [Segment]

        /// Nil when it is no path of a route: it starts with `/`, and a greedy parameter comes last.
        init?(_ path: String) {
            guard path.hasPrefix("/") else { return nil }
            segments = []
            if path == "/" { return }
            let parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count <= Limits.routeSegments else { return nil }
            for (index, part) in parts.enumerated() {
                if part.hasPrefix("{"), part.hasSuffix("}"), part.utf8.count >= 2 {
                    var name = part.dropFirst().dropLast()
                    let isGreedy = name.hasSuffix("+")
                    if isGreedy { name = name.dropLast() }
                    guard !name.isEmpty, name.utf8.allSatisfy(Self.isName) else { return nil }
                    if isGreedy, index != parts.count - 1 { return nil }
                    segments.append(isGreedy ? .greedy(String(name)) : .parameter(String(name)))
                } else {
                    guard !part.contains("{"), !part.contains("}") else { return nil }
                    segments.append(.literal(String(part)))
                }
            }
        }

        private static func isName(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: ":"), UInt8(ascii: "$"):
                true
            default: false
            }
        }

        var names: [String] {
            segments.compactMap {
                switch $0 {
                case .literal: nil
                case .parameter(let name), .greedy(let name): name
                }
            }
        }
    }

    static var any: String { "ANY" }

    private struct Leaf {
        var endpoint: Endpoint
        var names: [String]
    }

    private struct Node {
        var literals: [String: Int] = [:]
        var parameter: Int?
        var leaves: [String: Leaf] = [:]
        var greedy: [String: Leaf] = [:]
    }

    private var nodes = [Node()]

    /// A route that is already there is replaced.
    mutating func insert(method: String, pattern: Pattern, _ endpoint: Endpoint) {
        var node = 0
        let leaf = Leaf(endpoint: endpoint, names: pattern.names)
        for segment in pattern.segments {
            switch segment {
            case .literal(let text):
                if let next = nodes[node].literals[text] {
                    node = next
                } else {
                    nodes.append(Node())
                    nodes[node].literals[text] = nodes.count - 1
                    node = nodes.count - 1
                }
            case .parameter:
                if let next = nodes[node].parameter {
                    node = next
                } else {
                    nodes.append(Node())
                    nodes[node].parameter = nodes.count - 1
                    node = nodes.count - 1
                }
            case .greedy:
                nodes[node].greedy[method] = leaf
                return
            }
        }
        nodes[node].leaves[method] = leaf
    }

    func match(method: String, segments: [String]) -> Match? {
        var values: [String] = []
        return find(0, method, segments[...], &values)
    }

    private func find(_ index: Int, _ method: String, _ rest: ArraySlice<String>, _ values: inout [String]) -> Match? {
        let node = nodes[index]
        guard let segment = rest.first else {
            return (node.leaves[method] ?? node.leaves[Self.any]).map { Self.match($0, values) }
        }
        if let next = node.literals[segment], let match = find(next, method, rest.dropFirst(), &values) {
            return match
        }
        if let next = node.parameter, !segment.isEmpty {
            values.append(segment)
            if let match = find(next, method, rest.dropFirst(), &values) { return match }
            values.removeLast()
        }
        guard let leaf = node.greedy[method] ?? node.greedy[Self.any] else { return nil }
        let all = rest.joined(separator: "/")
        return all.isEmpty ? nil : Self.match(leaf, values + [all])
    }

    private static func match(_ leaf: Leaf, _ values: [String]) -> Match {
        Match(endpoint: leaf.endpoint, parameters: zip(leaf.names, values).map { ($0, $1) })
    }
}
