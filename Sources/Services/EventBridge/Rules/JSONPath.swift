import Platform

/// The JSON paths of targets: `$.detail.list[0]['a name']`, `[*]` (user guide, "Input transformation").
struct JSONPath: Sendable, Hashable {
    private enum Step: Sendable, Hashable {
        case member(String)
        case element(Int)
        case all
    }

    private var steps: [Step] = []

    /// Nil when it is none.
    init?(_ text: String) {
        guard text.hasPrefix("$") else { return nil }
        var rest = text.dropFirst()
        while let first = rest.first {
            guard steps.count < Limits.pathSteps else { return nil }
            rest = rest.dropFirst()
            if first == "." {
                let name = rest.prefix { $0 != "." && $0 != "[" }
                guard !name.isEmpty else { return nil }
                rest = rest.dropFirst(name.count)
                steps.append(name == "*" ? .all : .member(String(name)))
            } else if first == "[", let end = Self.closing(rest) {
                guard let step = Self.bracket(rest[..<end]) else { return nil }
                steps.append(step)
                rest = rest[end...].dropFirst()
            } else {
                return nil
            }
        }
    }

    /// The place of the bracket's end; a name in quotes may have brackets.
    private static func closing(_ text: Substring) -> Substring.Index? {
        guard let quote = text.first, quote == "'" || quote == "\"" else { return text.firstIndex(of: "]") }
        guard let end = text.dropFirst().firstIndex(of: quote) else { return nil }
        return text[end...].firstIndex(of: "]")
    }

    private static func bracket(_ text: Substring) -> Step? {
        if text == "*" { return .all }
        if text.count >= 3, let quote = text.first, quote == "'" || quote == "\"", text.last == quote {
            return .member(String(text.dropFirst().dropLast()))
        }
        guard text.utf8.count <= 9, let index = Int(text), index >= 0 else { return nil }
        return .element(index)
    }

    /// What is at the path; nil when there is nothing. With `*`, a list of everything that fits.
    func value(in document: Value) -> Value? {
        var found = [document]
        var isList = false
        for step in steps {
            switch step {
            case .member(let name): found = found.compactMap { $0[name] }
            case .element(let index):
                found = found.compactMap { value in
                    guard let list = value.list, list.indices.contains(index) else { return nil }
                    return list[index]
                }
            case .all:
                isList = true
                found = found.flatMap { $0.list ?? $0.fields?.entries.map(\.value) ?? [] }
            }
        }
        return isList ? .list(found) : found.first
    }
}
