import Platform

/// Checks a decoded input against the model and collects every violation, in AWS's words (recorded; reference 7.1).
struct Validator {
    private var violations: [String] = []
    private var path: [String] = []
    private var depth = 0
    private let onlyRequired: Bool

    /// Throws the service's constraint error when `input` violates anything.
    static func check(_ input: Value, _ shape: ShapeSchema, schema: ServiceSchema, apart: Int?) throws(AWSError) {
        var validator = Validator(onlyRequired: schema.checksOnlyRequired)
        validator.structure(input, shape, apart: apart)
        guard !validator.violations.isEmpty else { return }
        if schema.checksOnlyRequired {
            throw AWSError(
                schema.validationErrorCode,
                "The XML you provided was not well-formed or did not validate against our published schema")
        }
        let count = validator.violations.count
        throw AWSError(
            schema.validationErrorCode,
            "\(count) validation error\(count == 1 ? "" : "s") detected: "
                + validator.violations.joined(separator: "; "))
    }

    private init(onlyRequired: Bool) { self.onlyRequired = onlyRequired }

    private var isFull: Bool { violations.count >= CodecLimits.violations }

    private mutating func report(_ value: Value?, _ shape: ShapeSchema, _ constraint: String) {
        guard !isFull else { return }
        let shown: String
        switch value {
        case nil, .some(.null): shown = "Value null"
        case .some where shape.traits.isSensitive: shown = "Value"
        case .some(let value): shown = "Value '" + Self.text(value, shape) + "'"
        }
        violations.append("\(shown) at '\(path.joined(separator: "."))' failed to satisfy constraint: \(constraint)")
    }

    /// `apart`: the payload member that is not in the input.
    private mutating func structure(_ value: Value, _ shape: ShapeSchema, apart: Int? = nil) {
        guard let fields = value.fields else { return }
        for (index, member) in shape.members.enumerated() where index != apart {
            let found = fields[member.name]
            if found == nil || found?.isNull == true {
                guard member.isRequired, !member.shape.traits.isEventStream else { continue }
                path.append(member.pathName)
                report(nil, member.shape, Self.notNull)
                path.removeLast()
            } else if let found {
                path.append(member.pathName)
                self.value(found, member.shape)
                path.removeLast()
            }
        }
    }

    private static let notNull = "Member must not be null"

    private mutating func value(_ value: Value, _ shape: ShapeSchema) {
        depth += 1
        defer { depth -= 1 }
        guard depth < CodecLimits.depth, !isFull else { return }
        switch shape.kind {
        case .structure: structure(value, shape)
        case .list: list(value, shape)
        case .map: map(value, shape)
        default:
            guard !onlyRequired, shape.traits.hasConstraints else { return }
            for constraint in Self.violated(value, shape) { report(value, shape, constraint) }
        }
    }

    private mutating func list(_ value: Value, _ shape: ShapeSchema) {
        guard let elements = value.list else { return }
        if !onlyRequired { for constraint in Self.length(elements.count, shape) { report(value, shape, constraint) } }
        let element = shape.element
        if Self.isScalar(element) {
            guard !onlyRequired else { return }
            let isBad = elements.contains { $0.isNull || !Self.violated($0, element).isEmpty }
            if isBad {
                let all = Self.constraints(element) + [Self.notNull]
                report(value, shape, "Member must satisfy constraint: [\(all.joined(separator: ", "))]")
            }
            return
        }
        for (index, item) in elements.enumerated() {
            path.append("\(index + 1).member")
            if item.isNull { report(nil, element, Self.notNull) } else { self.value(item, element) }
            path.removeLast()
            if isFull { return }
        }
    }

    private mutating func map(_ value: Value, _ shape: ShapeSchema) {
        guard let fields = value.fields else { return }
        let element = shape.element
        if !onlyRequired {
            for constraint in Self.length(fields.count, shape) { report(value, shape, constraint) }
            if fields.entries.contains(where: { !Self.violated(.string($0.name), shape.key).isEmpty }) {
                report(
                    value, shape,
                    "Map keys must satisfy constraint: [\(Self.constraints(shape.key).joined(separator: ", "))]")
            }
        }
        if Self.isScalar(element) {
            guard !onlyRequired else { return }
            if fields.entries.contains(where: { $0.value.isNull || !Self.violated($0.value, element).isEmpty }) {
                let all = Self.constraints(element) + [Self.notNull]
                report(value, shape, "Map value must satisfy constraint: [\(all.joined(separator: ", "))]")
            }
            return
        }
        for entry in fields.entries {
            path.append("\(entry.name).member")
            if entry.value.isNull { report(nil, element, Self.notNull) } else { self.value(entry.value, element) }
            path.removeLast()
            if isFull { return }
        }
    }

    // MARK: Constraints of scalars

    private static func isScalar(_ shape: ShapeSchema) -> Bool {
        switch shape.kind {
        case .structure, .list, .map: false
        default: true
        }
    }

    /// All constraints of a scalar, in the order that AWS lists them.
    private static func constraints(_ shape: ShapeSchema) -> [String] {
        var texts: [String] = []
        let traits = shape.traits
        if let maximum = traits.maximum { texts.append(atMost(maximum, shape)) }
        if let minimum = traits.minimum { texts.append(atLeast(minimum, shape)) }
        if !traits.enumeration.isEmpty { texts.append(enumeration(traits)) }
        if let pattern = traits.pattern { texts.append(Self.pattern(pattern)) }
        return texts
    }

    private static func violated(_ value: Value, _ shape: ShapeSchema) -> [String] {
        let traits = shape.traits
        guard traits.hasConstraints else { return [] }
        var texts: [String] = []
        switch (shape.kind, value) {
        case (.string, .string(let text)):
            if !traits.enumeration.isEmpty {
                if !traits.enumeration.contains(text) { texts.append(enumeration(traits)) }
                return texts
            }
            let length =
                text.utf8.count > (traits.maximum.map { Int($0) } ?? .max) || traits.minimum != nil
                ? text.unicodeScalars.count : 0
            let isTooLong = traits.maximum.map { Double(length) > $0 } ?? false
            // A pattern is not worth running over what is far too long anyway.
            let isAbsurd = isTooLong && length > 100_000
            if let pattern = traits.pattern, let compiled = traits.compiledPattern, !isAbsurd, !compiled.matches(text) {
                texts.append(Self.pattern(pattern))
            }
            if isTooLong, let maximum = traits.maximum { texts.append(atMost(maximum, shape)) }
            if let minimum = traits.minimum, Double(length) < minimum { texts.append(atLeast(minimum, shape)) }
        case (.blob, .blob(let bytes)): texts += length(bytes.count, shape)
        case (.integer, _), (.long, _), (.float, _), (.double, _):
            guard let number = value.double else { return [] }
            if let maximum = traits.maximum, number > maximum { texts.append(atMost(maximum, shape)) }
            if let minimum = traits.minimum, number < minimum { texts.append(atLeast(minimum, shape)) }
        default: break
        }
        return texts
    }

    private static func length(_ count: Int, _ shape: ShapeSchema) -> [String] {
        var texts: [String] = []
        if let maximum = shape.traits.maximum, Double(count) > maximum { texts.append(atMost(maximum, shape)) }
        if let minimum = shape.traits.minimum, Double(count) < minimum { texts.append(atLeast(minimum, shape)) }
        return texts
    }

    private static func measure(_ shape: ShapeSchema) -> String {
        switch shape.kind {
        case .integer, .long, .float, .double: "value"
        default: "length"
        }
    }

    private static func number(_ bound: Double, _ shape: ShapeSchema) -> String {
        if shape.kind == .float || shape.kind == .double { return "\(bound)" }
        return Int64(exactly: bound).map { String($0) } ?? "\(bound)"
    }

    private static func atMost(_ bound: Double, _ shape: ShapeSchema) -> String {
        "Member must have \(measure(shape)) less than or equal to \(number(bound, shape))"
    }

    private static func atLeast(_ bound: Double, _ shape: ShapeSchema) -> String {
        "Member must have \(measure(shape)) greater than or equal to \(number(bound, shape))"
    }

    private static func enumeration(_ traits: ShapeSchema.Traits) -> String {
        "Member must satisfy enum value set: [\(traits.enumeration.joined(separator: ", "))]"
    }

    private static func pattern(_ text: String) -> String { "Member must satisfy regular expression pattern: \(text)" }

    // MARK: Values as AWS prints them (Java's toString)

    static func text(_ value: Value, _ shape: ShapeSchema) -> String {
        var output = ""
        write(value, shape, &output, depth: 0)
        return output.utf8.count > CodecLimits.shownValue ? String(output.prefix(CodecLimits.shownValue)) + "…" : output
    }

    private static func write(_ value: Value, _ shape: ShapeSchema?, _ output: inout String, depth: Int) {
        guard output.utf8.count <= CodecLimits.shownValue, depth < CodecLimits.depth else { return }
        if shape?.traits.isSensitive == true, depth > 0 {
            output += "***Sensitive Data Redacted***"
            return
        }
        switch value {
        case .null: output += "null"
        case .bool(let value): output += value ? "true" : "false"
        case .int(let value): output += shape?.kind == .double || shape?.kind == .float ? "\(value).0" : "\(value)"
        case .double(let value): output += "\(value)"
        case .string(let value): output += value
        case .blob(let bytes): output += "java.nio.HeapByteBuffer[pos=0 lim=\(bytes.count) cap=\(bytes.count)]"
        case .timestamp(let value): output += value.iso8601()
        case .list(let elements):
            output += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { output += ", " }
                write(element, shape?.kind == .list ? shape?.element : nil, &output, depth: depth + 1)
            }
            output += "]"
        case .map(let fields):
            guard let shape, shape.kind == .structure else {
                writeMap(fields, shape, &output, depth)
                return
            }
            output += shape.name + "("
            for (index, member) in shape.members.enumerated() {
                if index > 0 { output += ", " }
                output += member.pathName + "="
                write(fields[member.name] ?? .null, member.shape, &output, depth: depth + 1)
            }
            output += ")"
        }
    }

    private static func writeMap(_ fields: Fields, _ shape: ShapeSchema?, _ output: inout String, _ depth: Int) {
        output += "{"
        for (index, entry) in fields.entries.enumerated() {
            if index > 0 { output += ", " }
            output += entry.name + "="
            write(entry.value, shape?.kind == .map ? shape?.element : nil, &output, depth: depth + 1)
        }
        output += "}"
    }
}
