import Platform
import Wire

/// Why a value does not fit, in the words that `$context.error.validationErrorString` has on AWS: those of the validator that
/// API Gateway uses (json-schema-validator; developer guide, "Request validation for REST APIs", shows the first).
extension JSONSchema {
    /// The first problems of a value that `accepts` refuses, without the paths they are at; empty when checking it takes too long.
    func problems(of value: Value) -> [String] {
        var search = Search()
        explain(value, root, Context(root: root), depth: 0, &search)
        return search.problems
    }

    private struct Search {
        var problems: [String] = []
        var steps = RESTLimits.validationSteps

        mutating func add(_ problem: String) {
            if problems.count < RESTLimits.validationProblems {
                problems.append(String(problem.prefix(RESTLimits.validationProblem)))
            }
        }
    }

    private func explain(_ value: Value, _ schema: Value, _ context: Context, depth: Int, _ search: inout Search) {
        search.steps -= 1
        guard search.steps > 0, depth < RESTLimits.validationDepth, let fields = schema.fields,
            search.problems.count < RESTLimits.validationProblems
        else { return }
        if let reference = fields["$ref"]?.string {
            guard let (target, context) = resolve(reference, context) else { return }
            return explain(value, target, context, depth: depth + 1, &search)
        }
        if let type = fields["type"] {
            let types = type.list ?? [type]
            guard types.contains(where: { Self.isOf($0.string ?? "", value) }) else {
                let allowed = Self.list(types.compactMap(\.string))
                // Nothing else of the schema speaks to a value of another type.
                return search.add(
                    "instance type (\(Self.type(of: value))) does not match any allowed primitive type (allowed: \(allowed))"
                )
            }
        }
        if let options = fields["enum"]?.list, !options.contains(where: { Self.same($0, value) }) {
            search.add(
                "instance value (\(JSON.encodeString(value))) not found in enum (possible values: "
                    + "\(JSON.encodeString(.list(options))))")
        }
        explainCombinations(value, fields, context, depth, &search)
        switch value {
        case .map(let object): explainObject(object, fields, context, depth, &search)
        case .list(let list): explainArray(list, fields, context, depth, &search)
        case .string(let text): explainString(text, fields, &search)
        case .int, .double: Self.explainNumber(value, fields, &search)
        default: break
        }
    }

    private func explainCombinations(
        _ value: Value, _ fields: Fields, _ context: Context, _ depth: Int, _ search: inout Search
    ) {
        func matches(_ member: String) -> (matched: Int, of: Int)? {
            guard let schemas = fields[member]?.list else { return nil }
            let fits = schemas.filter { check(value, $0, context, depth: depth + 1, &search.steps) }
            return search.steps > 0 ? (fits.count, schemas.count) : nil
        }
        if let (matched, count) = matches("allOf"), matched < count {
            search.add("instance failed to match all required schemas (matched only \(matched) out of \(count))")
        }
        if let (matched, count) = matches("anyOf"), matched == 0 {
            search.add("instance failed to match at least one required schema among \(count)")
        }
        if let (matched, count) = matches("oneOf"), matched != 1 {
            search.add("instance failed to match exactly one schema (matched \(matched) out of \(count))")
        }
        if let schema = fields["not"], check(value, schema, context, depth: depth + 1, &search.steps) {
            search.add("instance matched a schema which it should not have")
        }
    }

    private func explainObject(
        _ object: Fields, _ fields: Fields, _ context: Context, _ depth: Int, _ search: inout Search
    ) {
        if let least = fields["minProperties"]?.int, object.count < least {
            search.add("object has too few properties (found \(object.count) but schema requires at least \(least))")
        }
        if let most = fields["maxProperties"]?.int, object.count > most {
            search.add("object has too many properties (found \(object.count) but schema requires at most \(most))")
        }
        let missing = fields["required"]?.list?.compactMap(\.string).filter { object[$0] == nil } ?? []
        if !missing.isEmpty { search.add("object has missing required properties (\(Self.list(missing)))") }
        let properties = fields["properties"]?.fields ?? Fields()
        let byPattern = fields["patternProperties"]?.fields?.entries ?? []
        var unwanted: [String] = []
        for entry in object.entries {
            guard search.steps > 0 else { return }
            let schemas =
                [properties[entry.name]].compactMap { $0 }
                + byPattern.filter { patterns[$0.name]?.matches(entry.name) == true }.map(\.value)
            for schema in schemas { explain(entry.value, schema, context, depth: depth + 1, &search) }
            guard schemas.isEmpty, let rest = fields["additionalProperties"] else { continue }
            if rest.bool == false { unwanted.append(entry.name) }
            explain(entry.value, rest, context, depth: depth + 1, &search)
        }
        if !unwanted.isEmpty {
            search.add(
                "object instance has properties which are not allowed by the schema: \(Self.list(unwanted))")
        }
        for rule in fields["dependencies"]?.fields?.entries ?? [] where object[rule.name] != nil {
            let lacking = rule.value.list?.compactMap(\.string).filter { object[$0] == nil } ?? []
            if !lacking.isEmpty {
                search.add(
                    "property \"\(rule.name)\" of object has missing property dependencies (missing: \(Self.list(lacking)))"
                )
            }
            explain(.map(object), rule.value, context, depth: depth + 1, &search)
        }
    }

    private func explainArray(
        _ list: [Value], _ fields: Fields, _ context: Context, _ depth: Int, _ search: inout Search
    ) {
        if let least = fields["minItems"]?.int, list.count < least {
            search.add(
                "array is too short: must have at least \(least) elements but instance has \(list.count) elements")
        }
        if let most = fields["maxItems"]?.int, list.count > most {
            search.add("array is too long: must have at most \(most) elements but instance has \(list.count) elements")
        }
        if fields["uniqueItems"]?.bool == true {
            // All of them are looked at, which counts as the refusal counted it.
            search.steps -= list.count
            guard search.steps > 0 else { return }
            if Set(list).count < list.count { search.add("array must not contain duplicate elements") }
        }
        guard let items = fields["items"] else { return }
        let each = items.list ?? []
        let rest = items.list == nil ? items : fields["additionalItems"]
        if rest?.bool == false, list.count > each.count {
            search.add("array only allows \(each.count) item(s) but had \(list.count)")
        }
        for (index, value) in list.enumerated() {
            guard search.steps > 0, let schema = index < each.count ? each[index] : rest else { return }
            explain(value, schema, context, depth: depth + 1, &search)
        }
    }

    private func explainString(_ text: String, _ fields: Fields, _ search: inout Search) {
        let (length, quoted) = (text.unicodeScalars.count, "\"\(text.prefix(RESTLimits.validationProblem))\"")
        if let least = fields["minLength"]?.int, length < least {
            search.add("string \(quoted) is too short (length: \(length), required minimum: \(least))")
        }
        if let most = fields["maxLength"]?.int, length > most {
            search.add("string \(quoted) is too long (length: \(length), maximum allowed: \(most))")
        }
        if let pattern = fields["pattern"]?.string, patterns[pattern]?.matches(text) != true {
            search.add("ECMA 262 regex \"\(pattern)\" does not match input string \(quoted)")
        }
    }

    private static func explainNumber(_ value: Value, _ fields: Fields, _ search: inout Search) {
        guard let number = value.double else { return }
        let found = JSON.encodeString(value)
        if let bound = fields["minimum"], let least = bound.double {
            let text = JSON.encodeString(bound)
            if number < least {
                search.add("numeric instance is lower than the required minimum (minimum: \(text), found: \(found))")
            } else if fields["exclusiveMinimum"]?.bool == true, number == least {
                search.add("numeric instance is not strictly greater than the required minimum \(text)")
            }
        }
        if let bound = fields["maximum"], let most = bound.double {
            let text = JSON.encodeString(bound)
            if number > most {
                search.add("numeric instance is greater than the required maximum (maximum: \(text), found: \(found))")
            } else if fields["exclusiveMaximum"]?.bool == true, number == most {
                search.add("numeric instance is not strictly lower than the required maximum \(text)")
            }
        }
        if let step = fields["multipleOf"], !isMultiple(number, of: step.double ?? 0) {
            search.add("remainder of division is not zero (\(found) / \(JSON.encodeString(step)))")
        }
    }

    /// `["a","b"]`, sorted.
    private static func list(_ names: [String]) -> String {
        JSON.encodeString(.list(names.sorted().map { .string($0) }))
    }

    private static func type(of value: Value) -> String {
        switch value {
        case .null: "null"
        case .bool: "boolean"
        case .int: "integer"
        case .double: "number"
        case .string, .blob, .timestamp: "string"
        case .list: "array"
        case .map: "object"
        }
    }
}
