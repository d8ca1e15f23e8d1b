import Platform
import Wire

/// The template of an input transformer: text with `<variables>`.
///
/// A variable that stands alone gives JSON; one inside a quoted string gives text, of objects and arrays without their quotes, so
/// that the string stays one (user guide, "Input transformation"; `detailType` of `aws.events.event` as recorded from AWS).
struct InputTemplate: Sendable {
    private enum Piece: Sendable {
        case literal([UInt8])
        case variable(String, inString: Bool)
    }

    private var pieces: [Piece] = []
    private var paths: [String: JSONPath] = [:]

    static let predefined: Set<String> = [
        "aws.events.rule-arn", "aws.events.rule-name", "aws.events.event.ingestion-time", "aws.events.event",
        "aws.events.event.json",
    ]

    /// Throws ValidationException for variables that are not defined, paths that are none, and templates that give no JSON.
    init(_ text: String, paths: [(key: String, value: String)], target id: String) throws(AWSError) {
        for (name, path) in paths {
            guard !name.lowercased().hasPrefix("aws.") else {
                throw .validation("InputPathsMap for target \(id) contains the reserved name \(name).")
            }
            guard let path = JSONPath(path) else {
                throw .validation("Invalid InputPathsMap for target \(id): \(path) is not a valid JSON path.")
            }
            self.paths[name] = path
        }
        read(text)
        for case .variable(let name, _) in pieces where self.paths[name] == nil && !Self.predefined.contains(name) {
            throw .validation("InputTemplate for target \(id) contains invalid placeholder \(name).")
        }
        try checkSyntax(target: id)
    }

    private mutating func read(_ text: String) {
        var literal: [UInt8] = []
        var (inString, escaped) = (false, false)
        var rest = Array(text.utf8)[...]
        while let byte = rest.first {
            rest = rest.dropFirst()
            if byte == UInt8(ascii: "<"), let end = rest.firstIndex(of: UInt8(ascii: ">")) {
                pieces.append(.literal(literal))
                literal = []
                pieces.append(.variable(String(decoding: rest[..<end], as: UTF8.self), inString: inString))
                rest = rest[(end + 1)...]
                continue
            }
            literal.append(byte)
            if escaped {
                escaped = false
            } else if inString, byte == UInt8(ascii: "\\") {
                escaped = true
            } else if byte == UInt8(ascii: "\"") {
                inString.toggle()
            }
        }
        pieces.append(.literal(literal))
    }

    /// A template is JSON, or lines of quoted strings.
    private func checkSyntax(target id: String) throws(AWSError) {
        // What stands for a variable goes with nothing before and behind it.
        let sample = pieces.flatMap { piece -> [UInt8] in
            switch piece {
            case .literal(let bytes): bytes
            case .variable(_, let inString): inString ? [UInt8(ascii: " ")] : Array("null".utf8)
            }
        }
        let first = sample.first { ![0x20, 0x09, 0x0a, 0x0d].contains($0) }
        if first == UInt8(ascii: "\"") { return }
        do throws(JSONError) {
            try JSON.validate(sample)
        } catch {
            throw .validation("Invalid InputTemplate for target \(id) : \(error.jacksonText)")
        }
    }

    /// Nil when it becomes larger than `Limits.renderedBytes`.
    func render(_ event: Event, rule: RuleKey) -> [UInt8]? {
        var out: [UInt8] = []
        for piece in pieces {
            guard out.count <= Limits.renderedBytes else { return nil }
            switch piece {
            case .literal(let bytes): out += bytes
            case .variable(let name, let inString):
                if !inString, name == "aws.events.event.json" {
                    out += event.bytes
                    continue
                }
                let value = value(of: name, event, rule) ?? ""
                out += inString ? Self.text(value) : JSON.encode(value)
            }
        }
        return out.count <= Limits.renderedBytes ? out : nil
    }

    private func value(of name: String, _ event: Event, _ rule: RuleKey) -> Value? {
        switch name {
        case "aws.events.rule-arn": return .string(rule.arn)
        case "aws.events.rule-name": return .string(rule.name)
        case "aws.events.event.ingestion-time": return .string(event.ingestion.iso8601())
        case "aws.events.event.json": return event.value
        case "aws.events.event":
            var fields = Fields()
            for entry in event.value.fields?.entries ?? [] where entry.name != "detail" {
                fields.append(entry.name == "detail-type" ? "detailType" : entry.name, entry.value)
            }
            return .map(fields)
        default: return paths[name]?.value(in: event.value)
        }
    }

    /// Inside a string: what is one stays escaped, of the rest the quotes go.
    private static func text(_ value: Value) -> [UInt8] {
        let bytes = JSON.encode(value)
        if case .string = value { return Array(bytes.dropFirst().dropLast()) }
        return bytes.filter { $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }
}
