import Platform
import Synchronization

enum TimestampFormat: String, Sendable {
    case iso8601, unixTimestamp, rfc822
}

struct XMLNamespace: Sendable, Hashable {
    var uri: String
    var prefix: String?
}

/// One shape of a model. Scalars without constraints are shared.
///
/// Immutable once handed out. `members` is filled in a second step, because shapes may be recursive; this happens under
/// the lock of the `ShapeTable` that makes the shape, before anybody else can see it. Recursive shapes keep each other
/// alive: a schema lives as long as the process.
final class ShapeSchema: Sendable {
    enum Kind: String, Sendable {
        case structure, list, map, string, boolean, integer, long, float, double, blob, timestamp, document
    }

    let name: String
    let kind: Kind
    let traits: Traits
    nonisolated(unsafe) private(set) var members: [MemberSchema] = []
    /// By model name.
    nonisolated(unsafe) private(set) var names = NameIndex([])
    /// By the name in a body.
    nonisolated(unsafe) private(set) var bodyNames = NameIndex([])
    nonisolated(unsafe) private(set) var payload: Int?

    struct Traits: Sendable {
        var isFlat = false
        var isSensitive = false
        var isEventStream = false
        var isEvent = false
        var isUnion = false
        /// S3 GetBucketLocation: the only member is the root element itself.
        var isUnwrapped = false
        var payload: String?
        var errorCode: String?
        var errorStatus = 400
        var root: String?
        var namespace: XMLNamespace?
        /// Element name of list members and of map keys and values, when not the protocol's default.
        var memberName: String?
        var keyName: String?
        var valueName: String?
        var timestampFormat: TimestampFormat?
        var minimum: Double?
        var maximum: Double?
        var enumeration: [String] = []
        var pattern: String?
        /// Nil also for patterns that our matcher does not know: those are not checked.
        var compiledPattern: Pattern?

        var hasConstraints: Bool { minimum != nil || maximum != nil || !enumeration.isEmpty || pattern != nil }
    }

    init(name: String, kind: Kind, traits: Traits = Traits()) {
        self.name = name
        self.kind = kind
        self.traits = traits
    }

    /// Only by the table that makes the shape, once.
    fileprivate func complete(_ members: [MemberSchema]) {
        self.members = members
        names = NameIndex(members.map(\.name))
        bodyNames = NameIndex(members.map { $0.location == .body ? $0.bodyName : nil })
        payload = traits.payload.flatMap { name in members.firstIndex { $0.name == name } }
    }

    /// A list's member, a map's value.
    var element: ShapeSchema { kind == .map ? members[1].shape : members[0].shape }
    /// A map's key.
    var key: ShapeSchema { members[0].shape }

    static func scalar(_ word: String) -> ShapeSchema? { scalars[word] }
    static let string = ShapeSchema(name: "String", kind: .string)

    private static let scalars: [String: ShapeSchema] = {
        var all: [String: ShapeSchema] = [:]
        for kind in [Kind.string, .boolean, .integer, .long, .float, .double, .blob, .timestamp, .document] {
            all[kind.rawValue] = ShapeSchema(name: kind.rawValue, kind: kind)
        }
        for format in [TimestampFormat.iso8601, .unixTimestamp, .rfc822] {
            var traits = Traits()
            traits.timestampFormat = format
            all["timestamp:" + format.rawValue] = ShapeSchema(name: "timestamp", kind: .timestamp, traits: traits)
        }
        return all
    }()
}

/// One member of a structure; a list's element, a map's key and value.
struct MemberSchema: Sendable {
    enum Location: Sendable, Hashable { case body, header, headerPrefix, label, query, status }

    var name: String
    var shape: ShapeSchema
    var location = Location.body
    /// Name of the header (lower case), prefix, label or query parameter.
    var locationName = ""
    /// Name in JSON, XML, CBOR and query bodies.
    var bodyName: String
    /// Name of a flattened list or map in the query protocol, where it is another than in JSON (SQS).
    var formName: String?
    var isRequired = false
    var isFlat = false
    var isAttribute = false
    var isStream = false
    var isJSON = false
    var isEventPayload = false
    var isEventHeader = false
    var timestampFormat: TimestampFormat?
    var namespace: XMLNamespace?
    /// The header's name as the model writes it.
    var headerName = ""

    init(name: String, shape: ShapeSchema) {
        self.name = name
        self.shape = shape
        bodyName = name
    }

    /// As validation texts show it: the first letter in lower case.
    var pathName: String { name.prefix(1).lowercased() + name.dropFirst() }
}

/// Finds a name's index without making a string: an open-addressing hash table.
struct NameIndex: Sendable {
    private var slots: [Int16]
    private var names: [[UInt8]]
    private let mask: Int

    /// Nil entries cannot be found.
    init(_ entries: [String?]) {
        var size = 4
        while size < entries.count * 2 { size *= 2 }
        mask = size - 1
        slots = Array(repeating: -1, count: size)
        names = entries.map { Array(($0 ?? "").utf8) }
        for (index, entry) in entries.enumerated() where entry != nil {
            var slot = names[index].withUnsafeBufferPointer { Self.hash($0) } & mask
            while slots[slot] >= 0 { slot = (slot + 1) & mask }
            slots[slot] = Int16(truncatingIfNeeded: index)
        }
    }

    private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var hash: UInt32 = 2_166_136_261
        for byte in bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return Int(hash ^ hash >> 15)
    }

    func find(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        var slot = Self.hash(bytes) & mask
        while true {
            let index = Int(slots[slot])
            if index < 0 { return nil }
            if names[index].count == bytes.count, names[index].elementsEqual(bytes) { return index }
            slot = (slot + 1) & mask
        }
    }

    func find(_ name: String) -> Int? {
        var name = name
        return name.withUTF8 { find($0) }
    }
}

/// Makes shapes from the text, each once, when first asked for.
final class ShapeTable: Sendable {
    private let text: SchemaText
    private let built = Mutex<[String: ShapeSchema]>([:])

    init(_ text: SchemaText) { self.text = text }

    /// The shape with everything below it, or nil when the text has no such shape.
    func shape(_ name: String) -> ShapeSchema? {
        built.withLock { built in
            if let found = built[name] { return found }
            var builder = ShapeBuilder(text: text, built: built)
            let shape = builder.shape(name)
            built = builder.built
            return shape
        }
    }

    /// Everything in the text that cannot be understood: for tests over generated schemas.
    func complaints() -> [String] {
        built.withLock { built in
            var builder = ShapeBuilder(text: text, built: built)
            for name in text.shapeNames { _ = builder.shape(name) }
            built = builder.built
            return builder.complaints
        }
    }
}

private struct ShapeBuilder {
    let text: SchemaText
    var built: [String: ShapeSchema]
    var complaints: [String] = []

    mutating func shape(_ name: String) -> ShapeSchema? {
        if let found = built[name] { return found }
        guard let lines = text.lines(ofShape: name) else { return ShapeSchema.scalar(name) }
        var targets: [String] = []
        guard let shape = text.words(lines.head, { head(&$0, &targets) }) else {
            complaints.append("\(name): no such kind")
            return nil
        }
        built[name] = shape
        var members: [MemberSchema] = []
        if shape.kind == .structure {
            for line in lines.members {
                guard let member = text.words(line, { member(&$0) }) else { continue }
                members.append(member)
            }
        } else {
            for (index, target) in targets.enumerated() {
                let role = shape.kind == .list ? "member" : (index == 0 ? "key" : "value")
                members.append(MemberSchema(name: role, shape: resolve(target)))
            }
        }
        shape.complete(members)
        return shape
    }

    private mutating func resolve(_ target: String) -> ShapeSchema {
        if let found = shape(target) { return found }
        complaints.append("no shape \(target)")
        return .string
    }

    private mutating func head(_ words: inout Words, _ targets: inout [String]) -> ShapeSchema? {
        guard let name = words.next(), let word = words.next(), let kind = ShapeSchema.Kind(rawValue: word) else {
            return nil
        }
        if kind == .list || kind == .map {
            for _ in 0..<(kind == .list ? 1 : 2) { targets.append(words.next() ?? "string") }
        }
        var traits = ShapeSchema.Traits()
        while let (key, value) = words.attribute() {
            switch key {
            case "payload": traits.payload = value
            case "error": traits.errorCode = value
            case "code": traits.errorStatus = Int(value) ?? 400
            case "eventstream": traits.isEventStream = true
            case "event": traits.isEvent = true
            case "union": traits.isUnion = true
            case "unwrapped": traits.isUnwrapped = true
            case "root": traits.root = value
            case "xmlns": traits.namespace = XMLNamespace(uri: value)
            case "xmlprefix": traits.namespace?.prefix = value
            case "member": traits.memberName = value
            case "key": traits.keyName = value
            case "value": traits.valueName = value
            case "flat": traits.isFlat = true
            case "sensitive": traits.isSensitive = true
            case "ts": traits.timestampFormat = TimestampFormat(rawValue: value)
            case "min": traits.minimum = Double(value)
            case "max": traits.maximum = Double(value)
            case "enum": while let value = words.next() { traits.enumeration.append(Percent.decode(value)) }
            case "pattern":
                let pattern = words.rest()
                traits.pattern = pattern
                do { traits.compiledPattern = try Pattern(pattern) } catch { complaints.append("\(name): \(error)") }
            default: complaints.append("\(name): unknown word \(key)")
            }
        }
        return ShapeSchema(name: name, kind: kind, traits: traits)
    }

    private mutating func member(_ words: inout Words) -> MemberSchema? {
        guard let name = words.next(), let target = words.next() else { return nil }
        var member = MemberSchema(name: name, shape: resolve(target))
        while let (key, value) = words.attribute() {
            switch key {
            case "required": member.isRequired = true
            case "header":
                (member.location, member.locationName, member.headerName) = (.header, value.lowercased(), value)
            case "headers":
                (member.location, member.locationName, member.headerName) = (.headerPrefix, value.lowercased(), value)
            case "uri": (member.location, member.locationName) = (.label, value)
            case "query": (member.location, member.locationName) = (.query, value)
            case "status": member.location = .status
            case "name": member.bodyName = value
            case "stream": member.isStream = true
            case "flat": member.isFlat = true
            case "attr": member.isAttribute = true
            case "json": member.isJSON = true
            case "eventpayload": member.isEventPayload = true
            case "eventheader": member.isEventHeader = true
            case "ts": member.timestampFormat = TimestampFormat(rawValue: value)
            case "xmlns": member.namespace = XMLNamespace(uri: value)
            case "xmlprefix": member.namespace?.prefix = value
            case "qname": member.formName = value
            case "token": break  // the clients' business
            default: complaints.append("\(name): unknown word \(key)")
            }
        }
        return member
    }
}
