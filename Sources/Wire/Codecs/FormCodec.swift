import Platform

/// The query protocol's requests: `Action=…&Version=…&Name.member.1=…`.
enum FormCodec {
    /// Parameters by the parts of their names. A class, because the tree grows in place.
    final class Node {
        var value: String?
        private(set) var children: [String: Node] = [:]

        func child(_ name: some StringProtocol) -> Node? { children[String(name)] }

        fileprivate func makeChild(_ name: String) -> Node {
            if let found = children[name] { return found }
            let child = Node()
            children[name] = child
            return child
        }

        /// Children named by numbers, in their order.
        func numbered() -> [Node] {
            var found: [(Int, Node)] = []
            for (name, child) in children {
                guard let index = Int(name), (0...CodecLimits.formListIndex).contains(index) else { continue }
                found.append((index, child))
            }
            return found.sorted { $0.0 < $1.0 }.map(\.1)
        }

        var isEmpty: Bool { children.isEmpty }
    }

    static func tree(_ pairs: [(name: String, value: String?)]) throws(AWSError) -> Node {
        let root = Node()
        var nodes = 0
        for pair in pairs {
            let parts = pair.name.split(separator: ".", maxSplits: CodecLimits.depth, omittingEmptySubsequences: false)
            guard parts.count <= CodecLimits.depth else { continue }
            nodes += parts.count
            guard nodes <= CodecLimits.formNodes else { throw AWSError("MalformedInput", "Too many parameters") }
            var node = root
            for part in parts { node = node.makeChild(String(part)) }
            // Of a repeated parameter the first one counts.
            if node.value == nil { node.value = pair.value ?? "" }
        }
        return root
    }

    /// Recursive by the shape; a recursive shape ends where the names do (`CodecLimits.depth`).
    static func decode(_ node: Node, _ shape: ShapeSchema) throws(AWSError) -> Value {
        var fields = Fields()
        for member in shape.members {
            guard let value = try read(node, member) else { continue }
            fields.append(member.name, value)
        }
        return .map(fields)
    }

    private static func read(_ node: Node, _ member: MemberSchema) throws(AWSError) -> Value? {
        let isFlat = member.isFlatCollection
        guard let child = node.child(isFlat ? member.elementName : member.bodyName) else { return nil }
        return try value(child, member.shape, isFlat: isFlat, member: member)
    }

    private static func value(
        _ node: Node, _ shape: ShapeSchema, isFlat: Bool = false, member: MemberSchema? = nil
    ) throws(AWSError) -> Value? {
        switch shape.kind {
        case .structure: return try decode(node, shape)
        case .list:
            let holder = isFlat || shape.traits.isFlat ? node : node.child(shape.traits.memberName ?? "member")
            guard let holder else { return node.value != nil ? .list([]) : nil }
            var elements: [Value] = []
            for item in holder.numbered() { elements.append(try value(item, shape.element) ?? .null) }
            return .list(elements)
        case .map:
            let holder = isFlat || shape.traits.isFlat ? node : node.child("entry")
            guard let holder else { return node.value != nil ? .map([:]) : nil }
            var fields = Fields()
            for item in holder.numbered() {
                guard let key = item.child(shape.traits.keyName ?? "key")?.value else { continue }
                let found = item.child(shape.traits.valueName ?? "value")
                fields.append(
                    key, try found.flatMap { (found) throws(AWSError) in try value(found, shape.element) } ?? .null)
            }
            return .map(fields.resolvingRepeatedNames())
        default:
            guard let text = node.value else { return nil }
            if text.isEmpty, shape.kind != .string, shape.kind != .blob { return nil }
            let format = member?.timestampFormat ?? shape.traits.timestampFormat
            if let scalar = Scalars.parse(text, shape, format) { return scalar }
            throw AWSError("MalformedInput", "Invalid value '\(text.prefix(256))': expected \(shape.kind.rawValue)")
        }
    }
}
