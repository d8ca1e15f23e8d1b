/// A path such as `orders[2].total`, with placeholders replaced.
struct DocumentPath: Sendable, Hashable {
    enum Element: Sendable, Hashable {
        case member(String)
        case index(Int)

        static func == (left: Element, right: Element) -> Bool {
            switch (left, right) {
            case (.member(let left), .member(let right)): ByteOrder.equal(left, right)
            case (.index(let left), .index(let right)): left == right
            default: false
            }
        }
    }

    /// The attribute of the item.
    var attribute: String
    /// Into maps and lists of it.
    var elements: [Element]

    init(_ attribute: String, _ elements: [Element] = []) {
        self.attribute = attribute
        self.elements = elements
    }

    static func == (left: DocumentPath, right: DocumentPath) -> Bool {
        ByteOrder.equal(left.attribute, right.attribute) && left.elements == right.elements
    }

    /// How two paths disturb each other.
    enum Clash: String {
        /// One is the other or within it.
        case overlap
        /// One uses as a list what the other uses as a map.
        case conflict
    }

    func clash(with other: DocumentPath) -> Clash? {
        guard ByteOrder.equal(attribute, other.attribute) else { return nil }
        for (mine, theirs) in zip(elements, other.elements) where mine != theirs {
            switch (mine, theirs) {
            case (.member, .index), (.index, .member): return .conflict
            default: return nil
            }
        }
        return .overlap
    }

    /// The value there, nil when there is none.
    func value(in item: Item) -> AttributeValue? {
        guard var value = item[attribute] else { return nil }
        for element in elements {
            switch (element, value) {
            case (.member(let name), .map(let map)):
                guard let next = map[name] else { return nil }
                value = next
            case (.index(let index), .list(let list)):
                guard list.indices.contains(index) else { return nil }
                value = list[index]
            default: return nil
            }
        }
        return value
    }

    /// As DynamoDB's errors write it: `[orders, [2], total]`.
    var errorText: String {
        let parts = elements.map { element in
            switch element {
            case .member(let name): name
            case .index(let index): "[\(index)]"
            }
        }
        return "[" + ([attribute] + parts).joined(separator: ", ") + "]"
    }
}
