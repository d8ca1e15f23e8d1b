import NIOCore
import Platform

/// What REST protocols carry outside of the body: labels, query parameters, headers, the status.
enum Bindings {
    // MARK: Requests

    static func decode(
        _ match: OperationMatch, head: RequestHead, shape: ShapeSchema, into fields: inout Fields
    ) throws(AWSError) {
        let isXML = match.wireProtocol == .restXML
        for member in shape.members {
            let value: Value?
            switch member.location {
            case .body, .status: continue
            case .label:
                guard let label = match.labels.first(where: { $0.name == member.locationName }) else { continue }
                value = try scalar(label.value, member, .iso8601, isXML)
            case .query where member.shape.kind == .map:
                let named = shape.members.filter { $0.location == .query }.map(\.locationName)
                value = queryMap(match.query.filter { !named.contains($0.name) }, member)
            case .query: value = try query(match.query, member, isXML)
            case .header: value = try header(head, member, isXML)
            case .headerPrefix: value = headers(head, member)
            }
            if let value { fields.append(member.name, value) }
        }
    }

    private static func scalar(
        _ text: String, _ member: MemberSchema, _ format: TimestampFormat, _ isXML: Bool, shape: ShapeSchema? = nil
    ) throws(AWSError) -> Value {
        let shape = shape ?? member.shape
        if let value = Scalars.parse(text, shape, member.timestampFormat ?? shape.traits.timestampFormat ?? format) {
            return value
        }
        if isXML {
            let isNumber = shape.kind == .integer || shape.kind == .long
            throw AWSError(
                "InvalidArgument",
                isNumber
                    ? "Provided \(member.locationName) not an integer or within integer range"
                    : "Invalid value for \(member.locationName)",
                fields: ["ArgumentName": .string(member.locationName), "ArgumentValue": .string(text)])
        }
        throw .serialization(
            "Value '\(text.prefix(256))' at '\(member.pathName)' can not be read as \(shape.kind.rawValue)")
    }

    private static func query(
        _ pairs: [(name: String, value: String?)], _ member: MemberSchema, _ isXML: Bool
    ) throws(AWSError) -> Value? {
        switch member.shape.kind {
        case .list:
            var elements: [Value] = []
            for pair in pairs where pair.name == member.locationName {
                elements.append(try scalar(pair.value ?? "", member, .iso8601, isXML, shape: member.shape.element))
            }
            return elements.isEmpty ? nil : .list(elements)
        default:
            guard let pair = pairs.first(where: { $0.name == member.locationName }) else { return nil }
            if pair.value == nil || pair.value == "", member.shape.kind != .string { return nil }
            return try scalar(pair.value ?? "", member, .iso8601, isXML)
        }
    }

    /// A map takes every parameter that no other member names; nil when there is none.
    private static func queryMap(_ pairs: [(name: String, value: String?)], _ member: MemberSchema) -> Value? {
        if pairs.isEmpty { return nil }
        let fields = Fields(pairs.map { ($0.name, Value.string($0.value ?? "")) }).resolvingRepeatedNames()
        guard member.shape.element.kind == .list else { return .map(fields) }
        var lists: [String: [Value]] = [:]
        for pair in pairs { lists[pair.name, default: []].append(.string(pair.value ?? "")) }
        return .map(Fields(fields.names.map { ($0, .list(lists[$0] ?? [])) }))
    }

    private static func header(_ head: RequestHead, _ member: MemberSchema, _ isXML: Bool) throws(AWSError) -> Value? {
        guard let text = head.header(member.locationName) else { return nil }
        if member.isJSON {
            guard let bytes = Base64.decode(text), let value = try? JSON.parse(bytes) else {
                throw .serialization("Header \(member.headerName) is not base64 of a JSON document")
            }
            // The structure that callers pass is the document's text.
            return member.shape.kind == .string ? .string(JSON.encodeString(value)) : value
        }
        if member.shape.kind == .list {
            let all = head.headers.filter { $0.name == member.locationName }.map(\.value).joined(separator: ",")
            var elements: [Value] = []
            for part in split(all, dates: member.shape.element.kind == .timestamp) {
                elements.append(try scalar(part, member, .rfc822, isXML, shape: member.shape.element))
            }
            return .list(elements)
        }
        if text.isEmpty, member.shape.kind != .string { return nil }
        return try scalar(text, member, .rfc822, isXML)
    }

    /// Elements of a header list: commas part them, quotes hold them together; a date in RFC 822 form has a comma itself.
    private static func split(_ text: String, dates: Bool) -> [String] {
        var parts: [String] = []
        var current = ""
        var isQuoted = false
        var isEscaped = false
        for character in text.unicodeScalars {
            if isEscaped {
                current.unicodeScalars.append(character)
                isEscaped = false
            } else if isQuoted, character == "\\" {
                isEscaped = true
            } else if character == "\"", isQuoted || current.allSatisfy({ $0 == " " }) {
                isQuoted.toggle()
            } else if character == ",", !isQuoted {
                parts.append(current)
                current = ""
            } else {
                current.unicodeScalars.append(character)
            }
        }
        parts.append(current)
        parts = parts.map { String($0.drop { $0 == " " }) }.map { part in
            var part = part
            while part.hasSuffix(" ") { part.removeLast() }
            return part
        }
        guard dates, parts.count % 2 == 0, parts[0].utf8.count == 3 else { return parts }
        return stride(from: 0, to: parts.count, by: 2).map { "\(parts[$0]), \(parts[$0 + 1])" }
    }

    private static func headers(_ head: RequestHead, _ member: MemberSchema) -> Value? {
        var fields = Fields()
        for header in head.headers where header.name.hasPrefix(member.locationName) {
            fields.append(String(header.name.dropFirst(member.locationName.count)), .string(header.value))
        }
        return fields.isEmpty ? nil : .map(fields.resolvingRepeatedNames())
    }

    // MARK: Answers

    /// Headers and status of an answer or error.
    static func encode(
        _ fields: Fields, _ shape: ShapeSchema, status: inout Int, headers: inout [(name: String, value: String)]
    ) {
        for (index, value) in shape.inModelOrder(fields) {
            let member = shape.members[index]
            switch member.location {
            case .header: if let text = text(value, member) { headers.append((member.headerName, clean(text))) }
            case .headerPrefix:
                for entry in value.fields?.entries ?? [] {
                    guard let text = entry.value.string, isToken(entry.name) else { continue }
                    headers.append((member.headerName + entry.name, clean(text)))
                }
            case .status:
                if let code = value.int.flatMap({ Int(exactly: $0) }), (100...599).contains(code) { status = code }
            case .body, .label, .query: break
            }
        }
    }

    private static func text(_ value: Value, _ member: MemberSchema) -> String? {
        if member.isJSON {
            let document = value.string ?? JSON.encodeString(value)
            return Base64.encode(Array(document.utf8))
        }
        let format = member.format(default: .rfc822)
        guard case .list(let elements) = value else { return Scalars.text(value, format) }
        let parts = elements.compactMap { Scalars.text($0, format) }.map { part in
            let needsQuotes = member.shape.element.kind == .string && part.contains { $0 == "," || $0 == "\"" }
            guard needsQuotes else { return part }
            return "\"" + part.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] } + "\""
        }
        return parts.joined(separator: ", ")
    }

    /// Line breaks would let a stored value forge headers.
    private static func clean(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f }) else { return text }
        return String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : $0 }))
    }

    private static func isToken(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ":") }
    }
}
