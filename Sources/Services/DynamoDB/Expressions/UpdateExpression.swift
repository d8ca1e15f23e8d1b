import Wire

/// What an update made of an item.
struct UpdateOutcome: Sendable {
    /// The item after it.
    var item: Item
    /// For `UPDATED_OLD`: what stood at the paths of the expression before; nil when nothing did.
    var updatedOld: Item?
    /// For `UPDATED_NEW`: what stands at the paths of the expression now; nil when nothing does.
    var updatedNew: Item?
}

struct UpdateExpression: Sendable {
    private let actions: [UpdateAction]
    /// All paths in it, also those that are only read.
    let mentioned: [DocumentPath]
    private let tree: PathTree

    /// The paths that are written, in their order; that none is a key attribute is the caller's to check.
    var paths: [DocumentPath] { actions.map(\.path) }

    /// Throws every error that does not depend on the item.
    static func parse(
        _ text: String, _ placeholders: inout Placeholders
    ) throws(AWSError) -> UpdateExpression {
        var parser = try UpdateParser(text, placeholders)
        let actions = try parser.parse()
        placeholders = parser.reader.placeholders
        return UpdateExpression(
            actions: actions, mentioned: parser.reader.paths, tree: PathTree(actions.map(\.path)))
    }

    static let wrongType = AWSError.validation("An operand in the update expression has an incorrect data type")
    private static let invalidPath = AWSError.validation(
        "The document path provided in the update expression is invalid for update")
    private static let missingAttribute = AWSError.validation(
        "The provided expression refers to an attribute that does not exist in the item")

    /// A value to be put at a path, or nothing.
    private struct Write {
        var path: DocumentPath
        var value: AttributeValue?
    }

    /// All right-hand sides see `item` as it was. For an item that does not exist give its key attributes and false:
    /// then REMOVE and DELETE may name paths into nothing. The size of the result is the caller's to check
    /// (`Item.checkSize`).
    func apply(to item: Item, exists: Bool = true) throws(AWSError) -> UpdateOutcome {
        let writes = try writes(for: item, exists: exists)
        var updated = item
        // Elements behind the end of a list, in the order of their indexes; removals from lists, from the last to the
        // first, inner lists before the outer ones: indexes are those of the item as it was.
        var appended: [Write] = []
        var removed: [Write] = []
        for write in writes {
            guard case .index? = write.path.elements.last else {
                Self.put(write, into: &updated)
                continue
            }
            let isThere = write.path.value(in: item) != nil
            if write.value == nil {
                if isThere { removed.append(write) }
            } else if isThere {
                Self.put(write, into: &updated)
            } else {
                appended.append(write)
            }
        }
        for write in appended.sorted(by: { Self.lastIndex($0) < Self.lastIndex($1) }) {
            Self.put(write, into: &updated)
        }
        removed.sort {
            ($0.path.elements.count, Self.lastIndex($0)) > ($1.path.elements.count, Self.lastIndex($1))
        }
        for write in removed { Self.put(write, into: &updated) }
        return UpdateOutcome(
            item: updated, updatedOld: tree.select(from: item), updatedNew: tree.select(from: updated))
    }

    private static func lastIndex(_ write: Write) -> Int {
        if case .index(let index)? = write.path.elements.last { index } else { 0 }
    }

    /// The new value of every path. Throws, as DynamoDB does, first what is wrong with types and numbers, then with
    /// paths, then what is missing.
    private func writes(for item: Item, exists: Bool) throws(AWSError) -> [Write] {
        var writes: [Write] = []
        var isMissing = false
        for action in actions {
            let path = action.path
            switch action.change {
            case .set(let operand):
                if let value = try operand.value(in: item) {
                    try Self.checkLevels(value, at: path)
                    writes.append(Write(path: path, value: value))
                } else {
                    isMissing = true
                }
            case .remove: writes.append(Write(path: path, value: nil))
            case .add(let value):
                let old = path.value(in: item)
                try Self.checkLevels(value, at: path)
                writes.append(Write(path: path, value: try old?.adding(value) ?? value))
            case .delete(let value):
                guard let old = path.value(in: item) else { continue }
                writes.append(Write(path: path, value: try old.deleting(value)))
            }
        }
        for action in actions where !action.path.elements.isEmpty {
            switch action.change {
            case .remove, .delete: if !exists { continue }
            case .set, .add: break
            }
            guard Self.isWritable(action.path, in: item) else { throw Self.invalidPath }
        }
        if isMissing { throw Self.missingAttribute }
        return writes
    }

    private static func checkLevels(_ value: AttributeValue, at path: DocumentPath) throws(AWSError) {
        guard path.elements.count + value.levels <= ValueLimits.nestingLevels else {
            throw AttributeValue.tooDeep
        }
    }

    /// Whether the map or list is there that the path's last part is put into.
    private static func isWritable(_ path: DocumentPath, in item: Item) -> Bool {
        var parent = path
        guard let last = parent.elements.popLast() else { return true }
        switch (last, parent.value(in: item)) {
        case (.member, .map?), (.index, .list?): return true
        default: return false
        }
    }

    // MARK: Writing

    /// Of a list, an index behind its end appends. Nothing happens where no map or list is.
    private static func put(_ write: Write, into item: inout Item) {
        guard !write.path.elements.isEmpty else {
            item[write.path.attribute] = write.value
            return
        }
        _ = item.update(write.path.attribute) { put(write.value, at: write.path.elements[...], into: &$0) }
    }

    /// Recursive: as deep as the path, which leads through values that are there.
    private static func put(
        _ new: AttributeValue?, at elements: ArraySlice<DocumentPath.Element>, into value: inout AttributeValue
    ) {
        guard let element = elements.first else {
            if let new { value = new }
            return
        }
        let rest = elements.dropFirst()
        switch (element, value) {
        case (.member(let name), .map(var map)):
            // So that the map is held once, and changed where it is.
            value = .null
            if rest.isEmpty {
                map[name] = new
            } else {
                _ = map.update(name) { put(new, at: rest, into: &$0) }
            }
            value = .map(map)
        case (.index(let index), .list(var list)):
            value = .null
            if index < list.count {
                if !rest.isEmpty {
                    put(new, at: rest, into: &list[index])
                } else if let new {
                    list[index] = new
                } else {
                    list.remove(at: index)
                }
            } else if rest.isEmpty, let new {
                list.append(new)
            }
            value = .list(list)
        default: break
        }
    }
}
