import Platform

/// Reads Java's regular expression syntax, as far as the service models use it.
struct PatternParser {
    private let text: [Unicode.Scalar]
    private var position = 0
    private var depth = 0

    init(_ text: String) { self.text = Array(text.unicodeScalars) }

    mutating func parse() throws -> Pattern.Node {
        let node = try alternatives()
        guard position == text.count else { throw unsupported("unbalanced )") }
        return node
    }

    private func unsupported(_ what: String) -> Pattern.Unsupported {
        Pattern.Unsupported(description: "\(what) at \(position) of \(String(String.UnicodeScalarView(text)))")
    }

    private var next: Unicode.Scalar? { position < text.count ? text[position] : nil }

    private mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        position += 1
        return true
    }

    private mutating func alternatives() throws -> Pattern.Node {
        depth += 1
        defer { depth -= 1 }
        guard depth < CodecLimits.depth else { throw unsupported("too deep") }
        var branches = [try sequence()]
        while skip("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .either(branches)
    }

    private mutating func sequence() throws -> Pattern.Node {
        var nodes: [Pattern.Node] = []
        while let scalar = next, scalar != "|", scalar != ")" {
            let atom = try atom()
            nodes.append(try quantified(atom))
        }
        return nodes.count == 1 ? nodes[0] : (nodes.isEmpty ? .empty : .sequence(nodes))
    }

    private mutating func atom() throws -> Pattern.Node {
        guard let scalar = next else { return .empty }
        position += 1
        switch scalar {
        case "(": return try group()
        case "[": return .characters(try characterClass())
        case ".": return .characters(.any)
        case "^": return .start
        case "$": return .end
        case "\\": return .characters(try escape())
        case "*", "+", "?": throw unsupported("nothing to repeat")
        default: return .characters(.of(scalar...scalar))
        }
    }

    private mutating func group() throws -> Pattern.Node {
        var look: (ahead: Bool, negative: Bool)?
        if skip("?") {
            if skip(":") {
                look = nil
            } else if skip("=") {
                look = (true, false)
            } else if skip("!") {
                look = (true, true)
            } else if skip("<") {
                if skip("!") {
                    look = (false, true)
                } else if skip("=") {
                    look = (false, false)
                } else {
                    throw unsupported("named group")
                }
            } else {
                throw unsupported("group flags")
            }
        }
        let node = try alternatives()
        guard skip(")") else { throw unsupported("missing )") }
        return look.map { .look(node, ahead: $0.ahead, negative: $0.negative) } ?? node
    }

    private mutating func quantified(_ atom: Pattern.Node) throws -> Pattern.Node {
        var node = atom
        while true {
            if skip("*") {
                node = .repeated(node, minimum: 0, maximum: nil)
            } else if skip("+") {
                node = .repeated(node, minimum: 1, maximum: nil)
            } else if skip("?") {
                node = .repeated(node, minimum: 0, maximum: 1)
            } else if next == "{" {
                position += 1
                guard let minimum = number() else { throw unsupported("quantifier") }
                var maximum: Int? = minimum
                if skip(",") { maximum = number() }
                guard skip("}"), minimum <= 10_000, maximum ?? 0 <= 10_000, maximum ?? minimum >= minimum else {
                    throw unsupported("quantifier")
                }
                node = .repeated(node, minimum: minimum, maximum: maximum)
            } else {
                return node
            }
            // Lazy and possessive marks change nothing about whole matches of the models' patterns.
            if !skip("?") { _ = skip("+") }
        }
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let scalar = next, ("0"..."9").contains(scalar), (value ?? 0) < 1_000_000 {
            value = (value ?? 0) * 10 + Int(scalar.value - 48)
            position += 1
        }
        return value
    }

    private mutating func characterClass() throws -> CharacterClass {
        var set = CharacterClass()
        let isNegated = skip("^")
        var isFirst = true
        while true {
            guard let scalar = next else { throw unsupported("missing ]") }
            if scalar == "]", !isFirst { break }
            isFirst = false
            if scalar == "[" {
                position += 1
                set.insert(try characterClass())
                continue
            }
            if scalar == "&", position + 1 < text.count, text[position + 1] == "&" { throw unsupported("intersection") }
            guard let low = try classAtom(&set) else { continue }
            // A range, unless the dash is last or a set follows.
            if next == "-", position + 1 < text.count, text[position + 1] != "]" {
                let dash = position
                position += 1
                if let high = try classAtom(&set) {
                    guard high.value >= low.value else { throw unsupported("reversed range") }
                    set.insert(low.value...high.value)
                    continue
                }
                set.insert(text[dash].value...text[dash].value)
            }
            set.insert(low.value...low.value)
        }
        position += 1
        return isNegated ? wrapped(set) : set
    }

    private func wrapped(_ set: CharacterClass) -> CharacterClass {
        var negated = set
        negated.isNegated = true
        return negated
    }

    /// A single character, or nil when a set such as `\w` was put into `set`.
    private mutating func classAtom(_ set: inout CharacterClass) throws -> Unicode.Scalar? {
        guard let scalar = next else { throw unsupported("missing ]") }
        position += 1
        guard scalar == "\\" else { return scalar }
        if let single = try singleEscape() { return single }
        set.insert(try setEscape())
        return nil
    }

    private mutating func escape() throws -> CharacterClass {
        if let single = try singleEscape() { return .of(single...single) }
        return try setEscape()
    }

    /// Behind a backslash: a character that stands for one character; nil (nothing consumed) for a set.
    private mutating func singleEscape() throws -> Unicode.Scalar? {
        guard let scalar = next else { throw unsupported("backslash at the end") }
        switch scalar {
        case "d", "D", "w", "W", "s", "S", "p", "P": return nil
        case "b", "B", "A", "z", "Z", "G", "Q", "E", "k", "1"..."9": throw unsupported("escape \\\(scalar)")
        default: position += 1
        }
        switch scalar {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "f": return "\u{c}"
        case "x": return try hex(2)
        case "u": return try hex(4)
        default: return scalar
        }
    }

    private mutating func hex(_ digits: Int) throws -> Unicode.Scalar {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let scalar = next, let byte = UInt8(exactly: scalar.value), let digit = byte.hexValue else {
                throw unsupported("hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        guard let scalar = Unicode.Scalar(value) else { throw unsupported("surrogate") }
        return scalar
    }

    private mutating func setEscape() throws -> CharacterClass {
        guard let scalar = next else { throw unsupported("backslash at the end") }
        position += 1
        switch scalar {
        case "d": return .digits
        case "D": return CharacterClass.digits.negated
        case "w": return .words
        case "W": return CharacterClass.words.negated
        case "s": return .blanks
        case "S": return CharacterClass.blanks.negated
        default: break
        }
        var name = ""
        if skip("{") {
            while let letter = next, letter != "}" {
                name.unicodeScalars.append(letter)
                position += 1
            }
            guard skip("}") else { throw unsupported("category") }
        } else if let letter = next {
            name.unicodeScalars.append(letter)
            position += 1
        }
        var set = CharacterClass()
        switch name {
        case "L", "IsL", "IsLetter": set.insert(.letters)
        case "Z", "IsZ": set.insert(.separators)
        case "Zs":
            set = .of(
                " "..." ", "\u{a0}"..."\u{a0}", "\u{1680}"..."\u{1680}", "\u{2000}"..."\u{200a}",
                "\u{202f}"..."\u{202f}", "\u{205f}"..."\u{205f}", "\u{3000}"..."\u{3000}")
        case "N", "IsN": set.insert(.numbers)
        case "M", "IsM": set.insert(.marks)
        case "P", "IsP", "IsPunctuation": set.insert(.punctuation)
        case "S", "IsS": set.insert(.symbols)
        case "Alnum": set = .of("0"..."9", "A"..."Z", "a"..."z")
        case "Alpha": set = .of("A"..."Z", "a"..."z")
        case "Digit": set = .digits
        case "ASCII": set = .of("\0"..."\u{7f}")
        case "Graph": set = .of("!"..."~")
        case "Print": set = .of(" "..."~")
        case "Space": set = .blanks
        default: throw unsupported("category \(name)")
        }
        return scalar == "P" ? set.negated : set
    }
}
