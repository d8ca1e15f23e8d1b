/// What one field of a cron expression may hold, and how it is read.
struct CronField {
    var range: ClosedRange<Int>
    var names: [String] = []
    /// Whether `22-2` runs over the end.
    var wraps = true

    static let minutes = CronField(range: 0...59)
    static let hours = CronField(range: 0...23)
    static let daysOfMonth = CronField(range: 1...31)
    static let months = CronField(
        range: 1...12,
        names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"])
    static let daysOfWeek = CronField(range: 1...7, names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])
    static let years = CronField(range: Limits.years, wraps: false)

    /// The values of a list of numbers, names, ranges, steps and `*`, as offsets from the range's start; nil when it is none.
    func values(_ text: Substring) -> Set<Int>? {
        var all: Set<Int> = []
        let elements = text.split(separator: ",", omittingEmptySubsequences: false)
        guard elements.count <= Limits.listElements else { return nil }
        for element in elements {
            guard let values = element.isEmpty ? nil : self.element(element) else { return nil }
            all.formUnion(values)
        }
        return all
    }

    /// As `values`, as bits by their numbers; for ranges below 64.
    func mask(_ text: Substring) -> UInt64? {
        values(text)?.reduce(0) { $0 | 1 << UInt64($1) }
    }

    private func element(_ text: Substring) -> [Int]? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2 else { return nil }
        var step = 1
        if parts.count == 2 {
            guard let number = Self.number(parts[1]), number >= 1, number <= range.upperBound else { return nil }
            step = number
        }
        guard let (first, last) = bounds(parts[0], isStepped: parts.count == 2) else { return nil }
        if first <= last { return Array(stride(from: first, through: last, by: step)) }
        guard wraps else { return nil }
        return stride(from: first, through: last + range.count, by: step).map { value in
            value > range.upperBound ? value - range.count : value
        }
    }

    private func bounds(_ text: Substring, isStepped: Bool) -> (Int, Int)? {
        if text == "*" { return (range.lowerBound, range.upperBound) }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard let first = ends.first.flatMap({ value($0) }) else { return nil }
        switch ends.count {
        case 1: return (first, isStepped ? range.upperBound : first)
        case 2: return value(ends[1]).map { (first, $0) }
        default: return nil
        }
    }

    /// A number in the range, or a name.
    func value(_ text: Substring) -> Int? {
        if let index = names.firstIndex(of: text.uppercased()) { return index + range.lowerBound }
        guard let number = Self.number(text), range.contains(number) else { return nil }
        return number
    }

    /// Digits only.
    static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.count <= Limits.digits, text.utf8.allSatisfy({ (48...57).contains($0) }) else {
            return nil
        }
        return Int(text)
    }
}
