import Wire

/// Reads conditions: OR over AND over NOT over comparisons, functions and parentheses.
struct ConditionParser {
    private(set) var reader: ExpressionReader

    init(_ text: String, kind: ExpressionKind, _ placeholders: Placeholders) throws(AWSError) {
        reader = try ExpressionReader(text, kind: kind, placeholders)
    }

    mutating func parse() throws(AWSError) -> ConditionNode {
        let parsed = try disjunction()
        if reader.token.kind != .end { throw reader.syntaxError() }
        let node = try condition(parsed)
        try reader.finish()
        return node
    }

    /// Something read: only what follows tells whether `(a)` is an operand or a condition.
    private struct Parsed {
        enum Content {
            case condition(ConditionNode)
            case operand(Operand)
        }
        var content: Content
        var isParenthesized = false
    }

    private enum Operand {
        case plain(ConditionNode.Operand)
        /// A function that is a condition itself, with its name and where that stands.
        case condition(ConditionNode, String, Int)
        /// `size`, with where it stands: no condition itself.
        case size(ConditionNode.Operand, Int)
        /// An error was noted.
        case invalid
    }

    /// Stands for what had an error; never evaluated.
    private static let nothing = ConditionNode.all([])

    // MARK: Conditions

    private mutating func disjunction() throws(AWSError) -> Parsed {
        try chain(.or, { parser throws(AWSError) in try parser.conjunction() }, ConditionNode.any)
    }

    private mutating func conjunction() throws(AWSError) -> Parsed {
        try chain(.and, { parser throws(AWSError) in try parser.negation() }, ConditionNode.all)
    }

    private mutating func chain(
        _ kind: Token.Kind, _ part: (inout ConditionParser) throws(AWSError) -> Parsed,
        _ make: ([ConditionNode]) -> ConditionNode
    ) throws(AWSError) -> Parsed {
        let first = try part(&self)
        guard reader.token.kind == kind else { return first }
        var nodes = [try condition(first)]
        while reader.take(kind) {
            try reader.countOperator()
            nodes.append(try condition(try part(&self)))
        }
        return Parsed(content: .condition(make(nodes)))
    }

    private mutating func negation() throws(AWSError) -> Parsed {
        guard reader.take(.not) else { return try primary() }
        try reader.countOperator()
        try reader.enter()
        let node = try condition(try negation())
        reader.leave()
        return Parsed(content: .condition(.not(node)))
    }

    private mutating func primary() throws(AWSError) -> Parsed {
        guard reader.token.kind == .openParenthesis else { return try comparison(try function()) }
        reader.next()
        try reader.enter()
        var inner = try disjunction()
        try reader.expect(.closeParenthesis)
        reader.leave()
        if inner.isParenthesized { throw reader.redundantParentheses }
        inner.isParenthesized = true
        guard case .operand(let operand) = inner.content else { return inner }
        return try comparison(operand, isParenthesized: true)
    }

    /// The node of what must be a condition.
    private mutating func condition(_ parsed: Parsed) throws(AWSError) -> ConditionNode {
        switch parsed.content {
        case .condition(let node): return node
        case .operand(.condition(let node, _, _)): return node
        case .operand(.size(_, let position)):
            noteMisuse("size", at: position)
            return Self.nothing
        case .operand(.invalid): return Self.nothing
        case .operand(.plain): throw reader.syntaxError()
        }
    }

    private mutating func noteMisuse(_ name: String, at position: Int) {
        reader.note(
            .names, at: position,
            "The function is not allowed to be used this way in an expression; function: \(name)")
    }

    // MARK: Comparisons

    private mutating func comparison(
        _ left: Operand, isParenthesized: Bool = false
    ) throws(AWSError) -> Parsed {
        let sign = reader.token.kind
        if let comparator = Comparator(sign) {
            reader.next()
            try reader.countOperator()
            let right = try operand()
            guard let left = plain(left), let right = plain(right) else {
                return Parsed(content: .condition(Self.nothing))
            }
            noteDistinct(comparator.rawValue, left, [right])
            if comparator != .equal, comparator != .notEqual { noteOrdered(comparator.rawValue, [left, right]) }
            return Parsed(content: .condition(.compare(comparator, left, right)))
        }
        if sign == .between { return try between(left) }
        if sign == .in { return try within(left) }
        // An operand alone is right before a parenthesis that closes, or when it is a function.
        if case .plain = left, sign != .closeParenthesis { throw reader.syntaxError() }
        return Parsed(content: .operand(left), isParenthesized: isParenthesized)
    }

    private mutating func between(_ operand: Operand) throws(AWSError) -> Parsed {
        reader.next()
        try reader.countOperator()
        let low = try self.operand()
        try reader.expect(.and)
        let high = try self.operand()
        guard let operand = plain(operand), let low = plain(low), let high = plain(high) else {
            return Parsed(content: .condition(Self.nothing))
        }
        noteDistinct("BETWEEN", operand, [low, high])
        noteOrdered("BETWEEN", [operand, low, high])
        if case .value(let low) = low, case .value(let high) = high {
            let bounds = "lower bound operand: \(low.errorText), upper bound operand: \(high.errorText)"
            if low.type != high.type {
                reader.note(
                    .placeholders,
                    "The BETWEEN operator requires same data type for lower and upper bounds; \(bounds)")
            } else if let order = low.order(to: high), order > 0 {
                reader.note(
                    .placeholders,
                    "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \(bounds)")
            }
        }
        return Parsed(content: .condition(.between(operand, low, high)))
    }

    private mutating func within(_ operand: Operand) throws(AWSError) -> Parsed {
        reader.next()
        try reader.countOperator()
        try reader.expect(.openParenthesis)
        let list = try arguments()
        let choices = list.compactMap { plain($0) }
        guard let operand = plain(operand), choices.count == list.count else {
            return Parsed(content: .condition(Self.nothing))
        }
        if choices.count > ExpressionLimits.inOperands {
            reader.note(
                .placeholders,
                "The IN operator is provided with too many operands; number of operands: \(choices.count)")
        }
        noteDistinct("IN", operand, choices)
        return Parsed(content: .condition(.within(operand, choices)))
    }

    // MARK: Operands

    /// Notes a function that is no operand.
    private mutating func plain(_ operand: Operand) -> ConditionNode.Operand? {
        switch operand {
        case .plain(let operand), .size(let operand, _): return operand
        case .condition(_, let name, let position):
            noteMisuse(name, at: position)
            return nil
        case .invalid: return nil
        }
    }

    private mutating func operand() throws(AWSError) -> Operand {
        guard reader.take(.openParenthesis) else { return try function() }
        if reader.token.kind == .openParenthesis {
            try reader.enter()
            _ = try operand()
            reader.leave()
            try reader.expect(.closeParenthesis)
            throw reader.redundantParentheses
        }
        let operand = try function()
        try reader.expect(.closeParenthesis)
        return operand
    }

    private mutating func function() throws(AWSError) -> Operand {
        if reader.isCall { return try call() }
        // An undefined one is noted; null stands for it, so that errors of syntax behind it still come first.
        if reader.token.kind == .valueKey { return .plain(.value(try reader.value() ?? .null)) }
        return .plain(.path(try reader.path()))
    }

    /// Operands to the closing parenthesis.
    private mutating func arguments() throws(AWSError) -> [Operand] {
        var operands = [try operand()]
        while reader.take(.comma) { operands.append(try operand()) }
        try reader.expect(.closeParenthesis)
        return operands
    }

    private mutating func call() throws(AWSError) -> Operand {
        let token = reader.next()
        let name = reader.text(token)
        reader.next()
        try reader.countOperator()
        try reader.enter()
        let arguments = try arguments()
        reader.leave()
        guard let function = ExpressionFunction(rawValue: name) else {
            reader.note(.names, at: token.start, "Invalid function name; function: \(name)")
            return .invalid
        }
        guard !function.isForUpdates else {
            reader.note(
                .names, at: token.start, "The function is not allowed in a condition expression; function: \(name)")
            return .invalid
        }
        guard arguments.count == function.operandCount else {
            reader.note(
                .names, at: token.start,
                "Incorrect number of operands for operator or function; operator or function: \(name), "
                    + "number of operands: \(arguments.count)")
            return .invalid
        }
        let operands = arguments.compactMap { plain($0) }
        guard operands.count == arguments.count, let first = operands.first else { return .invalid }
        if function == .size {
            switch first.knownType {
            case .number?, .bool?, .null?:
                reader.noteOperandType(.placeholders, name, first.knownType?.rawValue ?? "")
                return .invalid
            default: return .size(.size(first), token.start)
            }
        }
        guard let node = self.condition(function, first, operands.last ?? first) else { return .invalid }
        return .condition(node, name, token.start)
    }

    /// `first` and `second` are the same for functions of one operand.
    private mutating func condition(
        _ function: ExpressionFunction, _ first: ConditionNode.Operand, _ second: ConditionNode.Operand
    ) -> ConditionNode? {
        let name = function.rawValue
        if function.operandCount == 2 { noteDistinct(name, first, [second]) }
        switch function {
        case .attributeExists, .attributeNotExists:
            guard let path = first.path else {
                reader.note(
                    .placeholders, "Operator or function requires a document path; operator or function: \(name)")
                return nil
            }
            return function == .attributeExists ? .exists(path) : .notExists(path)
        case .attributeType:
            guard case .value(.string(let text)) = second else {
                reader.noteOperandType(
                    .placeholders, name, second.knownType?.rawValue ?? "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
                return nil
            }
            guard let type = AttributeType(rawValue: text) else {
                reader.note(
                    .placeholders,
                    "Invalid attribute type name found; type: \(text), "
                        + "valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}")
                return nil
            }
            return .type(first, type)
        case .beginsWith:
            for type in [first.knownType, second.knownType].compactMap({ $0 }) where type != .string && type != .binary
            {
                reader.noteOperandType(.placeholders, name, type.rawValue)
                return nil
            }
            return .beginsWith(first, second)
        case .contains: return .contains(first, second)
        case .size, .ifNotExists, .listAppend: return nil
        }
    }

    // MARK: Checks

    private mutating func noteDistinct(
        _ name: String, _ first: ConditionNode.Operand, _ others: [ConditionNode.Operand]
    ) {
        guard let path = first.path, others.contains(where: { $0.path == path }) else { return }
        reader.note(
            .placeholders,
            "The first operand must be distinct from the remaining operands for this operator or function; operator: "
                + "\(name), first operand: \(path.errorText)")
    }

    private mutating func noteOrdered(_ name: String, _ operands: [ConditionNode.Operand]) {
        for operand in operands {
            switch operand.knownType {
            case nil, .string?, .number?, .binary?: continue
            case let type?: return reader.noteOperandType(.placeholders, name, type.rawValue)
            }
        }
    }
}

/// The functions of all expressions; their names are case-sensitive.
enum ExpressionFunction: String, Sendable {
    case attributeExists = "attribute_exists"
    case attributeNotExists = "attribute_not_exists"
    case attributeType = "attribute_type"
    case beginsWith = "begins_with"
    case contains
    case size
    case ifNotExists = "if_not_exists"
    case listAppend = "list_append"

    var operandCount: Int {
        switch self {
        case .attributeExists, .attributeNotExists, .size: 1
        default: 2
        }
    }

    var isForUpdates: Bool { self == .ifNotExists || self == .listAppend }
}

extension AttributeValue {
    /// As errors about bounds write it.
    fileprivate var errorText: String {
        switch self {
        case .string(let text): "AttributeValue: {S:\(text)}"
        case .number(let number): "AttributeValue: {N:\(number.text)}"
        case .binary(let bytes):
            "AttributeValue: {B:java.nio.HeapByteBuffer[pos=0 lim=\(bytes.count) cap=\(bytes.count)]}"
        default: "AttributeValue: {\(type.rawValue)}"
        }
    }
}
