import Platform
import Wire

/// The parameter that an expression is the value of; its name begins every error about it.
enum ExpressionKind: String, Sendable {
    case condition = "ConditionExpression"
    case filter = "FilterExpression"
    case keyCondition = "KeyConditionExpression"
    case projection = "ProjectionExpression"
    case update = "UpdateExpression"
}

/// `ExpressionAttributeNames` and `ExpressionAttributeValues` of a request, and which of them its expressions used.
///
/// One per request (of TransactWriteItems: one per action): made before the expressions are parsed, given to each of
/// them, asked at the end by `checkAllUsed`.
struct Placeholders: Sendable {
    private var names: PlaceholderTable<String>
    private var values: PlaceholderTable<AttributeValue>

    /// Throws the ValidationException for names and values that are malformed or too many. `nil`: the request does not
    /// have the parameter.
    init(names: [(String, String)]?, values: [(String, AttributeValue)]?) throws(AWSError) {
        var bytes = 0
        for (key, name) in names ?? [] { bytes += key.utf8.count + name.utf8.count }
        for (key, value) in values ?? [] { bytes += key.utf8.count + value.size }
        self.names = try PlaceholderTable(names, parameter: "ExpressionAttributeNames", sign: "#")
        self.values = try PlaceholderTable(values, parameter: "ExpressionAttributeValues", sign: ":")
        for (key, name) in names ?? [] {
            if name.isEmpty {
                throw .validation(
                    "ExpressionAttributeNames contains invalid value: Empty attribute name for key \(key)")
            }
            if name.utf8.count > ValueLimits.nameBytes {
                throw .validation(
                    "ExpressionAttributeNames contains invalid value: Attribute name is longer than "
                        + "\(ValueLimits.nameBytes) bytes for key \(key)")
            }
        }
        guard bytes <= ExpressionLimits.substitutionBytes else {
            throw .validation(
                "Size of the substitution variables of the expressions has exceeded the maximum of "
                    + "\(ExpressionLimits.substitutionBytes) bytes")
        }
    }

    /// The same from the request's members as Wire has decoded them; errors of a value name its key.
    init(names: Value?, values: Value?) throws(AWSError) {
        let nameEntries = names.flatMap(\.fields)?.entries
        // The keys are checked before the values.
        let valueEntries = values.flatMap(\.fields)?.entries
        _ = try PlaceholderTable(valueEntries?.map { ($0.name, ()) }, parameter: "ExpressionAttributeValues", sign: ":")
        var decoded: [(String, AttributeValue)]? = valueEntries.map { _ in [] }
        for entry in valueEntries ?? [] {
            do throws(AWSError) {
                decoded?.append((entry.name, try AttributeValue(wire: entry.value)))
            } catch {
                throw .validation(
                    "ExpressionAttributeValues contains invalid value: \(error.message) for key \(entry.name)")
            }
        }
        try self.init(names: nameEntries?.map { ($0.name, $0.value.string ?? "") }, values: decoded)
    }

    /// The name that `#key` stands for.
    mutating func name(_ key: String) -> String? { names.use(key) }

    /// The value that `:key` stands for.
    mutating func value(_ key: String) -> AttributeValue? { values.use(key) }

    /// Throws "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}" and the like.
    func checkAllUsed() throws(AWSError) {
        try names.checkAllUsed()
        try values.checkAllUsed()
    }
}

/// Keys, what they stand for, and whether they were used.
private struct PlaceholderTable<Content: Sendable>: Sendable {
    private var keys: [String] = []
    private var contents: [Content] = []
    private var isUsed: [Bool] = []
    /// Where a key is, when there are too many of them to walk through.
    private var places: [String: Int]?
    private let parameter: String

    private static var walkable: Int { 12 }

    init(_ entries: [(String, Content)]?, parameter: String, sign: Unicode.Scalar) throws(AWSError) {
        self.parameter = parameter
        guard let entries else { return }
        guard !entries.isEmpty else { throw .validation("\(parameter) must not be empty") }
        keys.reserveCapacity(entries.count)
        for (key, content) in entries {
            guard key.utf8.count <= ExpressionLimits.placeholderBytes else {
                throw .validation(
                    "\(parameter) contains invalid key: The expression attribute map contains a key that is too "
                        + "long; size of key: \(key.utf8.count)")
            }
            let word = key.utf8.dropFirst()
            guard key.utf8.first == UInt8(ascii: sign), !word.isEmpty, word.allSatisfy(Lexer.isWord) else {
                throw .validation("\(parameter) contains invalid key: Syntax error; key: \"\(key)\"")
            }
            keys.append(key)
            contents.append(content)
        }
        isUsed = Array(repeating: false, count: keys.count)
        if keys.count > Self.walkable {
            places = Dictionary(zip(keys, keys.indices), uniquingKeysWith: { _, last in last })
        }
    }

    mutating func use(_ key: String) -> Content? {
        guard let index = places.map({ $0[key] }) ?? keys.firstIndex(of: key) else { return nil }
        isUsed[index] = true
        return contents[index]
    }

    func checkAllUsed() throws(AWSError) {
        guard isUsed.contains(false) else { return }
        let unused = zip(keys, isUsed).filter { !$0.1 }.map(\.0)
        throw .validation(
            "Value provided in \(parameter) unused in expressions: keys: {\(unused.joined(separator: ", "))}")
    }
}
