import Platform

/// AWS's regular expressions for filter patterns (user guide, "Supported regular expressions (regex) syntax"): characters,
/// classes, `. ^ $ ? * + {m,n} |` and escapes; no groups. So every alternative is a row of characters, which all advance
/// together in a set of bits: time is linear in the text, whatever the expression.
struct RegexSubset: Sendable {
    /// Bytes that one place takes.
    struct ByteSet: Sendable, Equatable {
        private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        /// Any character outside of ASCII too, with all its bytes.
        var takesWide = false

        static func == (a: ByteSet, b: ByteSet) -> Bool { a.words == b.words && a.takesWide == b.takesWide }

        mutating func insert(_ byte: UInt8) {
            let bit = UInt64(1) << UInt64(byte & 63)
            switch byte >> 6 {
            case 0: words.0 |= bit
            case 1: words.1 |= bit
            case 2: words.2 |= bit
            default: words.3 |= bit
            }
        }

        func contains(_ byte: UInt8) -> Bool {
            let bit = UInt64(1) << UInt64(byte & 63)
            switch byte >> 6 {
            case 0: return words.0 & bit != 0
            case 1: return words.1 & bit != 0
            case 2: return words.2 & bit != 0
            default: return words.3 & bit != 0
            }
        }

        /// Everything that this set does not take.
        var inverted: ByteSet {
            var set = ByteSet()
            for byte in UInt8(0)...127 where !contains(byte) { set.insert(byte) }
            if !takesWide { set.takeWide() }
            return set
        }

        mutating func takeWide() {
            takesWide = true
            // The first byte of a character; the others follow it (`RegexSubset.loops`).
            for byte in UInt8(0xc0)...0xff { insert(byte) }
        }

        mutating func formUnion(_ other: ByteSet) {
            words.0 |= other.words.0
            words.1 |= other.words.1
            words.2 |= other.words.2
            words.3 |= other.words.3
            takesWide = takesWide || other.takesWide
        }
    }

    /// One place of a row.
    struct Atom: Sendable {
        var set: ByteSet
        var isSkippable = false
        var repeats = false
    }

    struct Row: Sendable {
        var atoms: [Atom] = []
        var isAtStart = false
        var isAtEnd = false
    }

    /// Words of a set of places.
    private let width: Int
    /// For each byte, `width` words: places that go on with it, and places that stay.
    private let moves: [UInt64]
    private let loops: [UInt64]
    private let skips: [UInt64]
    /// Where rows begin: at the start of the text, and anywhere.
    private let first: [UInt64]
    private let again: [UInt64]
    /// Where rows are over: anywhere, and at the end of the text.
    private let done: [UInt64]
    private let doneAtEnd: [UInt64]
    /// Bytes with which something begins.
    private let starts: ByteSet

    /// Nil when it has more places than `Limits.regexPlaces`.
    init?(rows: [Row]) {
        let places = rows.reduce(0) { $0 + $1.atoms.count + 1 }
        guard places <= Limits.regexPlaces else { return nil }
        let width = (places + 63) / 64
        var moves = [UInt64](repeating: 0, count: 256 * width)
        var loops = moves
        var skips = [UInt64](repeating: 0, count: width)
        var (first, again, done, doneAtEnd) = (skips, skips, skips, skips)
        func set(_ words: inout [UInt64], _ place: Int, at base: Int = 0) {
            words[base + place / 64] |= 1 << UInt64(place % 64)
        }
        var place = 0
        for row in rows {
            set(&first, place)
            if !row.isAtStart { set(&again, place) }
            for atom in row.atoms {
                for byte in UInt8(0)...255 where atom.set.contains(byte) {
                    set(&moves, place, at: Int(byte) * width)
                    if atom.repeats { set(&loops, place, at: Int(byte) * width) }
                }
                if atom.isSkippable { set(&skips, place) }
                if atom.set.takesWide {
                    for byte in UInt8(0x80)...0xbf {
                        set(&loops, place + 1, at: Int(byte) * width)
                        if atom.repeats { set(&loops, place, at: Int(byte) * width) }
                    }
                }
                place += 1
            }
            if row.isAtEnd { set(&doneAtEnd, place) } else { set(&done, place) }
            place += 1
        }
        Self.close(&first, skips)
        Self.close(&again, skips)
        var starts = ByteSet()
        for byte in UInt8(0)...255 {
            let base = Int(byte) * width
            if (0..<width).contains(where: { (moves[base + $0] | loops[base + $0]) & again[$0] != 0 }) {
                starts.insert(byte)
            }
        }
        (self.width, self.moves, self.loops, self.skips) = (width, moves, loops, skips)
        (self.first, self.again, self.done, self.doneAtEnd, self.starts) = (first, again, done, doneAtEnd, starts)
    }

    /// Adds what is reached by skipping: runs of skippable places are passed by one addition, which carries through them.
    private static func close(_ set: inout [UInt64], _ skips: [UInt64]) {
        var carry: UInt64 = 0
        for word in set.indices {
            let (one, overflow1) = (set[word] & skips[word]).addingReportingOverflow(skips[word])
            let (sum, overflow2) = one.addingReportingOverflow(carry)
            set[word] |= (sum ^ skips[word])
            carry = overflow1 || overflow2 ? 1 : 0
        }
    }

    func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        width == 1 ? matchesNarrow(text) : matchesWide(text)
    }

    private func matchesNarrow(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        let (again, done, skips) = (again[0], done[0], skips[0])
        var set = first[0]
        if set & done != 0 { return true }
        return moves.withUnsafeBufferPointer { moves in
            loops.withUnsafeBufferPointer { loops in
                for byte in text {
                    if set == again, !starts.contains(byte) { continue }
                    let index = Int(byte)
                    set = (set & moves[index]) << 1 | set & loops[index] | again
                    set |= ((set & skips) &+ skips) ^ skips
                    if set & done != 0 { return true }
                }
                return set & doneAtEnd[0] != 0
            }
        }
    }

    private func matchesWide(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var set = first
        func meets(_ mask: [UInt64]) -> Bool { (0..<width).contains { set[$0] & mask[$0] != 0 } }
        if meets(done) { return true }
        var isIdle = set == again
        for byte in text {
            if isIdle, !starts.contains(byte) { continue }
            let base = Int(byte) * width
            var carry: UInt64 = 0
            for word in 0..<width {
                let moved = set[word] & moves[base + word]
                set[word] = moved << 1 | carry | set[word] & loops[base + word] | again[word]
                carry = moved >> 63
            }
            Self.close(&set, skips)
            if meets(done) { return true }
            isIdle = set == again
        }
        return meets(doneAtEnd)
    }
}
