import Platform
import Yams

/// Reads OpenAPI documents, JSON or YAML, into values. Bounded, whatever the document is.
enum DocumentReader {
    struct Problem: Error {
        var reason: String
    }

    static func read(_ text: String) throws(Problem) -> Value {
        guard text.utf8.count <= Limits.document else {
            throw Problem(reason: "The document is larger than \(Limits.document) bytes")
        }
        let first = text.utf8.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        if first == UInt8(ascii: "{") {
            do {
                return try JSON.parse(text)
            } catch {
                throw Problem(reason: "Unable to parse the JSON document: \(error.message)")
            }
        }
        return try yaml(text)
    }

    private static func yaml(_ text: String) throws(Problem) -> Value {
        guard !hasAliases(text) else {
            throw Problem(reason: "YAML aliases are not supported: write what they stand for")
        }
        let node: Node?
        do {
            node = try compose(yaml: text)
        } catch {
            throw Problem(reason: "Unable to parse the YAML document: \(String(describing: error).prefix(500))")
        }
        var left = Limits.documentValues
        guard let node else { throw Problem(reason: "The document is empty") }
        return try value(node, depth: 0, &left)
    }

    private static func value(_ node: Node, depth: Int, _ left: inout Int) throws(Problem) -> Value {
        left -= 1
        guard left > 0 else { throw Problem(reason: "The document has too many values") }
        guard depth < Limits.documentDepth else { throw Problem(reason: "The document is nested too deeply") }
        switch node {
        case .scalar(let scalar): return plain(scalar)
        case .sequence(let sequence):
            var list: [Value] = []
            for element in sequence { list.append(try value(element, depth: depth + 1, &left)) }
            return .list(list)
        case .mapping(let mapping):
            var fields = Fields()
            for (key, element) in mapping {
                guard case .scalar(let name) = key else { throw Problem(reason: "A key is no text") }
                fields.append(name.string, try value(element, depth: depth + 1, &left))
            }
            return .map(fields)
        case .alias: throw Problem(reason: "YAML aliases are not supported")
        }
    }

    /// YAML 1.2's core schema, of what is not quoted.
    private static func plain(_ scalar: Node.Scalar) -> Value {
        let text = scalar.string
        switch scalar.style {
        case .singleQuoted, .doubleQuoted, .literal, .folded: return .string(text)
        default: break
        }
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        if let first = text.utf8.first, (0x30...0x39).contains(first) || first == 0x2D {
            if let number = Int64(text) { return .int(number) }
            let isNumber = text.utf8.allSatisfy { (0x30...0x39).contains($0) || "-+.eE".utf8.contains($0) }
            if isNumber, let number = Double(text), number.isFinite { return .double(number) }
        }
        return .string(text)
    }

    /// Whether some `*name` could stand for an `&name`: the parser would hash what it stands for, however much that is. Text
    /// that only looks so is refused only when both are there with one name.
    private static func hasAliases(_ text: String) -> Bool {
        let anchors = names(behind: UInt8(ascii: "&"), in: text)
        return !anchors.isEmpty && !anchors.isDisjoint(with: names(behind: UInt8(ascii: "*"), in: text))
    }

    private static func names(behind mark: UInt8, in text: String) -> Set<String> {
        var names: Set<String> = []
        var text = text
        text.withUTF8 { bytes in
            var index = 0
            while index < bytes.count {
                defer { index += 1 }
                guard bytes[index] == mark, index == 0 || isBoundary(bytes[index - 1]) else { continue }
                var end = index + 1
                while end < bytes.count, !isBoundary(bytes[end]), bytes[end] != UInt8(ascii: "]"),
                    bytes[end] != UInt8(ascii: "}")
                { end += 1 }
                if end > index + 1, end - index < 256 {
                    names.insert(String(decoding: bytes[(index + 1)..<end], as: UTF8.self))
                }
            }
        }
        return names
    }

    private static func isBoundary(_ byte: UInt8) -> Bool { byte <= 0x20 || "[{,:-?".utf8.contains(byte) }

    /// The document as YAML.
    static func yamlText(_ value: Value) throws -> String { try serialize(node: node(value)) }

    private static func node(_ value: Value) -> Node {
        switch value {
        case .map(let fields): Node(fields.entries.map { (quoted($0.name), node($0.value)) })
        case .list(let list): Node(list.map(node))
        case .string(let text): quoted(text)
        default: Node(JSON.encodeString(value))
        }
    }

    /// Quoted wherever a reader could take it for something else than text.
    private static func quoted(_ text: String) -> Node {
        let isPlain =
            !text.isEmpty && text.utf8.allSatisfy { PercentEncoding.isUnreserved($0) || $0 == 0x2F || $0 == 0x20 }
            && text.utf8.first.map { (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2F } == true
            && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(lowercased(text))
            && text.utf8.last != 0x20
        return Node(text, Tag(.str), isPlain ? .any : .doubleQuoted)
    }
}
