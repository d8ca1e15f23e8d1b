/// The fast way to match: the position automaton (Glushkov) of a pattern without anchors and lookaround inside, with the
/// set of active positions in one 128-bit word. Patterns with more positions are left to `Pattern`'s own matching.
struct PositionMatcher: Sendable {
    private var follow: [UInt128] = []
    private var classes: [CharacterClass] = []
    /// The positions that take a character, for each ASCII character.
    private var ascii = [UInt128](repeating: 0, count: 128)
    private var first: UInt128 = 0
    private var last: UInt128 = 0
    private var isNullable = true

    private static let capacity = 128

    private struct Part {
        var first: UInt128 = 0
        var last: UInt128 = 0
        var isNullable = true
    }

    private struct NotSuitable: Error {}

    /// Nil when the pattern is not suitable.
    init?(_ node: Pattern.Node) {
        guard let whole = try? build(Self.withoutOuterAnchors(node)) else { return nil }
        (first, last, isNullable) = (whole.first, whole.last, whole.isNullable)
        for code in UInt32(0)..<128 {
            guard let scalar = Unicode.Scalar(code) else { continue }
            ascii[Int(code)] = positions(of: scalar)
        }
    }

    /// `^…$` around the whole says nothing when the whole text must match.
    private static func withoutOuterAnchors(_ node: Pattern.Node) -> Pattern.Node {
        guard case .sequence(var nodes) = node else { return node }
        if case .start? = nodes.first { nodes.removeFirst() }
        if case .end? = nodes.last { nodes.removeLast() }
        return .sequence(nodes)
    }

    private mutating func build(_ node: Pattern.Node) throws -> Part {
        switch node {
        case .empty: return Part()
        case .start, .end, .look: throw NotSuitable()
        case .characters(let set):
            guard classes.count < Self.capacity else { throw NotSuitable() }
            let bit = UInt128(1) << UInt128(classes.count)
            classes.append(set)
            follow.append(0)
            return Part(first: bit, last: bit, isNullable: false)
        case .sequence(let nodes):
            var whole = Part()
            for node in nodes { whole = join(whole, try build(node)) }
            return whole
        case .either(let nodes):
            var whole = Part(isNullable: false)
            for node in nodes {
                let part = try build(node)
                whole.first |= part.first
                whole.last |= part.last
                whole.isNullable = whole.isNullable || part.isNullable
            }
            return whole
        case .repeated(let node, let minimum, let maximum): return try build(node, minimum, maximum)
        }
    }

    private mutating func build(_ node: Pattern.Node, _ minimum: Int, _ maximum: Int?) throws -> Part {
        var whole = Part()
        let copies = maximum ?? max(minimum, 1)
        guard copies <= Self.capacity else { throw NotSuitable() }
        for index in 0..<copies {
            var part = try build(node)
            if maximum == nil, index == copies - 1 { connect(part.last, part.first) }
            if index >= minimum { part.isNullable = true }
            whole = join(whole, part)
        }
        return whole
    }

    private mutating func join(_ a: Part, _ b: Part) -> Part {
        connect(a.last, b.first)
        return Part(
            first: a.isNullable ? a.first | b.first : a.first, last: b.isNullable ? a.last | b.last : b.last,
            isNullable: a.isNullable && b.isNullable)
    }

    private mutating func connect(_ from: UInt128, _ to: UInt128) {
        var rest = from
        while rest != 0 {
            follow[rest.trailingZeroBitCount] |= to
            rest &= rest &- 1
        }
    }

    private func positions(of scalar: Unicode.Scalar) -> UInt128 {
        var found: UInt128 = 0
        for (index, set) in classes.enumerated() where set.contains(scalar) { found |= UInt128(1) << UInt128(index) }
        return found
    }

    /// Whether the whole text matches; false after `CodecLimits.patternSteps`.
    func matches(_ text: String) -> Bool {
        var next = first
        var current: UInt128 = 0
        var isEmpty = true
        var steps = CodecLimits.patternSteps
        for scalar in text.unicodeScalars {
            isEmpty = false
            current = next & (scalar.value < 128 ? ascii[Int(scalar.value)] : positions(of: scalar))
            steps -= scalar.value < 128 ? 1 : classes.count
            guard current != 0, steps > 0 else { return false }
            next = 0
            var rest = current
            while rest != 0 {
                next |= follow[rest.trailingZeroBitCount]
                rest &= rest &- 1
                steps -= 1
            }
        }
        return isEmpty ? isNullable : current & last != 0
    }
}
