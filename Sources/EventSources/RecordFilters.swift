import EventPatterns
import Platform

/// The filter criteria of a mapping: a record passes if one pattern matches, or when there is none.
struct RecordFilters: Sendable {
    private let patterns: [EventPattern]
    /// A stored pattern that can no longer be read matches nothing, rather than everything.
    private let isBroken: Bool

    init(_ texts: [String]) {
        patterns = texts.compactMap { try? EventPattern(json: Array($0.utf8), dialect: .eventSourceMapping) }
        isBroken = patterns.isEmpty && !texts.isEmpty
    }

    var isEmpty: Bool { patterns.isEmpty && !isBroken }

    /// `record` is made only when there is something to match it with.
    func passes(_ record: () -> Value) -> Bool {
        if isEmpty { return true }
        let record = record()
        return patterns.contains { $0.matches(record) }
    }
}
