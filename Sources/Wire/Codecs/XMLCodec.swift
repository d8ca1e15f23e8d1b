import Platform

/// XML bodies of restXML and of the query protocol's answers.
enum XMLCodec {
    // MARK: Decoding

    /// Reads a structure from an element's children and attributes. Recursive: `CodecLimits.depth` bounds the element.
    static func decode(_ element: XMLElement, _ shape: ShapeSchema) throws(AWSError) -> Value {
        switch shape.kind {
        case .structure: return try structure(element, shape)
        case .list: return try list(element.children, shape)
        case .map: return try map(element.children, shape)
        default: return try scalar(element.text, shape, nil)
        }
    }

    private static func scalar(
        _ text: String, _ shape: ShapeSchema, _ format: TimestampFormat?
    ) throws(AWSError) -> Value {
        if let value = Scalars.parse(text, shape, format ?? shape.traits.timestampFormat) { return value }
        throw .malformedXML
    }

    private static func structure(_ element: XMLElement, _ shape: ShapeSchema) throws(AWSError) -> Value {
        var fields = Fields()
        for attribute in element.attributes {
            for member in shape.members where member.isAttribute && local(member.bodyName) == attribute.name {
                fields[member.name] = try scalar(attribute.value, member.shape, member.timestampFormat)
            }
        }
        var flattened: [Int: [XMLElement]] = [:]
        for child in element.children {
            // S3 checks documents against its schema: what it does not know it refuses, rather than to leave it out.
            guard let index = memberIndex(child.name, shape) else { throw .malformedXML }
            let member = shape.members[index]
            if member.isFlatCollection {
                flattened[index, default: []].append(child)
            } else if member.shape.isScalar {
                fields[member.name] = try scalar(child.text, member.shape, member.timestampFormat)
            } else {
                fields[member.name] = try decode(child, member.shape)
            }
        }
        for (index, elements) in flattened.sorted(by: { $0.key < $1.key }) {
            let member = shape.members[index]
            fields[member.name] =
                member.shape.kind == .list ? try list(elements, member.shape) : try map(elements, member.shape)
        }
        return .map(fields)
    }

    /// A flattened list also goes by its elements' name: Smithy's rule and botocore's differ here.
    private static func memberIndex(_ name: String, _ shape: ShapeSchema) -> Int? {
        shape.bodyNames.find(name)
            ?? shape.members.firstIndex { $0.location == .body && $0.isFlatCollection && $0.elementName == name }
    }

    private static func local(_ name: String) -> String {
        name.split(separator: ":").last.map(String.init) ?? name
    }

    private static func list(_ elements: [XMLElement], _ shape: ShapeSchema) throws(AWSError) -> Value {
        var values: [Value] = []
        values.reserveCapacity(elements.count)
        for element in elements { values.append(try decode(element, shape.element)) }
        return .list(values)
    }

    private static func map(_ entries: [XMLElement], _ shape: ShapeSchema) throws(AWSError) -> Value {
        var fields = Fields()
        for entry in entries {
            guard let key = entry.first(shape.traits.keyName ?? "key"),
                let value = entry.first(shape.traits.valueName ?? "value")
            else { throw .malformedXML }
            fields.append(key.text, try decode(value, shape.element))
        }
        return .map(fields.resolvingRepeatedNames())
    }

    // MARK: Encoding

    /// Writes members of a structure that live in the body, inside an element that is already open.
    static func write(members fields: Fields, _ shape: ShapeSchema, into writer: inout XMLWriter) {
        for (index, value) in shape.inModelOrder(fields) {
            let member = shape.members[index]
            guard member.location == .body, !member.isAttribute, !value.isNull else { continue }
            if member.isFlatCollection {
                writeFlat(value, member, into: &writer)
            } else {
                write(value, member.shape, name: member.bodyName, member, into: &writer)
            }
        }
    }

    /// Writes one element.
    static func write(
        _ value: Value, _ shape: ShapeSchema, name: String, _ member: MemberSchema?, into writer: inout XMLWriter
    ) {
        guard writer.depth < CodecLimits.depth else { return }
        writer.open(name, attributes(value, shape, member))
        switch (shape.kind, value) {
        case (.structure, .map(let fields)): write(members: fields, shape, into: &writer)
        case (.list, .list(let elements)):
            for element in elements {
                write(element, shape.element, name: shape.traits.memberName ?? "member", nil, into: &writer)
            }
        case (.map, .map(let fields)):
            for entry in fields.entries { writeEntry(entry, shape, name: "entry", into: &writer) }
        default:
            let format = member?.format(default: .iso8601) ?? shape.format(default: .iso8601)
            writer.text(Scalars.text(value, format, fractionDigits: writer.fractionDigits) ?? "")
        }
        writer.close(name)
    }

    private static func writeFlat(_ value: Value, _ member: MemberSchema, into writer: inout XMLWriter) {
        switch value {
        case .list(let elements):
            for element in elements {
                write(element, member.shape.element, name: member.elementName, nil, into: &writer)
            }
        case .map(let fields):
            for entry in fields.entries { writeEntry(entry, member.shape, name: member.elementName, into: &writer) }
        default: break
        }
    }

    private static func writeEntry(
        _ entry: Fields.Entry, _ shape: ShapeSchema, name: String, into writer: inout XMLWriter
    ) {
        writer.open(name)
        writer.element(shape.traits.keyName ?? "key", entry.name)
        write(entry.value, shape.element, name: shape.traits.valueName ?? "value", nil, into: &writer)
        writer.close(name)
    }

    private static func attributes(
        _ value: Value, _ shape: ShapeSchema, _ member: MemberSchema?
    ) -> [(name: String, value: String)] {
        var attributes: [(name: String, value: String)] = []
        if let namespace = member?.namespace ?? shape.traits.namespace {
            attributes.append((namespace.prefix.map { "xmlns:\($0)" } ?? "xmlns", namespace.uri))
        }
        guard shape.kind == .structure, let fields = value.fields else { return attributes }
        for member in shape.members where member.isAttribute {
            guard let value = fields[member.name], let text = Scalars.text(value, .iso8601) else { continue }
            attributes.append((member.bodyName, text))
        }
        return attributes
    }
}

extension ShapeSchema {
    var isScalar: Bool {
        switch kind {
        case .structure, .list, .map: false
        default: true
        }
    }
}

extension MemberSchema {
    var isFlatCollection: Bool { (shape.kind == .list || shape.kind == .map) && (isFlat || shape.traits.isFlat) }

    /// The name of the element (or of each, when flattened) in XML.
    var elementName: String {
        if let formName { return formName }
        return isFlatCollection && shape.kind == .list ? shape.traits.memberName ?? bodyName : bodyName
    }
}

/// Writes XML text.
struct XMLWriter {
    private(set) var bytes: [UInt8] = []
    private(set) var depth = 0
    /// Fraction digits of whole seconds in ISO 8601 times.
    let fractionDigits: Int

    init(declaration: Bool = true, fractionDigits: Int = 0) {
        self.fractionDigits = fractionDigits
        bytes.reserveCapacity(512)
        if declaration { raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n") }
    }

    private mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func open(_ name: String, _ attributes: [(name: String, value: String)] = []) {
        depth += 1
        raw("<")
        raw(name)
        for attribute in attributes {
            raw(" ")
            raw(attribute.name)
            raw("=\"")
            text(attribute.value)
            raw("\"")
        }
        raw(">")
    }

    mutating func close(_ name: String) {
        depth -= 1
        raw("</")
        raw(name)
        raw(">")
    }

    mutating func element(_ name: String, _ content: String) {
        open(name)
        text(content)
        close(name)
    }

    /// Escaped text. Control characters that XML cannot carry become U+FFFD; a carriage return is a reference.
    mutating func text(_ content: String) {
        for byte in content.utf8 {
            switch byte {
            case UInt8(ascii: "<"): raw("&lt;")
            case UInt8(ascii: ">"): raw("&gt;")
            case UInt8(ascii: "&"): raw("&amp;")
            case UInt8(ascii: "\""): raw("&quot;")
            case 0x0d: raw("&#xD;")
            case 0x09, 0x0a, 0x20...: bytes.append(byte)
            default: raw("\u{fffd}")
            }
        }
    }
}
