/// Paths that do not disturb each other, as the tree of the places that they name.
indirect enum PathTree: Sendable {
    /// All of the value.
    case whole
    /// Members of a map, in the order of their names.
    case members([(name: String, tree: PathTree)])
    /// Elements of a list, in their order.
    case elements([(index: Int, tree: PathTree)])

    init(_ paths: [DocumentPath]) {
        if !paths.isEmpty, paths.allSatisfy(\.elements.isEmpty) {
            self = .members(paths.map { ($0.attribute, .whole) }.sorted { ByteOrder.less($0.0, $1.0) })
            return
        }
        self.init(paths.map { [.member($0.attribute)] + $0.elements }, from: 0)
    }

    /// Recursive: as deep as the longest path, which `ExpressionLimits.expressionBytes` bounds.
    private init(_ paths: [[DocumentPath.Element]], from depth: Int) {
        let deeper = paths.filter { $0.count > depth }
        guard deeper.count == paths.count, !paths.isEmpty else {
            self = .whole
            return
        }
        var members: [(String, [[DocumentPath.Element]])] = []
        var elements: [(Int, [[DocumentPath.Element]])] = []
        for path in deeper.sorted(by: { Self.isBefore($0[depth], $1[depth]) }) {
            switch path[depth] {
            case .member(let name):
                if let last = members.last, ByteOrder.equal(last.0, name) {
                    members[members.count - 1].1.append(path)
                } else {
                    members.append((name, [path]))
                }
            case .index(let index):
                if elements.last?.0 == index {
                    elements[elements.count - 1].1.append(path)
                } else {
                    elements.append((index, [path]))
                }
            }
        }
        if members.isEmpty {
            self = .elements(elements.map { ($0.0, PathTree($0.1, from: depth + 1)) })
        } else {
            self = .members(members.map { ($0.0, PathTree($0.1, from: depth + 1)) })
        }
    }

    private static func isBefore(_ left: DocumentPath.Element, _ right: DocumentPath.Element) -> Bool {
        switch (left, right) {
        case (.member(let left), .member(let right)): ByteOrder.less(left, right)
        case (.index(let left), .index(let right)): left < right
        case (.member, .index): true
        case (.index, .member): false
        }
    }

    /// The parts of the map that are named; nil when there are none. Lists close up.
    func select(from map: AttributeMap) -> AttributeMap? {
        switch self {
        case .whole: return map
        case .elements: return nil
        case .members(let members):
            var entries: [AttributeMap.Entry] = []
            for (name, tree) in members {
                guard let value = map[name], let part = tree.select(from: value) else { continue }
                entries.append(AttributeMap.Entry(name: name, value: part))
            }
            return entries.isEmpty ? nil : AttributeMap(sorted: entries)
        }
    }

    private func select(from value: AttributeValue) -> AttributeValue? {
        switch (self, value) {
        case (.whole, _): return value
        case (.members, .map(let map)): return select(from: map).map { .map($0) }
        case (.elements(let elements), .list(let list)):
            let parts = elements.compactMap { index, tree in
                list.indices.contains(index) ? tree.select(from: list[index]) : nil
            }
            return parts.isEmpty ? nil : .list(parts)
        default: return nil
        }
    }
}
