import Platform

/// What one field of one combination asks.
struct Requirement: Sendable {
    var path: [String]
    /// The alternatives that are properties of a value; nil when there are none.
    var leaf: Leaf?
    /// Whether it is also enough that the field is not there.
    var acceptsAbsence: Bool
}

/// Reads a pattern into combinations: every way of choosing one object of each `$or`. A combination has one requirement
/// a path; the last one counts, as in Event Ruler.
struct PatternCompiler {
    private let operators: Operators
    private var tokens: TokenReader
    private var requirements: [Requirement] = []
    private var paths: [[String]: Int] = [:]
    private var path: [String] = []
    /// Path number to requirement number.
    private typealias Combination = [Int: Int]
    private var combinations: [Combination] = []

    /// Names that are operators, now or one day, and therefore none of fields inside `$or` (Event Ruler, Constants).
    private static let reservedNames: Set<String> = [
        "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
        "=",
        "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after",
        "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range",
    ]

    private init(_ tokens: TokenReader, operators: Operators) {
        self.tokens = tokens
        self.operators = operators
    }

    static func compile(_ bytes: [UInt8], operators: Operators) throws(PatternError) -> [[Requirement]] {
        try read(bytes) { (tokens) throws(PatternError) in
            var compiler = PatternCompiler(tokens, operators: operators)
            return try compiler.compile()
        }
    }

    /// Runs `body` with a token reader at the document's start.
    static func read<T>(
        _ bytes: [UInt8], _ body: (TokenReader) throws(PatternError) -> T
    ) throws(PatternError) -> T {
        let result: Result<T, PatternError>
        do throws(JSONError) {
            result = try JSON.withReader(bytes) { (reader) throws(JSONError) in
                do throws(PatternError) {
                    return .success(try body(TokenReader(reader, bytes: bytes)))
                } catch {
                    return .failure(error)
                }
            }
        } catch {
            throw PatternError(message: error.message)
        }
        return try result.get()
    }

    private mutating func compile() throws(PatternError) -> [[Requirement]] {
        guard try tokens.next() == .startObject else { throw tokens.failure("Filter is not an object") }
        try object(insideOr: false)
        guard try tokens.next() == .end else { throw tokens.failure("Filter is not an object") }
        return combinations.map { combination in combination.values.map { requirements[$0] } }
    }

    // MARK: Objects

    /// Reads behind the `{`, to its `}`. As deep as JSON may be.
    private mutating func object(insideOr: Bool) throws(PatternError) {
        var isEmpty = true
        while try tokens.next() != .endObject {
            isEmpty = false
            let name = try tokens.currentText()
            if name == "$or" {
                try either()
                continue
            }
            if insideOr, Self.reservedNames.contains(name) {
                throw tokens.failure("\(name) is Ruler reserved fieldName which cannot be used inside $or.")
            }
            path.append(name)
            switch try tokens.next() {
            case .startObject: try object(insideOr: insideOr)
            case .startArray: try field()
            default: throw tokens.failure("\"\(name)\" must be an object or an array")
            }
            path.removeLast()
        }
        if isEmpty { throw tokens.failure("Empty objects are not allowed") }
    }

    private mutating func either() throws(PatternError) {
        let before = combinations
        guard try tokens.next() == .startArray else {
            throw tokens.failure("It must be an Array followed with $or.")
        }
        var all: [Combination] = []
        var count = 0
        while try tokens.next() != .endArray {
            guard tokens.token == .startObject else {
                throw tokens.failure("Only JSON object is allowed in array of $or relationship.")
            }
            count += 1
            combinations = before.isEmpty ? [[:]] : before
            try object(insideOr: true)
            all += combinations
            try limit(all.count)
        }
        if count < 2 { throw tokens.failure("There must have at least 2 Objects in $or relationship.") }
        combinations = all
    }

    private func limit(_ count: Int) throws(PatternError) {
        // AWS's limit is documented, its text is not.
        if count > Limits.combinations {
            throw PatternError(
                message:
                    "Rule is too complex - the $or conditions result in more than \(Limits.combinations) combinations")
        }
    }

    // MARK: Fields

    /// Reads behind the `[`, to its `]`.
    private mutating func field() throws(PatternError) {
        var leaf = Leaf()
        leaf.comparesNumbersAsText = operators.comparesNumbersAsText
        var requirement = Requirement(path: path, leaf: nil, acceptsAbsence: false)
        var hasValues = false
        var isEmpty = true
        var wildcards: [Wildcard] = []
        while try tokens.next() != .endArray {
            isEmpty = false
            let alternative = try alternative()
            if case .exists(false) = alternative { requirement.acceptsAbsence = true } else { hasValues = true }
            switch alternative {
            case .text(let text): leaf.add(text)
            case .number(let number): leaf.add(number)
            case .bool(let bool): leaf.add(bool)
            case .null: leaf.addNull()
            case .exists(let exists): if exists { leaf.addAnything() }
            case .test(let test): leaf.add(test)
            case .wildcards(let some, let test):
                wildcards += some
                leaf.add(test)
            }
        }
        if isEmpty { throw tokens.failure("Empty arrays are not allowed") }
        if operators.boundsWildcards, !wildcards.isEmpty, WildcardComplexity.isTooHigh(wildcards) {
            throw PatternError(
                message: "Rule is too complex - try using fewer wildcard characters or fewer repeating character "
                    + "sequences after a wildcard character")
        }
        if hasValues { requirement.leaf = leaf }
        add(requirement)
    }

    private mutating func alternative() throws(PatternError) -> Alternative {
        switch tokens.token {
        case .startObject: return try MatchExpressionParser(operators: operators).parse(&tokens)
        case .string: return .text(try tokens.currentText())
        case .number:
            guard let number = PatternNumber(tokens.number) else { break }
            return .number(number)
        case .yes: return .bool(true)
        case .no: return .bool(false)
        case .null: return .null
        default: break
        }
        throw tokens.failure("Match value must be String, number, true, false, or null")
    }

    private mutating func add(_ requirement: Requirement) {
        let number = requirements.count
        requirements.append(requirement)
        let pathNumber = paths[path] ?? paths.count
        paths[path] = pathNumber
        if combinations.isEmpty { combinations = [[:]] }
        for index in combinations.indices { combinations[index][pathNumber] = number }
    }
}
