import Platform
import Wire

/// JSON Schema, draft 4, for the bodies of requests (developer guide, "Request validation"). Bounded: a body that would take more
/// than `RESTLimits.validationSteps` to check is not valid.
struct JSONSchema: Sendable {
    let root: Value
    /// The API's models, for `$ref`s to `https://apigateway.amazonaws.com/restapis/ID/models/NAME`.
    private let models: [String: Value]
    /// By their text.
    let patterns: [String: Pattern]

    init(_ root: Value, models: [String: Value] = [:]) {
        self.root = root
        self.models = models
        patterns = Self.patterns(of: [root] + models.values)
    }

    /// The schema of one model; nil when there is none of that name.
    init?(_ name: String, of library: Library) {
        guard let root = library.models[name] else { return nil }
        self.root = root
        models = library.models
        patterns = library.patterns
    }

    /// The models of an API: their patterns are compiled once, however many methods check with them.
    struct Library: Sendable {
        fileprivate let models: [String: Value]
        fileprivate let patterns: [String: Pattern]

        init(_ models: [String: Value]) {
            self.models = models
            patterns = JSONSchema.patterns(of: Array(models.values))
        }
    }

    private static func patterns(of schemas: [Value]) -> [String: Pattern] {
        var texts: Set<String> = []
        var left = RESTLimits.validationSteps
        for schema in schemas { collect(schema, into: &texts, depth: 0, &left) }
        var patterns: [String: Pattern] = [:]
        for text in texts { patterns[text] = pattern(text) }
        return patterns
    }

    /// Schemas look for their patterns anywhere in a text.
    private static func pattern(_ text: String) -> Pattern? {
        let start = text.hasPrefix("^") ? "" : "[\\s\\S]*"
        let end = text.hasSuffix("$") && !text.hasSuffix("\\$") ? "" : "[\\s\\S]*"
        return try? Pattern("\(start)(?:\(text))\(end)")
    }

    private static func collect(_ schema: Value, into texts: inout Set<String>, depth: Int, _ left: inout Int) {
        left -= 1
        guard left > 0, depth < RESTLimits.validationDepth else { return }
        for entry in schema.fields?.entries ?? [] {
            if entry.name == "pattern", let text = entry.value.string { texts.insert(text) }
            if entry.name == "patternProperties" { texts.formUnion(entry.value.fields?.names ?? []) }
            collect(entry.value, into: &texts, depth: depth + 1, &left)
        }
        for element in schema.list ?? [] { collect(element, into: &texts, depth: depth + 1, &left) }
    }

    private static let types: Set<String> = ["array", "boolean", "integer", "null", "number", "object", "string"]

    /// What is wrong with a schema itself; nil when it can be used.
    static func problem(of schema: Value) -> String? {
        var texts: Set<String> = []
        var left = RESTLimits.validationSteps
        collect(schema, into: &texts, depth: 0, &left)
        if let text = texts.sorted().first(where: { pattern($0) == nil }) {
            return "Unsupported regular expression: \(text.prefix(200))"
        }
        let types = schema["type"]?.list ?? schema["type"].map { [$0] } ?? []
        guard types.allSatisfy({ $0.string.map { Self.types.contains($0) } ?? false }) else {
            return "Unknown type: \(CallerIdentity.text(schema["type"] ?? .null).prefix(200))"
        }
        return nil
    }

    func accepts(_ value: Value) -> Bool {
        var steps = RESTLimits.validationSteps
        return check(value, root, Context(root: root), depth: 0, &steps)
    }

    struct Context {
        /// What `#` stands for.
        var root: Value
    }

    func check(_ value: Value, _ schema: Value, _ context: Context, depth: Int, _ steps: inout Int) -> Bool {
        steps -= 1
        guard steps > 0, depth < RESTLimits.validationDepth else { return false }
        guard let fields = schema.fields else { return true }
        if let reference = fields["$ref"]?.string {
            guard let (target, context) = resolve(reference, context) else { return false }
            return check(value, target, context, depth: depth + 1, &steps)
        }
        if let type = fields["type"] {
            let types = type.list ?? [type]
            guard types.contains(where: { Self.isOf($0.string ?? "", value) }) else { return false }
        }
        if let options = fields["enum"]?.list, !options.contains(where: { Self.same($0, value) }) { return false }
        guard combines(value, fields, context, depth, &steps) else { return false }
        switch value {
        case .map(let object): return checkObject(object, fields, context, depth, &steps)
        case .list(let list): return checkArray(list, fields, context, depth, &steps)
        case .string(let text): return checkString(text, fields)
        case .int, .double: return Self.checkNumber(value, fields)
        default: return true
        }
    }

    /// `allOf`, `anyOf`, `oneOf`, `not`.
    private func combines(
        _ value: Value, _ fields: Fields, _ context: Context, _ depth: Int, _ steps: inout Int
    ) -> Bool {
        for schema in fields["allOf"]?.list ?? []
        where !check(value, schema, context, depth: depth + 1, &steps) { return false }
        if let options = fields["anyOf"]?.list {
            var fits = false
            for schema in options where !fits { fits = check(value, schema, context, depth: depth + 1, &steps) }
            guard fits else { return false }
        }
        if let options = fields["oneOf"]?.list {
            var count = 0
            for schema in options where check(value, schema, context, depth: depth + 1, &steps) { count += 1 }
            guard count == 1 else { return false }
        }
        if let schema = fields["not"] {
            let fits = check(value, schema, context, depth: depth + 1, &steps)
            guard !fits, steps > 0 else { return false }
        }
        return true
    }

    private func checkObject(
        _ object: Fields, _ fields: Fields, _ context: Context, _ depth: Int, _ steps: inout Int
    ) -> Bool {
        if let least = fields["minProperties"]?.int, object.count < least { return false }
        if let most = fields["maxProperties"]?.int, object.count > most { return false }
        for name in fields["required"]?.list ?? [] {
            if let name = name.string, object[name] == nil { return false }
        }
        let properties = fields["properties"]?.fields ?? Fields()
        let byPattern = fields["patternProperties"]?.fields?.entries ?? []
        for entry in object.entries {
            var isKnown = false
            if let schema = properties[entry.name] {
                isKnown = true
                guard check(entry.value, schema, context, depth: depth + 1, &steps) else { return false }
            }
            for rule in byPattern where patterns[rule.name]?.matches(entry.name) == true {
                isKnown = true
                guard check(entry.value, rule.value, context, depth: depth + 1, &steps) else { return false }
            }
            guard !isKnown, let rest = fields["additionalProperties"] else { continue }
            if rest.bool == false { return false }
            guard check(entry.value, rest, context, depth: depth + 1, &steps) else { return false }
        }
        for rule in fields["dependencies"]?.fields?.entries ?? [] where object[rule.name] != nil {
            if let names = rule.value.list {
                guard names.allSatisfy({ $0.string.map { object[$0] != nil } ?? true }) else { return false }
            } else if !check(.map(object), rule.value, context, depth: depth + 1, &steps) {
                return false
            }
        }
        return true
    }

    private func checkArray(
        _ list: [Value], _ fields: Fields, _ context: Context, _ depth: Int, _ steps: inout Int
    ) -> Bool {
        if let least = fields["minItems"]?.int, list.count < least { return false }
        if let most = fields["maxItems"]?.int, list.count > most { return false }
        if fields["uniqueItems"]?.bool == true {
            steps -= list.count
            guard steps > 0, Set(list).count == list.count else { return false }
        }
        guard let items = fields["items"] else { return true }
        if let each = items.list {
            for (value, schema) in zip(list, each)
            where !check(value, schema, context, depth: depth + 1, &steps) { return false }
            guard list.count > each.count, let rest = fields["additionalItems"] else { return true }
            if rest.bool == false { return false }
            for value in list.dropFirst(each.count)
            where !check(value, rest, context, depth: depth + 1, &steps) { return false }
            return true
        }
        for value in list where !check(value, items, context, depth: depth + 1, &steps) { return false }
        return true
    }

    private func checkString(_ text: String, _ fields: Fields) -> Bool {
        if let least = fields["minLength"]?.int, text.unicodeScalars.count < least { return false }
        if let most = fields["maxLength"]?.int, text.unicodeScalars.count > most { return false }
        if let pattern = fields["pattern"]?.string, patterns[pattern]?.matches(text) != true { return false }
        return true
    }

    private static func checkNumber(_ value: Value, _ fields: Fields) -> Bool {
        guard let number = value.double else { return true }
        if let least = fields["minimum"]?.double {
            if number < least || fields["exclusiveMinimum"]?.bool == true && number == least { return false }
        }
        if let most = fields["maximum"]?.double {
            if number > most || fields["exclusiveMaximum"]?.bool == true && number == most { return false }
        }
        return isMultiple(number, of: fields["multipleOf"]?.double ?? 0)
    }

    /// Within what doubles can say; of nothing that is not positive.
    static func isMultiple(_ number: Double, of step: Double) -> Bool {
        guard step > 0 else { return true }
        let quotient = number / step
        return abs(quotient - quotient.rounded()) <= 1e-9 * max(1, abs(quotient))
    }

    static func isOf(_ type: String, _ value: Value) -> Bool {
        switch value {
        case .null: type == "null"
        case .bool: type == "boolean"
        case .int: type == "integer" || type == "number"
        case .double: type == "number" || type == "integer" && value.int != nil
        case .string, .blob, .timestamp: type == "string"
        case .list: type == "array"
        case .map: type == "object"
        }
    }

    static func same(_ one: Value, _ other: Value) -> Bool {
        if let first = one.double, let second = other.double { return first == second }
        return one == other
    }

    func resolve(_ reference: String, _ context: Context) -> (Value, Context)? {
        if let name = reference.firstRange(of: "/models/").map({ String(reference[$0.upperBound...]) }) {
            return models[name].map { ($0, Context(root: $0)) }
        }
        guard reference.hasPrefix("#") else { return nil }
        var value = context.root
        for part in reference.dropFirst().split(separator: "/").prefix(RESTLimits.validationDepth) {
            let name = ProxyRequest.decoded(String(part)).replacing("~1", with: "/").replacing("~0", with: "~")
            if let next = value[name] {
                value = next
            } else if let index = Int(name), let list = value.list, list.indices.contains(index) {
                value = list[index]
            } else {
                // Definitions of a document are the API's models.
                return reference.hasPrefix("#/definitions/") || reference.hasPrefix("#/components/schemas/")
                    ? models[name].map { ($0, Context(root: $0)) } : nil
            }
        }
        return (value, context)
    }
}
