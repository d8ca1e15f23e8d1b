import Platform

/// One combination of requirements, as a tree over the names of their paths.
///
/// Arrays are matched as Event Ruler does ("array consistency"): all fields below one array come from the same element
/// of it. Since every path below an array goes through it, that is: some element satisfies the whole subtree; so that
/// matching takes time in proportion to the event, and does not try combinations of elements.
///
/// `exists: false` is about the whole event, except that it keeps to the array elements in which fields that come
/// before it in the order of paths were found. It is checked at the deepest object that such a field and it have in
/// common.
struct MatchTree: Sendable {
    private var leaf: Leaf?
    private var children: [Child] = []
    private var absences: [Absence] = []

    private struct Child: Sendable {
        var name: ExactText
        var tree: MatchTree
    }

    /// A path from the node on at which there must be no value.
    private struct Absence: Sendable {
        var path: [ExactText]
    }

    /// `requirements` have one path each.
    init(_ requirements: [Requirement]) {
        self.init()
        // Ruler goes by the names joined with dots.
        let sorted = requirements.map { (key: Array($0.path.joined(separator: ".").utf8), requirement: $0) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.requirement)
        for requirement in sorted {
            if let leaf = requirement.leaf { insert(leaf, at: requirement.path[...]) }
        }
        var found: [[String]] = []
        for requirement in sorted {
            if requirement.leaf != nil {
                found.append(requirement.path)
            } else {
                let shared = found.map { Self.sharedNames($0, requirement.path) }.max() ?? 0
                insertAbsence(of: requirement.path[...], below: shared)
            }
        }
    }

    private init() {}

    /// How many names two paths share, at most all but the last of each.
    private static func sharedNames(_ a: [String], _ b: [String]) -> Int {
        zip(a.dropLast(), b.dropLast()).prefix { ExactText($0).equals($1) }.count
    }

    private mutating func insert(_ leaf: Leaf, at path: ArraySlice<String>) {
        guard let name = path.first else {
            self.leaf = leaf
            return
        }
        children[indexOfChild(name)].tree.insert(leaf, at: path.dropFirst())
    }

    private mutating func insertAbsence(of path: ArraySlice<String>, below shared: Int) {
        guard shared > 0, let name = path.first else {
            absences.append(Absence(path: path.map { ExactText($0) }))
            return
        }
        children[indexOfChild(name)].tree.insertAbsence(of: path.dropFirst(), below: shared - 1)
    }

    private mutating func indexOfChild(_ name: String) -> Int {
        if let index = children.firstIndex(where: { $0.name.equals(name) }) { return index }
        children.append(Child(name: ExactText(name), tree: MatchTree()))
        return children.count - 1
    }

    // MARK: Matching

    /// Whether a value, at the place of this node, satisfies everything at and below it. As deep as the event is.
    func matches(_ value: Value) -> Bool {
        switch value {
        case .map(let fields): return leaf == nil && matchesMembers(fields)
        case .list(let elements):
            if let leaf, !Self.contains(elements, leaf) { return false }
            return children.isEmpty || matchesElement(elements)
        default:
            guard let leaf, children.isEmpty else { return false }
            return leaf.matches(value)
        }
    }

    private func matchesMembers(_ fields: Fields) -> Bool {
        for absence in absences where Self.isThere(absence.path[...], in: fields) { return false }
        for index in children.indices {
            guard let member = Self.member(children[index].name, of: fields), children[index].tree.matches(member)
            else {
                return false
            }
        }
        return true
    }

    /// Some element, also of arrays in the array, satisfies all children.
    private func matchesElement(_ elements: [Value]) -> Bool {
        for element in elements {
            switch element {
            case .map(let fields): if matchesMembers(fields) { return true }
            case .list(let elements): if matchesElement(elements) { return true }
            default: continue
            }
        }
        return false
    }

    private static func contains(_ elements: [Value], _ leaf: Leaf) -> Bool {
        for element in elements {
            if case .list(let elements) = element {
                if contains(elements, leaf) { return true }
            } else if leaf.matches(element) {
                return true
            }
        }
        return false
    }

    @inline(__always)
    private static func member(_ name: ExactText, of fields: Fields) -> Value? {
        for entry in fields.entries where name.equals(entry.name) { return entry.value }
        return nil
    }

    /// Whether there is a value, neither object nor array, at the path.
    private static func isThere(_ path: ArraySlice<ExactText>, in fields: Fields) -> Bool {
        guard let name = path.first, let member = member(name, of: fields) else { return false }
        return isThere(path.dropFirst(), at: member)
    }

    private static func isThere(_ path: ArraySlice<ExactText>, at value: Value) -> Bool {
        switch value {
        case .map(let fields): isThere(path, in: fields)
        case .list(let elements): elements.contains { isThere(path, at: $0) }
        default: path.isEmpty
        }
    }
}
