import Platform

/// A regular expression of a service model, compiled for matching whole values.
///
/// The subset of Java's syntax that the models use: classes, groups, alternation, quantifiers, anchors, lookahead and
/// one-character lookbehind. Matching runs all alternatives side by side (Thompson), so that no input makes it blow up: also
/// for the expressions that users give services (selection patterns, JSON Schema).
package struct Pattern: Sendable {
    indirect enum Node {
        case empty
        case characters(CharacterClass)
        case sequence([Node])
        case either([Node])
        case repeated(Node, minimum: Int, maximum: Int?)
        case start
        case end
        case look(Node, ahead: Bool, negative: Bool)
    }

    enum Instruction: Sendable {
        case characters(Int)
        case split(Int, Int)
        case jump(Int)
        case start
        case end
        /// Runs the program at `first`, anchored here.
        case lookahead(first: Int, negative: Bool, next: Int)
        /// The previous character is (not) of a class.
        case lookbehind(Int, negative: Bool)
        case match
    }

    struct Unsupported: Error, CustomStringConvertible { var description: String }

    private(set) var program: [Instruction] = []
    private(set) var classes: [CharacterClass] = []
    /// `[…]*` or `[…]+` alone, which most patterns are: a simple loop.
    private var loop: (characters: CharacterClass, minimum: Int)?

    private let positions: PositionMatcher?

    /// Throws for syntax that is not of the subset.
    package init(_ text: String) throws {
        var parser = PatternParser(text)
        let node = try parser.parse()
        positions = PositionMatcher(node)
        if case .repeated(.characters(let set), let minimum, nil) = node, minimum <= 1 { loop = (set, minimum) }
        guard positions == nil else { return }
        try emit(node)
        program.append(.match)
    }

    /// Whether the whole text matches. Gives up, with false, after `CodecLimits.patternSteps`.
    package func matches(_ text: String) -> Bool {
        if let loop {
            var count = 0
            for scalar in text.unicodeScalars {
                guard loop.characters.contains(scalar) else { return false }
                count += 1
            }
            return count >= loop.minimum
        }
        if let positions { return positions.matches(text) }
        return matchesByProgram(text)
    }

    private func matchesByProgram(_ text: String) -> Bool {
        let scalars = Array(text.unicodeScalars)
        var steps = CodecLimits.patternSteps
        return run(from: 0, scalars, at: 0, wholly: true, steps: &steps)
    }

    // MARK: Compilation

    private mutating func emit(_ node: Node) throws {
        guard program.count < CodecLimits.patternStates else { throw Unsupported(description: "pattern too large") }
        switch node {
        case .empty: break
        case .characters(let set):
            program.append(.characters(classes.count))
            classes.append(set)
        case .sequence(let nodes): for node in nodes { try emit(node) }
        case .either(let nodes): try emitAlternatives(nodes)
        case .repeated(let node, let minimum, let maximum): try emitRepeated(node, minimum, maximum)
        case .start: program.append(.start)
        case .end: program.append(.end)
        case .look(let node, let ahead, let negative): try emitLook(node, ahead, negative)
        }
    }

    private mutating func emitAlternatives(_ nodes: [Node]) throws {
        var jumps: [Int] = []
        for (index, node) in nodes.enumerated() {
            let isLast = index == nodes.count - 1
            let split = program.count
            if !isLast { program.append(.split(split + 1, 0)) }
            try emit(node)
            if !isLast {
                jumps.append(program.count)
                program.append(.jump(0))
                program[split] = .split(split + 1, program.count)
            }
        }
        for jump in jumps { program[jump] = .jump(program.count) }
    }

    private mutating func emitRepeated(_ node: Node, _ minimum: Int, _ maximum: Int?) throws {
        for _ in 0..<minimum { try emit(node) }
        guard let maximum else {
            let split = program.count
            program.append(.split(split + 1, 0))
            try emit(node)
            program.append(.jump(split))
            program[split] = .split(split + 1, program.count)
            return
        }
        var splits: [Int] = []
        for _ in minimum..<max(minimum, maximum) {
            splits.append(program.count)
            program.append(.split(program.count + 1, 0))
            try emit(node)
        }
        for split in splits { program[split] = .split(split + 1, program.count) }
    }

    private mutating func emitLook(_ node: Node, _ ahead: Bool, _ negative: Bool) throws {
        guard ahead else {
            guard case .characters(let set) = node else {
                throw Unsupported(description: "lookbehind of more than one character")
            }
            program.append(.lookbehind(classes.count, negative: negative))
            classes.append(set)
            return
        }
        let look = program.count
        program.append(.match)
        try emit(node)
        program.append(.match)
        program[look] = .lookahead(first: look + 1, negative: negative, next: program.count)
    }

    // MARK: Matching

    /// Whether the program at `first` matches from `start`: up to the end (`wholly`), or any prefix.
    private func run(from first: Int, _ text: [Unicode.Scalar], at start: Int, wholly: Bool, steps: inout Int) -> Bool {
        var current = Threads(program.count)
        var next = Threads(program.count)
        add(first, to: &current, text, start, &steps)
        for position in start..<text.count {
            if !wholly, current.hasMatch { return true }
            if current.list.isEmpty { return false }
            next.clear()
            for state in current.list {
                steps -= 1
                guard case .characters(let set) = program[state], classes[set].contains(text[position]) else {
                    continue
                }
                add(state + 1, to: &next, text, position + 1, &steps)
            }
            if steps <= 0 { return false }
            swap(&current, &next)
        }
        return current.hasMatch
    }

    /// Follows everything that consumes no character.
    private func add(
        _ state: Int, to threads: inout Threads, _ text: [Unicode.Scalar], _ position: Int, _ steps: inout Int
    ) {
        threads.pending.append(state)
        while let state = threads.pending.popLast() {
            guard steps > 0, threads.insert(state) else { continue }
            steps -= 1
            switch program[state] {
            case .characters: threads.list.append(state)
            case .match: threads.hasMatch = true
            case .jump(let target): threads.pending.append(target)
            case .split(let one, let other):
                threads.pending.append(other)
                threads.pending.append(one)
            case .start: if position == 0 { threads.pending.append(state + 1) }
            case .end: if position == text.count { threads.pending.append(state + 1) }
            case .lookbehind(let set, let negative):
                let found = position > 0 && classes[set].contains(text[position - 1])
                if found != negative { threads.pending.append(state + 1) }
            case .lookahead(let first, let negative, let next):
                if run(from: first, text, at: position, wholly: false, steps: &steps) != negative {
                    threads.pending.append(next)
                }
            }
        }
    }

    private struct Threads {
        var list: [Int] = []
        var hasMatch = false
        var pending: [Int] = []
        private var seen: [Bool]
        private var marked: [Int] = []

        init(_ count: Int) { seen = Array(repeating: false, count: count) }

        mutating func insert(_ state: Int) -> Bool {
            if seen[state] { return false }
            seen[state] = true
            marked.append(state)
            return true
        }

        mutating func clear() {
            for state in marked { seen[state] = false }
            marked.removeAll(keepingCapacity: true)
            list.removeAll(keepingCapacity: true)
            hasMatch = false
        }
    }
}

/// A set of characters: a bitmap for ASCII, ranges and Unicode categories for the rest.
struct CharacterClass: Sendable {
    struct Categories: OptionSet, Sendable {
        let rawValue: UInt8
        static let letters = Categories(rawValue: 1)
        static let separators = Categories(rawValue: 2)
        static let numbers = Categories(rawValue: 4)
        static let marks = Categories(rawValue: 8)
        static let punctuation = Categories(rawValue: 16)
        static let symbols = Categories(rawValue: 32)
    }

    private var low: UInt64 = 0
    private var high: UInt64 = 0
    private var ranges: [ClosedRange<UInt32>] = []
    private var categories: Categories = []
    /// Sets that were included negated, such as `\S`.
    private var complements: [CharacterClass] = []
    var isNegated = false

    mutating func insert(_ range: ClosedRange<UInt32>) {
        for code in range.clamped(to: 0...127) where range.contains(code) { setASCII(code) }
        if range.upperBound > 127 { ranges.append(max(range.lowerBound, 128)...range.upperBound) }
    }

    mutating func insert(_ other: CharacterClass) {
        if other.isNegated {
            complements.append(other)
            return
        }
        low |= other.low
        high |= other.high
        ranges += other.ranges
        categories.formUnion(other.categories)
        complements += other.complements
    }

    mutating func insert(_ categories: Categories) {
        self.categories.formUnion(categories)
        for code in UInt32(0)...127 {
            if let scalar = Unicode.Scalar(code), Self.categories(of: scalar).isSubset(of: categories),
                !Self.categories(of: scalar).isEmpty
            {
                setASCII(code)
            }
        }
    }

    private mutating func setASCII(_ code: UInt32) {
        if code < 64 { low |= 1 << UInt64(code) } else { high |= 1 << UInt64(code - 64) }
    }

    func contains(_ scalar: Unicode.Scalar) -> Bool { isNegated != includes(scalar) }

    private func includes(_ scalar: Unicode.Scalar) -> Bool {
        let code = scalar.value
        if code < 64 {
            if low >> UInt64(code) & 1 == 1 { return true }
        } else if code < 128 {
            if high >> UInt64(code - 64) & 1 == 1 { return true }
        } else {
            for range in ranges where range.contains(code) { return true }
            if !categories.isEmpty, !categories.isDisjoint(with: Self.categories(of: scalar)) { return true }
        }
        for set in complements where set.contains(scalar) { return true }
        return false
    }

    private static func categories(of scalar: Unicode.Scalar) -> Categories {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: .letters
        case .spaceSeparator, .lineSeparator, .paragraphSeparator: .separators
        case .decimalNumber, .letterNumber, .otherNumber: .numbers
        case .nonspacingMark, .spacingMark, .enclosingMark: .marks
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            .punctuation
        case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: .symbols
        default: []
        }
    }

    static func of(_ ranges: ClosedRange<Unicode.Scalar>...) -> CharacterClass {
        var set = CharacterClass()
        for range in ranges { set.insert(range.lowerBound.value...range.upperBound.value) }
        return set
    }

    /// Java's `\d \w \s` are ASCII.
    static let digits = of("0"..."9")
    static let words = of("0"..."9", "A"..."Z", "a"..."z", "_"..."_")
    static let blanks = of("\t"..."\r", " "..." ")
    /// Everything except line terminators.
    static let any: CharacterClass = {
        var set = of("\n"..."\n", "\r"..."\r", "\u{85}"..."\u{85}", "\u{2028}"..."\u{2029}")
        set.isNegated = true
        return set
    }()

    var negated: CharacterClass {
        var copy = self
        copy.isNegated.toggle()
        return copy
    }
}
