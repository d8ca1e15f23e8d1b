/// The attributes of an item or the members of a map: names in UTF-8 byte order, each once.
struct AttributeMap: Sendable {
    struct Entry: Sendable {
        let name: String
        var value: AttributeValue
    }

    /// In the order of their names.
    private(set) var entries: [Entry]

    init() { entries = [] }

    /// Of the entries of one name the last one counts.
    init(_ unsorted: [(name: String, value: AttributeValue)]) {
        entries = []
        entries.reserveCapacity(unsorted.count)
        var isSorted = true
        for (name, value) in unsorted {
            if let last = entries.last, !ByteOrder.less(last.name, name) { isSorted = false }
            entries.append(Entry(name: name, value: value))
        }
        guard !isSorted else { return }
        // Stable by position, so that the last one of a name is last.
        let ordered = entries.enumerated().sorted { left, right in
            let order = ByteOrder.compare(left.element.name, right.element.name)
            return order == 0 ? left.offset < right.offset : order < 0
        }
        entries.removeAll(keepingCapacity: true)
        for (_, entry) in ordered {
            if let last = entries.last, ByteOrder.equal(last.name, entry.name) { entries.removeLast() }
            entries.append(entry)
        }
    }

    /// Entries that are known to be in order and distinct.
    init(sorted entries: [Entry]) { self.entries = entries }

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }
    var names: [String] { entries.map(\.name) }

    /// Setting nil removes the attribute.
    subscript(name: String) -> AttributeValue? {
        get {
            let (index, isThere) = position(of: name)
            return isThere ? entries[index].value : nil
        }
        set {
            let (index, isThere) = position(of: name)
            switch (newValue, isThere) {
            case (let value?, true): entries[index].value = value
            case (let value?, false): entries.insert(Entry(name: name, value: value), at: index)
            case (nil, true): entries.remove(at: index)
            case (nil, false): break
            }
        }
    }

    /// Changes a value where it is, without a copy; nil when there is none of this name.
    mutating func update<Result, Failure: Error>(
        _ name: String, _ body: (inout AttributeValue) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        let (index, isThere) = position(of: name)
        return isThere ? try body(&entries[index].value) : nil
    }

    /// Where the name is, or where it would be inserted.
    private func position(of name: String) -> (index: Int, isThere: Bool) {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            let order = ByteOrder.compare(entries[middle].name, name)
            if order == 0 { return (middle, true) }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return (low, false)
    }
}

/// All attributes of an item.
typealias Item = AttributeMap

extension AttributeMap: Hashable {
    static func == (left: AttributeMap, right: AttributeMap) -> Bool {
        left.entries.count == right.entries.count
            && zip(left.entries, right.entries).allSatisfy { left, right in
                ByteOrder.equal(left.name, right.name) && left.value == right.value
            }
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(entries.count)
        for entry in entries {
            hasher.combine(entry.name)
            hasher.combine(entry.value)
        }
    }
}

extension AttributeMap: Sequence {
    func makeIterator() -> IndexingIterator<[Entry]> { entries.makeIterator() }
}

extension AttributeMap: ExpressibleByDictionaryLiteral {
    init(dictionaryLiteral elements: (String, AttributeValue)...) {
        self.init(elements.map { (name: $0.0, value: $0.1) })
    }
}
