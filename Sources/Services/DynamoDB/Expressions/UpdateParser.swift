import Wire

/// Reads the sections SET, REMOVE, ADD and DELETE.
struct UpdateParser {
    private(set) var reader: ExpressionReader
    private var actions: [UpdateAction] = []
    private var paths: [DocumentPath] = []

    init(_ text: String, _ placeholders: Placeholders) throws(AWSError) {
        reader = try ExpressionReader(text, kind: .update, placeholders)
    }

    mutating func parse() throws(AWSError) -> [UpdateAction] {
        var sections: [Token.Kind] = []
        repeat {
            let section = reader.token
            switch section.kind {
            case .set, .remove, .add, .delete: reader.next()
            default: throw reader.syntaxError()
            }
            if sections.contains(section.kind) {
                let name = reader.text(section).uppercased()
                reader.note(.sections, "The \"\(name)\" section can only be used once in an update expression;")
            } else {
                sections.append(section.kind)
            }
            repeat { try action(section.kind) } while reader.take(.comma)
        } while reader.token.kind != .end
        if paths.count > 1 { reader.noteOverlaps(paths) }
        try reader.finish()
        return actions
    }

    private mutating func action(_ section: Token.Kind) throws(AWSError) {
        let path = try reader.path()
        paths.append(path)
        switch section {
        case .set:
            try reader.expect(.equal)
            guard let operand = try sum() else { return }
            actions.append(UpdateAction(path: path, change: .set(operand)))
        case .remove: actions.append(UpdateAction(path: path, change: .remove))
        case .add:
            guard let value = try reader.value() else { return }
            switch value.type {
            case .number, .stringSet, .numberSet, .binarySet: break
            default: noteSetOperand("ADD", value.type)
            }
            actions.append(UpdateAction(path: path, change: .add(value)))
        default:
            guard let value = try reader.value() else { return }
            switch value.type {
            case .stringSet, .numberSet, .binarySet: break
            default: noteSetOperand("DELETE", value.type)
            }
            actions.append(UpdateAction(path: path, change: .delete(value)))
        }
    }

    private mutating func noteSetOperand(_ name: String, _ type: AttributeType) {
        reader.note(
            .operands,
            "Incorrect operand type for operator or function; operator: \(name), operand type: \(type.longName), "
                + "typeSet: ALLOWED_FOR_\(name)_OPERAND")
    }

    // MARK: Operands; nil stands for one with an error, which was noted.

    /// An operand, or two with a sign between them; all of it may be in parentheses.
    private mutating func sum() throws(AWSError) -> UpdateAction.Operand? {
        let left: UpdateAction.Operand?
        if reader.take(.openParenthesis) {
            if reader.token.kind == .openParenthesis { try refuseRedundantParentheses() }
            left = try plainSum()
            let isSum = lastWasSum
            try reader.expect(.closeParenthesis)
            if isSum { return left }
        } else {
            left = try operand()
        }
        return try sum(from: left)
    }

    private var lastWasSum = false

    private mutating func plainSum() throws(AWSError) -> UpdateAction.Operand? { try sum(from: try operand()) }

    private mutating func sum(from left: UpdateAction.Operand?) throws(AWSError) -> UpdateAction.Operand? {
        let sign = reader.token
        lastWasSum = sign.kind == .plus || sign.kind == .minus
        guard lastWasSum else { return left }
        reader.next()
        try reader.countOperator()
        let right = try operand()
        lastWasSum = true
        guard let left, let right else { return nil }
        for operand in [left, right] {
            guard let type = operand.knownType, type != .number else { continue }
            reader.noteOperandType(.operands, reader.text(sign), type.rawValue)
        }
        return sign.kind == .plus ? .plus(left, right) : .minus(left, right)
    }

    private mutating func operand() throws(AWSError) -> UpdateAction.Operand? {
        if reader.take(.openParenthesis) {
            if reader.token.kind == .openParenthesis { try refuseRedundantParentheses() }
            let inner = try operand()
            try reader.expect(.closeParenthesis)
            return inner
        }
        if reader.isCall { return try call() }
        if reader.token.kind == .valueKey { return try reader.value().map { .value($0) } }
        return .path(try reader.path())
    }

    /// Reads what is in two parentheses, so that an error of syntax in it comes first.
    private mutating func refuseRedundantParentheses() throws(AWSError) {
        try reader.enter()
        _ = try sum()
        try reader.expect(.closeParenthesis)
        throw reader.redundantParentheses
    }

    private mutating func call() throws(AWSError) -> UpdateAction.Operand? {
        let token = reader.next()
        let name = reader.text(token)
        reader.next()
        try reader.countOperator()
        try reader.enter()
        var arguments = [try operand()]
        while reader.take(.comma) { arguments.append(try operand()) }
        try reader.expect(.closeParenthesis)
        reader.leave()
        guard let function = ExpressionFunction(rawValue: name) else {
            reader.note(.names, at: token.start, "Invalid function name; function: \(name)")
            return nil
        }
        guard function.isForUpdates else {
            reader.note(
                .names, at: token.start, "The function is not allowed in an update expression; function: \(name)")
            return nil
        }
        guard arguments.count == 2 else {
            reader.note(
                .operands,
                "Incorrect number of operands for operator or function; operator or function: \(name), "
                    + "number of operands: \(arguments.count)")
            return nil
        }
        guard let first = arguments[0], let second = arguments[1] else { return nil }
        return function == .ifNotExists
            ? ifNotExists(first, second) : listAppend(first, second, at: token.start)
    }

    private mutating func ifNotExists(
        _ first: UpdateAction.Operand, _ second: UpdateAction.Operand
    ) -> UpdateAction.Operand? {
        guard case .path(let path) = first else {
            reader.note(
                .operands, "Operator or function requires a document path; operator or function: if_not_exists")
            return nil
        }
        return .ifNotExists(path, second)
    }

    private mutating func listAppend(
        _ first: UpdateAction.Operand, _ second: UpdateAction.Operand, at position: Int
    ) -> UpdateAction.Operand? {
        for operand in [first, second] {
            if case .listAppend = operand {
                reader.note(
                    .names, at: position,
                    "The function is not allowed to be used this way in an expression; function: list_append")
                return nil
            }
            guard let type = operand.knownType, type != .list else { continue }
            reader.noteOperandType(.operands, "list_append", type.rawValue)
            return nil
        }
        return .listAppend(first, second)
    }
}

extension AttributeType {
    /// As errors about ADD and DELETE write it.
    fileprivate var longName: String {
        switch self {
        case .string: "STRING"
        case .number: "NUMBER"
        case .binary: "BINARY"
        case .bool: "BOOLEAN"
        case .null: "NULL"
        case .list: "LIST"
        case .map: "MAP"
        case .stringSet: "STRING_SET"
        case .numberSet: "NUMBER_SET"
        case .binarySet: "BINARY_SET"
        }
    }
}
