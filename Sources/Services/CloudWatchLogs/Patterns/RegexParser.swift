import Wire

/// Reads a regular expression of a filter pattern.
struct RegexParser {
    private var rest: ArraySlice<UInt8>

    /// Throws InvalidParameterException.
    static func parse(_ text: ArraySlice<UInt8>) throws(AWSError) -> RegexSubset {
        guard !text.isEmpty else { throw PatternError.malformed }
        var parser = RegexParser(rest: text)
        let rows = try parser.rows()
        guard let regex = RegexSubset(rows: rows) else { throw PatternError.malformed }
        return regex
    }

    private mutating func rows() throws(AWSError) -> [RegexSubset.Row] {
        var rows: [RegexSubset.Row] = []
        var row = RegexSubset.Row()
        var places = 0
        while let byte = rest.popFirst() {
            // Nothing may follow the end of the text.
            if row.isAtEnd, byte != UInt8(ascii: "|") { throw PatternError.malformed }
            switch byte {
            case UInt8(ascii: "|"):
                rows.append(row)
                row = RegexSubset.Row()
            case UInt8(ascii: "^"):
                guard row.atoms.isEmpty, !row.isAtStart else { throw PatternError.characters([byte]) }
                row.isAtStart = true
            case UInt8(ascii: "$"): row.isAtEnd = true
            default:
                let atoms = try repeated(try set(byte))
                places += atoms.count
                guard places <= Limits.regexPlaces else { throw PatternError.malformed }
                row.atoms += atoms
            }
        }
        rows.append(row)
        return rows
    }

    /// The set that begins with a byte that was taken.
    private mutating func set(_ byte: UInt8) throws(AWSError) -> RegexSubset.ByteSet {
        var set = RegexSubset.ByteSet()
        switch byte {
        case UInt8(ascii: "."): return set.inverted
        case UInt8(ascii: "["): return try characterClass()
        case UInt8(ascii: "\\"): return try escaped()
        default:
            guard Self.isPlain(byte) else { throw PatternError.characters([byte]) }
            set.insert(byte)
            return set
        }
    }

    /// Letters, digits, and the symbols that the user guide names; blanks are in one of its examples.
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte.isWord || ":#=@/;,- ".utf8.contains(byte)
    }

    private mutating func characterClass() throws(AWSError) -> RegexSubset.ByteSet {
        var set = RegexSubset.ByteSet()
        var isInverted = false
        if rest.first == UInt8(ascii: "^") {
            isInverted = true
            rest.removeFirst()
        }
        var isEmpty = true
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "]"), !isEmpty { return isInverted ? set.inverted : set }
            isEmpty = false
            if byte == UInt8(ascii: "\\") {
                set.formUnion(try escaped())
                continue
            }
            guard Self.isPlain(byte) || "^$?[{}|*+.".utf8.contains(byte) else { throw PatternError.characters([byte]) }
            if rest.first == UInt8(ascii: "-"), let last = rest.dropFirst().first, last != UInt8(ascii: "]") {
                guard Self.isPlain(last), byte <= last else { throw PatternError.malformed }
                rest.removeFirst(2)
                for member in byte...last { set.insert(member) }
            } else {
                set.insert(byte)
            }
        }
        throw PatternError.malformed
    }

    private mutating func escaped() throws(AWSError) -> RegexSubset.ByteSet {
        guard let byte = rest.popFirst() else { throw PatternError.malformed }
        var set = RegexSubset.ByteSet()
        func filled(_ holds: (UInt8) -> Bool) -> RegexSubset.ByteSet {
            for member in UInt8(0)...127 where holds(member) { set.insert(member) }
            return set
        }
        switch byte {
        case UInt8(ascii: "d"): return filled { (48...57).contains($0) }
        case UInt8(ascii: "D"): return filled { (48...57).contains($0) }.inverted
        case UInt8(ascii: "s"): return filled { $0.isBlank }
        case UInt8(ascii: "S"): return filled { $0.isBlank }.inverted
        case UInt8(ascii: "w"): return filled { $0.isWord }
        case UInt8(ascii: "W"): return filled { $0.isWord }.inverted
        case UInt8(ascii: "x"):
            guard let high = rest.popFirst().flatMap(Self.digit), let low = rest.popFirst().flatMap(Self.digit),
                high < 8
            else { throw PatternError.malformed }
            set.insert(high << 4 | low)
            return set
        case UInt8(ascii: "t"): set.insert(9)
        case UInt8(ascii: "n"): set.insert(10)
        default:
            guard !byte.isLetterOrDigit, byte < 128 else { throw PatternError.malformed }
            set.insert(byte)
        }
        return set
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) }
    }

    // MARK: How often

    private mutating func repeated(_ set: RegexSubset.ByteSet) throws(AWSError) -> [RegexSubset.Atom] {
        typealias Atom = RegexSubset.Atom
        switch rest.first {
        case UInt8(ascii: "?"):
            rest.removeFirst()
            return [Atom(set: set, isSkippable: true)]
        case UInt8(ascii: "*"):
            rest.removeFirst()
            return [Atom(set: set, isSkippable: true, repeats: true)]
        case UInt8(ascii: "+"):
            rest.removeFirst()
            return [Atom(set: set, repeats: true)]
        case UInt8(ascii: "{"):
            rest.removeFirst()
            let (least, most) = try bounds()
            var atoms = [Atom](repeating: Atom(set: set), count: least)
            if let most {
                atoms += [Atom](repeating: Atom(set: set, isSkippable: true), count: most - least)
            } else if atoms.isEmpty {
                atoms = [Atom(set: set, isSkippable: true, repeats: true)]
            } else {
                atoms[atoms.count - 1].repeats = true
            }
            return atoms
        default: return [Atom(set: set)]
        }
    }

    /// `{m}`, `{m,n}`, `{m,}`, `{,n}` after the brace.
    private mutating func bounds() throws(AWSError) -> (Int, Int?) {
        guard let end = rest.firstIndex(of: UInt8(ascii: "}")) else { throw PatternError.malformed }
        let parts = rest[..<end].split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self).filter { $0 != " " }
        }
        rest = rest[(end + 1)...]
        func number(_ text: String) throws(AWSError) -> Int? {
            if text.isEmpty { return nil }
            guard text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(text),
                number <= Limits.regexPlaces
            else { throw PatternError.malformed }
            return number
        }
        let low = try number(parts[0])
        if parts.count == 1 {
            guard let low else { throw PatternError.malformed }
            return (low, low)
        }
        guard parts.count == 2 else { throw PatternError.malformed }
        let high = try number(parts[1])
        guard low != nil || high != nil, high.map({ $0 >= low ?? 0 }) ?? true else { throw PatternError.malformed }
        return (low ?? 0, high)
    }
}
