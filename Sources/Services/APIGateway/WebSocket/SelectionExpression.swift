import Platform

/// A route selection expression of a WebSocket API: text with `$request.body.…` and `${request.body.…}` in it, read once
/// (developer guide, "Working with routes for WebSocket APIs").
struct SelectionExpression: Sendable, Hashable {
    private enum Part: Sendable, Hashable {
        case text(String)
        /// What leads from the body to the value: names and places in lists.
        case body([Step])
    }
    private enum Step: Sendable, Hashable {
        case name(String)
        case index(Int)
    }

    private let parts: [Part]

    /// Nil when it cannot be read, or selects by something else than the message.
    init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= Limits.selectionExpression else { return nil }
        var parts: [Part] = []
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            if dollar > rest.startIndex { parts.append(.text(Self.plain(rest[..<dollar]))) }
            // `\$default` is the text itself.
            if dollar > rest.startIndex, rest[rest.index(before: dollar)] == "\\" {
                parts.append(.text("$"))
                rest = rest[rest.index(after: dollar)...]
                continue
            }
            var behind = rest[rest.index(after: dollar)...]
            let isBraced = behind.first == "{"
            if isBraced { behind = behind.dropFirst() }
            let path = behind.prefix { isBraced ? $0 != "}" : Self.isPathCharacter($0) }
            guard let steps = Self.steps(path) else { return nil }
            parts.append(.body(steps))
            rest = behind[path.endIndex...]
            if isBraced {
                guard rest.first == "}" else { return nil }
                rest = rest.dropFirst()
            }
        }
        if !rest.isEmpty { parts.append(.text(Self.plain(rest))) }
        self.parts = parts
    }

    private static func plain(_ text: Substring) -> String { String(text.last == "\\" ? text.dropLast() : text) }

    private static func isPathCharacter(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "._-[]".contains(character))
    }

    private static func steps(_ path: Substring) -> [Step]? {
        guard path.hasPrefix("request.body.") || path.hasPrefix("request.body[") else { return nil }
        var steps: [Step] = []
        for part in path.dropFirst("request.body".count).split(separator: ".", omittingEmptySubsequences: true) {
            let pieces = part.split(separator: "[", omittingEmptySubsequences: false)
            if let name = pieces.first, !name.isEmpty { steps.append(.name(String(name))) }
            for piece in pieces.dropFirst() {
                guard piece.hasSuffix("]"), let index = Int(piece.dropLast()), index >= 0 else { return nil }
                steps.append(.index(index))
            }
        }
        return steps.isEmpty ? nil : steps
    }

    /// The route key that a message names; nil when it is no JSON, or names none.
    func evaluate(_ body: Value?) -> String? {
        var key = ""
        for part in parts {
            switch part {
            case .text(let text): key += text
            case .body(let steps):
                guard let text = body.flatMap({ Self.find(steps, in: $0) }) else { return nil }
                key += text
            }
        }
        return key
    }

    private static func find(_ steps: [Step], in body: Value) -> String? {
        var value = body
        for step in steps {
            switch step {
            case .name(let name):
                guard let next = value.fields?[name] else { return nil }
                value = next
            case .index(let index):
                guard let list = value.list, index < list.count else { return nil }
                value = list[index]
            }
        }
        switch value {
        case .string(let text): return text
        case .int, .double, .bool: return JSON.encodeString(value)
        default: return nil
        }
    }
}
