import Wire

/// What the parsers of all expressions share: the tokens, the bounds, and the order in which DynamoDB reports errors.
///
/// A syntax error is thrown where it is found. Everything else is noted, and the first of the earliest phase is thrown
/// when the whole expression has been read, so that an expression is read once only.
struct ExpressionReader {
    enum Phase: Int, Sendable {
        /// Reserved words, function names and their use: in the order of the text.
        case names
        /// Sections of an update.
        case sections
        /// Undefined placeholders; of conditions also the types of operands.
        case placeholders
        /// Paths of an update or projection that overlap.
        case paths
        /// Types of operands.
        case operands
    }

    let kind: ExpressionKind
    var placeholders: Placeholders
    private let lexer: Lexer
    private(set) var token: Token
    private var previous: Token?
    private var depth = 0
    private var operators = 0
    /// The first error of the earliest phase so far. `position` orders errors of phase `names`.
    private var problem: (phase: Phase, position: Int, error: AWSError)?
    /// Every path that was read.
    private(set) var paths: [DocumentPath] = []

    init(_ text: String, kind: ExpressionKind, _ placeholders: Placeholders) throws(AWSError) {
        self.kind = kind
        self.placeholders = placeholders
        lexer = Lexer(bytes: Array(text.utf8))
        token = Token(kind: .end, start: 0, end: 0)
        guard lexer.bytes.count <= ExpressionLimits.expressionBytes else {
            throw error(
                "Expression size has exceeded the maximum allowed size; expression size: \(lexer.bytes.count)")
        }
        token = lexer.token(at: 0)
        if token.kind == .end { throw error("The expression can not be empty;") }
    }

    // MARK: Tokens

    func text(_ token: Token) -> String { lexer.text(token) }

    @discardableResult
    mutating func next() -> Token {
        let current = token
        previous = current
        token = lexer.token(at: current.end)
        return current
    }

    /// Whether the current token is of this kind; then it is read.
    mutating func take(_ kind: Token.Kind) -> Bool {
        guard token.kind == kind else { return false }
        next()
        return true
    }

    @discardableResult
    mutating func expect(_ kind: Token.Kind) throws(AWSError) -> Token {
        guard token.kind == kind else { throw syntaxError() }
        return next()
    }

    /// Whether an opening parenthesis stands behind the current token.
    var isCall: Bool { token.kind == .name && lexer.token(at: token.end).kind == .openParenthesis }

    // MARK: Errors

    func error(_ text: String) -> AWSError { .validation("Invalid \(kind.rawValue): \(text)") }

    /// The current token cannot stand here. Near it: from the token before it to the one behind it.
    func syntaxError() -> AWSError {
        let start = previous?.start ?? token.start
        let end = token.kind == .end ? lexer.bytes.count : lexer.token(at: token.end).end
        let near = String(decoding: lexer.bytes[start..<end], as: UTF8.self)
        return error("Syntax error; token: \"\(lexer.text(token))\", near: \"\(near)\"")
    }

    var redundantParentheses: AWSError { error("The expression has redundant parentheses;") }

    mutating func note(_ phase: Phase, at position: Int = 0, _ text: @autoclosure () -> String) {
        if let problem {
            if problem.phase.rawValue < phase.rawValue { return }
            if problem.phase == phase, phase != .names || problem.position <= position { return }
        }
        problem = (phase, position, error(text()))
    }

    /// At the end of the expression: throws what was noted.
    func finish() throws(AWSError) {
        guard token.kind == .end else { throw syntaxError() }
        if let problem { throw problem.error }
    }

    // MARK: Bounds

    /// One more level of nesting, until `leave`. Deeper than operators can make it, parentheses must be superfluous.
    mutating func enter() throws(AWSError) {
        depth += 1
        guard depth <= ExpressionLimits.depth else { throw redundantParentheses }
    }

    mutating func leave() { depth -= 1 }

    mutating func countOperator() throws(AWSError) {
        operators += 1
        guard operators <= ExpressionLimits.operators else {
            throw error("The expression contains too many operators; operator count: \(operators)")
        }
    }

    // MARK: Parts

    mutating func value() throws(AWSError) -> AttributeValue? {
        let key = text(try expect(.valueKey))
        if let value = placeholders.value(key) { return value }
        note(
            .placeholders, "An expression attribute value used in expression is not defined; attribute value: \(key)")
        return nil
    }

    mutating func path() throws(AWSError) -> DocumentPath {
        var path = DocumentPath(try pathName())
        while true {
            if take(.dot) {
                path.elements.append(.member(try pathName()))
            } else if take(.openBracket) {
                path.elements.append(.index(index(try expect(.integer))))
                try expect(.closeBracket)
            } else {
                break
            }
        }
        if path.elements.count >= ExpressionLimits.pathElements {
            note(
                .placeholders,
                "The document path has too many nesting levels; nesting levels: \(path.elements.count + 1)")
        }
        paths.append(path)
        return path
    }

    private mutating func pathName() throws(AWSError) -> String {
        switch token.kind {
        case .name:
            let word = next()
            let name = text(word)
            if ReservedWords.contains(lexer.bytes[word.start..<word.end]) {
                note(
                    .names, at: word.start, "Attribute name is a reserved keyword; reserved keyword: \(name)")
            }
            return name
        case .nameKey:
            let key = text(next())
            if let name = placeholders.name(key) { return name }
            note(
                .placeholders,
                "An expression attribute name used in the document path is not defined; attribute name: \(key)")
            return key
        default: throw syntaxError()
        }
    }

    private mutating func index(_ token: Token) -> Int {
        let text = self.text(token)
        if let index = Int32(text) { return Int(index) }
        note(.names, at: token.start, "List index is not within the allowable range; index: [\(text)]")
        return 0
    }

    // MARK: Checks

    /// Notes two paths of which one is within the other, or that use one place as a list and as a map.
    mutating func noteOverlaps(_ paths: [DocumentPath]) {
        guard paths.count > 12 else {
            for index in paths.indices {
                for other in 0..<index where noteClash(paths[other], paths[index]) { return }
            }
            return
        }
        // Many (a name and a comma each) are compared only with those of the same attribute.
        var earlier: [String: [DocumentPath]] = [:]
        for path in paths {
            for other in earlier[path.attribute] ?? [] where noteClash(other, path) { return }
            earlier[path.attribute, default: []].append(path)
        }
    }

    private mutating func noteClash(_ one: DocumentPath, _ two: DocumentPath) -> Bool {
        guard let clash = one.clash(with: two) else { return false }
        note(
            .paths,
            "Two document paths \(clash.rawValue) with each other; must remove or rewrite one of these paths; path one: "
                + "\(one.errorText), path two: \(two.errorText)")
        return true
    }

    mutating func noteOperandType(_ phase: Phase, _ operation: String, _ type: String) {
        note(
            phase,
            "Incorrect operand type for operator or function; operator or function: \(operation), operand type: \(type)"
        )
    }
}
