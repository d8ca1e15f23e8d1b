import Wire

/// `[ip, user, ..., status = 4*, bytes > 1000]` for space-delimited events.
struct FieldPattern: Sendable {
    struct Condition: Sendable {
        var comparison: Comparison
        var operand: Operand
    }

    struct Field: Sendable {
        /// Nil for a field that was left blank.
        var name: String?
        var condition: Compound<Condition>?
    }

    /// The fields before and behind the ellipsis; all are `head` without one.
    let head: [Field]
    let tail: [Field]
    let hasEllipsis: Bool

    init(_ scanner: inout PatternScanner) throws(AWSError) {
        guard scanner.take("[") else { throw PatternError.malformed }
        var (head, tail): ([Field], [Field]) = ([], [])
        var hasEllipsis = false
        while true {
            if scanner.take("...") {
                guard !hasEllipsis else { throw PatternError.malformed }
                hasEllipsis = true
            } else {
                let field = try Self.field(&scanner)
                if hasEllipsis { tail.append(field) } else { head.append(field) }
            }
            if scanner.take(",") { continue }
            guard scanner.take("]") else { throw scanner.unexpected() }
            break
        }
        scanner.skipBlanks()
        guard scanner.isAtEnd, hasEllipsis || head.count > 1 || head.first?.name != nil else {
            throw PatternError.malformed
        }
        (self.head, self.tail, self.hasEllipsis) = (head, tail, hasEllipsis)
    }

    private static func field(_ scanner: inout PatternScanner) throws(AWSError) -> Field {
        scanner.skipBlanks()
        if scanner.next == UInt8(ascii: ",") || scanner.next == UInt8(ascii: "]") { return Field() }
        let start = scanner
        let isNested = scanner.take("(")
        scanner.skipBlanks()
        let name = String(decoding: scanner.takeWhile { $0.isWord || $0 == UInt8(ascii: "-") }, as: UTF8.self)
        scanner.skipBlanks()
        if !name.isEmpty, !isNested, scanner.next == UInt8(ascii: ",") || scanner.next == UInt8(ascii: "]") {
            return Field(name: name)
        }
        guard !name.isEmpty || isNested else { throw scanner.unexpected() }
        scanner = start
        var named: String?
        let condition = try Compound.parse(&scanner) { scanner throws(AWSError) -> Condition in
            scanner.skipBlanks()
            let name = String(
                decoding: scanner.takeWhile { $0.isWord || $0 == UInt8(ascii: "-") }, as: UTF8.self)
            // A condition is about its own field: another's name is refused, as AWS does.
            guard !name.isEmpty, named == nil || named == name else { throw scanner.unexpected() }
            named = name
            let comparison = try scanner.comparison()
            return Condition(comparison: comparison, operand: try scanner.operand(comparison))
        }
        return Field(name: named, condition: condition)
    }

    /// The fields of an event that matches, by `$name` or `$number` from 1; nil when it does not.
    func match(_ text: UnsafeBufferPointer<UInt8>) -> [(name: String, value: String)]? {
        let least = head.count + tail.count
        guard let parts = Self.split(text, limit: hasEllipsis ? .max : max(least, 1)), parts.count >= least else {
            return nil
        }
        for (index, field) in head.enumerated() where !Self.holds(field, parts[index], text) { return nil }
        let behind = parts.count - tail.count
        for (index, field) in tail.enumerated() where !Self.holds(field, parts[behind + index], text) { return nil }
        return parts.enumerated().map { index, range in
            let field = index < head.count ? head[index] : index >= behind ? tail[index - behind] : Field()
            return ("$" + (field.name ?? String(index + 1)), String(decoding: text[range], as: UTF8.self))
        }
    }

    private static func holds(_ field: Field, _ range: Range<Int>, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let condition = field.condition else { return true }
        let value = UnsafeBufferPointer(rebasing: text[range])
        return condition.holds { condition in
            condition.operand.holds(condition.comparison, value, number: { Operand.number(in: value) })
        }
    }

    /// The parts between blanks; what is in brackets or quotes is one part. The last of `limit` parts takes all the rest:
    /// so `[w1=ERROR, w2]` finds lines that begin with ERROR (user guide). Nil for a line of more than `Limits.fieldsPerEvent`.
    static func split(_ text: UnsafeBufferPointer<UInt8>, limit: Int) -> [Range<Int>]? {
        var parts: [Range<Int>] = []
        var end = text.count
        while end > 0, text[end - 1].isBlank { end -= 1 }
        var index = 0
        while true {
            while index < end, text[index].isBlank { index += 1 }
            guard index < end else { return parts }
            guard parts.count < Limits.fieldsPerEvent else { return nil }
            let closing: UInt8? =
                switch text[index] {
                case UInt8(ascii: "\""): UInt8(ascii: "\"")
                case UInt8(ascii: "["): UInt8(ascii: "]")
                default: nil
                }
            if let closing, let close = text[(index + 1)..<end].firstIndex(of: closing),
                close + 1 == end || text[close + 1].isBlank
            {
                if parts.count == limit - 1, close + 1 < end {
                    parts.append(index..<end)
                    return parts
                }
                parts.append(index + 1..<close)
                index = close + 1
                continue
            }
            let stop = text[index..<end].firstIndex(where: \.isBlank) ?? end
            if parts.count == limit - 1 {
                parts.append(index..<end)
                return parts
            }
            parts.append(index..<stop)
            index = stop
        }
    }
}
