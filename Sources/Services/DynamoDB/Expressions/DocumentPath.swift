/// A path such as `orders[2].total`, with placeholders replaced.
struct DocumentPath: Sendable, Hashable {
    enum Element: Sendable, Hashable {
        case member(String)
        case index(Int)
    }

    /// The attribute of the item.
    var attribute: String
    /// Into maps and lists of it.
    var elements: [Element]

    init(_ attribute: String, _ elements: [Element] = []) {
        self.attribute = attribute
        self.elements = elements
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
